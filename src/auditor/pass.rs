//! A pass: one slice after another, over as many runs as it takes.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use chrono::SecondsFormat;
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::{info, warn};

use super::error::AuditorError;
use super::position::{LastPass, Position, Positions};
use super::slice_audit::SliceEnd;
use super::time_limit::TimeLimit;
use super::told::{seconds, summary};
use super::{Auditor, going_on};
use crate::metrics::audit::AuditNumbers;
use crate::operate::audit::bounded::{REPORT_BYTES, bounded};
use crate::operate::audit::merge;
use crate::operate::clock::now;
use crate::rollup::check::slice::Slice;

/// How often a slice is begun whose run is killed, before it is halved: what kills it may be its size.
const ATTEMPTS: u32 = 2;

/// How many times more slices than it began with a pass may be divided into. Each slice scans whole tables: what needs more
/// is worth a person's look at the cause before it costs as much.
const HALVED_MAX: u32 = 16;

impl Auditor {
    /// Does as many slices of the pass as the time of the run allows.
    pub(super) async fn go_on(&self, limit: &TimeLimit, request_id: &str) -> Result<Value, AuditorError> {
        let mut positions = Positions::new(Client::new(&self.sdk), &self.config.idempotency_table);
        let last_pass = positions.last_pass().await?;
        let mut position = self.begin_or_go_on(&mut positions).await?;
        let since = last_pass.map_or(position.began, |pass| pass.ended);
        let ended = self.slices_in_time(&mut positions, &mut position, limit).await;
        let age = seconds(now().signed_duration_since(since));
        let going = AuditNumbers { since_last_pass: Some(age), ..AuditNumbers::default() };
        match ended {
            Ok(Some(pass)) => Ok(self.whole(&position.report, &pass.summary, request_id).await),
            Ok(None) => {
                self.teller.metrics(&going.so_far(&position.report), request_id);
                Ok(going_on(&position.slice))
            }
            Err(error) => {
                self.teller.metrics(&going, request_id);
                Err(error)
            }
        }
    }

    /// Reports the result of a whole pass; returns the answer that says so too.
    pub(super) async fn whole(&self, report: &Value, summary: &Value, request_id: &str) -> Value {
        self.teller.findings_of_all(report);
        self.teller.summary(summary);
        let numbers = AuditNumbers { since_last_pass: Some(0), ..AuditNumbers::of_pass(summary) };
        self.teller.metrics(&numbers.so_far(report), request_id);
        if let Some(bucket) = &self.settings.report_bucket {
            self.put_report(bucket, report, summary).await;
        }
        json!({ "pass": "ended", "summary": summary })
    }

    /// The pass that is going on, unless it is one of another definition or of other settings; otherwise a new one.
    async fn begin_or_go_on(&self, positions: &mut Positions<'_>) -> Result<Position, AuditorError> {
        let fingerprint = self.config.definition.fingerprint().as_str();
        let found = positions.position().await?;
        let is_wanted = |found: &Position| {
            let settings = self.settings.slices.is_none_or(|slices| slices == found.began_with);
            settings && found.fingerprint == fingerprint && found.slice.parse::<Slice>().is_ok()
        };
        if let Some(found) = found.filter(is_wanted) {
            return Ok(found);
        }
        let slices = self.slice_count().await?;
        info!(slices, "a pass begins");
        Ok(Position {
            fingerprint: fingerprint.to_owned(),
            slice: format!("1/{slices}"),
            began_with: slices,
            attempts: 0,
            began: now(),
            done: 0,
            report: Value::Null,
        })
    }

    /// Does slices until the time or the pass is over; tells of the pass in the latter case.
    async fn slices_in_time(
        &self,
        positions: &mut Positions<'_>,
        position: &mut Position,
        limit: &TimeLimit,
    ) -> Result<Option<LastPass>, AuditorError> {
        let settle = self.settle(limit);
        let mut last: Option<Duration> = None;
        while last.is_none_or(|last| limit.has_room(Instant::now(), last)) {
            if position.attempts >= ATTEMPTS {
                warn!(slice = position.slice, "the slice was begun {ATTEMPTS} times and killed: it is halved");
                self.halve(position, limit)?;
            }
            position.attempts += 1;
            positions.save(position).await?;
            let slice: Slice = position.slice.parse().map_err(|_| AuditorError::OtherRun)?;
            let began = Instant::now();
            let end = self.audit_slice(slice, limit, settle).await;
            position.attempts = 0;
            match end {
                Ok(SliceEnd::Done(report)) => {
                    self.teller.findings_of_slice(&report);
                    let report = bounded(report, REPORT_BYTES);
                    let sum = merge::sum(std::mem::take(&mut position.report), report);
                    position.report = bounded(sum, REPORT_BYTES);
                    position.done += 1;
                    last = Some(began.elapsed());
                    let Some(next) = slice.next(position.began_with) else {
                        return self.end(positions, position, limit).await.map(Some);
                    };
                    position.slice = next.to_string();
                }
                // The next run begins with it, and has more time for it.
                Ok(SliceEnd::NotScanned | SliceEnd::NotLookedAt) if last.is_some() => break,
                Ok(SliceEnd::NotLookedAt) => {
                    self.halve(position, limit)?;
                    warn!(slice = position.slice, "what differs did not fit into the run: the slices left are halved");
                    break;
                }
                Ok(SliceEnd::NotScanned) => {
                    positions.save(position).await?;
                    return Err(self.too_large(position.began_with, limit));
                }
                Err(error) => {
                    positions.save(position).await?;
                    return Err(error);
                }
            }
        }
        positions.save(position).await?;
        Ok(None)
    }

    /// Divides what is left of a pass further.
    fn halve(&self, position: &mut Position, limit: &TimeLimit) -> Result<(), AuditorError> {
        let half = position.slice.parse::<Slice>().ok().and_then(Slice::first_half);
        let half = half.filter(|half| half.of() <= position.began_with.saturating_mul(HALVED_MAX));
        let half = half.ok_or_else(|| AuditorError::TooMuchDiffers {
            slice: position.slice.clone(),
            seconds: limit.working.as_secs(),
            command: self.command(position.began_with),
        })?;
        position.slice = half.to_string();
        position.attempts = 0;
        Ok(())
    }

    async fn end(
        &self,
        positions: &mut Positions<'_>,
        position: &mut Position,
        limit: &TimeLimit,
    ) -> Result<LastPass, AuditorError> {
        let report = &mut position.report;
        report["began"] = json!(position.began.to_rfc3339_opts(SecondsFormat::Millis, true));
        self.close_quarantine(report, limit).await;
        let ended = now();
        report["ended"] = json!(ended.to_rfc3339_opts(SecondsFormat::Millis, true));
        let pass = LastPass { ended, summary: summary(report, position.done) };
        positions.ended(&pass).await?;
        Ok(pass)
    }

    /// That one scan takes longer than a run.
    pub(super) fn too_large(&self, slices: u32, limit: &TimeLimit) -> AuditorError {
        AuditorError::TooLarge { seconds: limit.working.as_secs(), command: self.command(slices) }
    }

    /// The command that does the same elsewhere.
    pub(super) fn command(&self, slices: u32) -> String {
        self.commands.run(&format!("audit --slices {slices}"))
    }
}
