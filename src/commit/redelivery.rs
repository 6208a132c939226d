//! Whether a batch may have been delivered before: what a function remembers from one invocation to the next.

use std::sync::atomic::{AtomicBool, Ordering};

/// What is known of redeliveries. It decides in which order requests are sent and which are saved, never what is counted.
#[derive(Debug)]
pub struct Redelivery {
    suspected: AtomicBool,
    look_ups_denied: AtomicBool,
}

impl Default for Redelivery {
    /// A new process does not know how the one before it ended.
    fn default() -> Self {
        Self { suspected: AtomicBool::new(true), look_ups_denied: AtomicBool::new(false) }
    }
}

impl Redelivery {
    /// Begins a batch, and returns whether it may have been delivered before: until it is [resolved](Self::resolved), the
    /// next one may be the same.
    pub(super) fn begin(&self) -> bool {
        self.suspected.swap(true, Ordering::Relaxed)
    }

    /// Every record of the batch is resolved and acknowledged: the next batch is most likely a new one.
    pub fn resolved(&self) {
        self.suspected.store(false, Ordering::Relaxed);
    }

    /// Whether markers may be looked up, as far as is known.
    pub(super) fn may_look_up(&self) -> bool {
        !self.look_ups_denied.load(Ordering::Relaxed)
    }

    /// Markers cannot be looked up: this process does without.
    pub(super) fn deny_look_ups(&self) {
        self.look_ups_denied.store(true, Ordering::Relaxed);
    }
}
