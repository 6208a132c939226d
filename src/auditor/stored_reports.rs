//! A pass that is divided among workers: what each of them stores, and what it adds up to.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue as SdkValue;
use chrono::SecondsFormat;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use super::Auditor;
use super::bounded::worker_bytes;
use super::error::AuditorError;
use super::position::{LastPass, Positions};
use super::slice_audit::SliceEnd;
use super::time_limit::TimeLimit;
use super::told::{seconds, summary};
use crate::commit::Randomness;
use crate::metrics::audit::AuditNumbers;
use crate::operate::audit::bounded::{REPORT_BYTES, bounded};
use crate::operate::audit::merge;
use crate::operate::clock::{days_later, now};
use crate::operate::error::{TableError, failure_text};
use crate::operate::marker_table::{AUDIT, attribute_text, marker_key};
use crate::randomness::OsRandomness;
use crate::rollup::Item;
use crate::rollup::check::slice::Slice;
use crate::rollup::model::marker::{EXPIRES_AT, RECORDED_AT, SEQUENCE_NUMBER, STREAM};
use crate::rollup::model::record::RecordId;

/// The report of a slice, as JSON.
const REPORT: &str = "Report";

/// Days that the report of a slice is kept.
const REPORT_DAYS: u32 = 2;

/// Reports that are read in parallel: each may be 200 KB.
const READS_AT_ONCE: usize = 16;

impl Auditor {
    /// The slices of a run of workers.
    pub(super) async fn plan(&self, request_id: &str) -> Result<Value, AuditorError> {
        let of = self.slice_count().await?;
        let positions = Positions::new(Client::new(&self.sdk), &self.config.idempotency_table);
        let age = positions.last_pass().await?.map(|pass| seconds(now().signed_duration_since(pass.ended)));
        self.teller.metrics(&AuditNumbers { since_last_pass: age, ..AuditNumbers::default() }, request_id);
        let slices: Vec<String> = Slice::all(of).map(|slice| slice.to_string()).collect();
        Ok(json!({ "run": OsRandomness.token().to_string(), "of": of, "slices": slices }))
    }

    /// Audits one slice; stores its report where it is one of a run.
    pub(super) async fn one_slice(
        &self,
        slice: Slice,
        run: Option<String>,
        limit: &TimeLimit,
    ) -> Result<Value, AuditorError> {
        let report = match self.audit_slice(slice, limit, self.settle(limit)).await? {
            SliceEnd::Done(report) => report,
            SliceEnd::NotScanned => return Err(self.too_large(slice.of(), limit)),
            SliceEnd::NotLookedAt => {
                let (seconds, command) = (limit.working.as_secs(), self.command(slice.of()));
                return Err(AuditorError::TooMuchDiffers { slice: slice.to_string(), seconds, command });
            }
        };
        self.teller.findings_of_slice(&report);
        let Some(run) = run else { return Ok(bounded(report, REPORT_BYTES)) };
        self.store_report(&run, slice, &bounded(report, worker_bytes(slice.of()))).await?;
        Ok(json!({ "slice": slice.to_string() }))
    }

    /// Adds up the reports of a run, and tells what they come to.
    pub(super) async fn sum(
        &self,
        run: &str,
        of: u32,
        limit: &TimeLimit,
        request_id: &str,
    ) -> Result<Value, AuditorError> {
        let client = Client::new(&self.sdk);
        let read = Slice::all(of).map(|slice| {
            let client = &client;
            async move { Ok::<_, AuditorError>((slice, self.stored_report(client, run, slice).await?)) }
        });
        let mut read = stream::iter(read).buffered(READS_AT_ONCE);
        let (mut sum, mut missing) = (Value::Null, Vec::new());
        while let Some((slice, report)) = read.try_next().await? {
            match report {
                Some(report) => sum = bounded(merge::sum(sum, report), REPORT_BYTES),
                None => missing.push(slice),
            }
        }
        if let Some(first) = missing.first() {
            let (missing, first) = (missing.len(), first.to_string());
            return Err(AuditorError::Missing { missing, of, run: run.to_owned(), first });
        }
        self.close_quarantine(&mut sum, limit).await;
        let summary = summary(&sum, of);
        let pass = LastPass { ended: now(), summary: summary.clone() };
        Positions::new(client.clone(), &self.config.idempotency_table).keep(&pass).await?;
        Ok(self.whole(&sum, &summary, request_id).await)
    }

    /// The place of a report: one key each, so that no key is written by all workers. One of another definition is another.
    fn report_id(&self, run: &str, slice: Slice) -> RecordId {
        let fingerprint = self.config.definition.fingerprint().as_str();
        RecordId { sequence_number: format!("{AUDIT} {run} {slice}"), stream: fingerprint.to_owned() }
    }

    async fn store_report(&self, run: &str, slice: Slice, report: &Value) -> Result<(), TableError> {
        let table = &self.config.idempotency_table;
        let RecordId { sequence_number, stream } = self.report_id(run, slice);
        let now = now();
        let item = HashMap::from([
            (SEQUENCE_NUMBER.to_owned(), SdkValue::S(sequence_number)),
            (STREAM.to_owned(), SdkValue::S(stream)),
            (REPORT.to_owned(), SdkValue::S(report.to_string())),
            (RECORDED_AT.to_owned(), SdkValue::S(now.to_rfc3339_opts(SecondsFormat::Millis, true))),
            (EXPIRES_AT.to_owned(), SdkValue::N(days_later(now, REPORT_DAYS).timestamp().to_string())),
        ]);
        let put = Client::new(&self.sdk).put_item().table_name(table).set_item(Some(item)).send().await;
        put.map(drop).map_err(|error| TableError::new("write", table, failure_text(&error)))
    }

    async fn stored_report(&self, client: &Client, run: &str, slice: Slice) -> Result<Option<Value>, TableError> {
        let table = &self.config.idempotency_table;
        let get = client.get_item().table_name(table).consistent_read(true);
        let answer = get.set_key(Some(marker_key(&self.report_id(run, slice)).into())).send().await;
        let item = answer.map_err(|error| TableError::new("read", table, failure_text(&error)))?.item.map(Item::from);
        let report = item.as_ref().and_then(|item| attribute_text(item, REPORT));
        Ok(report.and_then(|report| serde_json::from_str(report).ok()))
    }
}
