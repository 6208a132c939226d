//! The result of a repair.

use std::fmt;

use serde_json::{Value, json};

use crate::operate::audit::report::AuditReport;
use crate::operate::audit::text::ReportText;
use crate::operate::commands::Commands;
use crate::operate::printable::{counted, printable};
use crate::operate::slices::SliceReport;
use crate::rollup::model::view::ViewKey;

/// Whether a repair writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It does.
    Write,
    /// It only reports what it would write.
    DryRun,
}

/// What a repair did, and how things are after it.
#[derive(Debug, Clone)]
pub struct RepairReport {
    /// Whether it wrote.
    pub mode: Mode,
    /// View items that were set.
    pub repaired: u64,
    /// Records without a marker that were applied.
    pub applied: usize,
    /// Records in quarantine that were applied.
    pub from_quarantine: usize,
    /// Records in quarantine that can never be applied and are in the counters now.
    pub closed: usize,
    /// Groups that counted nothing and were removed.
    pub removed_groups: usize,
    /// What was written, or would be.
    pub writes: Vec<CounterWrite>,
    /// How things are after it.
    pub audit: AuditReport,
}

/// The counters of one view item, set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CounterWrite {
    /// The view item.
    pub item: ViewKey,
    /// What it is called, for people.
    pub name: String,
    /// Its counters.
    pub changes: Vec<CounterChange>,
}

/// One counter that is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CounterChange {
    /// Its name, as `CategoryCounts.Bar`.
    pub counter: String,
    /// What it was, for people.
    pub from: String,
    /// What it is set to.
    pub to: String,
}

impl CounterWrite {
    /// The write as an object.
    #[must_use]
    pub fn json(&self) -> Value {
        let changes = self
            .changes
            .iter()
            .map(|CounterChange { counter, from, to }| json!({ "counter": counter, "from": from, "to": to }));
        json!({
            "item": self.name,
            "changes": changes.collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for CounterWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changes =
            self.changes.iter().map(|CounterChange { counter, from, to }| format!("{counter} from {from} to {to}"));
        write!(f, "{}: {}", self.name, changes.collect::<Vec<_>>().join(", "))
    }
}

impl SliceReport for RepairReport {
    fn json(&self) -> Value {
        Self::json(self)
    }

    fn joined(mut self, other: Self) -> Self {
        self.repaired += other.repaired;
        // Those that one slice applied are found applied by the next.
        self.applied += other.applied;
        self.from_quarantine += other.from_quarantine;
        self.closed += other.closed;
        self.removed_groups += other.removed_groups;
        self.writes.extend(other.writes);
        Self { audit: self.audit.joined(other.audit), ..self }
    }
}

impl RepairReport {
    /// The report as an object: that of the audit, and what was written.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut json = self.audit.json();
        json["repaired"] = json!(self.repaired);
        json["applied"] = json!(self.applied);
        json["applied_from_quarantine"] = json!(self.from_quarantine);
        json["closed"] = json!(self.closed);
        json["removed_zero_groups"] = json!(self.removed_groups);
        if self.mode == Mode::DryRun {
            json["writes"] = self.writes.iter().map(CounterWrite::json).collect();
        }
        json
    }
}

/// A report for people.
#[derive(Debug, Clone, Copy)]
pub struct RepairText<'a> {
    /// The result of a repair.
    pub report: &'a RepairReport,
    /// What the commands that it names have in common.
    pub commands: &'a Commands,
}

impl fmt::Display for RepairText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { report, commands } = self;
        let did = if report.mode == Mode::DryRun { "would set" } else { "set" };
        for write in &report.writes {
            writeln!(f, "{did} {}", printable(write))?;
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
