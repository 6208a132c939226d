//! Sets many view items in one transaction, each on the condition that it would have alone, with one record of them all.
//! It is for items that do not change during the repair.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::types::TransactWriteItem;
use futures_util::{StreamExt, stream};

use super::mender::{Drifted, Mender, refused};
use super::report::Mode;
use crate::operate::audit::error::AuditError;
use crate::operate::audit::examine::{Examined, Examiner};
use crate::operate::audit::table_reader::TableReader;
use crate::operate::error::failure_text;
use crate::operate::stop::Stop;
use crate::operate::threads::on_any_thread;
use crate::rollup::check::judge::Difference;
use crate::rollup::check::repair::SetItem;
use crate::rollup::model::limits;
use crate::rollup::model::view::ViewKey;
use crate::rollup::pipeline::verdict::{ActionVerdict, Failure};
use crate::store::transaction_failure;

/// The most view items in one transaction: the record of the repair takes an action too.
const ITEMS_MAX: usize = limits::TRANSACTION_ACTIONS - 1;

/// The most counters in one transaction. Their group names and their old values must stay far below its size limit.
const COUNTERS_MAX: usize = 1_000;

/// The most bytes of counters, as the record of the repair has them, in one transaction: the record is one item. More of
/// one view item are set alone, and its record is without their values.
const RECORD_BYTES_MAX: usize = limits::ITEM_BYTES / 2;

/// Bytes of a counter in the record of a repair, without its group's name: two numbers of the largest size.
const COUNTER_BYTES: usize = 2 * 24;

impl Drifted<'_> {
    /// Estimated bytes in the record of the repair.
    fn record_bytes(&self) -> usize {
        if self.examined.item.is_none() {
            return self.key.bytes();
        }
        let group = |difference: &Difference| difference.counter.group.as_ref().map_or(0, String::len);
        let counters = self.differences.iter().map(|difference| 2 * group(difference) + COUNTER_BYTES);
        counters.sum::<usize>() + self.key.bytes()
    }
}

/// What became of view items that were to be set together.
struct SetJointly<'a> {
    set: Vec<Drifted<'a>>,
    /// Those that must be looked at again.
    changed: Vec<Drifted<'a>>,
    /// An error leaves what is in neither list as it was.
    result: Result<(), AuditError>,
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
        let mut drifted: Vec<Drifted<'_>> = seen.iter().filter_map(|(key, seen)| Drifted::of(key, seen)).collect();
        drifted.sort_by_key(|one| one.key);
        if self.mode == Mode::DryRun {
            self.writes.extend(drifted.iter().map(Drifted::write));
            return Ok(HashSet::new());
        }
        if drifted.is_empty() {
            return Ok(HashSet::new());
        }
        self.store_start(tables).await?;
        let (mender, failed) = (&*self, Cell::new(false));
        let transactions = divided(&drifted).into_iter().map(|items| mender.set_all(tables, stop, items, &failed));
        let mut ended = stream::iter(transactions).buffer_unordered(tables.concurrency);
        let (mut set, mut changed, mut result) = (HashSet::new(), HashSet::new(), Ok(()));
        // What is set is noted while the next transactions are on their way.
        while let Some(of_transaction) = ended.next().await {
            for one in of_transaction.set {
                examiner.balances.set(one.key, one.examined.item.as_ref());
                set.insert(one.key.clone());
            }
            changed.extend(of_transaction.changed.into_iter().map(|one| one.key.clone()));
            result = result.and(of_transaction.result);
        }
        drop(ended);
        seen.extract_if(|key, _| set.contains(key)).for_each(|(key, examined)| self.note_set(key, examined));
        seen.retain(|key, _| !changed.contains(key));
        result.map(|()| changed)
    }

    /// Sets view items, in parts if they cannot be set together. Nothing more is begun after a failure.
    async fn set_all<'a>(
        &self,
        tables: &TableReader,
        stop: &Stop,
        items: &[Drifted<'a>],
        failed: &Cell<bool>,
    ) -> SetJointly<'a> {
        let mut ended = SetJointly { set: Vec::new(), changed: Vec::new(), result: Ok(()) };
        let mut left = vec![items.to_vec()];
        while let Some(items) = left.pop() {
            if stop.requested() || failed.get() {
                break;
            }
            match self.transact(tables, &items).await {
                Ok(JointEnd::Set) => ended.set.extend(items),
                Ok(JointEnd::Cancelled(fine)) => {
                    let (again, not) = items.into_iter().zip(fine).partition::<Vec<_>, _>(|(_, fine)| *fine);
                    ended.changed.extend(not.into_iter().map(|(item, _)| item));
                    left.extend((!again.is_empty()).then(|| again.into_iter().map(|(item, _)| item).collect()));
                }
                Ok(JointEnd::NotCarriedOut) if items.len() > 1 => {
                    let (one, other) = items.split_at(items.len() / 2);
                    left.extend([other.to_vec(), one.to_vec()]);
                }
                Ok(JointEnd::NotCarriedOut) => ended.changed.extend(items),
                Err(error) => {
                    failed.set(true);
                    ended.result = Err(error);
                }
            }
        }
        ended
    }

    async fn transact(&self, tables: &TableReader, items: &[Drifted<'_>]) -> Result<JointEnd, AuditError> {
        let definition = tables.definition();
        let Some(first) = items.first() else { return Ok(JointEnd::Set) };
        let table = &definition[first.key.table].name;
        let of_record: Vec<SetItem<'_>> = items.iter().map(Drifted::set).collect();
        let counters = items.iter().map(|one| one.counters(definition, None));
        let actions =
            counters.chain([self.record(definition, first.key.table, &of_record)]).collect::<Result<Vec<_>, _>>();
        let actions: Vec<TransactWriteItem> = actions.map_err(|error| refused(table, error.to_string()))?;
        let count = actions.len();
        let request = tables.client.transact_write_items().set_transact_items(Some(actions));
        let sent = on_any_thread(request.send()).await;
        let Err(error) = sent else { return Ok(JointEnd::Set) };
        match transaction_failure(&error, count) {
            Failure::Cancelled(verdicts) => {
                let of_items = verdicts.iter().take(items.len());
                Ok(JointEnd::Cancelled(of_items.map(|verdict| *verdict == ActionVerdict::Fine).collect()))
            }
            Failure::Refused(_) => Ok(JointEnd::NotCarriedOut),
            failure if failure.is_passing() => Ok(JointEnd::NotCarriedOut),
            _ => Err(refused(table, failure_text(&error))),
        }
    }
}

