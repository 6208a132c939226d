//! What ends a pass that repairs: records in quarantine that can never be applied are closed, because the counters include
//! what they changed. One slice cannot know this of the others.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tracing::warn;

use super::Auditor;
use super::time_limit::TimeLimit;
use crate::operate::args::Pace;
use crate::operate::repair::{ClosedQuarantine, OnDrift, close_quarantine};

impl Auditor {
    /// Closes these records, if the slices of the pass were repaired and all of their view items are set. The report then
    /// says how many were closed, and how many are left. A failure is logged, and the next pass tries again.
    pub(super) async fn close_quarantine(&self, report: &mut Value, limit: &TimeLimit) {
        let Some(began) = (self.settings.on_drift == OnDrift::Repair).then(|| closes_before(report)).flatten() else {
            return;
        };
        let pace = Pace { max_read_units: self.settings.max_read_units, ..Pace::default() };
        let closing = Box::pin(close_quarantine(&self.sdk, self.config.clone(), &pace, began));
        match tokio::time::timeout_at(limit.end, closing).await {
            Ok(Ok(ClosedQuarantine { closed, left })) => {
                report["closed"] = json!(closed + report["closed"].as_u64().unwrap_or_default());
                report["quarantined"] = json!(left);
            }
            Ok(Err(error)) => warn!("records in quarantine that the counters include could not be closed: {error}"),
            Err(_) => warn!("the run has no time left to close records in quarantine that the counters include"),
        }
    }
}

/// When the repair of the first slice began, if every view item of every slice is set and there are records in quarantine;
/// otherwise `None`.
fn closes_before(report: &Value) -> Option<DateTime<Utc>> {
    let is_zero = |name: &str| report[name].as_u64() == Some(0);
    let is_set = ["drifted", "unstable", "not_examined"].into_iter().all(is_zero);
    // Closing reads the whole idempotency table, so it must have something to close.
    let has_records = !is_zero("quarantined");
    report["began"].as_str().filter(|_| is_set && has_records)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_pass_that_set_everything_closes_records() {
        let report = json!({
            "drifted": 0, "unstable": 0, "not_examined": 0, "quarantined": 2, "began": "2026-01-01T00:00:00.000Z",
        });
        assert_eq!(closes_before(&report), DateTime::from_timestamp(1_767_225_600, 0));
        let mut none = report.clone();
        none["quarantined"] = json!(0);
        assert_eq!(closes_before(&none), None, "nothing is in quarantine");
        for name in ["drifted", "unstable", "not_examined"] {
            let mut other = report.clone();
            other[name] = json!(1);
            assert_eq!(closes_before(&other), None, "{name}");
            other[name] = Value::Null;
            assert_eq!(closes_before(&other), None, "{name}");
        }
    }
}
