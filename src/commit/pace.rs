//! What throttling shows: how many transactions may be in flight, how many actions they may have, and when a
//! transaction is too large for the capacity.
//!
//! The function cannot see the capacity of a table, or who else uses it. If a transaction is throttled for long, either
//! it needs more capacity than the table can ever save up, or other users take the capacity first. Sending it in halves
//! distinguishes the two. If the first half succeeds at once, the whole was too large. If the half is throttled as
//! well, others use the capacity.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a transaction is throttled before it is sent in halves. A table that saves up one second's capacity has its
/// maximum after a second; the rest allows for clocks and latency.
const PATIENCE: Duration = Duration::from_millis(1_250);

/// How many times the patience can double while other users take the capacity.
const PATIENCE_DOUBLINGS: u32 = 4;

/// A transaction may be throttled for at most this fraction (1/5) of an invocation's remaining time. Then even the
/// largest transaction can be halved down to one record within one invocation, however short it is.
const SHARE_OF_TIME: u32 = 5;

/// The longest wait of a throttled request that is alone in flight. It is multiplied by the number of requests in
/// flight, so that the function sends about the same number of requests per second.
const WAIT_ALONE: Duration = Duration::from_millis(100);

/// After this many commits, larger transactions are tried again, because the capacity of a table may have grown.
const COMMITS_BEFORE_GROWTH: u32 = 32;

/// What throttling has shown so far, remembered between invocations. It determines when requests are sent and how
/// entries are divided among them, never what is counted.
#[derive(Debug, Default)]
pub struct Pace(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Maximum concurrent transactions, as far as throttling shows.
    most_in_flight: usize,
    in_flight: usize,
    /// The most actions for which the capacity suffices.
    most_actions: usize,
    commits_since_split: u32,
    patience_doublings: u32,
    /// The last transaction that was sent in halves, until one of the halves is committed.
    split: Option<Split>,
}

#[derive(Debug, Clone, Copy)]
struct Split {
    actions: usize,
    /// Whether a half was throttled as well.
    throttled: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            most_in_flight: usize::MAX,
            in_flight: 0,
            most_actions: usize::MAX,
            commits_since_split: 0,
            patience_doublings: 0,
            split: None,
        }
    }
}

impl Pace {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn most_in_flight(&self) -> usize {
        self.state().most_in_flight
    }

    pub(super) fn most_actions(&self) -> usize {
        self.state().most_actions
    }

    pub(super) fn are_in_flight(&self, requests: usize) {
        self.state().in_flight = requests;
    }

    /// A request was throttled: start no other until those in flight are answered.
    pub(super) fn throttled(&self) {
        let mut state = self.state();
        state.most_in_flight = 1;
        if let Some(split) = &mut state.split {
            split.throttled = true;
        }
    }

    /// A transaction was throttled for too long and is sent in halves.
    pub(super) fn split(&self, actions: usize) {
        self.state().split = Some(Split { actions, throttled: false });
    }

    /// A transaction was committed: one more may be in flight. If it is the first half of a split transaction, it shows
    /// whether the whole was too large.
    pub(super) fn committed(&self) {
        let mut state = self.state();
        state.most_in_flight = state.most_in_flight.saturating_add(1);
        state.commits_since_split += 1;
        if state.commits_since_split == COMMITS_BEFORE_GROWTH {
            state.commits_since_split = 0;
            state.most_actions = state.most_actions.saturating_mul(2);
        }
        match state.split.take() {
            Some(Split { throttled: true, .. }) => {
                state.patience_doublings = (state.patience_doublings + 1).min(PATIENCE_DOUBLINGS);
            }
            Some(Split { actions, throttled: false }) => {
                state.most_actions = state.most_actions.min(actions - 1);
                state.commits_since_split = 0;
                state.patience_doublings = 0;
            }
            None => {}
        }
    }

    /// Whether a transaction that has been throttled since `since` was throttled for too long.
    pub(super) fn is_too_long(&self, since: Instant, deadline: Instant) -> bool {
        let patience = PATIENCE * (1 << self.state().patience_doublings);
        since.elapsed() >= patience.min(deadline.saturating_duration_since(since) / SHARE_OF_TIME)
    }

    /// The longest wait before a throttled request is sent again.
    pub(super) fn longest_wait(&self) -> Duration {
        WAIT_ALONE.saturating_mul(self.state().in_flight.try_into().unwrap_or(u32::MAX))
    }
}
