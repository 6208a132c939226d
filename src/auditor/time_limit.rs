//! The time of one run: what may be begun, and when it ends.

use std::time::Duration;

use tokio::time::Instant;

/// The most that is kept back of a run's time for storing where it is and for the answer.
const MARGIN_MAX: Duration = Duration::from_secs(15);

/// The part of a short run that is kept back: one of so many.
const MARGIN_SHARE: u32 = 5;

/// The part of a run that may be spent on one wait for the stream: one of so many. What differs is waited for twice.
const SETTLE_SHARE: u32 = 5;

/// How much longer than the last slice the next one may take.
const SPREAD: f64 = 1.25;

/// The time that a run has.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeLimit {
    /// When the work ends.
    pub(super) end: Instant,
    /// The time of the run until then.
    pub(super) working: Duration,
}

impl TimeLimit {
    /// The limit of a run that begins now and has this time.
    pub(super) fn new(now: Instant, time_left: Duration) -> Self {
        let working = time_left.saturating_sub((time_left / MARGIN_SHARE).min(MARGIN_MAX));
        Self { end: now + working, working }
    }

    /// The longest wait for the stream that leaves time for the rest of a slice.
    pub(super) fn settle_max(&self) -> Duration {
        self.working / SETTLE_SHARE
    }

    /// Whether one more slice fits that takes about as long as the last one.
    pub(super) fn has_room(&self, now: Instant, last: Duration) -> bool {
        self.end.saturating_duration_since(now) >= last.mul_f64(SPREAD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_margin_shrinks_with_a_short_run() {
        let now = Instant::now();
        for (time_left, working) in [(900.0, 885.0), (75.0, 60.0), (10.0, 8.0), (1.0, 0.8), (0.0, 0.0)] {
            let limit = TimeLimit::new(now, Duration::from_secs_f64(time_left));
            assert_eq!(limit.working, Duration::from_secs_f64(working), "{time_left}");
            assert_eq!(limit.end, now + limit.working);
        }
    }

    #[test]
    fn a_slice_is_begun_that_fits_by_the_last_one() {
        let now = Instant::now();
        let limit = TimeLimit::new(now, Duration::from_secs(100));
        let at = |seconds: u64| now + Duration::from_secs(seconds);
        assert!(limit.has_room(at(35), Duration::from_secs(40)));
        assert!(!limit.has_room(at(36), Duration::from_secs(40)));
        assert!(!limit.has_room(at(90), Duration::from_millis(1)));
    }
}
