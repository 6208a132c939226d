//! What an audit or a repair came to.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::examine::Examined;
use crate::operate::audit::uncountable::UncountableItem;
use crate::operate::printable::printable;
use crate::rollup::check::judge::{
    Difference, ItemVerdict, NotApplied, Orphans, PendingRecord, StoredCounters, StoredValue, expected,
};
use crate::rollup::check::ledger::Finding;
use crate::rollup::model::change::Sums;
use crate::rollup::model::definition::Definition;
use crate::rollup::model::measure::{Measure, MeasureId};
use crate::rollup::model::number::Number;
use crate::rollup::model::view::{KeyType, ViewKey};

/// Keys of orphans that are listed; there may be as many as there are view items.
const ORPHANS: usize = 1_000;

/// Lines of a kind that are shown to people.
const LINES: usize = 20;

/// What an audit found.
#[derive(Debug, Clone)]
pub struct AuditReport {
    /// What is counted.
    pub definition: Definition,
    /// View items whose counters equal the recount.
    pub exact: u64,
    /// View items that lack records which are not applied.
    pub behind: Vec<Behind>,
    /// View items that never rested.
    pub unstable: Vec<ViewKey>,
    /// View items with counters that nothing explains.
    pub drifted: Vec<Drifted>,
    /// View items that were not got to before the stop.
    pub not_examined: u64,
    /// Records in quarantine.
    pub quarantined: u64,
    /// Source items of the first pass.
    pub source_items: u64,
    /// Source items that belong to no view item.
    pub unreadable_source_items: u64,
    /// Source items that a view cannot count.
    pub uncountable: Vec<UncountableItem>,
    /// What stands in one table only.
    pub orphans: Orphans,
    /// Items of view tables that belong to no view, and have attributes with the names of measures.
    pub others: Vec<ViewKey>,
    /// What contradicts itself.
    pub findings: Vec<Finding>,
    /// Markers of records.
    pub markers: u64,
    /// Records of repairs.
    pub repairs: u64,
    /// Markers by hour.
    pub hours: BTreeMap<DateTime<Utc>, u64>,
    /// Records of the stream that were read; none when there is no stream.
    pub stream_records: Option<u64>,
    /// When the oldest record without a marker was written.
    pub oldest_unmarked: Option<DateTime<Utc>>,
    /// Read capacity units that the reading cost.
    pub read_units: f64,
    /// How long it took.
    pub took: Duration,
}

/// A view item with counters that nothing explains.
#[derive(Debug, Clone)]
pub struct Drifted {
    /// Which one.
    pub key: ViewKey,
    /// Each of these counters.
    pub counters: Vec<DriftedCounter>,
}

/// A counter that nothing explains.
#[derive(Debug, Clone)]
pub struct DriftedCounter {
    /// What it is, and what it should be.
    pub difference: Difference,
    /// What records that are not applied will add to it.
    pub pending: Number,
}

/// A view item that lacks records which are not applied.
#[derive(Debug, Clone)]
pub struct Behind {
    /// Which one.
    pub key: ViewKey,
    /// Records without a marker.
    pub unmarked: usize,
    /// Records in quarantine.
    pub quarantined: usize,
}

impl AuditReport {
    /// Adds what was seen of one view item.
    pub(super) fn add(&mut self, key: ViewKey, examined: Examined) {
        if examined.item.is_none() && examined.truth.sources == 0 && examined.verdict == ItemVerdict::Exact {
            // Its last source item went before it had any counters: there is no such view item.
            return;
        }
        let stored = StoredCounters::read(&self.definition, examined.views, examined.item.as_ref());
        let subject = self.item_name(&key);
        let finding = |invariant, what| Finding { invariant, subject: subject.clone(), what };
        match stored.negative() {
            0 => {}
            count => self
                .findings
                .push(finding("XO-4", format!("{count} of its counters are below zero: history is missing"))),
        }
        self.findings.extend(inconsistent(&self.definition, &stored, &examined).map(|what| finding("XO-5", what)));
        match examined.verdict {
            ItemVerdict::Exact => self.exact += 1,
            ItemVerdict::Behind { unmarked, quarantined } => self.behind.push(Behind { key, unmarked, quarantined }),
            ItemVerdict::Unstable => self.unstable.push(key),
            ItemVerdict::Drifted(differences) => {
                let counters = differences
                    .into_iter()
                    .map(|difference| DriftedCounter { pending: pending(&examined.open, &difference), difference });
                self.drifted.push(Drifted { key, counters: counters.collect() });
            }
        }
    }

