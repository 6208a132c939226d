//! The counters of source items that nobody counted, or that another function counted wrong: a repair of every view item.

use std::collections::HashSet;

use super::MigrateError;
use super::progress::Progress;
use super::steps::{Did, Left, Live, Mode};
use crate::operate::audit::Reading;
use crate::operate::audit::report::{Report, reading_text};
use crate::operate::repair::{Mender, line, repair_by};
use crate::operate::stop;
use crate::rollup::model::view::ViewKey;

/// Makes every counter exact. What an earlier run set is exact, and is left alone.
///
/// # Errors
/// When the tables or the stream cannot be read or written.
pub(super) async fn adopt(live: &Live, title: &str, mode: Mode) -> Result<Did, MigrateError> {
    let dry_run = mode == Mode::DryRun;
    let mut mender = Mender::new(dry_run, live.config.clone(), live.who.clone());
    let reading = Reading { item: None, pace: live.pace.clone() };
    // Whoever wants to stop a migration drops the step: a view item is set in one transaction or not at all.
    let (_stopper, stop) = stop::stop();
    let report = Box::pin(repair_by(&live.sdk, live.config.clone(), &reading, &mut mender, &stop)).await?;
    let did = if dry_run { would_do(&report, &mender) } else { did(&report, &mender) };
    // The repair has shown its own progress; this is the line that every step ends with.
    let mut progress = Progress::begin(title, None);
    progress.advance(did.looked_at, did.changed);
    progress.end();
    Ok(did)
}

fn did(report: &Report, mender: &Mender) -> Did {
    let mut left = restless(report);
    for drifted in &report.drifted {
        let counter = drifted.counters.first().map(|(difference, _)| reading_text(&difference.stored));
        let reason = format!("a counter is {} and could not be set", counter.unwrap_or_default());
        left.push(Left { key: drifted.key.to_string(), reason });
    }
    let applied = (mender.applied > 0).then(|| format!("{} records without a marker were applied", mender.applied));
    Did { looked_at: report.view_items(), changed: report.repaired, left, notes: applied.into_iter().collect() }
}

fn would_do(report: &Report, mender: &Mender) -> Did {
    let mut notes: Vec<String> = mender.writes.iter().map(|write| format!("would set {}", line(write))).collect();
    let set: HashSet<&str> = mender.writes.iter().filter_map(|write| write["item"].as_str()).collect();
    let only_behind = |key: &ViewKey| !set.contains(key.to_string().as_str());
    let behind = report.behind.iter().filter(|(key, unmarked, _)| *unmarked > 0 && only_behind(key)).count();
    if behind > 0 {
        notes.push(format!("would apply records without a marker, of {behind} view items"));
    }
    let changed = u64::try_from(mender.writes.len() + behind).unwrap_or(u64::MAX);
    Did { looked_at: report.view_items(), changed, left: restless(report), notes }
}

fn restless(report: &Report) -> Vec<Left> {
    let reason = "it never rested long enough to be seen; run this again".to_owned();
    report.unstable.iter().map(|key| Left { key: key.to_string(), reason: reason.clone() }).collect()
}
