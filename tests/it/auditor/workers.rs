//! The auditor as the workers of a state machine.

use serde_json::{Value, json};

use super::{AMPLE, expired, kept, log, metric, pass, response, settings, tamper, told};
use crate::audit::{audit, numbers, points};
use crate::runtime_api::{Ended, Sandbox};

#[tokio::test]
async fn slices_of_workers_add_up_to_the_whole_audit() {
    let (engine, _) = points(24, 20).await;
    tamper(&engine, "m1").await;
    let whole = audit(&engine).await.json();
    let wanted = settings(&engine).with("ROLLUP_AUDIT_SLICES", "3");
    let (one, other) = (Sandbox::ready(&wanted).await, Sandbox::ready(&wanted).await);
    let plan = response(one.invoke(r#"{"plan":true}"#, AMPLE).await);
    assert_eq!((&plan["of"], &plan["slices"]), (&json!(3), &json!(["1/3", "2/3", "3/3"])));
    let slice = |number: usize| json!({ "slice": plan["slices"][number], "run": plan["run"] }).to_string();
    let sum = json!({ "sum": { "run": plan["run"], "of": plan["of"] } }).to_string();

    let (first, second) = (slice(0), slice(2));
    let (first, second) = tokio::join!(one.invoke(&first, AMPLE), other.invoke(&second, AMPLE));
    assert_eq!((response(first), response(second)), (json!({ "slice": "1/3" }), json!({ "slice": "3/3" })));
    let Ended::Error { kind, message } = one.invoke(&sum, AMPLE).await else { panic!("one is missing") };
    assert!(kind == "Audit.Missing" && message.contains("1 of 3 slices"), "{message}");
    // One that was done before is done again, and counts once.
    for number in [1, 2] {
        response(other.invoke(&slice(number), AMPLE).await);
    }
    let summary = response(one.invoke(&sum, AMPLE).await)["summary"].take();
    assert_eq!((numbers(&summary), &summary["slices"]), (numbers(&whole), &json!(3)), "{summary}");
    assert!(kept(&engine, "last-pass").await.is_some() && kept(&engine, "position").await.is_none());
    assert_eq!(audit(&engine).await.json()["markers"], whole["markers"], "stored reports are no markers");
    let log = log(&one).await;
    assert_eq!(told(&log, "audit summary")[0]["summary"], summary);
    assert_eq!(metric(&log, "AuditDrifted"), [1]);
}

#[tokio::test]
async fn the_sum_of_workers_that_repair_closes_what_can_never_be_applied() {
    let (engine, wanted) = expired().await;
    let sandbox = Sandbox::ready(&wanted).await;
    let plan = response(sandbox.invoke(r#"{"plan":true}"#, AMPLE).await);
    for slice in plan["slices"].as_array().unwrap() {
        response(sandbox.invoke(&json!({ "slice": slice, "run": plan["run"] }).to_string(), AMPLE).await);
    }
    assert_eq!(audit(&engine).await.json()["quarantined"], json!(3), "no slice knows of the others");
    let sum = json!({ "sum": { "run": plan["run"], "of": plan["of"] } }).to_string();
    let summary = response(sandbox.invoke(&sum, AMPLE).await)["summary"].take();
    assert_eq!((numbers(&summary), &summary["closed"]), ([3, 3, 0, 0, 0, 0], &json!(3)), "{summary}");
    engine.assert_exact().await;
    assert_eq!(numbers(&audit(&engine).await.json()), [3, 3, 0, 0, 0, 0]);
}

#[tokio::test]
async fn a_slice_alone_is_answered_with_its_report_and_disturbs_no_pass() {
    let (engine, _) = points(24, 24).await;
    let sandbox = Sandbox::ready(&settings(&engine).with("ROLLUP_AUDIT_SLICES", "2")).await;
    let mut view_items = 0;
    for slice in 1..=3 {
        let report = response(sandbox.invoke(&json!({ "slice": format!("{slice}/3") }).to_string(), AMPLE).await);
        view_items += report["view_items"].as_u64().unwrap();
        assert_eq!(report["drift"], json!([]));
    }
    assert_eq!(view_items, 3);
    assert_eq!((kept(&engine, "position").await, kept(&engine, "last-pass").await), (None, None));
    let (summary, _): (Value, _) = pass(&sandbox, AMPLE).await;
    assert_eq!(summary["exact"], json!(3));
}
