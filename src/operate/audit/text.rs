//! The report as lines for a terminal: each finding, and below it the command that fixes it.

use std::fmt;

use super::judged::DriftedCounter;
use super::notes::{LINES, Note, notes};
use super::remedies::Remedies;
use super::report::{AuditReport, Behind, counter_name, reading_text};
use crate::operate::commands::Commands;
use crate::operate::printable::{counted, printable};
use crate::rollup::check::ledger::Finding;
use crate::rollup::model::view::ViewKey;

/// A report for people.
#[derive(Debug, Clone, Copy)]
pub(in crate::operate) struct ReportText<'a> {
    pub(in crate::operate) report: &'a AuditReport,
    /// The options that all the commands in the report share.
    pub(in crate::operate) commands: &'a Commands,
}

impl fmt::Display for ReportText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.report;
        writeln!(
            f,
            "{}: {} exact, {} behind, {} unstable, {} drifted",
            counted(report.view_items(), "view item", "view items"),
            report.exact,
            report.behind.len(),
            report.unstable.len(),
            report.drifted.len(),
        )?;
        if let Some(slice) = report.slice {
            writeln!(f, "of slice {slice} alone")?;
        }
        if report.not_examined > 0 {
            let left = counted(report.not_examined, "view item was", "view items were");
            writeln!(f, "interrupted: {left} not examined")?;
            write!(f, "{}", self.remedies().of_the_rest())?;
        }
        self.drifted(f)?;
        self.waiting(f)?;
        self.ledger(f)?;
        notes(self.remedies()).iter().try_for_each(|Note { text, remedy }| {
            writeln!(f, "{}", printable(text))?;
            remedy.iter().try_for_each(|remedy| write!(f, "{remedy}"))
        })
    }
}

impl ReportText<'_> {
    fn remedies(&self) -> Remedies<'_> {
        Remedies { report: self.report, commands: self.commands }
    }

    fn name(&self, key: &ViewKey) -> String {
        printable(self.report.item_name(key))
    }

    fn drifted(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let drifted = &self.report.drifted;
        for item in drifted.iter().take(LINES) {
            writeln!(f, "drifted   {}", self.name(&item.key))?;
            for DriftedCounter { difference, .. } in &item.counters {
                let name = printable(counter_name(&self.report.definition, difference));
                writeln!(f, "    {name} is {}, should be {}", reading_text(&difference.stored), difference.expected)?;
            }
        }
        more(f, drifted.len(), "drifted")?;
        if drifted.is_empty() { Ok(()) } else { write!(f, "{}", self.remedies().of_drift()) }
    }

    fn waiting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AuditReport { behind, unstable, oldest_unmarked, .. } = self.report;
        for Behind { key, unmarked, quarantined } in behind.iter().take(LINES) {
            let records = counted(*unmarked, "record", "records");
            writeln!(f, "behind    {} by {records} without a marker, {quarantined} in quarantine", self.name(key))?;
        }
        more(f, behind.len(), "behind")?;
        if let Some(oldest) = oldest_unmarked {
            writeln!(f, "the oldest record without a marker was written at {oldest}")?;
        }
        for key in unstable.iter().take(LINES) {
            writeln!(f, "unstable  {}: it kept changing while it was read", self.name(key))?;
            write!(f, "{}", self.remedies().of_unstable(key))?;
        }
        more(f, unstable.len(), "unstable")
    }

    fn ledger(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AuditReport { quarantined, findings, .. } = self.report;
        if *quarantined > 0 {
            writeln!(f, "{} in quarantine", counted(*quarantined, "record", "records"))?;
            write!(f, "{}", self.remedies().of_quarantine())?;
        }
        for Finding { invariant, subject, what } in findings.iter().take(LINES) {
            writeln!(f, "{invariant}  {}", printable(format_args!("{subject}: {what}")))?;
        }
        more(f, findings.len(), "findings in the ledger")?;
        self.remedies().of_ledger().iter().try_for_each(|remedy| write!(f, "{remedy}"))
    }
}

fn more(f: &mut fmt::Formatter<'_>, count: usize, what: &str) -> fmt::Result {
    if count > LINES { writeln!(f, "... and {} more {what}", count - LINES) } else { Ok(()) }
}
