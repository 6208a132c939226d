//! Engines that tell the reasons of a cancelled transaction in its words alone: no item comes back with them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use crate::engine::{Engine, n, s, sequence_number};
use crate::proxy::{Fault, Proxy};
use crate::runtime_api::{Ended, Sandbox, Settings};

/// More than any invocation here needs, and less than it takes to try until the deadline.
const AMPLE: Duration = Duration::from_secs(20);

/// The most transactions that one batch may need here: one that fails for a shape, one for the next, and one that is right.
const TRANSACTIONS: usize = 4;

/// A process on an engine of that kind, which counts the transactions.
struct Deployment {
    engine: Engine,
    sandbox: Sandbox,
    transactions: Arc<AtomicUsize>,
    _proxy: Proxy,
}

impl Deployment {
    async fn start(on_missing: &str, fault: Fault) -> Self {
        let engine = Engine::start().await;
        let transactions = Arc::new(AtomicUsize::new(0));
        let sent = Arc::clone(&transactions);
        let proxy = Proxy::start(&engine.url, move |request| {
            sent.fetch_add(usize::from(request.actions() > 0), Ordering::Relaxed);
            Some(fault)
        })
        .await;
        let settings = Settings::on(&engine).with("ROLLUP_ON_MISSING_VIEW_ITEM", on_missing).through(&proxy);
        let sandbox = Sandbox::ready(&settings).await;
        Self { engine, sandbox, transactions, _proxy: proxy }
    }

    /// Puts a point on the map, and delivers its record, which must be dealt with.
    async fn count(&self, point: &str) -> Value {
        self.engine.put_point("m", point, Some("Park")).await;
        let record = self.engine.stream_records().await.pop().unwrap();
        self.deliver(std::slice::from_ref(&record)).await;
        record
    }

    async fn deliver(&self, records: &[Value]) {
        self.transactions.store(0, Ordering::Relaxed);
        let ended = self.sandbox.invoke(&json!({ "Records": records }).to_string(), AMPLE).await;
        assert_eq!(ended, Ended::nothing_failed());
        let sent = self.transactions.load(Ordering::Relaxed);
        assert!(sent <= TRANSACTIONS, "{sent} transactions");
    }

    async fn delete_map(&self) {
        let map = self.engine.db.delete_item().table_name("Map").key("MapId", s("m"));
        map.send().await.unwrap();
    }

    async fn counted(&self) -> (i64, i64) {
        let counters = self.engine.counters("m").await.unwrap();
        (counters.total, counters.categories.get("Park").copied().unwrap_or_default())
    }
}

#[tokio::test]
async fn a_view_item_of_any_shape_is_counted_and_nothing_counts_twice() {
    let deployment = Deployment::start("create", Fault::ReasonsInWords).await;
    let first = deployment.count("p0").await;
    let second = deployment.count("p1").await;
    assert_eq!(deployment.counted().await, (2, 2));
    deployment.deliver(&[first, second]).await;
    assert_eq!(deployment.counted().await, (2, 2), "both are duplicates");

    // The process remembers the item as complete; another writer took its map away, then the item.
    deployment.engine.put("Map", [("MapId", s("m")), ("TotalPoints", n(2))]).await;
    deployment.count("p2").await;
    assert_eq!(deployment.counted().await, (3, 1));
    deployment.delete_map().await;
    deployment.count("p3").await;
    assert_eq!(deployment.counted().await, (1, 1));
}

#[tokio::test]
async fn a_view_item_that_may_not_be_created_is_found_when_it_is_there() {
    let deployment = Deployment::start("skip", Fault::ReasonsInWords).await;
    deployment.count("p0").await;
    assert_eq!(deployment.engine.counters("m").await, None);
    deployment.engine.put("Map", [("MapId", s("m"))]).await;
    deployment.count("p1").await;
    assert_eq!(deployment.counted().await, (1, 1));
    deployment.engine.put("Map", [("MapId", s("m"))]).await;
    deployment.count("p2").await;
    assert_eq!(deployment.counted().await, (1, 1));
    deployment.delete_map().await;
    deployment.count("p3").await;
    assert_eq!(deployment.engine.counters("m").await, None);
}

#[tokio::test]
async fn a_view_item_that_cannot_take_an_update_puts_its_records_into_quarantine() {
    let deployment = Deployment::start("create", Fault::ReasonsInWords).await;
    deployment.count("p0").await;
    deployment.engine.put("Map", [("MapId", s("m")), ("CategoryCounts", s("many"))]).await;
    let record = deployment.count("p1").await;
    let marker = deployment.engine.markers().await[sequence_number(&record)].clone();
    assert_eq!(marker["Outcome"], s("QUARANTINED"));
    assert!(marker["Reason"].as_s().unwrap().contains("CategoryCounts"), "{marker:?}");
}

#[tokio::test]
async fn a_cancellation_without_any_reason_fails_the_invocation_at_once_and_quarantines_nothing() {
    let deployment = Deployment::start("create", Fault::NoReasons).await;
    let map = AttributeValue::M(HashMap::new());
    deployment.engine.put("Map", [("MapId", s("m")), ("CategoryCounts", map)]).await;
    let record = deployment.count("p0").await;
    let batch = json!({ "Records": [record] }).to_string();
    let began = tokio::time::Instant::now();
    match deployment.sandbox.invoke(&batch, AMPLE).await {
        Ended::Error { kind, message } => {
            assert_eq!(kind, "Rollup.Deployment");
            assert!(message.contains("cancelled with 0 reasons"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    assert!(began.elapsed() < AMPLE / 4, "it is not tried until the deadline");
    assert_eq!(deployment.counted().await, (1, 1));
}
