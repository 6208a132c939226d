//! `ddb-rollup repair`: an audit, and one conditional write for each view item whose counters differ.
//!
//! First, records without a marker are applied as the function does it. Then the counters of each drifted item are set
//! to the recount, less the deltas of records that are not applied yet, on the condition that the item is as it was
//! read; the same transaction writes a record of the repair. Then records in quarantine are applied. Finally, what was
//! set is audited again.
//!
//! `mender` makes one write, `joint` many at once; `quarantine` applies or closes records in quarantine; [`report`] is
//! the result.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use aws_config::SdkConfig;
use chrono::{DateTime, Utc};

use super::apply::Applier;
use super::args::Pace;
use super::audit::error::AuditError;
use super::audit::examine::{OnlyLook, Suspect};
use super::audit::{Audit, AuditScope};
use super::clock::now;
use super::slices::EarlierSlices;
use super::stop::Stop;
use crate::commit::Randomness;
use crate::config::Config;
use crate::randomness::OsRandomness;
use crate::rollup::check::slice::Slice;
use crate::rollup::model::view::ViewKey;

#[cfg(feature = "cli")]
mod command;
mod joint;
mod mender;
mod quarantine;
pub mod report;
mod stored_start;
mod zero_groups;

#[cfg(feature = "cli")]
pub use command::{Args, run};
use mender::Mender;
use report::{Mode, RepairReport};

/// How many times items are set and audited again. The second pass corrects an item for which a record took longer than
/// the settling time to reach the stream.
const PASSES: usize = 2;

/// What to do about the findings of an audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDrift {
    /// Report them.
    Report,
    /// Repair them and report it.
    Repair,
}

/// Repairs the views. `who` is stored in the records of the repairs.
///
/// # Errors
/// When the repair could not be completed. What was set before the error stays set.
pub async fn repair(
    sdk: &SdkConfig,
    config: Config,
    scope: &AuditScope,
    who: &str,
    stop: &Stop,
) -> Result<RepairReport, AuditError> {
    Box::pin(Repairer::new(Mode::Write, config, who.to_owned()).repair(sdk, scope, stop)).await
}

/// The records in quarantine after a repair of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClosedQuarantine {
    /// Number of records that can never be applied and were closed.
    pub closed: u64,
    /// Number of records that are left.
    pub left: u64,
}

/// Closes the records in quarantine that can never be applied and were there before `began`: all view items were
/// repaired after that, possibly slice by slice, so the counters include what these records changed.
///
/// # Errors
/// When a table cannot be read, or the idempotency table cannot be written.
pub async fn close_quarantine(
    sdk: &SdkConfig,
    config: Config,
    pace: &Pace,
    began: DateTime<Utc>,
) -> Result<ClosedQuarantine, AuditError> {
    let run = repair_run();
    let scope = AuditScope { pace: pace.clone(), ..AuditScope::default() };
    let mut audit = Audit::begin(sdk, config, &scope).await?;
    audit.read_ledger().await?;
    let closed = quarantine::close(&mut audit, &run, began).await?;
    Ok(ClosedQuarantine { closed: u64::try_from(closed).unwrap_or(u64::MAX), left: audit.quarantined_of_all() })
}

/// An identifier of a run, as it is stored.
fn repair_run() -> String {
    format!("repair-run-{}", OsRandomness.token())
}

/// Repairs the views, and still knows after an error what was set.
pub struct Repairer {
    mode: Mode,
    config: Config,
    mender: Mender,
    zero_groups: ZeroGroupsLeft,
    /// Number of slices of which every view item is set.
    slices_set: u32,
    /// When the repair of the first slice was begun; `None` before.
    began: Option<DateTime<Utc>>,
}

/// Whether groups that count nothing stay on view items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ZeroGroupsLeft {
    /// They stay.
    Stay,
    /// They are removed.
    Removed,
}

impl Repairer {
    /// A repairer that writes in the name of `who`, or only reports what it would write.
    #[must_use]
    pub fn new(mode: Mode, config: Config, who: String) -> Self {
        Self {
            mode,
            mender: Mender::new(mode, config.clone(), who),
            config,
            zero_groups: ZeroGroupsLeft::Stay,
            slices_set: 0,
            began: None,
        }
    }

