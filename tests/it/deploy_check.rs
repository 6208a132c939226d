//! What is deployed, looked at by the command. How it looks at a stack is in `tests/deployment`.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::TimeToLiveSpecification;
use axum::extract::Query;
use axum::{Json, Router};
use serde_json::{Value, json};

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
    assert_eq!(wrong(&run(&engine, &check).await), ["idempotency table Idempotency: the time-to-live attribute"]);
    let told = run(&engine, &["deploy-check", "--tables-only", "--region", "eu-west-1"]).await.out;
    let command = "aws dynamodb update-time-to-live --table-name Idempotency --time-to-live-specification \
                   Enabled=true,AttributeName=ExpiresAt --region eu-west-1\n";
    assert!(told.contains(command), "{told}");

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
        "idempotency table Idempotency: the time-to-live attribute",
    ];
    assert_eq!(wrong(&ran), expected);
}

/// The part of Lambda that lists event source mappings; gives its endpoint.
async fn lambda_with(mappings: Vec<Value>) -> String {
    let answer = move |Query(query): Query<HashMap<String, String>>| {
        let wanted = |mapping: &&Value| {
            query.get("EventSourceArn").is_none_or(|arn| mapping["EventSourceArn"] == **arn)
                && query.get("FunctionName").is_none_or(|name| mapping["FunctionArn"] == **name)
        };
        let found: Vec<Value> = mappings.iter().filter(wanted).cloned().collect();
        // The function's configuration has none of these members, and its settings are the defaults.
        async move { Json(json!({ "EventSourceMappings": found })) }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await.unwrap() });
    url
}

#[tokio::test]
async fn each_state_of_a_stopped_pipeline_is_named() {
    let engine = Engine::start().await;
    let expiry = TimeToLiveSpecification::builder().enabled(true).attribute_name("ExpiresAt").build().unwrap();
    let request = engine.db.update_time_to_live().table_name("Idempotency").time_to_live_specification(expiry);
    request.send().await.unwrap();
    let table = engine.db.describe_table().table_name("Point").send().await.unwrap();
    let stream = table.table().unwrap().latest_stream_arn().unwrap().to_owned();
    let before = format!("{}/stream/2020-01-01T00:00:00.000", stream.split_once("/stream/").unwrap().0);
    let mapping = |changes: &Value| {
        let mut mapping = json!({
            "UUID": "m", "EventSourceArn": stream, "FunctionArn": "arn:f", "State": "Enabled",
            "StartingPosition": "TRIM_HORIZON", "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "DestinationConfig": { "OnFailure": { "Destination": "arn:aws:sqs:eu-west-1:1:q" } },
        });
        mapping.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        mapping
    };
    let filter = json!({ "Filters": [{ "Pattern": "{\"eventName\":[\"INSERT\"]}" }] });
    let other_table = stream.replace("/Point/", "/Other/");
    for (mappings, what, found) in [
        (vec![mapping(&json!({}))], "", String::new()),
        (vec![mapping(&json!({ "State": "Disabled" }))], "the state", "Disabled".to_owned()),
        (vec![mapping(&json!({ "EventSourceArn": before }))], "the event source mapping", format!("on {before}")),
        (vec![mapping(&json!({ "FilterCriteria": filter }))], "filtering", "{\"eventName\":[\"INSERT\"]}".to_owned()),
        (vec![mapping(&json!({ "EventSourceArn": other_table }))], "the event source mapping", "off".to_owned()),
        (vec![], "the event source mapping", "off".to_owned()),
    ] {
        let lambda = lambda_with(mappings).await;
        for function in [&[][..], &["--function", "arn:f"]] {
            let check = [&["deploy-check", "--json", "--region", "eu-west-1"], function].concat();
            let is_to_repair = found == format!("on {before}") || what == "filtering";
            let ran = run_with(&engine, &check, &[("AWS_ENDPOINT_URL_LAMBDA", &lambda)]).await;
            let report = ran.json();
            let wrong: Vec<_> = report["checks"].as_array().unwrap().iter().filter(|one| one["ok"] == false).collect();
            let is_told = |one: &Value| one["why"].to_string().contains("ddb-rollup repair --region eu-west-1");
            assert_eq!(wrong.iter().any(|one| is_told(one)), is_to_repair, "{}", ran.out);
            let wrong: Vec<_> = wrong.iter().map(|one| (one["what"].as_str().unwrap(), &one["found"])).collect();
            let expected: Vec<(&str, Value)> = if what.is_empty() { vec![] } else { vec![(what, json!(found))] };
            assert_eq!(wrong, expected.iter().map(|(what, found)| (*what, found)).collect::<Vec<_>>(), "{ran:?}");
            assert_eq!(ran.code, i32::from(!what.is_empty()));
        }
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_said_in_a_line() {
    let engine = Engine::start().await;
    let ran = run(&engine, &["deploy-check", "--tables-only", "--endpoint-url", "http://127.0.0.1:9"]).await;
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");
    assert!(ran.err.starts_with("error: cannot describe the table Point: dispatch failure: "), "{}", ran.err);
    assert!(ran.err.lines().count() == 1 && !ran.err.contains('{'), "{}", ran.err);
}
