//! How much of a report is kept of a worker's slice, and a report's parts.

use serde_json::Value;

use crate::operate::audit::bounded::{LISTS, REPORT_BYTES};

/// The smallest report that a worker stores, in bytes: its numbers, and a few findings of each kind.
const WORKER_BYTES_MIN: usize = 8 * 1024;

/// The reports of all workers together, in bytes: they are read and added up in one run.
const WORKERS_BYTES: usize = 16 * 1024 * 1024;

/// The largest report that one of so many workers stores, in bytes.
pub(super) fn worker_bytes(of: u32) -> usize {
    let share = WORKERS_BYTES / usize::try_from(of.max(1)).unwrap_or(usize::MAX);
    share.clamp(WORKER_BYTES_MIN, REPORT_BYTES)
}

/// A report without its lists.
pub(super) fn numbers(mut report: Value) -> Value {
    if let Some(object) = report.as_object_mut() {
        for (path, _) in LISTS {
            object.remove(path[0]);
        }
    }
    report
}

/// The entries of a list.
pub(super) fn entries<'a>(report: &'a Value, list: &str) -> &'a [Value] {
    report[list].as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reports_of_many_workers_are_small() {
        assert_eq!([1, 80, 1_000, 10_000].map(worker_bytes), [REPORT_BYTES, REPORT_BYTES, 16_777, WORKER_BYTES_MIN]);
    }
}
