//! Sets view items, each in one transaction with the record of the repair.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap, HashSet};

use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use chrono::{DateTime, Utc};
use futures_util::{StreamExt, stream};

use super::report::{CounterWrite, Mode};
use super::{repair_run, stored_start};
use crate::commit::Randomness;
use crate::config::Config;
use crate::operate::audit::error::AuditError;
use crate::operate::audit::examine::{AfterLook, Examined, Examiner};
use crate::operate::audit::table_reader::TableReader;
use crate::operate::clock::{now, pause};
use crate::operate::error::{TableError, failure_text};
use crate::randomness::OsRandomness;
use crate::rollup::Item;
use crate::rollup::check::correction::{claim, correct};
use crate::rollup::check::judge::{Difference, ItemVerdict};
use crate::rollup::check::repair::{Creation, REPAIR, Repair, SetItem, create, repaired, set};
use crate::rollup::check::repair_start::RepairStart;
use crate::rollup::check::slice::Slice;
use crate::rollup::model::definition::Definition;
use crate::rollup::model::marker::SEQUENCE_NUMBER;
use crate::rollup::model::measure::{ViewId, ViewSet};
use crate::rollup::model::view::{TableId, ViewKey};
use crate::rollup::pipeline::coalesce::TouchedItem;
use crate::rollup::pipeline::update::Update;
use crate::rollup::pipeline::verdict::Failure;
use crate::store::{failure, sdk_update, transaction_failure};

/// The most attempts to set a view item. In each attempt the item was read as of one moment, so all of them fail only
/// if another writer is quicker each time.
const ATTEMPTS: usize = 10;

/// The most attempts to set a view item that others change each time. After them, it is claimed and corrected.
const ATTEMPTS_BEFORE_CLAIM: usize = 3;

/// Sets the counters of view items.
pub(super) struct Mender {
    pub(super) mode: Mode,
    config: Config,
    who: String,
    pub(super) run: String,
    /// The beginnings of the repair that are stored before the first write.
    starts: Vec<RepairStart>,
    /// How many times a view item was set.
    pub(super) set: usize,
    /// View items that were set since this was last emptied. Their state is known only after another audit.
    pub(super) just_set: BTreeSet<ViewKey>,
    /// What was written, or would be in a dry run.
    pub(super) writes: Vec<CounterWrite>,
}

/// A view item to set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Drifted<'a> {
    pub(super) key: &'a ViewKey,
    pub(super) examined: &'a Examined,
    pub(super) differences: &'a [Difference],
}

/// The outcome of an attempt to set a view item.
enum Attempt {
    /// It is set.
    Set,
    /// Another writer changed the item: examine it again.
    Changed,
    /// It cannot be set, or must not be.
    Left,
}

impl Mender {
    /// A mender that sets counters in the name of `who`. In a dry run it only reports what it would set.
    pub(super) fn new(mode: Mode, config: Config, who: String) -> Self {
        let run = repair_run();
        let (just_set, writes) = (BTreeSet::new(), Vec::new());
        Self { mode, config, who, run, starts: Vec::new(), set: 0, just_set, writes }
    }

    /// Notes the beginning of the repair: of these views, or of one view item or one slice of them.
    pub(super) fn begin(&mut self, views: ViewSet, only: Option<&ViewKey>, slice: Option<Slice>, began: DateTime<Utc>) {
        let definition = &self.config.definition;
        let item = only.map(|key| definition.key_item(key));
        let start =
            |view: ViewId| RepairStart { view: definition[view].name().to_owned(), item: item.clone(), slice, began };
        self.starts = views.iter().map(start).collect();
    }

    /// Stores the beginning of the repair, once. A replay must be able to see it before any counter is set.
    pub(super) async fn store_start(&mut self, tables: &TableReader) -> Result<(), AuditError> {
        for start in std::mem::take(&mut self.starts) {
            stored_start::store(&tables.client, &self.config.idempotency_table, &start).await?;
        }
        Ok(())
    }