    /// View items in all.
    #[must_use]
    pub fn view_items(&self) -> u64 {
        let listed = self.behind.len() + self.unstable.len() + self.drifted.len();
        self.exact + self.not_examined + u64::try_from(listed).unwrap_or(u64::MAX)
    }

    /// Whether there is nothing for an operator to do. To be behind is only lag.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let nothing = self.drifted.is_empty() && self.unstable.is_empty() && self.findings.is_empty();
        nothing && self.uncountable.is_empty() && self.quarantined == 0 && self.not_examined == 0
    }

    /// The report as an object. A key of one string is that string; another one is an object of attribute to value, as
    /// DynamoDB writes it. A number that is not whole, or too long for most readers of JSON, is a text.
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

    /// The keys of the view items that drifted, as scripts read them.
    #[must_use]
    pub fn drifted_keys(&self) -> Vec<Value> {
        self.drifted.iter().map(|item| self.key(&item.key)).collect()
    }

    fn key(&self, key: &ViewKey) -> Value {
        key_json(&self.definition, key)
    }

    /// A view item for people: its key, and its table where there are several.
    pub(in crate::operate) fn item_name(&self, key: &ViewKey) -> String {
        if self.definition.tables().len() == 1 { key.to_string() } else { self.definition.named(key) }
    }
}

/// A key of one string is that string; another one is an object of attribute to value, as DynamoDB writes it.
pub(in crate::operate) fn key_json(definition: &Definition, key: &ViewKey) -> Value {
    match definition[key.table].key.as_slice() {
        [(_, KeyType::S)] => json!(key.to_string()),
        _ => serde_json::to_value(definition.key_item(key)).unwrap_or_default(),
    }
}

/// What the open records will add to a counter.
fn pending(open: &[PendingRecord], difference: &Difference) -> Number {
    let unmarked = open.iter().filter(|open| open.waiting == NotApplied::Unmarked);
    let mut sum = Number::zero();
    unmarked.filter_map(|open| open.sums.get(&difference.counter)).for_each(|amount| sum += amount);
    sum
}

/// Whether the totals and their groups contradict each other: what is in a total and in no group are ungrouped items, and
/// how many these should be is known.
fn inconsistent(definition: &Definition, stored: &StoredCounters, examined: &Examined) -> Option<String> {
    if !examined.is_drifted() {
        return None;
    }
    let should = expected(&examined.truth.sums, &examined.open);
    let mut is = Sums::new();
    for (counter, value) in &stored.counters {
        let StoredValue::Number(value) = value else { return None };
        is.insert(counter.clone(), value.clone());
    }
    for (total, one) in definition.measures(examined.views).filter(|(_, measure)| !measure.is_grouped()) {
        let same_items = |id: MeasureId, by: &Measure| {
            let (one, by) = (&one.expression, &by.expression);
            id.view == total.view && one.kind == by.kind && one.condition == by.condition && !by.has_each()
        };
        for (grouped, by) in definition.grouped(examined.views).filter(|(id, by)| same_items(*id, by)) {
            let (is, wanted) = (ungrouped(&is, total, grouped), ungrouped(&should, total, grouped));
            if is != wanted {
                let (total, grouped) = (&one.attribute, &by.attribute);
                return Some(format!("{total} less the sum of {grouped} is {is}, and {wanted} items are ungrouped"));
            }
        }
    }
    None
}

/// A total less the sum of its groups.
fn ungrouped(counters: &Sums, total: MeasureId, grouped: MeasureId) -> Number {
    let mut sum = Number::zero();
    for (counter, value) in counters {
        match counter.measure {
            measure if measure == total => sum += value,
            measure if measure == grouped => sum += &-value.clone(),
            _ => {}
        }
    }
    sum
}

