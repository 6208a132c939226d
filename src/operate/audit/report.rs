//! The result of an audit.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::item_sizes::ItemSizes;
use super::judged::{DriftedCounter, JudgedCounters, JudgedItem};
use crate::operate::audit::uncountable::UncountableItem;
use crate::operate::slice_report::SliceReport;
use crate::rollup::check::judge::{Difference, Orphans, StoredValue};
use crate::rollup::check::ledger::Finding;
use crate::rollup::check::slice::Slice;
use crate::rollup::model::definition::Definition;
use crate::rollup::model::limits;
use crate::rollup::model::number::Number;
use crate::rollup::model::view::{KeyType, ViewKey};

/// The most keys of orphans that are listed, because there may be as many as there are view items.
const ORPHANS: usize = 1_000;

/// From this size on, a view item is worth a line in the report: three quarters of the maximum size of an item.
const LARGE_ITEM_BYTES: usize = limits::ITEM_BYTES / 4 * 3;

/// What an audit found.
#[derive(Debug, Clone)]
pub struct AuditReport {
    /// What is counted.
    pub definition: Definition,
    /// The slice that was audited; `None` for all view items.
    pub slice: Option<Slice>,
    /// View items whose counters equal the recount.
    pub exact: u64,
    /// View items whose counters equal the recount once open records are applied.
    pub behind: Vec<Behind>,
    /// View items that kept changing while they were read.
    pub unstable: Vec<ViewKey>,
    /// View items with counters that differ from what the recount and the open records explain.
    pub drifted: Vec<Drifted>,
    /// Number of view items that were not examined before the operator asked to stop.
    pub not_examined: u64,
    /// Number of records in quarantine.
    pub quarantined: u64,
    /// Number of source items that were read in the first pass.
    pub source_items: u64,
    /// Number of source items that cannot be read as an item of the definition.
    pub unreadable_source_items: u64,
    /// Source items that are in a view that cannot count them.
    pub uncountable: Vec<UncountableItem>,
    /// View items that lack source items, or the reverse.
    pub orphans: Orphans,
    /// Items of view tables that belong to no view, but have attributes with the names of measures.
    pub others: Vec<ViewKey>,
    /// Violated invariants.
    pub findings: Vec<Finding>,
    /// Number of markers of records.
    pub markers: u64,
    /// Number of records of repairs.
    pub repairs: u64,
    /// Number of markers by the hour in which they were written.
    pub hours: BTreeMap<DateTime<Utc>, u64>,
    /// Number of stream records that were read; `None` if there is no stream.
    pub stream_records: Option<u64>,
    /// When the oldest record without a marker was written.
    pub oldest_unmarked: Option<DateTime<Utc>>,
    /// Number of shards that were assumed to be read to their end because they had no record for a while, without
    /// proof.
    pub shards_taken_as_read: usize,
    /// The sizes of view items.
    pub sizes: ItemSizes,
    /// Read capacity units that the run consumed.
    pub read_units: f64,
    /// Duration of the run.
    pub took: Duration,
}

/// A view item whose counters differ from what the recount and the open records explain.
#[derive(Debug, Clone)]
pub struct Drifted {
    /// The view item's key.
    pub key: ViewKey,
    /// The counters that drifted.
    pub counters: Vec<DriftedCounter>,
}

/// A view item whose counters equal the recount once open records are applied.
#[derive(Debug, Clone)]
pub struct Behind {
    /// The view item's key.
    pub key: ViewKey,
    /// Number of records without a marker.
    pub unmarked: usize,
    /// Number of records in quarantine.
    pub quarantined: usize,
}

