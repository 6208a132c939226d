//! A transaction against the limits of the service, measured as it is sent and not as it was planned.

use std::collections::{BTreeMap, BTreeSet};

use ddb_rollup::rollup::model::number::Number;
use ddb_rollup::rollup::pipeline::coalesce::{Batch, EntryId};
use ddb_rollup::rollup::pipeline::plan::{Action, Transaction};

use crate::item_size::item_bytes;
use crate::tables::{key_of, table_of};

/// Checks a transaction of so many entries.
pub fn hold_against_the_limits(transaction: &Transaction<'_>, members: usize) {
    let actions = &transaction.actions;
    let markers = actions.iter().filter(|action| matches!(action, Action::PutMarker { .. })).count();
    assert_eq!(markers, members, "a marker an entry");
    assert!(actions.len() <= 100, "{} actions", actions.len());
    let keys = actions.iter().map(|action| {
        let key = key_of(action);
        (table_of(action), format!("{:?}", key.iter().collect::<BTreeMap<_, _>>()))
    });
    assert_eq!(keys.collect::<BTreeSet<_>>().len(), actions.len(), "one action an item");
    let mut bytes = 0;
    for action in actions {
        let update = match action {
            Action::PutMarker { marker, .. } => {
                let marker = item_bytes(&marker.item());
                assert!(marker <= 400 * 1024, "a marker of {marker} bytes");
                bytes += marker;
                continue;
            }
            Action::PutPart { part, .. } => {
                assert!(item_bytes(part) <= 400 * 1024, "a part of {} bytes", item_bytes(part));
                bytes += item_bytes(part);
                continue;
            }
            Action::UpdateReason { .. } | Action::DeletePart { .. } => continue,
            Action::UpdateView { update, .. } => update,
            Action::CheckAbsent { check, .. } => check,
        };
        for expression in [Some(&update.expression), update.condition.as_ref()].into_iter().flatten() {
            assert!(expression.len() <= 4_096, "an expression of {} bytes", expression.len());
            let operators = expression.matches('+').count() + expression.matches('(').count();
            assert!(operators <= 300, "{operators} operators and functions");
        }
        bytes += item_bytes(&key_of(action)) + item_bytes(&update.values);
        bytes += update.names.values().map(String::len).sum::<usize>();
    }
    assert!(bytes <= 4 * 1024 * 1024, "{bytes} bytes");
}

/// Checks that the entries of planned transactions add to each counter what the whole batch adds.
pub fn assert_adds_what_the_batch_adds(batch: &Batch<'_>, planned: &[Vec<EntryId>]) {
    let mut sums: BTreeMap<_, BTreeMap<_, Number>> = BTreeMap::new();
    for members in planned {
        for (item, part) in batch.sums(members) {
            let whole = sums.entry(item).or_default();
            for (counter, amount) in part {
                *whole.entry(counter).or_default() += &amount;
            }
        }
    }
    for sums in sums.values_mut() {
        sums.retain(|_, amount| !amount.is_zero());
    }
    let all: Vec<EntryId> = batch.ids().collect();
    assert_eq!(sums, batch.sums(&all), "the transactions add what the batch adds");
}
