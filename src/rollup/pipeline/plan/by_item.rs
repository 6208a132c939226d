//! Entries in the order of their view items: the best where most entries touch one item.

use std::cmp::Reverse;

use super::filling::Filling;
use crate::rollup::model::definition::Definition;
use crate::rollup::model::limits;
use crate::rollup::pipeline::coalesce::{Batch, EntryId, ItemId};

/// Distributes entries over transactions. The entries of one view item follow each other, and the items with most
/// entries come first. An item is in two transactions only if it does not fit into one, or if that fills the first of
/// the two: it costs one more update, and the two transactions must wait for each other. A little room is left free
/// instead, if that needs no further transaction.
pub(super) fn plan(definition: &Definition, batch: &Batch<'_>, members: &[EntryId]) -> Vec<Vec<EntryId>> {
    let touches = |member: EntryId| batch[member].touches();
    let ranks = Ranks::of(batch, members);
    let mut ordered = members.to_vec();
    ordered.sort_by(|&one, &other| ranks.of_all(touches(one)).cmp(ranks.of_all(touches(other))));

    let mut slack = Slack::of(members.len() + ranks.items);
    let mut transactions = Vec::new();
    let mut filling = Filling::new(definition, batch);
    for run in ordered.chunk_by(|&one, &next| touches(one) == touches(next)) {
        let (room, needed) = (filling.room(), filling.needed(touches(run[0]), run.len()));
        let would_be_cut = (room + 1..=limits::TRANSACTION_ACTIONS).contains(&needed);
        if would_be_cut && slack.leaves(room) {
            transactions.push(filling.finish());
        }
        for &member in run {
            if !filling.takes(member) {
                transactions.push(filling.finish());
                filling.takes(member);
            }
        }
    }
    if !filling.is_empty() {
        transactions.push(filling.finish());
    }
    transactions
}

/// The order of view items: those with most entries first.
struct Ranks {
    /// How many entries touch an item, by its number.
    entries: Vec<usize>,
    /// Items that are touched.
    items: usize,
}

impl Ranks {
    fn of(batch: &Batch<'_>, members: &[EntryId]) -> Self {
        let mut entries = vec![0; batch.items.len()];
        members.iter().flat_map(|&member| batch[member].touches()).for_each(|item| entries[item.0] += 1);
        let items = entries.iter().filter(|entries| **entries > 0).count();
        Self { entries, items }
    }

    fn of_all(&self, items: &[ItemId]) -> impl Iterator<Item = (Reverse<usize>, ItemId)> {
        items.iter().map(|item| (Reverse(self.entries[item.0]), *item))
    }
}

/// Actions that may be left free in transactions before the batch needs one transaction more.
///
/// Where one transaction ends and the next begins, a view item is cut, which costs one more update, unless room is left
/// free instead. So each transaction except the last is assumed to hold one action less than it could.
struct Slack(usize);

impl Slack {
    /// Fewer actions than this may be left free to avoid cutting a view item.
    const ROOM_LEFT: usize = limits::TRANSACTION_ACTIONS / 10;

    /// Of a batch of so many actions.
    fn of(actions: usize) -> Self {
        const EACH: usize = limits::TRANSACTION_ACTIONS - 1;
        let transactions = actions.saturating_sub(1).div_ceil(EACH);
        Self((transactions * EACH + 1).saturating_sub(actions))
    }

    /// Whether this room may be left free here. If so, it is taken from the slack; the cut that is avoided gives one
    /// action back.
    fn leaves(&mut self, room: usize) -> bool {
        let may = room < Self::ROOM_LEFT && room <= self.0 + 1;
        if may {
            self.0 = self.0 + 1 - room;
        }
        may
    }
}
