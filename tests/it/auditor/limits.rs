//! Runs that are cut off: by their time, or killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::types::StreamSpecification;
use serde_json::json;
use tokio::time::sleep;

use super::{AMPLE, kept, log, metric, pass, settings, tamper, told};
use crate::audit::{audit, numbers, points};
use crate::engine::{Engine, text};
use crate::request_hook::{before_each_request, hang_after};
use crate::runtime_api::{Ended, Program, Sandbox, Settings};

/// The slice that the position names.
async fn next_slice(engine: &Engine) -> String {
    let state: serde_json::Value =
        serde_json::from_str(&text(&kept(engine, "position").await.unwrap()["State"])).unwrap();
    state["slice"].as_str().unwrap().to_owned()
}

/// An engine whose requests of one operation hang while the switch is on.
async fn hanging(engine: &Engine, operation: &'static str) -> (String, Arc<AtomicBool>) {
    let hangs = Arc::new(AtomicBool::new(true));
    let hung = Arc::clone(&hangs);
    let url = before_each_request(&engine.url, move |requested| {
        let (hangs, hung) = (requested == operation, Arc::clone(&hung));
        async move {
            while hangs && hung.load(Ordering::SeqCst) {
                sleep(Duration::from_millis(20)).await;
            }
        }
    })
    .await;
    (url, hangs)
}

#[tokio::test]
async fn a_run_that_is_killed_is_gone_on_with_at_its_slice() {
    let (engine, _) = points(24, 24).await;
    tamper(&engine, "m1").await;
    let whole = audit(&engine).await.json();
    let wanted = settings(&engine).with("ROLLUP_AUDIT_SLICES", "4");
    // It stores that it begins the first, the second and the third slice, and never gets to the fourth.
    let (url, mut hung) = hang_after(&engine.url, "PutItem", 3).await;
    let killed = Sandbox::ready(&wanted.clone().with("AWS_ENDPOINT_URL", &url)).await;
    let invoked = killed.invoke("{}", AMPLE);
    tokio::select! {
        ended = invoked => panic!("{ended:?}"),
        _ = hung.recv() => {}
    }
    killed.kill().await;
    assert_eq!(next_slice(&engine).await, "3/4");
    let sandbox = Sandbox::ready(&wanted).await;
    let (summary, _) = pass(&sandbox, AMPLE).await;
    assert_eq!((numbers(&summary), &summary["slices"]), (numbers(&whole), &json!(4)), "{summary}");
}

#[tokio::test]
async fn a_slice_that_is_killed_again_is_halved() {
    let (engine, _) = points(24, 24).await;
    let whole = audit(&engine).await.json();
    for _ in 0..2 {
        let (url, mut hung) = hang_after(&engine.url, "Scan", 0).await;
        let killed = Sandbox::ready(&settings(&engine).with("AWS_ENDPOINT_URL", &url)).await;
        tokio::select! {
            ended = killed.invoke("{}", AMPLE) => panic!("{ended:?}"),
            _ = hung.recv() => {}
        }
        killed.kill().await;
        assert_eq!(next_slice(&engine).await, "1/1");
    }
    let sandbox = Sandbox::ready(&settings(&engine)).await;
    let (summary, _) = pass(&sandbox, AMPLE).await;
    assert_eq!((numbers(&summary), &summary["slices"]), (numbers(&whole), &json!(2)), "{summary}");
}

