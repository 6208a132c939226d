//! What the auditor does not do: judge under another definition, or guess what is meant.

use std::time::Duration;

use super::{AMPLE, log, metric, settings, told};
use crate::audit::points;
use crate::engine::Engine;
use crate::runtime_api::{Ended, Program, Sandbox, Settings};

const OTHER_DEFINITION: &str =
    r#"{ "key": [{ "attribute": "MapId", "type": "S" }], "measures": { "TotalPoints": "count" } }"#;

#[tokio::test]
async fn counters_of_another_definition_are_not_judged() {
    let (engine, records) = points(6, 0).await;
    let function = Sandbox::ready(&Settings::on(&engine)).await;
    let event = serde_json::json!({ "Records": records }).to_string();
    assert_eq!(function.invoke(&event, AMPLE).await, Ended::nothing_failed());

    let sandbox = Sandbox::ready(&settings(&engine).with("ROLLUP_VIEW_DEFINITION", OTHER_DEFINITION)).await;
    for event in ["{}", r#"{"slice":"1/2"}"#] {
        let ended = sandbox.invoke(event, AMPLE).await;
        let Ended::Error { kind, message } = ended else { panic!("{ended:?}") };
        assert!(kind == "Audit.OtherDefinition" && message.contains("counts under another definition"), "{message}");
    }
    let log = log(&sandbox).await;
    assert_eq!(told(&log, "audit failed: the function rollup counts under another definition").len(), 2, "{log:?}");
    assert_eq!(metric(&log, "AuditRefused").iter().sum::<u64>(), 2);
    assert!(told(&log, "audit finding").is_empty() && metric(&log, "AuditDrifted").is_empty());
}

#[tokio::test]
async fn an_event_that_means_nothing_fails_alone() {
    let (engine, _) = points(3, 3).await;
    let sandbox = Sandbox::ready(&settings(&engine)).await;
    for event in ["[]", r#"{"plan":1}"#, r#"{"slice":"9/8"}"#, r#"{"slice":"1/8","slices":8}"#, r#"{"sum":{}}"#] {
        let ended = sandbox.invoke(event, AMPLE).await;
        let Ended::Error { kind, message } = ended else { panic!("{event}: {ended:?}") };
        assert!(kind == "Audit.Event" && message.contains("Send {} to continue the pass"), "{message}");
    }
    let scheduled = r#"{"version":"0","detail-type":"Scheduled Event","source":"aws.scheduler","detail":"{}"}"#;
    assert!(matches!(sandbox.invoke(scheduled, AMPLE).await, Ended::Response(answer) if answer["pass"] == "ended"));
}

#[tokio::test]
async fn settings_that_cannot_be_used_stop_the_start() {
    let engine = Engine::start().await;
    for (name, value) in [
        ("ROLLUP_AUDIT_SLICES", "many"),
        ("ROLLUP_AUDIT_MAX_READ_UNITS", "0"),
        ("ROLLUP_AUDIT_REPAIRS", "yes"),
        ("ROLLUP_AUDIT_REPORT_BUCKET", "s3://reports"),
        ("ROLLUP_AUDIT_SETTLE_SECONDS", "soon"),
        ("ROLLUP_VIEW_DEFINITION", "{}"),
    ] {
        let sandbox = Sandbox::start(&settings(&engine).with(name, value));
        assert!(!sandbox.exit().await.success());
        let log = log(&sandbox).await;
        let told = told(&log, &format!("cannot start: {name} is {value:?}; expected "));
        assert_eq!(told.len(), 1, "{name}: {log:?}");
    }
    let typed = Settings::on(&engine).program(Program::Auditor).with("ROLLUP_AUDIT_SLICE", "8");
    let sandbox = Sandbox::ready(&typed).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let log = log(&sandbox).await;
    assert!(told(&log, "no such setting")[0]["variable"] == "ROLLUP_AUDIT_SLICE", "{log:?}");
}
