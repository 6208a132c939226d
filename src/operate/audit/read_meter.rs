//! The limit of how fast tables are read.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_dynamodb::types::ConsumedCapacity;
use tokio::time::{Instant, sleep_until};

/// Counts the capacity units that reads consume, and delays reads so that the rate stays below a limit. All clones
/// share one count.
#[derive(Debug, Clone)]
pub(super) struct ReadMeter {
    units_per_second: Option<f64>,
    used: Arc<Mutex<Used>>,
}

#[derive(Debug)]
struct Used {
    units: f64,
    /// When the units so far are within the rate.
    until: Instant,
}

impl ReadMeter {
    /// A meter with nothing consumed. Without a rate, reads are not delayed.
    pub(super) fn new(units_per_second: Option<f64>) -> Self {
        Self { units_per_second, used: Arc::new(Mutex::new(Used { units: 0.0, until: Instant::now() })) }
    }

    /// Adds the units of an answer, and waits until all units so far are within the rate. Returns the units of this
    /// answer.
    pub(super) async fn consumed<'a>(&self, capacity: impl IntoIterator<Item = &'a ConsumedCapacity>) -> f64 {
        let units: f64 = capacity.into_iter().filter_map(ConsumedCapacity::capacity_units).sum();
        let until = {
            let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
            used.units += units;
            let Some(rate) = self.units_per_second else { return units };
            used.until = used.until.max(Instant::now()) + Duration::from_secs_f64(units / rate);
            used.until
        };
        sleep_until(until).await;
        units
    }

    /// The units consumed so far, as the service counts them.
    pub(super) fn units(&self) -> f64 {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).units
    }
}
