//! One view item set right, in one transaction with the record of that and with its records in quarantine.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::{Put, TransactWriteItem};

use super::report::{CounterChange, CounterWrite, Mode};
use crate::commit::Randomness;
use crate::config::Config;
use crate::operate::audit::error::AuditError;
use crate::operate::audit::examine::{Examined, Examiner, LOOKS};
use crate::operate::audit::report::{counter_name, reading_text};
use crate::operate::audit::table_reader::TableReader;
use crate::operate::clock::{days_later, now, pause};
use crate::operate::error::{TableError, failure_text};
use crate::operate::marker_table::{discard, marker_key};
use crate::operate::record_parts::RecordParts;
use crate::randomness::OsRandomness;
use crate::rollup::check::judge::{Difference, PendingRecord, StoredCounters};
use crate::rollup::check::repair::{self, REPAIR, set};
use crate::rollup::model::change::Sums;
use crate::rollup::model::definition::Definition;
use crate::rollup::model::kept_record::part_count;
use crate::rollup::model::limits::TRANSACTION_ACTIONS;
use crate::rollup::model::marker::{PARTS, SEQUENCE_NUMBER, STREAM};
use crate::rollup::model::record::RecordId;
use crate::rollup::model::view::ViewKey;
use crate::rollup::pipeline::coalesce::TouchedItem;
use crate::rollup::pipeline::verdict::Failure;
use crate::store::{sdk_update, transaction_failure};

/// Actions of one transaction that close quarantined records, beside the view item and the record of the repair.
const CLOSING_ACTIONS: usize = TRANSACTION_ACTIONS - 2;

/// Sets counters.
pub(super) struct Mender {
    mode: Mode,
    config: Config,
    who: String,
    run: String,
    /// How often a view item was set.
    pub(super) set: usize,
    /// What was written, or would be.
    pub(super) writes: Vec<CounterWrite>,
}

/// What one pass over view items did.
#[derive(Debug, Default)]
pub(super) struct Pass {
    /// View items that were set: what they are now is only known when they are audited again.
    pub(super) set: BTreeSet<ViewKey>,
    /// Other view items of records that were closed with them, which are looked at again too.
    pub(super) concerned: BTreeSet<ViewKey>,
}

/// How the attempt to set a view item ended.
enum Attempt {
    /// It is set.
    Set,
    /// It is set, and has more records in quarantine than one transaction closes.
    More,
    /// The item was changed by somebody: it is to be looked at again.
    Changed,
    /// It cannot be set, or is not to be.
    Left,
}

/// What a view item is to be set to.
struct Aim<'a> {
    wanted: Sums,
    differences: Vec<Difference>,
    /// Records in quarantine that are in the counters afterwards, and how many parts each has.
    close: Vec<(&'a PendingRecord, usize)>,
    /// Those that there is no room for in the transaction.
    stay: Vec<&'a PendingRecord>,
}

impl<'a> Aim<'a> {
    fn of(definition: &Definition, examined: &'a Examined, parts: &HashMap<RecordId, usize>) -> Self {
        let (mut close, mut stay, mut room) = (Vec::new(), Vec::new(), CLOSING_ACTIONS);
        for record in examined.quarantined() {
            let parts = parts.get(&record.id).copied().unwrap_or(0);
            if stay.is_empty() && parts < room {
                room -= 1 + parts;
                close.push((record, parts));
            } else {
                stay.push(record);
            }
        }
        let wanted = examined.wanted(&stay);
        let differences = StoredCounters::read(definition, examined.views, examined.item.as_ref()).differences(&wanted);
        Self { wanted, differences, close, stay }
    }

    fn write(&self, definition: &Definition, key: &ViewKey) -> CounterWrite {
        let changes = self.differences.iter().map(|difference| CounterChange {
            counter: counter_name(definition, difference),
            from: reading_text(&difference.stored),
            to: difference.expected.to_string(),
        });
        let closed = self.close.iter().map(|(open, _)| open.id.clone());
        let name = if definition.tables().len() == 1 { key.to_string() } else { definition.named(key) };
        CounterWrite { item: key.clone(), name, changes: changes.collect(), closed: closed.collect() }
    }
}

impl Mender {
    /// One that sets counters in somebody's name; in a dry run it only tells what it would set.
    pub(super) fn new(mode: Mode, config: Config, who: String) -> Self {
        let run = format!("repair-run-{}", OsRandomness.token());
        Self { mode, config, who, run, set: 0, writes: Vec::new() }
    }

