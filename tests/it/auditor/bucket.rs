//! The report of a pass in a bucket.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::put;
use serde_json::Value;
use tokio::net::TcpListener;

use super::{AMPLE, log, pass, settings, tamper, told};
use crate::audit::points;
use crate::engine::Engine;
use crate::runtime_api::{Sandbox, Settings};

type Objects = Arc<Mutex<Vec<(String, HeaderMap, String)>>>;

/// Buckets that answer so, with what is put into them.
async fn buckets(answer: StatusCode) -> (String, Objects) {
    let objects = Objects::default();
    let taken = Arc::clone(&objects);
    let take = move |uri: Uri, headers: HeaderMap, body: Bytes| async move {
        let body = String::from_utf8(body.to_vec()).unwrap();
        taken.lock().unwrap().push((uri.path().to_owned(), headers, body));
        (answer, "<Error><Code>AccessDenied</Code></Error>")
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/{*key}", put(take))).await.unwrap() });
    (url, objects)
}

fn with_bucket(engine: &Engine, url: &str) -> Settings {
    settings(engine).with("ROLLUP_AUDIT_REPORT_BUCKET", "reports").with("AWS_ENDPOINT_URL_S3", url)
}

#[tokio::test]
async fn the_report_of_a_pass_is_put_into_the_bucket_as_json_and_as_a_page() {
    let (engine, _) = points(6, 6).await;
    tamper(&engine, "m1").await;
    let (url, objects) = buckets(StatusCode::OK).await;
    let sandbox = Sandbox::ready(&with_bucket(&engine, &url)).await;
    let (summary, _) = pass(&sandbox, AMPLE).await;
    let objects = objects.lock().unwrap().clone();
    let [(json, headers, whole), (html, _, page)] = objects.as_slice() else { panic!("{objects:?}") };
    assert!(json.starts_with("/reports/ddb-rollup/rollup/20") && json.ends_with("Z/audit.json"), "{json}");
    assert_eq!(json.replace("audit.json", "report.html"), *html);
    let authorization = headers["authorization"].to_str().unwrap();
    assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=") && authorization.contains("/eu-west-1/s3/"));
    assert!(headers.contains_key("x-amz-content-sha256") && headers.contains_key("x-amz-date"), "{headers:?}");
    let whole: Value = serde_json::from_str(whole).unwrap();
    assert_eq!((&whole["summary"], &whole["report"]["drift"][0]["key"]), (&summary, &"m1".into()));
    assert!(page.starts_with("<!doctype html>") && page.contains("<td>TotalPoints</td>"), "{page}");
}

#[tokio::test]
async fn a_bucket_that_takes_nothing_fails_no_pass() {
    let (engine, _) = points(3, 3).await;
    let (url, _) = buckets(StatusCode::FORBIDDEN).await;
    let sandbox = Sandbox::ready(&with_bucket(&engine, &url)).await;
    let (summary, _) = pass(&sandbox, AMPLE).await;
    assert_eq!(summary["clean"], true);
    let log = log(&sandbox).await;
    let failed = told(&log, "the report cannot be put into the bucket: ");
    assert!(failed.len() == 2 && failed[0]["message"].as_str().unwrap().contains("answers 403"), "{log:?}");
}
