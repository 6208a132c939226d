//! The result of a commit, and the number of its requests.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::rollup::pipeline::response::EntryOutcome;
use crate::rollup::pipeline::verdict::RetryCause;

/// The result of a commit.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CommitReport {
    /// The outcome of each entry of the batch.
    pub outcomes: Vec<EntryOutcome>,
    /// Number of transactions sent, including retries and refused ones.
    pub requests: usize,
    /// Number of requests sent again, by cause.
    pub retries: BTreeMap<RetryCause, usize>,
    /// Number of view items whose counter maps were created.
    pub first_touches: usize,
    /// Number of duplicates whose markers were written under another definition.
    pub other_definition: usize,
    /// The service's error, if the commit found out that markers cannot be looked up.
    pub look_ups_denied: Option<String>,
}

/// The deployment is at fault, so no record can be resolved. The text is the service's message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub String);

/// What was sent so far. It is counted when it is sent, because a job that the deadline ends reports nothing.
#[derive(Debug, Default)]
pub(super) struct RequestCounters {
    requests: AtomicUsize,
    retries: [AtomicUsize; RetryCause::ALL.len()],
}

impl RequestCounters {
    /// Number of transactions sent.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Number of requests sent again, by cause; without the causes that did not occur.
    pub(super) fn retries(&self) -> BTreeMap<RetryCause, usize> {
        let retries =
            RetryCause::ALL.into_iter().map(|cause| (cause, self.retries[cause as usize].load(Ordering::Relaxed)));
        retries.filter(|(_, times)| *times > 0).collect()
    }

    pub(super) fn sent(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn retried(&self, cause: RetryCause) {
        self.retries[cause as usize].fetch_add(1, Ordering::Relaxed);
    }
}
