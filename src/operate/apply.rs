//! Applying records in batches, as the function would.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::SdkConfig;

use super::clock::now;
use crate::commit::Randomness;
use crate::config::Config;
use crate::handler::{Invocation, InvocationError, Rollup};
use crate::metrics::Summary;
use crate::randomness::OsRandomness;
use crate::rollup::model::marker::Guard;
use crate::store::DynamoStore;

/// How long one batch may take.
const BATCH_TIMEOUT: Duration = Duration::from_mins(1);

/// Records in one batch.
const BATCH_RECORDS: usize = 1_000;

/// What became of records that were applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AppliedRecords {
    /// Records that were read.
    pub read: usize,
    /// Added to the counters.
    pub applied: usize,
    /// Counted before.
    pub duplicates: usize,
    /// Without an effect on any view item.
    pub no_effect: usize,
    /// In quarantine, now or still.
    pub quarantined: usize,
    /// Not resolved.
    pub unresolved: usize,
}

/// The function in this process, as an operator's replay: it may end a quarantine.
pub struct Applier {
    rollup: Rollup<DynamoStore, OsRandomness>,
    last: Arc<Mutex<Summary>>,
    /// What came of it so far.
    pub counts: AppliedRecords,
}

impl Applier {
    /// A replay with these settings, on the tables of these AWS settings.
    #[must_use]
    pub fn new(config: Config, sdk: &SdkConfig) -> Self {
        Self::guarded(Guard::AbsentOrQuarantined, config, sdk)
    }

    /// A replay of records that are in quarantine, however old they are.
    #[must_use]
    pub fn from_quarantine(config: Config, sdk: &SdkConfig) -> Self {
        Self::guarded(Guard::Quarantined, config, sdk)
    }

    fn guarded(guard: Guard, config: Config, sdk: &SdkConfig) -> Self {
        let store = DynamoStore::new(sdk, config.definition.clone(), &config.idempotency_table);
        let last = Arc::<Mutex<Summary>>::default();
        let seen = Arc::clone(&last);
        let rollup = Rollup::new(Config { guard, ..config }, store, OsRandomness)
            .observed(move |_, summary| *seen.lock().unwrap_or_else(PoisonError::into_inner) = summary.clone());
        Self { rollup, last, counts: AppliedRecords::default() }
    }

    /// Whether a raw record changes nothing, as the view is defined now.
    #[must_use]
    pub fn has_no_effect(&self, raw: &str) -> bool {
        self.rollup.has_no_effect(raw, now())
    }

    /// Applies raw records, in their order; returns when each is resolved, or was tried until its time was over.
    ///
    /// # Errors
    /// When the tables cannot be written at all.
    pub async fn apply(&mut self, records: &[String]) -> Result<(), InvocationError> {
        for batch in records.chunks(BATCH_RECORDS) {
            let event = format!(r#"{{"Records":[{}]}}"#, batch.join(","));
            let request_id = format!("replay-{}", OsRandomness.token());
            let invocation = Invocation { request_id, now: now(), time_left: BATCH_TIMEOUT };
            match self.rollup.handle(&event, &invocation).await {
                // A record without a sequence number is in quarantine now; that is all that can be done about it.
                Ok(_) | Err(InvocationError::Unnumbered { .. }) => {}
                Err(error) => return Err(error),
            }
            let tally = self.last.lock().unwrap_or_else(PoisonError::into_inner).counts;
            self.counts.read += tally.records;
            self.counts.applied += tally.applied;
            self.counts.duplicates += tally.duplicates;
            self.counts.no_effect += tally.no_effect;
            self.counts.quarantined += tally.quarantined;
            self.counts.unresolved += tally.unresolved;
        }
        Ok(())
    }
}
