//! The result of a repair.

use std::fmt;

use serde_json::{Value, json};

use crate::operate::audit::report::{AuditReport, counter_name, reading_text};
use crate::operate::audit::text::ReportText;
use crate::operate::commands::Commands;
use crate::operate::printable::{counted, printable};
use crate::operate::slice_report::SliceReport;
use crate::rollup::check::judge::Difference;
use crate::rollup::model::definition::Definition;
use crate::rollup::model::view::ViewKey;

/// Whether a repair writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It writes.
    Write,
    /// It reports what it would write.
    DryRun,
}

/// What a repair did, and an audit after it.
#[derive(Debug, Clone)]
pub struct RepairReport {
    /// Whether it wrote.
    pub mode: Mode,
    /// Number of view items that were set.
    pub repaired: u64,
    /// Number of records without a marker that were applied.
    pub applied: usize,
    /// Number of records in quarantine that were applied.
    pub from_quarantine: usize,
    /// Number of records in quarantine that can never be applied, and that were closed because the counters include
    /// them now.
    pub closed: usize,
    /// Number of records in quarantine after a repair of everything; otherwise `None`. It is in place of what earlier
    /// slices counted.
    pub quarantined_of_all: Option<u64>,
    /// Number of groups that counted nothing and were removed.
    pub removed_groups: usize,
    /// The counters that were written, or would be.
    pub writes: Vec<CounterWrite>,
    /// The audit after the repair.
    pub audit: AuditReport,
}

/// The counters that were set on one view item. A repair may set many items, so they are formatted only for the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CounterWrite {
    /// The view item's key.
    pub item: ViewKey,
    /// The counters, with their old and their new values.
    pub differences: Vec<Difference>,
}

/// One counter that is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CounterChange {
    /// The counter's name, such as `CategoryCounts.Bar`.
    pub counter: String,
    /// The old value, for people.
    pub from: String,
    /// The new value.
    pub to: String,
}

impl CounterWrite {
    /// The view item's name for people.
    #[must_use]
    pub fn name(&self, definition: &Definition) -> String {
        if definition.tables().len() == 1 { self.item.to_string() } else { definition.named(&self.item) }
    }

    /// The counters.
    pub fn changes(&self, definition: &Definition) -> impl Iterator<Item = CounterChange> {
        self.differences.iter().map(|difference| CounterChange {
            counter: counter_name(definition, difference),
            from: reading_text(&difference.stored),
            to: difference.expected.to_string(),
        })
    }

    /// The write as a JSON object.
    #[must_use]
    pub fn json(&self, definition: &Definition) -> Value {
        let changes = self
            .changes(definition)
            .map(|CounterChange { counter, from, to }| json!({ "counter": counter, "from": from, "to": to }));
        json!({
            "item": self.name(definition),
            "changes": changes.collect::<Vec<_>>(),
        })
    }

    /// The write, for people.
    #[must_use]
    pub fn text(&self, definition: &Definition) -> String {
        let changes = self
            .changes(definition)
            .map(|CounterChange { counter, from, to }| format!("{counter} from {from} to {to}"));
        format!("{}: {}", self.name(definition), changes.collect::<Vec<_>>().join(", "))
    }
}

impl SliceReport for RepairReport {
    fn json(&self) -> Value {
        Self::json(self)
    }

    fn joined(mut self, other: Self) -> Self {
        self.repaired += other.repaired;
        // A record that one slice applied is found applied by the next, so the numbers can be added.
        self.applied += other.applied;
        self.from_quarantine += other.from_quarantine;
        self.closed += other.closed;
        self.removed_groups += other.removed_groups;
        self.writes.extend(other.writes);
        let mut audit = self.audit.joined(other.audit);
        audit.quarantined = other.quarantined_of_all.unwrap_or(audit.quarantined);
        Self { quarantined_of_all: other.quarantined_of_all, audit, ..self }
    }
}

impl RepairReport {
    /// The report as a JSON object: the audit's report and what was written.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut json = self.audit.json();
        json["repaired"] = json!(self.repaired);
        json["applied"] = json!(self.applied);
        json["applied_from_quarantine"] = json!(self.from_quarantine);
        json["closed"] = json!(self.closed);
        json["removed_zero_groups"] = json!(self.removed_groups);
        if self.mode == Mode::DryRun {
            json["writes"] = self.writes.iter().map(|write| write.json(&self.audit.definition)).collect();
        }
        json
    }
}

/// A report for people.
#[derive(Debug, Clone, Copy)]
pub struct RepairText<'a> {
    /// The result of a repair.
    pub report: &'a RepairReport,
    /// The options that all commands in the report share.
    pub commands: &'a Commands,
}

impl fmt::Display for RepairText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { report, commands } = self;
        let did = if report.mode == Mode::DryRun { "would set" } else { "set" };
        for write in &report.writes {
            writeln!(f, "{did} {}", printable(write.text(&report.audit.definition)))?;
        }
        if report.applied > 0 {
            writeln!(f, "{} without a marker applied", counted(report.applied, "record", "records"))?;
        }
        if report.from_quarantine > 0 {
            writeln!(f, "{} in quarantine applied", counted(report.from_quarantine, "record", "records"))?;
        }
        if report.closed > 0 {
            let records = counted(report.closed, "record", "records");
            writeln!(f, "{records} in quarantine closed: the counters include what these changed")?;
        }
        if report.removed_groups > 0 {
            writeln!(f, "{} that counted nothing removed", counted(report.removed_groups, "group", "groups"))?;
        }
        writeln!(f, "{} repaired", counted(report.repaired, "view item", "view items"))?;
        ReportText { report: &report.audit, commands }.fmt(f)
    }
}
