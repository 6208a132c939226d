//! The report as a page for a browser: one file, nothing from elsewhere.

use chrono::{DateTime, Utc};

use super::report::Report;

/// The page.
#[must_use]
pub fn page(report: &Report, now: DateTime<Utc>) -> String {
    format!("{now} {}", report.json())
}
