//! One slice, audited or repaired within a time.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::Auditor;
use super::error::AuditorError;
use super::time_limit::TimeLimit;
use super::told::seconds;
use crate::operate::args::Pace;
use crate::operate::audit::bounded::with_counts;
use crate::operate::audit::error::AuditError;
use crate::operate::audit::{AuditScope, audit};
use crate::operate::clock::now;
use crate::operate::repair::OnDrift;
use crate::operate::repair::repair;
use crate::operate::stop::stop;
use crate::rollup::check::slice::Slice;

/// How the audit of a slice ended.
#[derive(Debug)]
pub(super) enum SliceEnd {
    /// All of it was seen. The report is an object, as `audit --json` prints it, with when it began and ended.
    Done(Value),
    /// The time was over before the tables were scanned.
    NotScanned,
    /// The time was over before all that differs was looked at.
    NotLookedAt,
}

impl Auditor {
    /// Audits a slice until the end of the run's time; repairs it, if that is wanted.
    ///
    /// Work that the time cuts off is as good as killed: each write is correct alone, and what it found is not kept, as
    /// nobody could tell it from what it would have found.
    pub(super) async fn audit_slice(
        &self,
        slice: Slice,
        limit: &TimeLimit,
        settle: Duration,
    ) -> Result<SliceEnd, AuditorError> {
        let (stopper, stop) = stop();
        let pace = Pace { settle, max_read_units: self.settings.max_read_units, ..Pace::default() };
        let scope = AuditScope { slice: Some(slice), pace, ..AuditScope::default() };
        let began = now();
        let work = async {
            match self.settings.on_drift {
                OnDrift::Report => {
                    let report = Box::pin(audit(&self.sdk, self.config.clone(), &scope, &stop)).await?;
                    Ok::<_, AuditError>(report.json())
                }
                OnDrift::Repair => {
                    let who = format!("auditor {}", self.teller.function());
                    let report = repair(&self.sdk, self.config.clone(), &scope, &who, &stop).await?;
                    self.teller.writes(&report);
                    Ok(report.json())
                }
            }
        };
        match tokio::time::timeout_at(limit.end, Box::pin(work)).await {
            Ok(report) => {
                let mut report = with_counts(report?);
                let ended = now();
                report["began"] = json!(began.to_rfc3339_opts(SecondsFormat::Millis, true));
                report["ended"] = json!(ended.to_rfc3339_opts(SecondsFormat::Millis, true));
                let oldest = report["oldest_unmarked"].as_str().and_then(|at| at.parse::<DateTime<Utc>>().ok());
                let age = oldest.map_or(0, |at| seconds(ended.signed_duration_since(at)));
                report["oldest_unmarked_seconds"] = json!(age);
                Ok(SliceEnd::Done(report))
            }
            Err(_) if stopper.tables_are_scanned() => Ok(SliceEnd::NotLookedAt),
            Err(_) => Ok(SliceEnd::NotScanned),
        }
    }
}
