//! Audits the stack on this machine at an interval, as the auditor does for a deployed one.

use std::io::{self, Write};
use std::time::Duration;

use serde_json::json;
use tracing::warn;

use super::engine::REGION;
use super::running_stack::RunningStack;
use super::view_printer::Format;
use crate::operate::args::{Pace, Shared};
use crate::operate::audit::error::AuditError;
use crate::operate::audit::report::AuditReport;
use crate::operate::audit::text::ReportText;
use crate::operate::audit::{AuditScope, audit};
use crate::operate::commands::Commands;
use crate::operate::operator;
use crate::operate::printable::printable_lines;
use crate::operate::repair::report::{RepairReport, RepairText};
use crate::operate::repair::{OnDrift, repair};
use crate::operate::stop::Stop;

/// Audits a running stack.
pub(super) struct SelfAudit<'a> {
    stack: &'a RunningStack,
    on_drift: OnDrift,
    commands: Commands,
}

/// The result of one audit.
pub(super) enum Audited {
    /// The audit only reported.
    Told(AuditReport),
    /// The audit repaired.
    Repaired(RepairReport),
}

impl<'a> SelfAudit<'a> {
    /// An audit of the stack that a command with these options started.
    pub(super) fn new(stack: &'a RunningStack, shared: &Shared, on_drift: OnDrift) -> Self {
        let region = shared.region.clone().or_else(|| Some(REGION.to_owned()));
        let endpoint_url = Some(stack.engine.url().to_owned());
        let shared = Shared { endpoint_url, region, ..shared.clone() };
        Self { stack, on_drift, commands: Commands::of(&shared) }
    }

    /// Runs one audit or one repair. The engine shows a write in the stream at once, so there is no settling time.
    pub(super) async fn once(&self, stop: &Stop) -> Result<Audited, AuditError> {
        let RunningStack { sdk, config, .. } = self.stack;
        let pace = Pace { settle: Duration::ZERO, ..Pace::default() };
        let scope = AuditScope { pace, ..AuditScope::default() };
        Ok(match self.on_drift {
            OnDrift::Report => Audited::Told(Box::pin(audit(sdk, config.clone(), &scope, stop)).await?),
            OnDrift::Repair => {
                Audited::Repaired(repair(sdk, config.clone(), &scope, &operator::user_at_host(), stop).await?)
            }
        })
    }

    /// Runs audits until a stop is requested. A result that did not change is not reported again.
    pub(super) async fn repeat(&self, interval: Duration, format: Format, stop: &Stop) {
        let mut last = String::new();
        while !stop.within(interval).await {
            match Box::pin(self.once(stop)).await {
                // An audit that the stop cut short says nothing about counters.
                Ok(_) if stop.requested() => {}
                Ok(audited) => {
                    let told = self.text(&audited);
                    if told != last {
                        // If standard output is closed, the printer of the view items ends the command.
                        let _ = Self::tell(&audited, &told, format);
                        last = told;
                    }
                }
                Err(error) => warn!("cannot audit: {error}"),
            }
        }
    }

    fn tell(audited: &Audited, told: &str, format: Format) -> io::Result<()> {
        match format {
            Format::Text => write!(io::stdout(), "audit: {}", printable_lines(told)),
            Format::Json => {
                let report = match audited {
                    Audited::Told(report) => report.json(),
                    Audited::Repaired(report) => report.json(),
                };
                writeln!(io::stdout(), "{}", json!({ "audit": report }))
            }
        }
    }

    /// The findings, and below each the commands that fix it.
    fn text(&self, audited: &Audited) -> String {
        let commands = &self.commands;
        match audited {
            Audited::Told(report) => ReportText { report, commands }.to_string(),
            Audited::Repaired(report) if report.repaired > 0 => RepairText { report, commands }.to_string(),
            Audited::Repaired(report) => ReportText { report: &report.audit, commands }.to_string(),
        }
    }
}
