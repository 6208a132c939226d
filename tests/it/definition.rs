//! Another view than the example's: the orders of a customer, on the real process and the real command.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;

use crate::command::{Ran, run_with};
use crate::engine::{Engine, n, s};
use crate::runtime_api::{Ended, Sandbox, Settings};

const AMPLE: Duration = Duration::from_secs(30);

const SETTINGS: [(&str, &str); 3] = [
    ("ROLLUP_SOURCE_TABLE", "Order"),
    ("ROLLUP_VIEW_TABLE", "Customer"),
    (
        "ROLLUP_VIEW_DEFINITION",
        r#"{
            "key": [{ "attribute": "CustomerId", "type": "S", "value": "{Buyer}" }],
            "measures": {
                "Orders": "count",
                "OrdersByStatus": "count by Status",
                "Revenue": "sum Amount",
                "RevenueByStatus": "sum Amount by Status"
            }
        }"#,
    ),
];

async fn shop() -> Engine {
    let engine = Engine::start().await;
    engine.create_table("Order", &["OrderId"], true).await;
    engine.create_table("Customer", &["CustomerId"], false).await;
    engine
}

async fn order(engine: &Engine, id: &str, buyer: &str, status: &str, amount: &str) {
    let amount = AttributeValue::N(amount.to_owned());
    engine.put("Order", [("OrderId", s(id)), ("Buyer", s(buyer)), ("Status", s(status)), ("Amount", amount)]).await;
}

async fn deliver(engine: &Engine) {
    let sandbox = SETTINGS.iter().fold(Settings::on(engine), |settings, (name, value)| settings.with(name, value));
    let sandbox = Sandbox::ready(&sandbox).await;
    let event = json!({ "Records": engine.stream_records_of("Order").await }).to_string();
    let Ended::Response(response) = sandbox.invoke(&event, AMPLE).await else { panic!("no response") };
    assert_eq!(response, json!({ "batchItemFailures": [] }));
}

async fn command(engine: &Engine, name: &str) -> Ran {
    run_with(engine, &[name, "--settle", "0", "--json"], &SETTINGS).await
}

#[tokio::test]
async fn orders_of_a_customer_are_counted_and_summed_and_move_with_the_buyer() {
    let engine = shop().await;
    order(&engine, "1", "ann", "open", "19.90").await;
    order(&engine, "2", "ann", "open", "0.10").await;
    order(&engine, "3", "bob", "paid", "5").await;
    order(&engine, "2", "bob", "paid", "0.1").await;
    order(&engine, "1", "ann", "paid", "20.05").await;
    for _ in 0..2 {
        deliver(&engine).await;
    }
    let customers = engine.scan("Customer").await;
    let of = |id: &str| customers.iter().find(|customer| customer["CustomerId"] == s(id)).unwrap();
    let sum = |amount: &str| AttributeValue::N(amount.to_owned());
    assert_eq!((&of("ann")["Orders"], &of("ann")["Revenue"]), (&n(1), &sum("20.05")));
    assert_eq!((&of("bob")["Orders"], &of("bob")["Revenue"]), (&n(2), &sum("5.1")));
    // What was open and was paid within one batch was never written.
    let counts = AttributeValue::M([("paid".to_owned(), n(1))].into());
    let sums = AttributeValue::M([("paid".to_owned(), sum("20.05"))].into());
    assert_eq!((&of("ann")["OrdersByStatus"], &of("ann")["RevenueByStatus"]), (&counts, &sums));

    let audit = command(&engine, "audit").await;
    assert_eq!((audit.code, audit.json()["exact"].clone()), (0, json!(2)), "{audit:?}");
}

#[tokio::test]
async fn a_sum_that_is_wrong_is_found_and_mended() {
    let engine = shop().await;
    order(&engine, "1", "ann", "open", "19.90").await;
    deliver(&engine).await;
    let wrong = engine.db.update_item().table_name("Customer").key("CustomerId", s("ann"));
    let wrong = wrong.update_expression("SET RevenueByStatus.#s = :wrong").expression_attribute_names("#s", "open");
    wrong.expression_attribute_values(":wrong", AttributeValue::N("20".to_owned())).send().await.unwrap();

    let audit = command(&engine, "audit").await;
    let drift = json!([{
        "view": "default", "table": "Customer", "key": "ann", "measure": "RevenueByStatus", "group": "open", "stored": 20, "recounted": "19.9", "pending": 0,
    }]);
    assert_eq!((audit.code, audit.json()["drift"].clone()), (1, drift), "{audit:?}");
    let repair = command(&engine, "repair").await;
    assert_eq!((repair.code, repair.json()["repaired"].clone()), (0, json!(1)), "{repair:?}");
    let audit = command(&engine, "audit").await;
    assert_eq!((audit.code, audit.json()["exact"].clone()), (0, json!(1)), "{audit:?}");
}

#[tokio::test]
async fn an_amount_out_of_bounds_costs_its_neighbours_nothing_and_an_audit_names_the_item() {
    let engine = shop().await;
    for (id, amount) in [("1", "1e50"), ("2", "5"), ("3", "6")] {
        order(&engine, id, "ann", "open", amount).await;
    }
    deliver(&engine).await;
    let ann = &engine.scan("Customer").await[0];
    assert_eq!((&ann["Orders"], &ann["Revenue"]), (&n(2), &n(11)));
    for name in ["audit", "repair"] {
        let ran = command(&engine, name).await;
        assert_eq!(ran.code, 1, "{name}: {}", ran.err);
        let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!((&report["exact"], &report["drifted"], &report["quarantined"]), (&json!(1), &json!(0), &json!(0)));
        let found = &report["uncountable"][0];
        assert_eq!((&found["view"], &found["key"]), (&json!("default"), &json!({ "OrderId": { "S": "1" } })));
        assert!(found["reason"].as_str().unwrap().contains("\"Revenue\": the amount is out of bounds"), "{found}");
    }
    order(&engine, "1", "ann", "open", "1").await;
    deliver(&engine).await;
    let ann = &engine.scan("Customer").await[0];
    assert_eq!((&ann["Orders"], &ann["Revenue"]), (&n(3), &n(12)));
    assert_eq!(command(&engine, "audit").await.code, 0);
}
