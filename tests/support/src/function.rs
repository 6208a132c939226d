//! The function in the test's process, invoked as Lambda would.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ddb_rollup::config::{Config, Tables};
use ddb_rollup::handler::{Invocation, InvocationError, Rollup};
use ddb_rollup::metrics::Summary;
use ddb_rollup::randomness::OsRandomness;
use ddb_rollup::store::DynamoStore;
use serde_json::{Value, json};

use crate::engine::Engine;

/// The function under test.
pub struct Function {
    rollup: Rollup<DynamoStore, OsRandomness>,
    summaries: Arc<Mutex<Vec<Summary>>>,
}

impl Engine {
    /// The function, with the settings changed as the test wants them.
    pub fn function_with(&self, change: impl FnOnce(&mut Config)) -> Function {
        let mut config = Config::of(Tables::default()).unwrap();
        change(&mut config);
        let store = DynamoStore::new(&self.sdk, config.definition.clone(), &config.idempotency_table);
        let summaries = Arc::<Mutex<Vec<Summary>>>::default();
        let seen = Arc::clone(&summaries);
        let rollup = Rollup::new(config, store, OsRandomness)
            .observed(move |_, summary| seen.lock().unwrap().push(summary.clone()));
        Function { rollup, summaries }
    }

    /// The function with the default settings.
    pub fn function(&self) -> Function {
        self.function_with(|_| {})
    }
}

impl Function {
    /// Delivers records as one batch, which must succeed as a whole.
    pub async fn deliver(&self, records: &[Value]) {
        assert_eq!(self.try_deliver(records).await.unwrap(), None, "a record was reported as failed");
    }

    /// Delivers records as one batch; tells the first failure that is reported, if any.
    pub async fn try_deliver(&self, records: &[Value]) -> Result<Option<String>, InvocationError> {
        self.invoke(&json!({ "Records": records }).to_string(), Duration::from_mins(1)).await
    }

    /// What the last invocation did.
    pub fn summary(&self) -> Summary {
        self.summaries.lock().unwrap().last().unwrap().clone()
    }

    pub async fn invoke(&self, event: &str, time_left: Duration) -> Result<Option<String>, InvocationError> {
        static REQUESTS: AtomicU64 = AtomicU64::new(0);
        let request_id = format!("request-{}", REQUESTS.fetch_add(1, Ordering::Relaxed));
        let invocation = Invocation { request_id, now: chrono::Utc::now(), time_left };
        let response = self.rollup.handle(event, &invocation).await?;
        assert!(response.batch_item_failures.len() <= 1, "one failure at the most is reported");
        Ok(response.batch_item_failures.into_iter().next().map(|failure| failure.item_identifier.unwrap()))
    }
}