    /// Notes that a view item was set as it was examined.
    pub(super) fn note_set(&mut self, item: ViewKey, examined: Examined) {
        self.set += 1;
        self.just_set.insert(item.clone());
        if let ItemVerdict::Drifted(differences) = examined.verdict {
            self.writes.push(CounterWrite { item, differences });
        }
    }

    /// Sets the counters of a view item, unless it has changed since it was examined.
    async fn attempt(
        &self,
        tables: &TableReader,
        item: Drifted<'_>,
        claim: Option<&str>,
    ) -> Result<Attempt, AuditError> {
        let (definition, id) = (tables.definition(), item.key.table);
        let table = &definition[id].name;
        let actions = item
            .counters(definition, claim)
            .and_then(|counters| Ok(vec![counters, self.record(definition, id, &[item.set()])?]))
            .map_err(|error| refused(table, error.to_string()))?;
        let count = actions.len();
        match tables.client.transact_write_items().set_transact_items(Some(actions)).send().await {
            Ok(_) => Ok(Attempt::Set),
            Err(error) => match transaction_failure(&error, count) {
                failure if failure.is_unmet_condition() || failure.is_passing() => Ok(Attempt::Changed),
                Failure::Cancelled(_) => Ok(Attempt::Left),
                _ => Err(refused(table, failure_text(&error))),
            },
        }
    }

    /// Claims a view item, so that it can be corrected after it is read again. `None` if a write interfered.
    async fn claim(&self, tables: &TableReader, key: &ViewKey) -> Result<Option<String>, AuditError> {
        let (definition, id) = (tables.definition(), OsRandomness.token().simple().to_string());
        let Update { expression, condition, names, values } = claim(&id);
        let table = &definition[key.table].name;
        let request = tables.client.update_item().table_name(table).update_expression(expression);
        let request = request.set_key(Some(definition.key_item(key).into())).set_condition_expression(condition);
        let request = request.set_expression_attribute_names(Some(names));
        match request.set_expression_attribute_values(Some(Item::from(values).into())).send().await {
            Ok(_) => Ok(Some(id)),
            Err(error) if failure(&error).is_unmet_condition() || failure(&error).is_passing() => Ok(None),
            Err(error) => Err(refused(table, failure_text(&error))),
        }
    }

    /// The record of a transaction that sets these view items of a table.
    pub(super) fn record(
        &self,
        definition: &Definition,
        table: TableId,
        items: &[SetItem<'_>],
    ) -> Result<TransactWriteItem, BuildError> {
        let id = format!("{REPAIR}{}", OsRandomness.token());
        let retention_days = self.config.marker_retention_days;
        let repair = Repair { id: &id, who: &self.who, run: &self.run, at: now(), retention_days };
        let record = Put::builder()
            .table_name(&self.config.idempotency_table)
            .set_item(Some(repaired(definition, &repair, table, items).into()))
            .condition_expression(format!("attribute_not_exists({SEQUENCE_NUMBER})"))
            .build()?;
        Ok(TransactWriteItem::builder().put(record).build())
    }
}

impl<'a> Drifted<'a> {
    /// The view item, if it has drifted.
    pub(super) fn of(key: &'a ViewKey, examined: &'a Examined) -> Option<Self> {
        match &examined.verdict {
            ItemVerdict::Drifted(differences) => Some(Self { key, examined, differences }),
            _ => None,
        }
    }

    /// What a repair would write.
    pub(super) fn write(&self) -> CounterWrite {
        CounterWrite { item: self.key.clone(), differences: self.differences.to_vec() }
    }

    pub(super) fn set(&self) -> SetItem<'a> {
        SetItem { key: self.key, existed: self.examined.item.is_some(), differences: self.differences }
    }