impl AuditReport {
    /// Adds the verdict on one view item.
    pub(super) fn add(&mut self, key: ViewKey, judged: JudgedItem) {
        if judged.is_none {
            return;
        }
        self.sizes.note(&key, judged.views, judged.bytes, judged.zero_groups);
        let subject = self.item_name(&key);
        let finding = |(invariant, what)| Finding { invariant, subject: subject.clone(), what };
        self.findings.extend(judged.findings.into_iter().map(finding));
        match judged.verdict {
            JudgedCounters::Exact => self.exact += 1,
            JudgedCounters::Behind { unmarked, quarantined } => self.behind.push(Behind { key, unmarked, quarantined }),
            JudgedCounters::Unstable => self.unstable.push(key),
            JudgedCounters::Drifted(counters) => self.drifted.push(Drifted { key, counters }),
        }
    }

    /// Number of view items.
    #[must_use]
    pub fn view_items(&self) -> u64 {
        let listed = self.behind.len() + self.unstable.len() + self.drifted.len();
        self.exact + self.not_examined + u64::try_from(listed).unwrap_or(u64::MAX)
    }

    /// Whether there is nothing for an operator to do. Being behind is only lag, so it counts as clean.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let nothing = self.drifted.is_empty() && self.unstable.is_empty() && self.findings.is_empty();
        nothing && self.uncountable.is_empty() && self.quarantined == 0 && self.not_examined == 0
    }

    /// The report as a JSON object. A key that is one string is a string; another key is an object from attribute to
    /// value in DynamoDB JSON. A number that is not a whole number of 64 bits is a string.
    #[must_use]
    pub fn json(&self) -> Value {
        let ledger = self
            .findings
            .iter()
            .map(|finding| json!({ "invariant": finding.invariant, "subject": finding.subject, "what": finding.what }));
        json!({
            "view_items": self.view_items(),
            "exact": self.exact,
            "behind": self.behind.len(),
            "unstable": self.unstable.len(),
            "drifted": self.drifted.len(),
            "quarantined": self.quarantined,
            "not_examined": self.not_examined,
            "slice": self.slice.as_ref().map(ToString::to_string),
            "drift": self.drift_json(),
            "behind_items": self.behind.iter().map(|item| self.behind_json(item)).collect::<Vec<_>>(),
            "unstable_items": self.keys(&self.unstable),
            "orphans": {
                "view_items_without_source_items": self.orphans.without_sources.len(),
                "missing_view_items": self.orphans.without_view_item.len(),
                "view_items": self.keys(&self.orphans.without_sources),
                "missing": self.keys(&self.orphans.without_view_item),
            },
            "ledger": ledger.collect::<Vec<_>>(),
            "markers": self.markers,
            "repairs": self.repairs,
            "source_items": self.source_items,
            "unreadable_source_items": self.unreadable_source_items,
            "uncountable": self.uncountable.iter().map(UncountableItem::json).collect::<Vec<_>>(),
            "items_of_others": self.keys(&self.others),
            "stream_records": self.stream_records,
            "oldest_unmarked": self.oldest_unmarked.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true)),
            "shards_taken_as_read": self.shards_taken_as_read,
            "zero_groups": {
                "groups": self.sizes.zero_groups.groups,
                "bytes": self.sizes.zero_groups.bytes,
                "view_items": self.sizes.with_zero_groups.len(),
            },
            "largest_view_item": self.sizes.largest.as_ref().map(|(key, bytes)| {
                json!({ "table": self.definition[key.table].name, "key": self.key(key), "bytes": bytes })
            }),
            "read_units": self.read_units,
            "seconds": self.took.as_secs_f64(),
        })
    }

    fn drift_json(&self) -> Vec<Value> {
        let counters = self.drifted.iter().flat_map(|item| item.counters.iter().map(move |counter| (item, counter)));
        let json = counters.map(|(item, DriftedCounter { difference, pending })| {
            json!({
                "view": self.definition[difference.counter.measure.view].name(),
                "table": self.definition[item.key.table].name,
                "key": self.key(&item.key),
                "measure": self.definition[difference.counter.measure].attribute,
                "group": difference.counter.group,
                "stored": reading(&difference.stored),
                "recounted": number_json(&difference.expected),
                "pending": number_json(pending),
            })
        });
        json.collect()
    }

    fn behind_json(&self, Behind { key, unmarked, quarantined }: &Behind) -> Value {
        json!({ "key": self.key(key), "unmarked": unmarked, "quarantined": quarantined })
    }

    fn keys(&self, keys: &[ViewKey]) -> Vec<Value> {
        keys.iter().take(ORPHANS).map(|key| self.key(key)).collect()
    }

    /// The keys of the view items that drifted, in the form that scripts read.
    #[must_use]
    pub fn drifted_keys(&self) -> Vec<Value> {
        self.drifted.iter().map(|item| self.key(&item.key)).collect()
    }

    fn key(&self, key: &ViewKey) -> Value {
        key_json(&self.definition, key)
    }

    /// The largest view item and its size in bytes, if it may soon be full.
    pub(super) fn large_item(&self) -> Option<(&ViewKey, usize)> {
        let largest = self.sizes.largest.as_ref().filter(|(_, bytes)| *bytes > LARGE_ITEM_BYTES);
        largest.map(|(key, bytes)| (key, *bytes))
    }

    /// A view item's name for people: its key, and its table if there are several.
    pub(in crate::operate) fn item_name(&self, key: &ViewKey) -> String {
        if self.definition.tables().len() == 1 { key.to_string() } else { self.definition.named(key) }
    }
}

