//! The engine's clock, which stands still and is moved by hand.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use dynoxide::storage_backend::{Clock as _, ManualClock};

use crate::operate::local::poller::Clock;

/// The time of this clock.
#[must_use]
pub fn time_of(clock: &ManualClock) -> DateTime<Utc> {
    let seconds = i64::try_from(clock.now_unix_secs()).unwrap_or(i64::MAX);
    DateTime::from_timestamp(seconds, 0).unwrap_or_default()
}

/// This clock for the poller and the function.
#[must_use]
pub fn shared(clock: &ManualClock) -> Clock {
    let clock = clock.clone();
    Arc::new(move || time_of(&clock))
}
