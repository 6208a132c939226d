//! A function that records what it received.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::operate::local::function::{LocalFunction, TransactionCounts};
use crate::operate::local::poller::Function;

/// Records what a function receives.
pub(super) struct RecordingFunction {
    function: LocalFunction,
    deliveries: Mutex<Vec<Vec<String>>>,
}

impl RecordingFunction {
    /// Records what this function receives.
    pub(super) fn new(function: LocalFunction) -> Self {
        Self { function, deliveries: Mutex::default() }
    }

    /// The results of the function's transactions.
    pub(super) fn counts(&self) -> &TransactionCounts {
        self.function.counts()
    }

    /// The names of the records of each delivery that did not fail, as `record_names` gives them.
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

/// The event name of each record, such as `INSERT`, and the service that made the write if it was not a user.
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
