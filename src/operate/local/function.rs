//! The function in this process: Lambda's handler, in the form that the poller calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_config::SdkConfig;
use uuid::Uuid;

use super::poller::{Clock, Function};
use crate::commit::{FoundMarkers, LookedUp, Randomness, Store};
use crate::config::Config;
use crate::handler::{Invocation, Rollup};
use crate::randomness::OsRandomness;
use crate::rollup::Item;
use crate::rollup::model::marker::Environment;
use crate::rollup::model::record::RecordId;
use crate::rollup::model::view::ViewKey;
use crate::rollup::pipeline::plan::{Action, Transaction};
use crate::rollup::pipeline::verdict::{ActionVerdict, Failure};
use crate::store::DynamoStore;

/// The roll-up as a function in this process.
pub(super) struct LocalFunction {
    rollup: Rollup<CountingStore<DynamoStore>, OsRandomness>,
    counts: Arc<TransactionCounts>,
    clock: Clock,
}

/// Counts the results of a function's transactions.
#[derive(Debug, Default)]
pub(super) struct TransactionCounts {
    committed: AtomicUsize,
    duplicates: AtomicUsize,
}

impl TransactionCounts {
    /// Number of transactions that were committed.
    pub(super) fn committed(&self) -> usize {
        self.committed.load(Ordering::Relaxed)
    }

    /// Number of markers that existed already when a transaction tried to put them.
    pub(super) fn duplicates(&self) -> usize {
        self.duplicates.load(Ordering::Relaxed)
    }
}

/// The function's name.
const NAME: &str = "local";

impl LocalFunction {
    /// The function with these settings, on the tables of this endpoint.
    pub(super) fn new(config: Config, sdk: &SdkConfig, clock: Clock) -> Self {
        let counts = Arc::new(TransactionCounts::default());
        let store = DynamoStore::new(sdk, config.definition.clone(), &config.idempotency_table);
        let store = CountingStore { store, counts: Arc::clone(&counts) };
        let environment = Environment { function: NAME.to_owned(), started_at: clock() };
        let rollup = Rollup::new(config, store, OsRandomness).running_in(environment);
        Self { rollup, counts, clock }
    }

    /// The results of its transactions so far.
    pub(super) fn counts(&self) -> &TransactionCounts {
        &self.counts
    }
}

impl Function for LocalFunction {
    async fn invoke(&self, event: String, time_limit: Duration) -> Result<String, String> {
        let invocation =
            Invocation { request_id: OsRandomness.token().to_string(), now: (self.clock)(), time_left: time_limit };
        let response = self.rollup.handle(&event, &invocation).await.map_err(|error| error.to_string())?;
        serde_json::to_string(&response).map_err(|error| error.to_string())
    }
}

/// A store that counts the results.
#[derive(Debug)]
struct CountingStore<S> {
    store: S,
    counts: Arc<TransactionCounts>,
}

impl<S: Store> Store for CountingStore<S> {
    async fn transact(&self, transaction: &Transaction<'_>, token: Uuid) -> Result<(), Failure> {
        let answer = self.store.transact(transaction, token).await;
        match &answer {
            Ok(()) => {
                self.counts.committed.fetch_add(1, Ordering::Relaxed);
            }
            Err(Failure::Cancelled(verdicts)) => {
                let existing = transaction.actions.iter().zip(verdicts).filter(|(action, verdict)| {
                    matches!(action, Action::PutMarker { .. }) && matches!(verdict, ActionVerdict::ConditionFailed(_))
                });
                self.counts.duplicates.fetch_add(existing.count(), Ordering::Relaxed);
            }
            Err(_) => {}
        }
        answer
    }

    async fn put_definition(&self, item: &Item) -> Result<(), Failure> {
        self.store.put_definition(item).await
    }

    async fn view_item(&self, key: &ViewKey) -> Result<Option<Item>, Failure> {
        self.store.view_item(key).await
    }

    async fn look_up(&self, keys: &[ViewKey]) -> Result<LookedUp, Failure> {
        self.store.look_up(keys).await
    }

    async fn look_up_markers(&self, ids: &[RecordId]) -> Result<FoundMarkers, Failure> {
        self.store.look_up_markers(ids).await
    }
}