    /// The action that sets its counters, on the condition that it is as it was examined, or absent if it was. Under a
    /// claim it is corrected, if it can be.
    pub(super) fn counters(
        &self,
        definition: &Definition,
        claim: Option<&str>,
    ) -> Result<TransactWriteItem, BuildError> {
        let Self { key, examined, differences } = self;
        let table = &definition[key.table].name;
        let (action, wanted) = (TransactWriteItem::builder(), examined.wanted());
        let touched = TouchedItem { key: (*key).clone(), views: examined.views, texts: examined.truth.texts.clone() };
        let Some(seen) = &examined.item else {
            let Creation { item, condition, names } = create(definition, &touched, &wanted);
            let put = Put::builder().table_name(table).set_item(Some(item));
            let put = put.condition_expression(condition).set_expression_attribute_names(Some(names)).build()?;
            return Ok(action.put(put).build());
        };
        let correction = claim.and_then(|claim| correct(definition, seen, differences, claim));
        let update = correction.unwrap_or_else(|| set(definition, &touched, seen, &wanted));
        let update = sdk_update(table, &definition.key_item(key), update).build()?;
        Ok(action.update(update).build())
    }
}

impl AfterLook for Mender {
    /// Sets drifted items, many in one transaction.
    async fn at_rest(
        &mut self,
        examiner: &mut Examiner<'_>,
        seen: &mut HashMap<ViewKey, Examined>,
    ) -> Result<HashSet<ViewKey>, AuditError> {
        self.set_jointly(examiner, seen).await
    }

    /// Sets drifted items, several at a time, and examines again those that others changed in between.
    async fn after(
        &mut self,
        examiner: &mut Examiner<'_>,
        seen: &mut HashMap<ViewKey, Examined>,
    ) -> Result<(), AuditError> {
        let mut left: BTreeSet<ViewKey> = seen.keys().cloned().collect();
        let mut claims: HashMap<ViewKey, String> = HashMap::new();
        for attempt in 1..=ATTEMPTS {
            let (tables, stop) = (examiner.tables, examiner.stop);
            let drifted = left.iter().filter_map(|key| Drifted::of(key, seen.get(key)?));
            let drifted: Vec<_> = drifted.collect();
            if self.mode == Mode::DryRun {
                self.writes.extend(drifted.iter().map(Drifted::write));
                return Ok(());
            }
            if drifted.is_empty() || stop.requested() {
                return Ok(());
            }
            self.store_start(tables).await?;
            let (mender, claimed, failed) = (&*self, &claims, &Cell::new(false));
            let attempts = drifted.into_iter().map(|one| async move {
                let claim = claimed.get(one.key).map(String::as_str);
                let is_over = stop.requested() || failed.get();
                let attempt = if is_over { Ok(Attempt::Left) } else { mender.attempt(tables, one, claim).await };
                failed.set(failed.get() || attempt.is_err());
                (one.key.clone(), attempt)
            });
            let attempts: Vec<_> = stream::iter(attempts).buffer_unordered(tables.concurrency).collect().await;
            let (mut changed, mut result) = (BTreeSet::new(), Ok(()));
            for (key, attempt) in attempts {
                match attempt {
                    Ok(Attempt::Set) => {
                        seen.remove_entry(&key).into_iter().for_each(|(key, set)| self.note_set(key, set));
                    }
                    Ok(Attempt::Changed) => drop(changed.insert(key)),
                    Ok(Attempt::Left) => {}
                    Err(error) => result = result.and(Err(error)),
                }
            }
            // What is set is noted before an error ends the repair.
            result?;
            if !changed.is_empty() {
                pause().await;
            }
            claims.clear();
            for key in &changed {
                let is_claimed = attempt >= ATTEMPTS_BEFORE_CLAIM;
                let claim = if is_claimed { self.claim(examiner.tables, key).await? } else { None };
                if let Some(again) = examiner.look_until_seen(key).await? {
                    seen.insert(key.clone(), again);
                    // Only an item that was read after the claim may be corrected under it, because another repair may
                    // have corrected the item before.
                    claims.extend(claim.map(|claim| (key.clone(), claim)));
                }
            }
            left = changed;
        }
        Ok(())
    }
}

pub(super) fn refused(table: &str, cause: String) -> AuditError {
    TableError::new("repair", table, cause).into()
}
