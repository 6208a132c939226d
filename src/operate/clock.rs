//! The time of day, for the commands: the only place where they read a clock; and short waits.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::sleep;

use crate::commit::Randomness;
use crate::randomness::OsRandomness;

/// The longest wait between two looks, so that they do not keep step with a writer.
const PAUSE_MAX: Duration = Duration::from_millis(40);

/// The time of day.
#[must_use]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// When an item expires that is kept for so many days from now on.
#[must_use]
pub fn days_later(now: DateTime<Utc>, days: u32) -> DateTime<Utc> {
    now + TimeDelta::days(i64::from(days))
}

/// A wait between two looks at an item that somebody writes.
pub async fn pause() {
    sleep(OsRandomness.up_to(PAUSE_MAX)).await;
}