    /// Continues the repair of an earlier run.
    #[must_use]
    pub fn continuing(self, earlier: &EarlierSlices) -> Self {
        Self { slices_set: earlier.set(), began: Some(earlier.began()), ..self }
    }

    /// Also removes groups that count nothing.
    #[must_use]
    pub fn removing_zero_groups(self) -> Self {
        Self { zero_groups: ZeroGroupsLeft::Removed, ..self }
    }

    /// Whether every view item is set now, possibly slice by slice.
    fn is_last_of_all(&mut self, slice: Option<Slice>, audit: &Audit, stop: &Stop) -> bool {
        let is_set = audit.is_set() && !stop.requested();
        let Some(slice) = slice else { return is_set };
        self.slices_set += u32::from(is_set);
        self.slices_set == slice.of()
    }

    /// Repairs the view items in the scope.
    ///
    /// # Errors
    /// When the repair could not be completed. What was set before the error stays set.
    pub async fn repair(
        &mut self,
        sdk: &SdkConfig,
        scope: &AuditScope,
        stop: &Stop,
    ) -> Result<RepairReport, AuditError> {
        let began = now();
        let mut audit = Audit::begin(sdk, self.config.clone(), scope).await?;
        self.mender.begin(audit.views(), audit.only(), scope.slice, began);
        let began_all = *self.began.get_or_insert(began);
        if self.mode == Mode::Write {
            audit.records.applier = Some(Applier::new(self.config.clone(), sdk));
        }
        if scope.item.is_some() {
            // The counters are set without the records in quarantine, so all of these must be known, however old they
            // are.
            audit.read_ledger().await?;
        }
        let first = audit.first_pass().await?;
        // From here on the function applies its own records: applying them here too would only conflict with it.
        let mut applier = audit.records.applier.take();
        let without_marker = applier.as_ref().map_or(0, |applier| applier.counts.applied);
        let known: HashMap<&ViewKey, &Suspect> = first.iter().map(|suspect| (&suspect.key, suspect)).collect();
        let mut suspects = Cow::Borrowed(first.as_slice());
        let mut repaired = BTreeSet::new();
        let mut from_quarantine = 0;
        for _ in 0..PASSES {
            audit.examine(&suspects, stop, &mut self.mender).await?;
            let mut again = std::mem::take(&mut self.mender.just_set);
            repaired.extend(again.iter().cloned());
            // Only in the first pass, because what still cannot be applied stays in quarantine.
            if applier.take().is_some() && !stop.requested() {
                again.extend(quarantine::apply(&audit, sdk, &mut from_quarantine).await?);
            }
            let suspect = |key: ViewKey| match known.get(&key) {
                Some(known) => (*known).clone(),
                None => Suspect { key, source_items: 1, bytes: 0 },
            };
            suspects = again.into_iter().map(suspect).collect();
            if suspects.is_empty() || self.mode == Mode::DryRun || stop.requested() {
                break;
            }
        }
        if !stop.requested() && !suspects.is_empty() {
            audit.examine(&suspects, stop, &mut OnlyLook).await?;
        }
        let is_whole = scope.item.is_none() && scope.view.is_none() && self.is_last_of_all(scope.slice, &audit, stop);
        let (closed, quarantined_of_all) = if self.mode == Mode::Write && is_whole {
            let closed = quarantine::close(&mut audit, &self.mender.run, began_all).await?;
            (closed, Some(audit.quarantined_of_all()))
        } else {
            (0, None)
        };
        let removed = match self.zero_groups {
            ZeroGroupsLeft::Removed if self.mode == Mode::Write => zero_groups::remove(&audit, stop).await?,
            _ => Vec::new(),
        };
        let mut writes = std::mem::take(&mut self.mender.writes);
        writes.sort_by(|one, other| one.item.cmp(&other.item));
        let mut report = audit.report();
        report.sizes.removed(&removed);
        report.quarantined = quarantined_of_all.unwrap_or(report.quarantined);
        Ok(RepairReport {
            mode: self.mode,
            repaired: u64::try_from(repaired.len()).unwrap_or(u64::MAX),
            applied: without_marker,
            from_quarantine,
            closed,
            quarantined_of_all,
            removed_groups: removed.iter().map(|(_, removed)| removed.groups).sum(),
            writes,
            audit: report,
        })
    }
}