/// A number where JSON has it exactly, otherwise its text.
/// A number that is not whole, or too long for most readers of JSON, is a text.
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

/// A counter's name, as `CategoryCounts.Bar`.
pub(in crate::operate) fn counter_name(definition: &Definition, difference: &Difference) -> String {
    let attribute = &definition[difference.counter.measure].attribute;
    difference.counter.group.as_ref().map_or_else(|| attribute.clone(), |group| format!("{attribute}.{group}"))
}

/// What is stored, for people.
pub(in crate::operate) fn reading_text(reading: &StoredValue) -> String {
    match reading {
        StoredValue::Number(value) => value.to_string(),
        StoredValue::Other(kind) => format!("of type {kind}"),
    }
}

impl fmt::Display for AuditReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} view items: {} exact, {} behind, {} unstable, {} drifted",
            self.view_items(),
            self.exact,
            self.behind.len(),
            self.unstable.len(),
            self.drifted.len(),
        )?;
        if self.not_examined > 0 {
            writeln!(f, "interrupted: {} view items were not looked at; run it again", self.not_examined)?;
        }
        self.show_view_items(f)?;
        self.show_ledger(f)?;
        self.show_source(f)
    }
}

impl AuditReport {
    fn show_view_items(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for item in self.drifted.iter().take(LINES) {
            writeln!(f, "drifted   {}", printable(self.item_name(&item.key)))?;
            for DriftedCounter { difference, .. } in &item.counters {
                let name = printable(counter_name(&self.definition, difference));
                writeln!(f, "    {name} is {}, should be {}", reading_text(&difference.stored), difference.expected)?;
            }
        }
        more(f, self.drifted.len(), "drifted")?;
        for Behind { key, unmarked, quarantined } in self.behind.iter().take(LINES) {
            let key = printable(self.item_name(key));
            writeln!(f, "behind    {key} by {unmarked} records without a marker, {quarantined} in quarantine")?;
        }
        more(f, self.behind.len(), "behind")?;
        if let Some(oldest) = self.oldest_unmarked {
            writeln!(f, "the oldest record without a marker was written at {oldest}")?;
        }
        for key in self.unstable.iter().take(LINES) {
            let key = printable(self.item_name(key));
            writeln!(f, "unstable  {key}: it is written too often to be seen at rest; run the audit with --item")?;
        }
        more(f, self.unstable.len(), "unstable")
    }

    fn show_ledger(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.quarantined > 0 {
            writeln!(f, "{} records in quarantine: see `ddb-rollup quarantine list`", self.quarantined)?;
        }
        for Finding { invariant, subject, what } in self.findings.iter().take(LINES) {
            writeln!(f, "{invariant}  {}", printable(format_args!("{subject}: {what}")))?;
        }
        more(f, self.findings.len(), "findings in the ledger")
    }

    fn show_source(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (alone, missing) = (self.orphans.without_sources.len(), self.orphans.without_view_item.len());
        if alone + missing > 0 {
            writeln!(f, "{alone} view items have counters and no source items; {missing} are missing")?;
        }
        if self.unreadable_source_items > 0 {
            writeln!(f, "{} source items belong to no view item: their key is unusable", self.unreadable_source_items)?;
        }
        for item in self.uncountable.iter().take(LINES) {
            writeln!(f, "uncountable  {} in the view {}: {}", item.key_text(), item.view, printable(&item.reason))?;
        }
        more(f, self.uncountable.len(), "source items that a view cannot count")?;
        for key in self.others.iter().take(LINES) {
            let name = printable(self.item_name(key));
            writeln!(f, "not counted  {name}: it belongs to no view, but has attributes with the names of measures")?;
        }
        more(f, self.others.len(), "items of others")?;
        if self.stream_records.is_none() {
            let table = self.definition.source_table();
            writeln!(f, "{table} has no stream: this holds only if nobody wrote to it meanwhile")?;
        }
        Ok(())
    }
}

fn more(f: &mut fmt::Formatter<'_>, count: usize, what: &str) -> fmt::Result {
    if count > LINES { writeln!(f, "... and {} more {what}", count - LINES) } else { Ok(()) }
}
