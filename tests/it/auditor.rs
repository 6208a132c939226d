//! The auditor as a process, under the Runtime API: passes over several runs, what they find, and what they refuse.

use std::time::Duration;

use serde_json::{Value, json};

use crate::audit::{audit, numbers, points};
use crate::engine::{Engine, n, s};
use crate::runtime_api::{Ended, Program, Sandbox, Settings};

/// Time for a run of which nothing but its result matters.
const AMPLE: Duration = Duration::from_secs(60);

/// The auditor on an engine that shows writes at once.
fn settings(engine: &Engine) -> Settings {
    Settings::on(engine).program(Program::Auditor).with("ROLLUP_AUDIT_SETTLE_SECONDS", "0.05")
}

fn response(ended: Ended) -> Value {
    match ended {
        Ended::Response(answer) => answer,
        other => panic!("{other:?}"),
    }
}

async fn tamper(engine: &Engine, map: &str) {
    let update = engine.db.update_item().table_name("Map").key("MapId", s(map));
    update.update_expression("ADD TotalPoints :v").expression_attribute_values(":v", n(5)).send().await.unwrap();
}

/// The lines of the log with this message.
fn told(log: &[String], message: &str) -> Vec<Value> {
    let lines = log.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["message"] == message).collect()
}

#[tokio::test]
async fn a_pass_in_one_run_finds_what_the_command_finds() {
    let (engine, _) = points(12, 12).await;
    tamper(&engine, "m1").await;
    let whole = audit(&engine).await.json();
    let sandbox = Sandbox::ready(&settings(&engine).with("ROLLUP_AUDIT_SLICES", "4")).await;
    let answer = response(sandbox.invoke("{}", AMPLE).await);
    assert_eq!(answer["pass"], json!("ended"), "{answer}");
    assert_eq!(numbers(&answer["summary"]), numbers(&whole), "{answer}");
    sandbox.kill().await;
    let log = sandbox.stdout().await;
    let found = told(&log, "audit finding");
    assert_eq!(found.len(), 1, "{log:?}");
    assert_eq!((&found[0]["kind"], &found[0]["finding"]), (&json!("drift"), &whole["drift"][0]));
    assert_eq!(told(&log, "audit summary")[0]["summary"], answer["summary"]);
}