    /// Sets an item that was examined, and looks again as long as others change it.
    pub(super) async fn mend(
        &mut self,
        examiner: &mut Examiner<'_>,
        key: &ViewKey,
        seen: &mut HashMap<ViewKey, Examined>,
        pass: &mut Pass,
    ) -> Result<(), AuditError> {
        for _ in 0..LOOKS {
            let Some(found) = seen.get(key).filter(|found| found.needs_mending()) else { return Ok(()) };
            match self.attempt(examiner.tables, key, found, pass).await? {
                Attempt::Set => {
                    seen.remove(key);
                    return Ok(());
                }
                Attempt::Left => return Ok(()),
                Attempt::More => {}
                Attempt::Changed => pause().await,
            }
            if let Some(again) = examiner.look_at_once(key).await? {
                seen.insert(key.clone(), again);
            }
        }
        Ok(())
    }

    /// Sets the counters of a view item, unless it has changed since it was examined.
    async fn attempt(
        &mut self,
        tables: &TableReader,
        key: &ViewKey,
        examined: &Examined,
        pass: &mut Pass,
    ) -> Result<Attempt, AuditError> {
        let definition = tables.definition();
        let parts = parts_of(tables, examined).await?;
        let aim = Aim::of(definition, examined, &parts);
        let write = aim.write(definition, key);
        if self.mode == Mode::DryRun {
            self.writes.push(write);
            return Ok(Attempt::Left);
        }
        let table = &definition[key.table].name;
        let actions = self.actions(tables, key, examined, &aim).map_err(|error| refused(table, error.to_string()))?;
        let count = actions.len();
        if let Err(error) = tables.client.transact_write_items().set_transact_items(Some(actions)).send().await {
            return match transaction_failure(&error, count) {
                failure if failure.is_unmet_condition() || failure.is_passing() => Ok(Attempt::Changed),
                Failure::Cancelled(_) => Ok(Attempt::Left),
                _ => Err(refused(table, failure_text(&error))),
            };
        }
        self.set += 1;
        self.writes.push(write);
        pass.set.insert(key.clone());
        pass.concerned.extend(aim.close.iter().flat_map(|(open, _)| open.others.iter().cloned()));
        Ok(if aim.stay.is_empty() { Attempt::Set } else { Attempt::More })
    }

    /// The counters, the record of the repair, and the records in quarantine that it closes, with their parts.
    fn actions(
        &self,
        tables: &TableReader,
        key: &ViewKey,
        examined: &Examined,
        aim: &Aim<'_>,
    ) -> Result<Vec<TransactWriteItem>, BuildError> {
        let (definition, markers) = (tables.definition(), &self.config.idempotency_table);
        let record_parts = RecordParts::new(tables.client.clone(), markers);
        let (at, retention_days) = (now(), self.config.marker_retention_days);
        let id = format!("{REPAIR}{}", OsRandomness.token());
        let item = TouchedItem { key: key.clone(), views: examined.views, texts: examined.truth.texts.clone() };
        let counters = set(definition, &item, examined.item.as_ref(), &aim.wanted);
        let counters = sdk_update(&definition[key.table].name, &definition.key_item(key), counters).build()?;
        let note = repair::Repair { id: &id, who: &self.who, run: &self.run, at, retention_days };
        let note = Put::builder()
            .table_name(markers)
            .set_item(Some(repair::repaired(definition, &note, key, &aim.differences).into()))
            .condition_expression(format!("attribute_not_exists({SEQUENCE_NUMBER})"))
            .build()?;
        let mut actions =
            vec![TransactWriteItem::builder().update(counters).build(), TransactWriteItem::builder().put(note).build()];
        for (open, parts) in &aim.close {
            let discard = discard(days_later(at, retention_days), Some(&id));
            let discard = sdk_update(markers, &marker_key(&open.id), discard).build()?;
            actions.push(TransactWriteItem::builder().update(discard).build());
            actions.extend(record_parts.deletes(&open.id, *parts)?);
        }
        Ok(actions)
    }
}

/// How many parts the records in quarantine have that one transaction may close; those that have any.
async fn parts_of(tables: &TableReader, examined: &Examined) -> Result<HashMap<RecordId, usize>, AuditError> {
    let closed: Vec<RecordId> = examined.quarantined().take(CLOSING_ACTIONS).map(|open| open.id.clone()).collect();
    let markers = tables.markers_of(&closed, &[SEQUENCE_NUMBER, STREAM, PARTS]).await?;
    Ok(markers.into_iter().map(|(id, marker)| (id, part_count(&marker))).filter(|(_, parts)| *parts > 0).collect())
}

fn refused(table: &str, cause: String) -> AuditError {
    TableError::new("repair", table, cause).into()
}
