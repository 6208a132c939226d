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

/// Timeout of one batch.
const BATCH_TIMEOUT: Duration = Duration::from_mins(1);

/// The most records of one batch.
const BATCH_RECORDS: usize = 1_000;

/// The outcomes of applied records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AppliedRecords {
    /// Records that were read.
    pub read: usize,
    /// Added to the counters.
    pub applied: usize,
    /// Counted before.
    pub duplicates: usize,
    /// Without an effect on a view item.
    pub no_effect: usize,
    /// In quarantine: put there now, or still there.
    pub quarantined: usize,
    /// Not resolved.
    pub unresolved: usize,
}

/// The function in this process, used by an operator's replay: it may take records out of quarantine.
pub struct Applier {
    rollup: Rollup<DynamoStore, OsRandomness>,
    last: Arc<Mutex<Summary>>,
    /// The outcomes so far.
    pub counts: AppliedRecords,
}

impl Applier {
    /// A replay with these settings, on the tables that the AWS settings reach.
    #[must_use]
    pub fn new(config: Config, sdk: &SdkConfig) -> Self {
        Self::guarded(Guard::AbsentOrQuarantined, config, sdk)
    }

    /// A replay of records that are in quarantine. Their age does not matter: their markers prove that they were not
    /// counted.
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

    /// Whether a raw record has no effect under the current definition.
    #[must_use]
    pub fn has_no_effect(&self, raw: &str) -> bool {
        self.rollup.has_no_effect(raw, now())
    }

    /// Applies raw records in order. Returns when each is resolved, or when the time of its batch is over.
    ///
    /// # Errors
    /// When no table can be written, so that no record can be applied.
    pub async fn apply(&mut self, records: &[String]) -> Result<(), InvocationError> {
        for batch in records.chunks(BATCH_RECORDS) {
            let event = format!(r#"{{"Records":[{}]}}"#, batch.join(","));
            let request_id = format!("replay-{}", OsRandomness.token());
            let invocation = Invocation { request_id, now: now(), time_left: BATCH_TIMEOUT };
            match self.rollup.handle(&event, &invocation).await {
                // Records without a sequence number are in quarantine now; nothing else can be done.
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
