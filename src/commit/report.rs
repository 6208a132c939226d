//! What a commit did, and what it sent.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::rollup::pipeline::response::EntryOutcome;
use crate::rollup::pipeline::verdict::RetryCause;

/// What a commit did.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CommitReport {
    /// What became of each entry of the batch.
    pub outcomes: Vec<EntryOutcome>,
    /// Requests to commit that were sent, retries and refused ones included.
    pub requests: usize,
    /// Requests that were sent again, by cause.
    pub retries: BTreeMap<RetryCause, usize>,
    /// View items whose maps were created.
    pub first_touches: usize,
    /// Duplicates whose markers were written under another definition.
    pub other_definition: usize,
    /// Why markers cannot be looked up, if that was found out.
    pub look_ups_denied: Option<String>,
}

/// The deployment is at fault, so no record can be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub String);

/// What was sent so far: counted as it happens, as the deadline ends jobs that will never tell.
#[derive(Debug, Default)]
pub(super) struct RequestCounters {
    requests: AtomicUsize,
    retries: [AtomicUsize; RetryCause::ALL.len()],
}

impl RequestCounters {
    /// Requests to commit.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Requests that were sent again, by cause; causes that never came up are left out.
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
