//! Adds up the reports of slices.

#[cfg(feature = "cli")]
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

#[cfg(feature = "cli")]
use super::error::AuditError;

/// The sum of two reports. `null` stands for no report.
#[must_use]
pub fn sum(one: Value, other: Value) -> Value {
    added("", one, other)
}

/// Reads reports from files and adds them up.
///
/// # Errors
/// When a file is not a report.
#[cfg(feature = "cli")]
pub(super) fn read(files: &[PathBuf]) -> Result<Value, AuditError> {
    let reports = files.iter().map(|file| report(file)).collect::<Result<Vec<_>, _>>()?;
    Ok(reports.into_iter().reduce(sum).unwrap_or_default())
}

#[cfg(feature = "cli")]
fn report(file: &Path) -> Result<Value, AuditError> {
    let refuse = |cause: String| AuditError::Merge { file: file.to_owned(), cause };
    let text = std::fs::read_to_string(file).map_err(|error| refuse(error.to_string()))?;
    let report: Value = serde_json::from_str(&text).map_err(|error| refuse(error.to_string()))?;
    if report.get("view_items").is_none() {
        return Err(refuse("it is not a report of `ddb-rollup audit --json`".to_owned()));
    }
    Ok(report)
}

/// Whether a report has nothing for an operator to do.
#[must_use]
pub fn is_clean(report: &Value) -> bool {
    let none = |name: &str| report[name].as_u64().unwrap_or_default() == 0;
    let empty = |name: &str| report[name].as_array().is_none_or(Vec::is_empty);
    // The counts of lists that may be cut, where a report has them.
    let counts = ["ledger_findings", "uncountable_items"];
    ["drifted", "unstable", "quarantined", "not_examined"].into_iter().chain(counts).all(none)
        && ["ledger", "uncountable"].into_iter().all(empty)
}

/// Adds what each slice counts for itself, and takes once what every slice reads in full.
fn added(name: &str, one: Value, other: Value) -> Value {
    const OF_ALL: [&str; 9] = [
        "markers",
        "repairs",
        "stream_records",
        "unreadable_source_items",
        "shards_taken_as_read",
        "seconds",
        "oldest_unmarked_seconds",
        "uncountable_items",
        "ledger_findings",
    ];
    match (one, other) {
        (Value::Null, value) | (value, Value::Null) if name != "slice" => value,
        (Value::Object(one), Value::Object(mut other)) if name == "largest_view_item" => {
            let bytes = |item: &Map<String, Value>| item.get("bytes").and_then(Value::as_u64);
            Value::Object(if bytes(&other) > bytes(&one) { std::mem::take(&mut other) } else { one })
        }
        (Value::Object(one), Value::Object(mut other)) => {
            let field = |(name, value): (String, Value)| {
                let value = added(&name, value, other.remove(&name).unwrap_or_default());
                (name, value)
            };
            Value::Object(one.into_iter().map(field).collect())
        }
        (Value::Array(mut one), Value::Array(other)) => {
            for entry in other {
                if !one.contains(&entry) {
                    one.push(entry);
                }
            }
            Value::Array(one)
        }
        (Value::Number(one), Value::Number(other)) => match (one.as_u64(), other.as_u64()) {
            (Some(one), Some(other)) if OF_ALL.contains(&name) => one.max(other).into(),
            (Some(one), Some(other)) => (one + other).into(),
            _ => (one.as_f64().unwrap_or_default() + other.as_f64().unwrap_or_default()).into(),
        },
        // The earlier of two times.
        (Value::String(one), Value::String(other)) if ["oldest_unmarked", "began"].contains(&name) => {
            one.min(other).into()
        }
        (Value::String(one), Value::String(other)) if name == "ended" => one.max(other).into(),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_slices_count_is_added_and_what_all_of_them_read_is_not() {
        let report = |view_items: u64, drift: &[u64], bytes: u64| {
            json!({
                "view_items": view_items, "drifted": drift.len(), "drift": drift, "markers": 9, "slice": "1/2",
                "oldest_unmarked": format!("2026-01-0{view_items}"), "read_units": 1.5, "stream_records": null,
                "largest_view_item": { "key": bytes, "bytes": bytes }, "orphans": { "missing": [], "missing_view_items": 1 },
            })
        };
        let sum = added("", report(3, &[7], 5), report(4, &[8], 9));
        assert_eq!(
            sum,
            json!({
                "view_items": 7, "drifted": 2, "drift": [7, 8], "markers": 9, "slice": null,
                "oldest_unmarked": "2026-01-03", "read_units": 3.0, "stream_records": null,
                "largest_view_item": { "key": 9, "bytes": 9 }, "orphans": { "missing": [], "missing_view_items": 2 },
            })
        );
        assert!(!is_clean(&sum) && is_clean(&report(3, &[], 5)));
    }
}
