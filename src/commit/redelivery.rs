//! Whether a batch may have been delivered before. A function remembers this between invocations.

use std::sync::atomic::{AtomicBool, Ordering};

/// What is known about redeliveries. It affects the order and the number of requests, never what is counted.
#[derive(Debug)]
pub struct Redelivery {
    suspected: AtomicBool,
    look_ups_denied: AtomicBool,
}

impl Default for Redelivery {
    /// A new process does not know how the previous one ended, so its first batch may be a redelivery.
    fn default() -> Self {
        Self { suspected: AtomicBool::new(true), look_ups_denied: AtomicBool::new(false) }
    }
}

impl Redelivery {
    /// Begins a batch, and returns whether it may have been delivered before. Until it is [resolved](Self::resolved),
    /// the next batch may be the same one.
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

    /// Remembers that the role may not look up markers, so that this process stops trying.
    pub(super) fn deny_look_ups(&self) {
        self.look_ups_denied.store(true, Ordering::Relaxed);
    }
}