impl SliceReport for AuditReport {
    fn json(&self) -> Value {
        Self::json(self)
    }

    fn joined(mut self, other: Self) -> Self {
        self.slice = None;
        self.exact += other.exact;
        self.behind.extend(other.behind);
        self.unstable.extend(other.unstable);
        self.drifted.extend(other.drifted);
        self.not_examined += other.not_examined;
        self.quarantined += other.quarantined;
        self.source_items += other.source_items;
        self.orphans.without_sources.extend(other.orphans.without_sources);
        self.orphans.without_view_item.extend(other.orphans.without_view_item);
        self.others.extend(other.others);
        // Every slice reads all of these, so they are not added.
        self.findings.extend(other.findings);
        self.findings.sort_by(|a, b| (a.invariant, &a.subject, &a.what).cmp(&(b.invariant, &b.subject, &b.what)));
        self.findings.dedup();
        self.markers = self.markers.max(other.markers);
        self.repairs = self.repairs.max(other.repairs);
        self.stream_records = self.stream_records.max(other.stream_records);
        self.oldest_unmarked = self.oldest_unmarked.into_iter().chain(other.oldest_unmarked).min();
        self.shards_taken_as_read = self.shards_taken_as_read.max(other.shards_taken_as_read);
        self.sizes.join(other.sizes);
        self.read_units += other.read_units;
        self.took += other.took;
        self
    }
}

/// A key as JSON: a string if the key is one string; otherwise an object from attribute to value in DynamoDB JSON.
pub(in crate::operate) fn key_json(definition: &Definition, key: &ViewKey) -> Value {
    match definition[key.table].key.as_slice() {
        [(_, KeyType::S)] => json!(key.to_string()),
        _ => serde_json::to_value(definition.key_item(key)).unwrap_or_default(),
    }
}

/// A number as JSON: a string if it is not a whole number of 64 bits.
pub(in crate::operate) fn number_json(number: &Number) -> Value {
    let text = number.to_string();
    text.parse::<i64>().map_or_else(|_| text.into(), Value::from)
}

fn reading(reading: &StoredValue) -> Value {
    match reading {
        StoredValue::Number(value) => number_json(value),
        StoredValue::Other(kind) => format!("of type {kind}").into(),
    }
}

/// A counter's name, such as `CategoryCounts.Bar`.
pub(in crate::operate) fn counter_name(definition: &Definition, difference: &Difference) -> String {
    let attribute = &definition[difference.counter.measure].attribute;
    difference.counter.group.as_ref().map_or_else(|| attribute.clone(), |group| format!("{attribute}.{group}"))
}

/// A stored value, for people.
pub(in crate::operate) fn reading_text(reading: &StoredValue) -> String {
    match reading {
        StoredValue::Number(value) => value.to_string(),
        StoredValue::Other(kind) => format!("of type {kind}"),
    }
}
