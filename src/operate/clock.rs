//! The time of day for the commands, and short waits. This is the only place where a command reads the clock.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::sleep;

use crate::commit::Randomness;
use crate::randomness::OsRandomness;

/// The longest random wait between two looks, so that they do not run in step with a writer.
const PAUSE_MAX: Duration = Duration::from_millis(40);

/// The time of day.
#[must_use]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// When an item expires that is kept for `days` days from `now`.
#[must_use]
pub fn days_later(now: DateTime<Utc>, days: u32) -> DateTime<Utc> {
    now + TimeDelta::days(i64::from(days))
}

/// A short random wait between two looks at an item that is being written.
pub async fn pause() {
    sleep(OsRandomness.up_to(PAUSE_MAX)).await;
}
