//! What an invocation did, in numbers: every metric's name in one place, and the line that CloudWatch reads them from.
//!
//! The line is in CloudWatch's embedded metric format ("Embedded metric format specification", CloudWatch User Guide).

#[cfg(feature = "auditor")]
pub mod audit;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use crate::rollup::pipeline::response::RecordCounts;
use crate::rollup::pipeline::verdict::RetryCause;

/// The namespace of the function's metrics.
pub const NAMESPACE: &str = "ddb-rollup";

/// The only dimension: the function's name.
pub const DIMENSION: &str = "FunctionName";

/// What an invocation did.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Summary {
    /// The records, by what became of them.
    pub counts: RecordCounts,
    /// Images of applied records that have no usable value for a group.
    pub ungrouped: usize,
    /// Images that a view is about and cannot count.
    pub uncountable: usize,
    /// Duplicates whose markers were written under another definition.
    pub other_definition: usize,
    /// Requests to commit that were sent, retries and refused ones included.
    pub transactions: usize,
    /// Requests that were sent again, by cause.
    pub retries: BTreeMap<RetryCause, usize>,
    /// View items whose counter maps were created.
    pub first_touches: usize,
    /// Counters below zero, of the one view item that was looked at.
    pub negative_counters: usize,
    /// The size of that view item, in bytes; zero of none.
    pub view_item_bytes: usize,
    /// How long committing took.
    pub commit: Duration,
    /// How long the invocation took.
    pub took: Duration,
}

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name in CloudWatch.
    pub name: &'static str,
    /// Its unit, as CloudWatch writes it.
    pub unit: &'static str,
    value: fn(&Summary) -> usize,
}

const fn count(name: &'static str, value: fn(&Summary) -> usize) -> Metric {
    Metric { name, unit: "Count", value }
}

/// Every metric that the function has.
pub const METRICS: [Metric; 22] = [
    count("Records", |summary| summary.counts.records),
    count("Applied", |summary| summary.counts.applied),
    count("Duplicates", |summary| summary.counts.duplicates),
    count("NoEffect", |summary| summary.counts.no_effect),
    count("Ungrouped", |summary| summary.ungrouped),
    count("Uncountable", |summary| summary.uncountable),
    count("OtherDefinition", |summary| summary.other_definition),
    count("Quarantined", |summary| summary.counts.quarantined),
    count("Unresolved", |summary| summary.counts.unresolved),
    count("Transactions", |summary| summary.transactions),
    count("Retries", |summary| summary.retries.values().sum()),
    count("Conflicts", |summary| summary.retried(RetryCause::Conflict)),
    count("Throttles", |summary| summary.retried(RetryCause::Throttled)),
    count("RetriesInProgress", |summary| summary.retried(RetryCause::InProgress)),
    count("RetriesServer", |summary| summary.retried(RetryCause::Server)),
    count("RetriesTimeout", |summary| summary.retried(RetryCause::Timeout)),
    count("RetriesConnection", |summary| summary.retried(RetryCause::Connection)),
    count("FirstTouches", |summary| summary.first_touches),
    count("NegativeCounters", |summary| summary.negative_counters),
    Metric { name: "ViewItemBytes", unit: "Bytes", value: |summary| summary.view_item_bytes },
    Metric { name: "CommitLatency", unit: "Milliseconds", value: |summary| milliseconds(summary.commit) },
    Metric { name: "Duration", unit: "Milliseconds", value: |summary| milliseconds(summary.took) },
];

impl Summary {
    fn retried(&self, cause: RetryCause) -> usize {
        self.retries.get(&cause).copied().unwrap_or_default()
    }
}

/// Whole milliseconds.
#[must_use]
pub fn milliseconds(duration: Duration) -> usize {
    usize::try_from(duration.as_millis()).unwrap_or(usize::MAX)
}

/// The line of an invocation: one JSON object, without a line's end.
#[must_use]
pub fn line(summary: &Summary, function: &str, request_id: &str, at: DateTime<Utc>) -> String {
    let values = METRICS.iter().map(|metric| (metric.name, metric.unit, json!((metric.value)(summary))));
    embedded(values.collect(), function, request_id, at)
}

/// A line of metrics, each with its name, its unit and its value, in the embedded metric format.
fn embedded(
    metrics: Vec<(&'static str, &'static str, Value)>,
    function: &str,
    request_id: &str,
    at: DateTime<Utc>,
) -> String {
    let definitions: Vec<_> = metrics.iter().map(|(name, unit, _)| json!({ "Name": name, "Unit": unit })).collect();
    let mut line = Map::from_iter([
        (
            "_aws".to_owned(),
            json!({
                "Timestamp": at.timestamp_millis(),
                "CloudWatchMetrics": [{
                    "Namespace": NAMESPACE,
                    "Dimensions": [[DIMENSION]],
                    "Metrics": definitions,
                }],
            }),
        ),
        (DIMENSION.to_owned(), json!(function)),
        ("requestId".to_owned(), json!(request_id)),
    ]);
    line.extend(metrics.into_iter().map(|(name, _, value)| (name.to_owned(), value)));
    Value::Object(line).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_what_cloudwatch_reads() {
        let summary = Summary {
            counts: RecordCounts { records: 9, applied: 4, duplicates: 2, no_effect: 1, quarantined: 1, unresolved: 1 },
            ungrouped: 3,
            uncountable: 8,
            other_definition: 10,
            transactions: 7,
            retries: [(RetryCause::Conflict, 2), (RetryCause::Timeout, 1)].into(),
            first_touches: 5,
            negative_counters: 6,
            view_item_bytes: 11,
            commit: Duration::from_millis(12),
            took: Duration::from_millis(15),
        };
        let line: Value =
            serde_json::from_str(&line(&summary, "points", "request", DateTime::UNIX_EPOCH)).unwrap_or_default();
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(line["_aws"]["Timestamp"], json!(0));
        assert_eq!(directive["Namespace"], json!("ddb-rollup"));
        assert_eq!(directive["Dimensions"], json!([["FunctionName"]]));
        assert_eq!(line["FunctionName"], json!("points"));
        let names: Vec<_> =
            directive["Metrics"].as_array().into_iter().flatten().map(|metric| metric["Name"].clone()).collect();
        assert_eq!(names.len(), METRICS.len());
        let values: Vec<_> = names
            .iter()
            .map(|name| (name.as_str().unwrap_or_default(), line[name.as_str().unwrap_or_default()].as_u64()))
            .collect();
        assert_eq!(
            values,
            [
                ("Records", Some(9)),
                ("Applied", Some(4)),
                ("Duplicates", Some(2)),
                ("NoEffect", Some(1)),
                ("Ungrouped", Some(3)),
                ("Uncountable", Some(8)),
                ("OtherDefinition", Some(10)),
                ("Quarantined", Some(1)),
                ("Unresolved", Some(1)),
                ("Transactions", Some(7)),
                ("Retries", Some(3)),
                ("Conflicts", Some(2)),
                ("Throttles", Some(0)),
                ("RetriesInProgress", Some(0)),
                ("RetriesServer", Some(0)),
                ("RetriesTimeout", Some(1)),
                ("RetriesConnection", Some(0)),
                ("FirstTouches", Some(5)),
                ("NegativeCounters", Some(6)),
                ("ViewItemBytes", Some(11)),
                ("CommitLatency", Some(12)),
                ("Duration", Some(15)),
            ]
        );
    }
}
