//! Remembers what the function was given.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::operate::local::function::{LocalFunction, TransactionCounts};
use crate::operate::local::poller::Function;

/// A function that remembers what it was given.
pub(super) struct RecordingFunction {
    function: LocalFunction,
    deliveries: Mutex<Vec<Vec<String>>>,
}

impl RecordingFunction {
    /// Remembers what this function is given.
    pub(super) fn new(function: LocalFunction) -> Self {
        Self { function, deliveries: Mutex::default() }
    }

    /// The results of the function's transactions.
    pub(super) fn counts(&self) -> &TransactionCounts {
        self.function.counts()
    }

    /// What the records of each delivery so far were, in their own words.
    pub(super) fn deliveries(&self) -> Vec<Vec<String>> {
        self.deliveries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Function for RecordingFunction {
    async fn invoke(&self, event: String, time_limit: Duration) -> Result<String, String> {
        let records = record_names(&event);
        let answer = self.function.invoke(event, time_limit).await;
        if answer.is_ok() {
            self.deliveries.lock().unwrap_or_else(PoisonError::into_inner).push(records);
        }
        answer
    }
}

/// What happened, record by record, in an event's own words.
fn record_names(event: &str) -> Vec<String> {
    let event: Value = serde_json::from_str(event).unwrap_or_default();
    let records = event["Records"].as_array().map_or(&[][..], Vec::as_slice);
    let name = |record: &Value| {
        let name = record["eventName"].as_str().unwrap_or("unnamed");
        let service = record["userIdentity"]["principalId"].as_str();
        service.map_or_else(|| name.to_owned(), |service| format!("{name} by {service}"))
    };
    records.iter().map(name).collect()
}
