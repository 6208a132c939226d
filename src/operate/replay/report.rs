//! The result of a replay.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Value, json};

use super::document::BatchPointer;
use crate::operate::apply::AppliedRecords;
use crate::operate::commands::Commands;
use crate::operate::printable::{counted, printable};
use crate::operate::repair_starts::RefusedRecord;
use crate::operate::shell_option::option;

/// The result of a replay.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReplayReport {
    /// The outcomes of the records.
    pub applied: AppliedRecords,
    /// Records at which failure messages point and that no stream has any more.
    pub gone: Vec<Gone>,
    /// The keys of the view items that differ from the recount, if records are gone: these must be repaired.
    pub to_repair: Vec<Value>,
    /// Records that were not applied because they are older than a repair of the views that they change, which may have
    /// counted them.
    pub refused: Vec<RefusedRecord>,
    /// Number of messages that are not from a failure destination; they stay in the queue.
    pub foreign: usize,
}

/// Records at which a failure message points and that the stream does not have any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// Where the message points.
    pub pointer: BatchPointer,
    /// Number of its records that are gone, at least: the records that still exist may belong to another lane.
    pub at_least: usize,
    /// Whether the message is deleted.
    pub is_forgotten: bool,
}

impl ReplayReport {
    /// Whether nothing is left for an operator to do.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let nothing_left = self.foreign == 0 && self.applied.quarantined == 0 && self.applied.unresolved == 0;
        nothing_left && self.refused.is_empty() && self.gone.iter().all(|gone| gone.is_forgotten)
    }

    /// The views to repair, because records were refused.
    fn views_to_repair(&self) -> BTreeSet<&str> {
        self.refused.iter().flat_map(|refused| refused.views.iter().map(String::as_str)).collect()
    }

    /// The report as a JSON object.
    #[must_use]
    pub fn json(&self) -> Value {
        let AppliedRecords { read, applied, duplicates, no_effect, quarantined, unresolved } = self.applied;
        let gone = self.gone.iter().map(|gone| {
            json!({
                "stream": gone.pointer.stream,
                "shard": gone.pointer.shard,
                "start_sequence_number": gone.pointer.first,
                "end_sequence_number": gone.pointer.last,
                "records": gone.at_least,
                "forgotten": gone.is_forgotten,
            })
        });
        json!({
            "read": read,
            "applied": applied,
            "duplicates": duplicates,
            "no_effect": no_effect,
            "quarantined": quarantined,
            "unresolved": unresolved,
            "refused": self.refused.len(),
            "views_to_repair": self.views_to_repair(),
            "gone": gone.collect::<Vec<_>>(),
            "view_items_to_repair": self.to_repair,
            "foreign_messages": self.foreign,
        })
    }
}

/// A report for people.
#[derive(Debug, Clone, Copy)]
pub struct ReplayText<'a> {
    /// The result of a replay.
    pub report: &'a ReplayReport,
    /// The options that all commands in the report share.
    pub commands: &'a Commands,
}

impl fmt::Display for ReplayText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AppliedRecords { read, applied, duplicates, no_effect, quarantined, unresolved } = self.report.applied;
        let (read, duplicates) = (counted(read, "record", "records"), counted(duplicates, "duplicate", "duplicates"));
        writeln!(f, "{read} read: {applied} applied, {duplicates}, {no_effect} without an effect")?;
        if quarantined > 0 {
            let records = counted(quarantined, "record is", "records are");
            writeln!(f, "{records} in quarantine. To read the reasons:")?;
            writeln!(f, "    {}", self.commands.run("quarantine list"))?;
        }
        if unresolved > 0 {
            writeln!(f, "{} not processed: run the replay again", counted(unresolved, "record was", "records were"))?;
        }
        self.refused(f)?;
        self.gone(f)?;
        if self.report.foreign > 0 {
            let messages = counted(self.report.foreign, "message", "messages");
            writeln!(f, "{messages} left in the queue: not from a failure destination")?;
        }
        Ok(())
    }
}

impl ReplayText<'_> {
    fn refused(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.report;
        if report.refused.is_empty() {
            return Ok(());
        }
        let records = counted(report.refused.len(), "record was", "records were");
        writeln!(f, "{records} not applied: a repair that began later may have counted the same change. To be sure:")?;
        let mut views = report.views_to_repair().into_iter();
        views.try_for_each(|view| writeln!(f, "    {}{}", self.commands.run("repair"), option("--view", view)))
    }

    fn gone(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.report;
        for gone in &report.gone {
            let BatchPointer { first, last, shard, from, until, .. } = &gone.pointer;
            let [first, last, shard, from, until] = [first, last, shard, from, until].map(printable);
            writeln!(
                f,
                "{} or more records of a batch are gone from the stream: of {first} to {last} of {shard}, written between \
                 {from} and {until}",
                gone.at_least,
            )?;
        }
        if report.gone.is_empty() {
            return Ok(());
        }
        let keys = report.to_repair.iter().map(|key| key.as_str().map_or_else(|| key.to_string(), printable));
        let keys = keys.collect::<Vec<_>>().join(", ");
        if !keys.is_empty() {
            writeln!(f, "view items that differ from a recount: {keys}. To set their counters:")?;
            writeln!(f, "    {}", self.commands.run("repair"))
        } else if report.gone.iter().all(|gone| gone.is_forgotten) {
            writeln!(f, "no view item differs from a recount: the messages of these records were deleted")
        } else {
            writeln!(
                f,
                "no view item differs from a recount: there is nothing to repair; --forget-gone deletes the messages"
            )
        }
    }
}
