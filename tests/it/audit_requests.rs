//! How many requests an audit, a repair and an adoption send: they do not grow with the view items.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::types::{PutRequest, WriteRequest};
use serde_json::{Value, json};

use crate::audit::{numbers, points, settled, switch_stream};
use crate::command::run;
use crate::engine::{Engine, n, s};
use crate::proxy::{Code, Fault, Proxy, Request};
use crate::request_hook::before_each_request;

/// Orders; the view items are as many customers as a case says.
const ORDERS: usize = 4_000;

/// Customers whose counters are tampered with.
const TAMPERED: usize = 20;

/// Numbers of customers that are compared.
const CUSTOMERS: [usize; 3] = [20, 400, 4_000];

/// Orders, keyed by their own id, and customers, which no key of the source names.
fn definition() -> String {
    json!({
        "key": [{ "attribute": "Customer", "type": "S" }],
        "table": "Customer",
        "measures": { "Orders": "count", "ByState": "count by State", "Sum": "sum Price" },
    })
    .to_string()
}

async fn orders(customers: usize) -> Engine {
    let engine = Engine::start().await;
    engine.create_table("Order", &["OrderId"], false).await;
    engine.create_table("Customer", &["Customer"], false).await;
    let order = |number: usize| {
        let order = [
            ("OrderId", s(&format!("o{number}"))),
            ("Customer", s(&format!("c{}", number % customers))),
            ("State", s(["new", "paid"][number % 2])),
            ("Price", n(7)),
        ];
        let order = order.map(|(name, value)| (name.to_owned(), value)).into();
        WriteRequest::builder().put_request(PutRequest::builder().set_item(Some(order)).build().unwrap()).build()
    };
    for batch in (0..ORDERS).map(order).collect::<Vec<_>>().chunks(25) {
        engine.db.batch_write_item().request_items("Order", batch.to_vec()).send().await.unwrap();
    }
    engine
}

/// The requests of a command, by operation.
async fn requests(engine: &Engine, arguments: &[&str]) -> (BTreeMap<String, usize>, Value) {
    let seen = Arc::<Mutex<BTreeMap<String, usize>>>::default();
    let counted = Arc::clone(&seen);
    let url = before_each_request(&engine.url, move |operation| {
        *counted.lock().unwrap().entry(operation).or_default() += 1;
        async {}
    })
    .await;
    let definition = std::env::temp_dir().join(format!("audit-requests-{}.json", std::process::id()));
    std::fs::write(&definition, self::definition()).unwrap();
    let (file, common) = (definition.to_str().unwrap(), ["--settle", "0", "--json", "--source-table", "Order"]);
    let ran = run(engine, &[arguments, &common, &["--definition", file, "--endpoint-url", &url]].concat()).await;
    assert!(ran.code < 2, "{ran:?}");
    let mut requests = std::mem::take(&mut *seen.lock().unwrap());
    // A transaction has an action for each view item that is set and one for their record; nothing else is sent for them.
    let set = ran.json()["repaired"].as_u64().unwrap_or_default();
    assert_eq!(requests.remove("TransactWriteItems").unwrap_or_default() as u64, set.div_ceil(99));
    (requests, ran.json())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_do_not_grow_with_view_items() {
    let mut of_all: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for customers in CUSTOMERS {
        let engine = orders(customers).await;
        let whole = customers as u64;
        let mut note = |what, (requests, report): (BTreeMap<String, usize>, Value), expected: [u64; 6]| {
            assert_eq!(numbers(&report), expected, "{what} of {customers}");
            of_all.entry(what).or_default().push(requests.values().sum());
        };
        note("audit of what nobody counted", requests(&engine, &["audit"]).await, [whole, 0, 0, 0, whole, 0]);
        note("adoption", requests(&engine, &["repair", "--adopt"]).await, [whole, whole, 0, 0, 0, 0]);
        note("audit of what is exact", requests(&engine, &["audit"]).await, [whole, whole, 0, 0, 0, 0]);
        for customer in 0..TAMPERED {
            let update = engine.db.update_item().table_name("Customer").key("Customer", s(&format!("c{customer}")));
            update.update_expression("ADD Orders :v").expression_attribute_values(":v", n(1)).send().await.unwrap();
        }
        note("repair", requests(&engine, &["repair"]).await, [whole, whole, 0, 0, 0, 0]);
    }
    for (what, requests) in of_all {
        assert!(requests.iter().all(|of_many| *of_many <= requests[0] + 2), "{what}: {requests:?} of {CUSTOMERS:?}");
    }
}

/// The readings of the source and of the stream that a command sends, in their order.
async fn readings(engine: &Engine, arguments: &[&str]) -> Vec<&'static str> {
    let seen = Arc::<Mutex<Vec<&'static str>>>::default();
    let noted = Arc::clone(&seen);
    let proxy = Proxy::start(&engine.url, move |request: &Request| {
        match (request.body["TableName"].as_str(), request.body["ShardIterator"].is_string()) {
            (Some("Point"), _) if !request.body["TotalSegments"].is_null() => noted.lock().unwrap().push("scan"),
            (Some("Point"), _) if !request.body["KeyConditionExpression"].is_null() => {
                noted.lock().unwrap().push("query");
            }
            (_, true) => noted.lock().unwrap().push("stream"),
            _ => {}
        }
        None
    })
    .await;
    let ran = run(engine, &[arguments, &["--settle", "0", "--json", "--endpoint-url", &proxy.url]].concat()).await;
    assert!(ran.code < 2, "{ran:?}");
    std::mem::take(&mut *seen.lock().unwrap())
}

#[tokio::test]
async fn what_nobody_writes_to_is_read_once_and_the_stream_is_waited_for_meanwhile() {
    let engine = Engine::start().await;
    switch_stream(&engine, false).await;
    for map in 0..60 {
        engine.put_point(&format!("m{map}"), "p", Some("Park")).await;
    }
    switch_stream(&engine, true).await;
    let adoption = readings(&engine, &["repair", "--adopt"]).await;
    let audit = readings(&engine, &["audit"]).await;
    engine.assert_exact().await;
    let count = |of: &[&str], what| of.iter().filter(|one| **one == what).count();
    let scans = count(&audit, "scan");
    assert!(scans > 0 && count(&adoption, "scan") == scans && count(&adoption, "query") == 0, "{adoption:?}");
    let first = adoption.iter().position(|one| *one == "scan").unwrap();
    let (before, after) = adoption.split_at(first);
    assert!(count(before, "stream") > 0 && count(after, "stream") > count(before, "stream"), "{adoption:?}");
}

#[tokio::test]
async fn a_table_that_is_throttled_is_read_more_slowly_and_to_its_end() {
    let (engine, _) = points(12, 12).await;
    let left = AtomicUsize::new(6);
    let throttled = move |request: &Request| {
        let is_scan = !request.body["TotalSegments"].is_null();
        let fails =
            is_scan && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        fails.then_some(Fault::Error(Code::ProvisionedThroughputExceeded))
    };
    let proxy = Proxy::start(&engine.url, throttled).await;
    let ran = settled(&engine, "audit", &["--concurrency", "1", "--endpoint-url", &proxy.url]).await;
    assert_eq!((ran.code, numbers(&ran.json())), (0, [3, 3, 0, 0, 0, 0]), "{ran:?}");
    assert_eq!(proxy.faults().values().sum::<usize>(), 6);
}
