//! What a repair came to.

use std::fmt;

use serde_json::{Value, json};

use crate::operate::audit::report::AuditReport;
use crate::operate::printable::printable;
use crate::rollup::model::record::RecordId;
use crate::rollup::model::view::ViewKey;

/// Whether a repair writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It does.
    Write,
    /// It only tells what it would write.
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
    /// Records in quarantine that were closed with it.
    pub closed: Vec<RecordId>,
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
    fn json(&self) -> Value {
        let changes = self
            .changes
            .iter()
            .map(|CounterChange { counter, from, to }| json!({ "counter": counter, "from": from, "to": to }));
        json!({
            "item": self.name,
            "changes": changes.collect::<Vec<_>>(),
            "closed": self.closed.iter().map(ToString::to_string).collect::<Vec<_>>(),
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

impl RepairReport {
    /// The report as an object: that of the audit, and what was written.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut json = self.audit.json();
        json["repaired"] = json!(self.repaired);
        json["applied"] = json!(self.applied);
        if self.mode == Mode::DryRun {
            json["writes"] = self.writes.iter().map(CounterWrite::json).collect();
        }
        json
    }
}

impl fmt::Display for RepairReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let did = if self.mode == Mode::DryRun { "would set" } else { "set" };
        for write in &self.writes {
            writeln!(f, "{did} {}", printable(write))?;
        }
        if self.applied > 0 {
            writeln!(f, "{} records without a marker applied", self.applied)?;
        }
        writeln!(f, "{} view items repaired", self.repaired)?;
        self.audit.fmt(f)
    }
}
