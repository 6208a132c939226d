//! What the reports of slices have in common.

use serde_json::Value;

/// The result of a slice, which can be added to other results.
pub trait SliceReport {
    /// Adds two results.
    #[must_use]
    fn joined(self, other: Self) -> Self;

    /// The report as a JSON object.
    #[must_use]
    fn json(&self) -> Value;
}
