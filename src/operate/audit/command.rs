//! `ddb-rollup audit`: its options, and how its report is written.

use std::path::PathBuf;

use super::error::AuditError;
use super::text::ReportText;
use super::{AuditScope, audit, merge, page};
use crate::operate::CommandOutcome;
use crate::operate::args::Shared;
use crate::operate::clock::now;
use crate::operate::commands::Commands;
use crate::operate::slices::{SliceArgs, Slices};
use crate::operate::stop::until_stopped;

/// Compare every counter with a recount; safe while writers and the function are running
///
/// A view item is exact, behind by records that are not applied yet, drifted from what the records explain, or
/// unstable: it kept changing while it was read. Behind is only lag. Exit code 1 is drift, unstable items, records in
/// quarantine, findings in the ledger, source items that a view cannot count, or items that were not examined.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    scope: AuditScope,

    #[command(flatten)]
    slices: SliceArgs,

    /// Add up reports of slices, as --json printed them, and read no table
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["item", "slice", "slices", "html"])]
    merge: Vec<PathBuf>,

    /// Write the report as an HTML page in one file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Runs the audit and writes the report.
///
/// # Errors
/// When the audit could not be completed.
pub async fn run(shared: &Shared, args: &Args) -> Result<CommandOutcome, AuditError> {
    if !args.merge.is_empty() {
        let merged = merge::read(&args.merge)?;
        shared.write(&merged, &format!("{merged}\n"))?;
        return Ok(CommandOutcome::found_unless(merge::is_clean(&merged)));
    }
    let sdk = shared.sdk().await;
    let config = shared.config()?;
    let mut slices = Slices::of(&sdk, &config, "audit", &args.slices, &args.scope).await?;
    let report = until_stopped(async |stop| {
        let of_slice = async |slice| {
            let scope = AuditScope { slice, ..args.scope.clone() };
            Box::pin(audit(&sdk, config.clone(), &scope, stop)).await
        };
        slices.work_through(stop, of_slice).await
    });
    let report = report.await?;
    let commands = args.scope.commands(Commands::of(shared), &args.slices.options());
    if let Some(file) = &args.html {
        let page = page::page(&report, slices.earlier(), &commands, now());
        let written = tokio::fs::write(file, page).await;
        written.map_err(|cause| AuditError::Html { file: file.clone(), cause })?;
    }
    let text = ReportText { report: &report, commands: &commands };
    slices.write(shared, &report, &text)?;
    Ok(CommandOutcome::found_unless(report.is_clean() && slices.were_clean()))
}