/// Divides view items into parts that fit into one transaction, each of one table.
fn divided<'d, 'a>(mut items: &'d [Drifted<'a>]) -> Vec<&'d [Drifted<'a>]> {
    let mut parts = Vec::new();
    while let Some(first) = items.first() {
        let (mut counters, mut bytes) = (0, 0);
        let fits = |one: &&Drifted<'_>| {
            counters += one.examined.truth.sums.len() + one.differences.len();
            bytes += one.record_bytes();
            one.key.table == first.key.table && counters <= COUNTERS_MAX && bytes <= RECORD_BYTES_MAX
        };
        let many = items.iter().take(ITEMS_MAX).take_while(fits).count().max(1);
        let (part, rest) = items.split_at(many);
        parts.push(part);
        items = rest;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operate::audit::examine::Examined;
    use crate::rollup::check::judge::{ItemVerdict, StoredValue};
    use crate::rollup::check::recount::SourceTotals;
    use crate::rollup::model::change::Counter;
    use crate::rollup::model::definition::Definition;
    use crate::rollup::model::measure::{MeasureId, ViewSet};
    use crate::rollup::model::number::Number;
    use crate::rollup::model::view::TableId;
    use crate::rollup::{AttributeValue, Item};

    fn map_key() -> ViewKey {
        let definition = Definition::points_of_maps("Point", "Map").unwrap();
        let key = HashMap::from([("MapId".to_owned(), AttributeValue::S("m".to_owned()))]);
        definition.own_key(TableId(0), &Item::from(key)).unwrap()
    }

    /// The parts of so many view items of which each has so many counters that differ, in groups with names of so many bytes.
    fn parts(items: usize, counters: usize, name: usize, item: Option<&Item>) -> Vec<usize> {
        let difference = |number: usize| Difference {
            counter: Counter { measure: MeasureId::first_view(1), group: Some(format!("{number:0name$}")) },
            stored: StoredValue::Number(Number::zero()),
            expected: Number::from(1),
        };
        let differences: Vec<_> = (0..counters).map(difference).collect();
        let (truth, open, views) = (SourceTotals::default(), Vec::new(), ViewSet::default());
        let verdict = ItemVerdict::Drifted(differences);
        let examined = Examined { item: item.cloned(), truth, open, views, verdict };
        let key = map_key();
        let of_items: Vec<_> = (0..items).filter_map(|_| Drifted::of(&key, &examined)).collect();
        divided(&of_items).into_iter().map(<[_]>::len).collect()
    }

    #[test]
    fn a_transaction_has_room_for_its_items_and_their_record() {
        let item = Item::default();
        assert_eq!(parts(200, 1, 1, Some(&item)), [99, 99, 2]);
        assert_eq!(parts(5, 400, 3, Some(&item)), [2, 2, 1], "counters");
        assert_eq!(parts(5, 50, 1_024, Some(&item)), [1, 1, 1, 1, 1], "bytes of the record");
        assert_eq!(parts(30, 50, 1_024, None), [20, 10], "the record of what is created has only keys");
        assert_eq!(parts(2, 5_000, 1_024, Some(&item)), [1, 1], "one is never divided");
        assert_eq!(parts(0, 1, 1, None), [0; 0]);
    }

    #[test]
    fn a_transaction_is_of_one_table() {
        let (one, mut other) = (map_key(), map_key());
        other.table = TableId(1);
        let verdict = ItemVerdict::Drifted(Vec::new());
        let (truth, open, views) = (SourceTotals::default(), Vec::new(), ViewSet::default());
        let examined = Examined { item: None, truth, open, views, verdict };
        let items: Vec<_> = [&one, &one, &other].into_iter().filter_map(|key| Drifted::of(key, &examined)).collect();
        assert_eq!(divided(&items).into_iter().map(<[_]>::len).collect::<Vec<_>>(), [2, 1]);
    }
}
