//! What the auditor found, in numbers: the names of its metrics, and their line.

use chrono::{DateTime, Utc};
use serde_json::json;

/// What a run of the auditor tells; what it does not know is not in its line.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AuditNumbers {
    /// View items of a whole pass.
    pub view_items: Option<u64>,
    /// View items that were found drifted, repaired since or not, of the pass as far as it got.
    pub drifted: Option<u64>,
    /// View items that kept changing while they were read, likewise.
    pub unstable: Option<u64>,
    /// View items that were set, likewise.
    pub repaired: Option<u64>,
    /// Records in quarantine at the end of a pass.
    pub quarantined: Option<u64>,
    /// Source items that a view cannot count.
    pub uncountable: Option<u64>,
    /// The age of the oldest record without a marker, in seconds; zero where every record has one.
    pub oldest_unmarked_seconds: Option<u64>,
    /// Read capacity units of a whole pass.
    pub read_units: Option<u64>,
    /// How long a whole pass took, from its first run to its last, in seconds.
    pub pass_seconds: Option<u64>,
    /// How long ago the last whole pass ended, in seconds; before the first one, how long ago that began.
    pub since_last_pass: Option<u64>,
    /// Runs that could not judge and will not be able to: 0 or 1.
    pub refused: u64,
}

/// One metric of the auditor.
#[derive(Debug, Clone, Copy)]
pub struct AuditMetric {
    /// Its name in CloudWatch.
    pub name: &'static str,
    /// Its unit, as CloudWatch writes it.
    pub unit: &'static str,
    value: fn(&AuditNumbers) -> Option<u64>,
}

const fn metric(name: &'static str, unit: &'static str, value: fn(&AuditNumbers) -> Option<u64>) -> AuditMetric {
    AuditMetric { name, unit, value }
}

/// Every metric that the auditor has.
pub const AUDIT_METRICS: [AuditMetric; 11] = [
    metric("AuditViewItems", "Count", |numbers| numbers.view_items),
    metric("AuditDrifted", "Count", |numbers| numbers.drifted),
    metric("AuditUnstable", "Count", |numbers| numbers.unstable),
    metric("AuditRepaired", "Count", |numbers| numbers.repaired),
    metric("AuditQuarantined", "Count", |numbers| numbers.quarantined),
    metric("AuditUncountable", "Count", |numbers| numbers.uncountable),
    metric("AuditOldestUnmarkedSeconds", "Seconds", |numbers| numbers.oldest_unmarked_seconds),
    metric("AuditReadUnits", "Count", |numbers| numbers.read_units),
    metric("AuditPassSeconds", "Seconds", |numbers| numbers.pass_seconds),
    metric("AuditSecondsSinceLastPass", "Seconds", |numbers| numbers.since_last_pass),
    metric("AuditRefused", "Count", |numbers| Some(numbers.refused)),
];

/// The line of a run: one JSON object, without a line's end.
#[must_use]
pub fn line(numbers: &AuditNumbers, function: &str, request_id: &str, at: DateTime<Utc>) -> String {
    let known = |metric: &AuditMetric| Some((metric.name, metric.unit, json!((metric.value)(numbers)?)));
    super::embedded(AUDIT_METRICS.iter().filter_map(known).collect(), function, request_id, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(numbers: &AuditNumbers) -> Vec<(String, u64)> {
        let line: serde_json::Value =
            serde_json::from_str(&line(numbers, "auditor", "request", DateTime::UNIX_EPOCH)).unwrap();
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(
            (&directive["Namespace"], &directive["Dimensions"]),
            (&json!("ddb-rollup"), &json!([["FunctionName"]]))
        );
        assert_eq!((&line["FunctionName"], &line["requestId"]), (&json!("auditor"), &json!("request")));
        let names = directive["Metrics"].as_array().unwrap().iter().map(|metric| metric["Name"].as_str().unwrap());
        names.map(|name| (name.to_owned(), line[name].as_u64().unwrap())).collect()
    }

    #[test]
    fn a_line_has_what_is_known() {
        assert_eq!(values(&AuditNumbers::default()), [("AuditRefused".to_owned(), 0)]);
        let numbers = AuditNumbers {
            view_items: Some(1),
            drifted: Some(2),
            unstable: Some(3),
            repaired: Some(4),
            quarantined: Some(5),
            uncountable: Some(6),
            oldest_unmarked_seconds: Some(7),
            read_units: Some(8),
            pass_seconds: Some(9),
            since_last_pass: Some(10),
            refused: 11,
        };
        let expected = [
            "AuditViewItems",
            "AuditDrifted",
            "AuditUnstable",
            "AuditRepaired",
            "AuditQuarantined",
            "AuditUncountable",
            "AuditOldestUnmarkedSeconds",
            "AuditReadUnits",
            "AuditPassSeconds",
            "AuditSecondsSinceLastPass",
            "AuditRefused",
        ];
        assert_eq!(values(&numbers), expected.map(str::to_owned).into_iter().zip(1..).collect::<Vec<_>>());
    }
}
