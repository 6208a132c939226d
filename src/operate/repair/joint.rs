//! Sets many view items in one transaction, each with the update and the record that it would have alone. It is for
//! items that do not change during the repair.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::types::TransactWriteItem;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::mender::{Mender, refused};
use super::report::Mode;
use crate::operate::audit::error::AuditError;
use crate::operate::audit::examine::{Examined, Examiner};
use crate::operate::audit::table_reader::TableReader;
use crate::operate::error::failure_text;
use crate::operate::stop::Stop;
use crate::operate::threads::on_any_thread;
use crate::rollup::check::judge::{Difference, ItemVerdict};
use crate::rollup::model::limits;
use crate::rollup::model::view::ViewKey;
use crate::rollup::pipeline::verdict::{ActionVerdict, Failure};
use crate::store::transaction_failure;

/// Actions per view item: its counters, and the record of the repair.
const ACTIONS_AN_ITEM: usize = 2;

/// The most view items in one transaction.
const ITEMS_MAX: usize = limits::TRANSACTION_ACTIONS / ACTIONS_AN_ITEM;

/// The most counters in one transaction. Their group names, their old values and the records of the repairs must stay
/// far below its size limit.
const COUNTERS_MAX: usize = 500;

/// A view item to set.
#[derive(Debug, Clone, Copy)]
struct Drifted<'a> {
    key: &'a ViewKey,
    examined: &'a Examined,
    differences: &'a [Difference],
}

/// The outcome of a transaction.
enum JointEnd {
    /// All items are set.
    Set,
    /// None is set. For each view item: whether its actions had no error.
    Cancelled(Vec<bool>),
    /// None is set, and no action says why.
    NotCarriedOut,
}

impl Mender {
    /// Sets the drifted view items, unless they have changed since they were read. Returns those that have changed or
    /// that cannot be set together. A dry run only notes what it would set.
    pub(super) async fn set_jointly(
        &mut self,
        examiner: &mut Examiner<'_>,
        seen: &mut HashMap<ViewKey, Examined>,
    ) -> Result<HashSet<ViewKey>, AuditError> {
        let (tables, stop) = (examiner.tables, examiner.stop);
        let drifted = seen.iter().filter_map(|(key, examined)| match &examined.verdict {
            ItemVerdict::Drifted(differences) => Some(Drifted { key, examined, differences }),
            _ => None,
        });
        let mut drifted: Vec<Drifted<'_>> = drifted.collect();
        drifted.sort_by_key(|one| one.key);
        let definition = tables.definition();
        if self.mode == Mode::DryRun {
            self.writes.extend(drifted.iter().map(|one| Self::write(definition, one.key, one.differences)));
            return Ok(HashSet::new());
        }
        if drifted.is_empty() {
            return Ok(HashSet::new());
        }
        self.store_start(tables).await?;
        let mender = &*self;
        let transactions = divided(&drifted).into_iter().map(|items| mender.set_all(tables, stop, items));
        let ended = stream::iter(transactions).buffer_unordered(tables.concurrency);
        let ended: Vec<(Vec<Drifted<'_>>, Vec<Drifted<'_>>)> = ended.try_collect().await?;
        let (mut set, mut changed) = (HashSet::new(), HashSet::new());
        for (of_set, of_changed) in ended {
            self.writes.extend(of_set.iter().map(|one| Self::write(definition, one.key, one.differences)));
            for one in of_set {
                examiner.balances.set(one.key, one.examined.item.as_ref());
                set.insert(one.key.clone());
            }
            changed.extend(of_changed.into_iter().map(|one| one.key.clone()));
        }
        seen.retain(|key, _| !set.contains(key) && !changed.contains(key));
        self.set += set.len();
        self.just_set.extend(set);
        Ok(changed)
    }

    /// Sets view items, in parts if they cannot be set together. Returns those that are set, and those that must be
    /// looked at again.
    async fn set_all<'a>(
        &self,
        tables: &TableReader,
        stop: &Stop,
        items: &[Drifted<'a>],
    ) -> Result<(Vec<Drifted<'a>>, Vec<Drifted<'a>>), AuditError> {
        let (mut set, mut changed) = (Vec::new(), Vec::new());
        let mut left = vec![items.to_vec()];
        while let Some(items) = left.pop() {
            if stop.requested() {
                break;
            }
            match self.transact(tables, &items).await? {
                JointEnd::Set => set.extend(items),
                JointEnd::Cancelled(fine) => {
                    let (again, not) = items.into_iter().zip(fine).partition::<Vec<_>, _>(|(_, fine)| *fine);
                    changed.extend(not.into_iter().map(|(item, _)| item));
                    left.extend((!again.is_empty()).then(|| again.into_iter().map(|(item, _)| item).collect()));
                }
                JointEnd::NotCarriedOut if items.len() > 1 => {
                    let (one, other) = items.split_at(items.len() / 2);
                    left.extend([other.to_vec(), one.to_vec()]);
                }
                JointEnd::NotCarriedOut => changed.extend(items),
            }
        }
        Ok((set, changed))
    }

    async fn transact(&self, tables: &TableReader, items: &[Drifted<'_>]) -> Result<JointEnd, AuditError> {
        let definition = tables.definition();
        let table = items.first().map_or("", |one| definition[one.key.table].name.as_str());
        let mut actions: Vec<TransactWriteItem> = Vec::with_capacity(items.len() * ACTIONS_AN_ITEM);
        for one in items {
            let of_item = self.actions(definition, one.key, one.examined, one.differences, None);
            actions.extend(of_item.map_err(|error| refused(table, error.to_string()))?);
        }
        let count = actions.len();
        let request = tables.client.transact_write_items().set_transact_items(Some(actions));
        let sent = on_any_thread(request.send()).await;
        let Err(error) = sent else { return Ok(JointEnd::Set) };
        match transaction_failure(&error, count) {
            Failure::Cancelled(verdicts) => {
                let is_fine = |of_item: &[ActionVerdict]| of_item.iter().all(|one| *one == ActionVerdict::Fine);
                Ok(JointEnd::Cancelled(verdicts.chunks(ACTIONS_AN_ITEM).map(is_fine).collect()))
            }
            Failure::Refused(_) => Ok(JointEnd::NotCarriedOut),
            failure if failure.is_passing() => Ok(JointEnd::NotCarriedOut),
            _ => Err(refused(table, failure_text(&error))),
        }
    }
}

/// Divides view items into parts that fit into one transaction.
fn divided<'d, 'a>(mut items: &'d [Drifted<'a>]) -> Vec<&'d [Drifted<'a>]> {
    let mut parts = Vec::new();
    while !items.is_empty() {
        let mut counters = 0;
        let fits = |one: &&Drifted<'_>| {
            counters += one.examined.truth.sums.len() + one.differences.len();
            counters <= COUNTERS_MAX
        };
        let many = items.iter().take(ITEMS_MAX).take_while(fits).count().max(1);
        let (part, rest) = items.split_at(many);
        parts.push(part);
        items = rest;
    }
    parts
}
