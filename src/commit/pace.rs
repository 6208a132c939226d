//! What throttling has shown: how many transactions may be sent at once, how large they may be, and when one is too large.
//!
//! The tables do not say how much capacity they have, nor who else uses it. A transaction that is throttled for long asks for
//! more than they ever have, or others are quicker. Its halves tell which: if the capacity that came together in the meantime
//! lets the first through at once, the whole was too large; if that is throttled as well, others use the capacity.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a transaction is throttled before it is sent in halves. A table that saves up one second's
/// capacity has as much as it will ever have after a second; the rest is for the clocks and the way there.
const PATIENCE: Duration = Duration::from_millis(1_250);

/// How often the patience doubles at the most, while other users of the capacity are what a transaction waits for.
const PATIENCE_DOUBLINGS: u32 = 4;

/// The share of an invocation's remaining time that a transaction may be throttled for, as one part in so many: a
/// transaction of the most actions can then be halved down to one record in one invocation, however short.
const SHARE_OF_TIME: u32 = 5;

/// The longest wait of a throttled request that is alone in flight. Several wait longer, so that the function sends about
/// as many a second.
const WAIT_ALONE: Duration = Duration::from_millis(100);

/// After how many commits larger transactions are tried again: what a table has may have grown.
const COMMITS_BEFORE_GROWTH: u32 = 32;

/// What throttling has shown so far: what a function remembers from one invocation to the next. It decides when requests are
/// sent and how entries are distributed over them, never what is counted.
#[derive(Debug, Default)]
pub struct Pace(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Transactions that may be in flight, as far as throttling shows.
    most_in_flight: usize,
    in_flight: usize,
    /// The most actions that the capacity suffices for.
    most_actions: usize,
    commits_since_split: u32,
    patience_doublings: u32,
    /// The last transaction that was sent in halves, until one of its parts is committed.
    split: Option<Split>,
}

#[derive(Debug, Clone, Copy)]
struct Split {
    actions: usize,
    /// Whether a part of it was throttled as well.
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

    /// A request was throttled: no other is begun until those in flight are answered.
    pub(super) fn throttled(&self) {
        let mut state = self.state();
        state.most_in_flight = 1;
        if let Some(split) = &mut state.split {
            split.throttled = true;
        }
    }

    /// A transaction is sent in halves, as it was throttled for so long.
    pub(super) fn split(&self, actions: usize) {
        self.state().split = Some(Split { actions, throttled: false });
    }

    /// A transaction was committed: one more may be in flight. If it is the first part of one that was split, this
    /// tells whether the whole was too large.
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

    /// Whether a transaction that has been throttled since then is throttled for too long.
    pub(super) fn is_too_long(&self, since: Instant, deadline: Instant) -> bool {
        let patience = PATIENCE * (1 << self.state().patience_doublings);
        since.elapsed() >= patience.min(deadline.saturating_duration_since(since) / SHARE_OF_TIME)
    }

    /// The longest wait before a throttled request is sent again.
    pub(super) fn longest_wait(&self) -> Duration {
        WAIT_ALONE.saturating_mul(self.state().in_flight.try_into().unwrap_or(u32::MAX))
    }
}
