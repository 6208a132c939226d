//! `ddb-rollup repair`: an audit, and one conditional write for each view item that is not as it should be.
//!
//! Records without a marker are applied first, by the function's own way. Then the counters of an item are set to what its
//! source items come to, less what records will still add, if the item is as it was seen; with them goes a record of the
//! repair. What was in quarantine for the item is in the counters then, so the same transaction closes it: a replay would
//! count it once more. In the end what was set is audited again.
//!
//! `mender` makes the write, [`report`] tells what came of it.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Write};

use aws_config::SdkConfig;

use super::CommandOutcome;
use super::apply::Applier;
use super::args::Shared;
use super::audit::error::AuditError;
use super::audit::examine::{Examined, Suspect, chunks};
use super::audit::{Audit, AuditScope};
use super::operator;
use super::progress::Progress;
use super::stop::{Stop, until_stopped};
use crate::config::Config;
use crate::rollup::model::view::ViewKey;

mod mender;
pub mod report;

use mender::{Mender, Pass};
use report::{Mode, RepairReport};

/// How often items are set, and audited again after each time: a record that took longer than the settling time to appear
/// in the stream is mended by the second time.
const PASSES: usize = 2;

/// Make every counter exact; writers and the function go on meanwhile
///
/// It also gives first counters to tables that had items before they had a function. Run it again after an interruption:
/// what is exact is left alone.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    scope: AuditScope,

    /// Show what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// Repairs, and writes the report.
///
/// # Errors
/// When it could not run to its end. What was set by then stays set.
pub async fn run(shared: &Shared, args: &Args) -> Result<CommandOutcome, AuditError> {
    let sdk = shared.sdk().await;
    let mode = if args.dry_run { Mode::DryRun } else { Mode::Write };
    let mut repairer = Repairer::new(mode, shared.config()?, operator::user_at_host());
    let report = match until_stopped(async |stop| repairer.repair(&sdk, &args.scope, stop).await).await {
        Ok(report) => report,
        Err(error) => {
            let set = repairer.mender.set;
            if set > 0 {
                // The error follows on the same way; it is what decides how the command ends.
                let _ = writeln!(io::stderr(), "{set} view items were set before this: run it again to go on");
            }
            return Err(error);
        }
    };
    shared.write(&report.json(), &report)?;
    Ok(CommandOutcome::found_unless(report.audit.is_clean()))
}

/// Repairs a view, for the ledger in the name of `who`.
///
/// # Errors
/// When it could not run to its end. What was set by then stays set.
pub async fn repair(
    sdk: &SdkConfig,
    config: Config,
    scope: &AuditScope,
    who: &str,
    stop: &Stop,
) -> Result<RepairReport, AuditError> {
    Repairer::new(Mode::Write, config, who.to_owned()).repair(sdk, scope, stop).await
}

/// Repairs a view; it knows what was set by the time of an error.
pub struct Repairer {
    mode: Mode,
    config: Config,
    mender: Mender,
}

impl Repairer {
    /// A repair in somebody's name.
    #[must_use]
    pub fn new(mode: Mode, config: Config, who: String) -> Self {
        Self { mode, mender: Mender::new(mode, config.clone(), who), config }
    }

    /// Repairs.
    ///
    /// # Errors
    /// When it could not run to its end. What was set by then stays set.
    pub async fn repair(
        &mut self,
        sdk: &SdkConfig,
        scope: &AuditScope,
        stop: &Stop,
    ) -> Result<RepairReport, AuditError> {
        let mut audit = Audit::begin(sdk, self.config.clone(), scope).await?;
        if self.mode == Mode::Write {
            audit.records.applier = Some(Applier::new(self.config.clone(), sdk));
        }
        // A repair closes the quarantine of what it sets, however old that is.
        audit.read_ledger().await?;
        let mut suspects = audit.first_pass().await?;
        // From here on the function is left to its own records: to apply them too would only be in its way.
        let applied = audit.records.applier.take().map_or(0, |applier| applier.counts.applied);
        let source_items: HashMap<ViewKey, u64> =
            suspects.iter().map(|suspect| (suspect.key.clone(), suspect.source_items)).collect();
        let mut repaired = BTreeSet::new();
        for _ in 0..PASSES {
            let pass = self.pass(&mut audit, &suspects, stop).await?;
            repaired.extend(pass.set.iter().cloned());
            let again = pass.set.into_iter().chain(pass.concerned).collect::<BTreeSet<_>>().into_iter();
            let suspect = |key: ViewKey| Suspect { source_items: source_items.get(&key).copied().unwrap_or(1), key };
            suspects = again.map(suspect).collect();
            if suspects.is_empty() || self.mode == Mode::DryRun || stop.requested() {
                break;
            }
        }
        if !stop.requested() && !suspects.is_empty() {
            audit.examine(&suspects, stop).await?;
        }
        Ok(RepairReport {
            mode: self.mode,
            repaired: u64::try_from(repaired.len()).unwrap_or(u64::MAX),
            applied,
            writes: std::mem::take(&mut self.mender.writes),
            audit: audit.report(),
        })
    }

    /// Looks at view items, and sets those that are not as they should be.
    async fn pass(&mut self, audit: &mut Audit, suspects: &[Suspect], stop: &Stop) -> Result<Pass, AuditError> {
        let mut pass = Pass::default();
        audit.forget(suspects);
        let progress = Progress::reading("view items", u64::try_from(suspects.len()).unwrap_or_default());
        for chunk in chunks(suspects) {
            if stop.requested() {
                break;
            }
            let keys: Vec<ViewKey> = chunk.iter().map(|suspect| suspect.key.clone()).collect();
            let mut examiner = audit.examiner(stop);
            let mut seen = examiner.examine(&keys).await?;
            for key in &keys {
                progress.add(1);
                if seen.get(key).is_some_and(Examined::needs_mending) && !stop.requested() {
                    self.mender.mend(&mut examiner, key, &mut seen, &mut pass).await?;
                }
            }
            audit.examined.extend(seen);
        }
        progress.finish();
        Ok(pass)
    }
}
