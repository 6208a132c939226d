//! How fast tables are read.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_dynamodb::types::ConsumedCapacity;
use tokio::time::{Instant, sleep_until};

/// Counts the capacity units that reads consume, and holds them below a rate; all clones together.
#[derive(Debug, Clone)]
pub(super) struct ReadMeter {
    units_per_second: Option<f64>,
    used: Arc<Mutex<Used>>,
}

#[derive(Debug)]
struct Used {
    units: f64,
    /// When as much as that is within the rate.
    until: Instant,
}

impl ReadMeter {
    /// Nothing is consumed yet; without a rate, reads are not held up.
    pub(super) fn new(units_per_second: Option<f64>) -> Self {
        Self { units_per_second, used: Arc::new(Mutex::new(Used { units: 0.0, until: Instant::now() })) }
    }

    /// Waits until what was consumed so far is within the rate; tells what was consumed now.
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

    /// The units that were consumed so far, as the service counts them.
    pub(super) fn units(&self) -> f64 {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).units
    }
}