#[tokio::test]
async fn what_cannot_be_scanned_in_a_run_is_refused_with_the_command_to_run_elsewhere() {
    let (engine, _) = points(6, 6).await;
    let (url, hangs) = hanging(&engine, "Scan").await;
    let sandbox = Sandbox::ready(&settings(&engine).with("AWS_ENDPOINT_URL", &url)).await;
    let Ended::Error { kind, message } = sandbox.invoke("{}", Duration::from_secs(2)).await else { panic!("no error") };
    let tables = "--source-table Point --idempotency-table Idempotency --view-table Map";
    let command = format!("ddb-rollup audit --slices 1 --endpoint-url {url} --region eu-west-1 {tables}");
    assert!(kind == "Audit.TooLarge" && message.contains(&command), "{kind}: {message}");

    hangs.store(false, Ordering::SeqCst);
    let (summary, _) = pass(&sandbox, AMPLE).await;
    assert_eq!(numbers(&summary), [3, 3, 0, 0, 0, 0], "it was not given up: {summary}");
    let log = log(&sandbox).await;
    assert_eq!(told(&log, "audit failed: one scan of the tables takes longer").len(), 1, "{log:?}");
    assert_eq!(metric(&log, "AuditRefused").iter().sum::<u64>(), 1);
}

#[tokio::test]
async fn what_cannot_be_looked_at_in_a_run_is_divided_further() {
    let (engine, _) = points(24, 24).await;
    tamper(&engine, "m1").await;
    // Without a stream, only the looks at what differs need this operation.
    let off = StreamSpecification::builder().stream_enabled(false).build().unwrap();
    engine.db.update_table().table_name("Point").stream_specification(off).send().await.unwrap();
    let whole = audit(&engine).await.json();
    let (url, hangs) = hanging(&engine, "BatchGetItem").await;
    let wanted = settings(&engine).with("AWS_ENDPOINT_URL", &url).with("ROLLUP_AUDIT_SLICES", "2");
    let sandbox = Sandbox::ready(&wanted).await;
    let mut slices = Vec::new();
    while slices.len() < 20 {
        let ended = sandbox.invoke("{}", Duration::from_secs(2)).await;
        if let Ended::Error { kind, message } = ended {
            assert!(kind == "Audit.TooMuchDiffers" && message.contains("ROLLUP_AUDIT_SLICES"), "{kind}: {message}");
            break;
        }
        slices.push(next_slice(&engine).await);
    }
    assert!(slices.last().unwrap().ends_with("/32"), "no more than 16 times as many: {slices:?}");
    hangs.store(false, Ordering::SeqCst);
    let (summary, _) = pass(&sandbox, AMPLE).await;
    assert_eq!(numbers(&summary), numbers(&whole), "{slices:?}: {summary}");
}

#[tokio::test]
async fn a_run_of_seconds_waits_less_for_the_stream_and_says_so() {
    let (engine, _) = points(6, 6).await;
    tamper(&engine, "m1").await;
    let sandbox = Sandbox::ready(&Settings::on(&engine).program(Program::Auditor)).await;
    let (summary, _) = pass(&sandbox, Duration::from_secs(12)).await;
    assert_eq!(numbers(&summary), [3, 2, 0, 0, 1, 0], "{summary}");
    let log = log(&sandbox).await;
    let said = told(&log, "the run is too short to wait as long for the stream as it should");
    assert!(said[0]["settle_seconds"].as_f64().unwrap() < 2.0 && said[0]["wanted_seconds"] == 5.0, "{said:?}");
}

#[tokio::test]
async fn of_two_runs_at_once_one_does_not_count() {
    let (engine, _) = points(6, 6).await;
    let (url, hangs) = hanging(&engine, "Scan").await;
    let wanted = settings(&engine).with("ROLLUP_AUDIT_SLICES", "2");
    let late = Sandbox::ready(&wanted.clone().with("AWS_ENDPOINT_URL", &url)).await;
    let prompt = Sandbox::ready(&wanted).await;
    let first = async {
        while kept(&engine, "position").await.is_none() {
            sleep(Duration::from_millis(20)).await;
        }
        let (summary, _) = pass(&prompt, AMPLE).await;
        hangs.store(false, Ordering::SeqCst);
        summary
    };
    let (ended, summary) = tokio::join!(late.invoke("{}", AMPLE), first);
    assert_eq!(numbers(&summary), [3, 3, 0, 0, 0, 0]);
    assert!(matches!(&ended, Ended::Error { kind, .. } if kind == "Audit.OtherRun"), "{ended:?}");
}
