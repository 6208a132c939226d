//! `ddb-rollup repair`: its options, and how its report is written.

use std::io::{self, Write};

use super::Repairer;
use super::report::{Mode, RepairText};
use crate::operate::CommandOutcome;
use crate::operate::args::Shared;
use crate::operate::audit::AuditScope;
use crate::operate::audit::error::AuditError;
use crate::operate::commands::Commands;
use crate::operate::operator;
use crate::operate::printable::counted;
use crate::operate::slices::{SliceArgs, Slices};
use crate::operate::stop::until_stopped;

/// Make every counter exact; safe while writers and the function are running
///
/// It also gives first counters to tables that had items before they had a function. Run it again after an interruption:
/// what is exact is left alone.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    scope: AuditScope,

    #[command(flatten)]
    slices: SliceArgs,

    /// Show what would be written, without writing it
    #[arg(long)]
    dry_run: bool,

    /// Remove groups of a `count by` that count nothing; the function creates such a group again when it is counted
    #[arg(long, conflicts_with = "dry_run")]
    remove_zero_groups: bool,
}

/// Runs the repair and writes the report.
///
/// # Errors
/// When the repair could not be completed. What was set before the error stays set.
pub async fn run(shared: &Shared, args: &Args) -> Result<CommandOutcome, AuditError> {
    let sdk = shared.sdk().await;
    let mode = if args.dry_run { Mode::DryRun } else { Mode::Write };
    let mut repairer = Repairer::new(mode, shared.config()?, operator::user_at_host());
    if args.remove_zero_groups {
        repairer = repairer.removing_zero_groups();
    }
    let mut slices = Slices::of(&sdk, &shared.config()?, "repair", &args.slices, &args.scope).await?;
    if mode == Mode::DryRun {
        slices = slices.unsaved();
    }
    if let Some(earlier) = slices.earlier() {
        repairer = repairer.continuing(earlier);
    }
    let ended = until_stopped(async |stop| {
        let of_slice = async |slice| {
            let scope = AuditScope { slice, ..args.scope.clone() };
            Box::pin(repairer.repair(&sdk, &scope, stop)).await
        };
        slices.work_through(stop, of_slice).await
    });
    let ended = ended.await;
    let report = match ended {
        Ok(report) => report,
        Err(error) => {
            let set = repairer.mender.set;
            if set > 0 {
                let items = counted(set, "view item was", "view items were");
                // If standard error is closed, the error that follows still determines the exit code.
                let _ = writeln!(io::stderr(), "{items} set before this: run the same command again to continue");
            }
            return Err(error);
        }
    };
    if report.quarantined_of_all.is_some() {
        slices.quarantine_is_counted();
    }
    let commands = args.scope.commands(Commands::of(shared), &args.slices.options());
    let text = RepairText { report: &report, commands: &commands };
    slices.write(shared, &report, &text)?;
    Ok(CommandOutcome::found_unless(report.audit.is_clean() && slices.were_clean()))
}
