//! What is deployed, looked at by the command. The event source mapping and the function are looked at in `tests/deployment`.

use aws_sdk_dynamodb::types::TimeToLiveSpecification;
use serde_json::json;

use crate::command::{Ran, run, run_with};
use crate::engine::Engine;

fn wrong(ran: &Ran) -> Vec<String> {
    let report = ran.json();
    let checks = report["checks"].as_array().unwrap().iter().filter(|check| check["ok"] == false);
    let wrong: Vec<_> = checks.map(|check| format!("{}: {}", check["subject"], check["what"])).collect();
    assert_eq!((ran.code, &report["wrong"]), (i32::from(!wrong.is_empty()), &wrong.len().into()), "{ran:?}");
    wrong.into_iter().map(|check| check.replace('"', "")).collect()
}

#[tokio::test]
async fn tables_are_found_right_and_wrong() {
    let engine = Engine::start().await;
    let check = ["deploy-check", "--tables-only", "--json"];
    assert_eq!(wrong(&run(&engine, &check).await), ["idempotency table Idempotency: the attribute of expiry"]);

    let expiry = TimeToLiveSpecification::builder().enabled(true).attribute_name("ExpiresAt").build().unwrap();
    let request = engine.db.update_time_to_live().table_name("Idempotency").time_to_live_specification(expiry);
    request.send().await.unwrap();
    assert_eq!(wrong(&run(&engine, &check).await), [""; 0]);
    let ran = run(&engine, &check[..2]).await;
    assert!(ran.out.ends_with("all 8 checks passed\n"), "{}", ran.out);

    let elsewhere = [&check[..], &["--view-table", "Point", "--source-table", "Elsewhere"]].concat();
    let expected = ["source table Elsewhere: the status", "view table Point: the key"];
    assert_eq!(wrong(&run(&engine, &elsewhere).await), expected);
}

#[tokio::test]
async fn every_view_table_is_looked_at() {
    let engine = Engine::start().await;
    engine.create_table("Week", &["Day"], false).await;
    let view = |name: &str, table: &str, key: &str| {
        json!({ "name": name, "table": table, "measures": { name: "count" },
                "key": [{ "attribute": key, "type": "S", "value": "{MapId}" }] })
    };
    let views = [view("A", "Map", "MapId"), view("B", "Week", "Week"), view("C", "Month", "Month")];
    let definition = json!({ "views": views }).to_string();
    let check = ["deploy-check", "--tables-only", "--json"];
    let ran = run_with(&engine, &check, &[("ROLLUP_VIEW_DEFINITION", &definition)]).await;
    let expected = [
        "view table Week: the key",
        "view table Month: the status",
        "idempotency table Idempotency: the attribute of expiry",
    ];
    assert_eq!(wrong(&ran), expected);
}

#[tokio::test]
async fn what_cannot_be_asked_is_said_in_a_line() {
    let engine = Engine::start().await;
    let ran = run(&engine, &["deploy-check", "--tables-only", "--endpoint-url", "http://127.0.0.1:9"]).await;
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");
    assert!(ran.err.starts_with("error: cannot describe the table Point: dispatch failure: "), "{}", ran.err);
    assert!(ran.err.lines().count() == 1 && !ran.err.contains('{'), "{}", ran.err);
}
