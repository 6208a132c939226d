//! The log of an audit: findings, a summary and metrics, each as one line of JSON.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};
use tracing::warn;

use super::bounded::{entries, numbers};
use crate::logging;
use crate::metrics::audit::{self, AuditNumbers};
use crate::operate::audit::merge;
use crate::operate::clock::now;
use crate::operate::commands::Commands;
use crate::operate::repair::report::RepairReport;
use crate::operate::shell_option::option;

/// Findings of one kind and slice that get a line each; the rest is only counted.
const LINES: usize = 100;

/// The lists that every slice reports in full, because each reads whole tables.
const OF_ALL: [(&str, &str, &str); 2] =
    [("ledger", "ledger_findings", "audit"), ("uncountable", "uncountable_items", "view try")];

/// Writes into the log of a function.
#[derive(Debug)]
pub(super) struct Teller {
    function: String,
    commands: Commands,
}

impl Teller {
    pub(super) fn new(function: String, commands: Commands) -> Self {
        Self { function, commands }
    }

    pub(super) fn function(&self) -> &str {
        &self.function
    }

    /// Logs the findings of one slice.
    pub(super) fn findings_of_slice(&self, report: &Value) {
        self.findings(report, "drift", "drifted_counters", |drift| {
            let view = option("--view", drift["view"].as_str().unwrap_or_default());
            self.commands.run(&format!("repair{}{view}", item(&drift["key"])))
        });
        self.findings(report, "unstable_items", "unstable", |key| self.commands.run(&format!("audit{}", item(key))));
    }

    /// Logs the findings that all slices report alike.
    pub(super) fn findings_of_all(&self, report: &Value) {
        for (list, count, subcommand) in OF_ALL {
            self.findings(report, list, count, |_| self.commands.run(subcommand));
        }
    }

    fn findings(&self, report: &Value, list: &str, count: &str, command: impl Fn(&Value) -> String) {
        let found = entries(report, list);
        for finding in found.iter().take(LINES) {
            let command = command(finding);
            self.line("WARN", "audit finding", &json!({ "kind": list, "finding": finding, "command": command }));
        }
        let more = report[count].as_u64().unwrap_or_default().saturating_sub(found.len().min(LINES) as u64);
        if more > 0 {
            self.line("WARN", "audit findings left out", &json!({ "kind": list, "more": more }));
        }
    }

    /// Logs what a repair set.
    pub(super) fn writes(&self, report: &RepairReport) {
        let writes = &report.writes;
        for write in writes.iter().take(LINES) {
            self.line("WARN", "audit repaired", &write.json(&report.audit.definition));
        }
        if let Some(more) = writes.len().checked_sub(LINES).filter(|more| *more > 0) {
            self.line("WARN", "audit repairs left out", &json!({ "more": more }));
        }
    }

    /// Logs the result of a whole pass.
    pub(super) fn summary(&self, summary: &Value) {
        let level = if summary["clean"] == true { "INFO" } else { "WARN" };
        self.line(level, "audit summary", &json!({ "summary": summary }));
    }

    /// Writes the metrics of a run.
    pub(super) fn metrics(&self, numbers: &AuditNumbers, request_id: &str) {
        logging::line(&audit::line(numbers, &self.function, request_id, now()));
    }

    /// Warns that the run waits less for the stream than the settings say.
    pub(super) fn shortened(settle: Duration, wanted: Duration) {
        warn!(
            settle_seconds = settle.as_secs_f64(),
            wanted_seconds = wanted.as_secs_f64(),
            "the run is too short to wait as long for the stream as it should: a write that takes longer may be reported as drift"
        );
    }

    fn line(&self, level: &str, message: &str, what: &Value) {
        let mut line = json!({
            "timestamp": now().to_rfc3339_opts(SecondsFormat::Micros, true),
            "level": level,
            "message": message,
            "function": self.function,
        });
        if let (Some(line), Some(what)) = (line.as_object_mut(), what.as_object()) {
            line.extend(what.clone());
        }
        logging::line(&line.to_string());
    }
}

/// The option for a view item: its key as a report has it.
fn item(key: &Value) -> String {
    option("--item", &key.as_str().map_or_else(|| key.to_string(), str::to_owned))
}

/// The summary of a pass of `slices` slices: its numbers, without its lists.
pub(super) fn summary(report: &Value, slices: u32) -> Value {
    let mut summary = numbers(report.clone());
    summary["uncountable"] = report["uncountable_items"].clone();
    summary["slices"] = json!(slices);
    summary["clean"] = json!(merge::is_clean(report));
    let time = |name: &str| report[name].as_str().and_then(|at| at.parse::<DateTime<Utc>>().ok());
    if let (Some(began), Some(ended)) = (time("began"), time("ended")) {
        summary["seconds"] = json!(ended.signed_duration_since(began).as_seconds_f64());
    }
    summary
}

/// Whole seconds; 0 if the clock went back.
pub(super) fn seconds(time: TimeDelta) -> u64 {
    u64::try_from(time.num_seconds()).unwrap_or_default()
}

impl AuditNumbers {
    /// The numbers of a whole pass.
    pub(super) fn of_pass(summary: &Value) -> Self {
        let number = |name: &str| summary[name].as_u64();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "units and seconds for people")]
        let whole = |name: &str| summary[name].as_f64().map(|value| value.max(0.0).round() as u64);
        Self {
            view_items: number("view_items"),
            quarantined: number("quarantined"),
            uncountable: number("uncountable"),
            oldest_unmarked_seconds: number("oldest_unmarked_seconds"),
            read_units: whole("read_units"),
            pass_seconds: whole("seconds"),
            ..Self::default()
        }
    }

    /// What a pass has found so far.
    ///
    /// What was repaired had drifted: it is reported even if the repair fixed everything.
    pub(super) fn so_far(self, report: &Value) -> Self {
        let number = |name: &str| report[name].as_u64().unwrap_or_default();
        let (drifted, repaired) = (number("drifted"), number("repaired"));
        Self { drifted: Some(drifted + repaired), unstable: Some(number("unstable")), repaired: Some(repaired), ..self }
    }
}
