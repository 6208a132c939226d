//! Counts source items that no function counted, or that another function counted wrong, by repairing every view item.

use std::collections::HashSet;

use super::error::MigrateError;
use super::steps::{LeftItem, LiveTables, StepResult};
use crate::operate::agreement::Agreement;
use crate::operate::audit::AuditScope;
use crate::operate::audit::report::reading_text;
use crate::operate::printable::counted;
use crate::operate::progress::Progress;
use crate::operate::repair::Repairer;
use crate::operate::repair::report::{Mode, RepairReport};
use crate::operate::stop;
use crate::rollup::model::view::ViewKey;

/// The command has compared the definitions before its first step, so the repair need not.
const CHECKED: Agreement = Agreement { any_definition: true };

/// Makes every counter exact. Counters that an earlier run set are exact and are left alone.
///
/// # Errors
/// When the tables or the stream cannot be read or written.
pub(super) async fn adopt(live: &LiveTables, title: &str, mode: Mode) -> Result<StepResult, MigrateError> {
    let mut repairer = Repairer::new(mode, live.config.clone(), live.who.clone());
    let scope = AuditScope { adopt: true, pace: live.pace.clone(), agreement: CHECKED, ..AuditScope::default() };
    // A migration is stopped by dropping its step, which is safe: a view item is set in one transaction or not at all.
    let (_stopper, stop) = stop::stop();
    let report = Box::pin(repairer.repair(&live.sdk, &scope, &stop)).await?;
    let result = match mode {
        Mode::DryRun => would_do(&report),
        Mode::Write => did(&report),
    };
    // The repair has shown its own progress. This progress is for the line with which every step ends.
    let progress = Progress::changing(title, None);
    progress.add(result.looked_at);
    progress.add_changed(result.changed);
    progress.finish();
    Ok(result)
}

fn did(report: &RepairReport) -> StepResult {
    let mut left = unstable(report);
    for drifted in &report.audit.drifted {
        let counter = drifted.counters.first().map(|counter| reading_text(&counter.difference.stored));
        let reason = format!("a counter holds {}, which could not be set", counter.unwrap_or_default());
        left.push(LeftItem { key: drifted.key.to_string(), reason });
    }
    let applied = (report.applied > 0)
        .then(|| format!("{} without a marker applied", counted(report.applied, "record", "records")));
    let looked_at = report.audit.view_items();
    StepResult { looked_at, changed: report.repaired, left, notes: applied.into_iter().collect() }
}

fn would_do(report: &RepairReport) -> StepResult {
    let mut notes: Vec<String> =
        report.writes.iter().map(|write| format!("would set {}", write.text(&report.audit.definition))).collect();
    let set: HashSet<&ViewKey> = report.writes.iter().map(|write| &write.item).collect();
    let only_behind = report.audit.behind.iter().filter(|item| item.unmarked > 0 && !set.contains(&item.key)).count();
    if only_behind > 0 {
        notes.push(format!(
            "would apply records without a marker to {}",
            counted(only_behind, "view item", "view items")
        ));
    }
    let changed = u64::try_from(report.writes.len() + only_behind).unwrap_or(u64::MAX);
    StepResult { looked_at: report.audit.view_items(), changed, left: unstable(report), notes }
}

fn unstable(report: &RepairReport) -> Vec<LeftItem> {
    let reason = "it kept changing while it was read; leave it as it is, and run the migration again".to_owned();
    report.audit.unstable.iter().map(|key| LeftItem { key: key.to_string(), reason: reason.clone() }).collect()
}
