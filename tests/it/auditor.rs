//! The auditor as a process, under the Runtime API: passes over several runs, what they find, and what they refuse.

mod bucket;
mod limits;
mod refused;
mod workers;

use std::time::Duration;

use serde_json::{Value, json};

use crate::audit::{audit, numbers, points};
use crate::command::run;
use crate::engine::{Engine, Item, n, s};
use crate::runtime_api::{Ended, Program, Sandbox, Settings};

/// Time for a run of which nothing but its result matters.
const AMPLE: Duration = Duration::from_mins(1);

/// Runs that no pass of a test needs: one that does not end fails.
const RUNS: usize = 60;

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

/// Runs until the pass ends: its summary, and the runs that it took.
async fn pass(sandbox: &Sandbox, time: Duration) -> (Value, usize) {
    match pass_or_failure(sandbox, time).await {
        Ok(ended) => ended,
        Err(failure) => panic!("{failure:?}"),
    }
}

/// The same, or the run that failed.
async fn pass_or_failure(sandbox: &Sandbox, time: Duration) -> Result<(Value, usize), Ended> {
    for run in 1..=RUNS {
        match sandbox.invoke("{}", time).await {
            Ended::Response(mut answer) if answer["pass"] == "ended" => return Ok((answer["summary"].take(), run)),
            Ended::Response(_) => {}
            failure => return Err(failure),
        }
    }
    panic!("the pass does not end");
}

async fn tamper(engine: &Engine, map: &str) {
    let update = engine.db.update_item().table_name("Map").key("MapId", s(map));
    update.update_expression("ADD TotalPoints :v").expression_attribute_values(":v", n(5)).send().await.unwrap();
}

/// All lines of the log of a process, which is ended.
async fn log(sandbox: &Sandbox) -> Vec<Value> {
    sandbox.kill().await;
    sandbox.stdout().await.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The lines with this message.
fn told<'a>(log: &'a [Value], message: &str) -> Vec<&'a Value> {
    log.iter().filter(|line| line["message"].as_str().is_some_and(|told| told.starts_with(message))).collect()
}

fn sorted<'a>(values: impl IntoIterator<Item = &'a Value>) -> Vec<String> {
    let mut texts: Vec<String> = values.into_iter().map(Value::to_string).collect();
    texts.sort();
    texts
}

/// The values of a metric, run by run.
fn metric(log: &[Value], name: &str) -> Vec<u64> {
    log.iter().filter_map(|line| line[name].as_u64()).collect()
}

/// An item that the auditor keeps.
async fn kept(engine: &Engine, name: &str) -> Option<Item> {
    let get = engine.db.get_item().table_name("Idempotency").key("SequenceNumber", s("audit")).key("Stream", s(name));
    get.send().await.unwrap().item
}

#[tokio::test]
async fn a_pass_in_one_run_finds_what_the_command_finds_and_leaves_its_time() {
    let (engine, _) = points(12, 12).await;
    tamper(&engine, "m1").await;
    let whole = audit(&engine).await.json();
    let sandbox = Sandbox::ready(&settings(&engine)).await;
    let (summary, runs) = pass(&sandbox, AMPLE).await;
    assert_eq!((numbers(&summary), runs), (numbers(&whole), 1), "{summary}");
    assert!(kept(&engine, "position").await.is_none() && kept(&engine, "last-pass").await.is_some());
    assert_eq!(audit(&engine).await.json()["markers"], json!(12), "what the auditor keeps is no marker");

    let log = log(&sandbox).await;
    let found = told(&log, "audit finding");
    assert_eq!(found.len(), 2, "{log:?}");
    assert_eq!((&found[0]["kind"], &found[0]["finding"]), (&json!("drift"), &whole["drift"][0]));
    assert_eq!((&found[1]["kind"], &found[1]["finding"]), (&json!("ledger"), &whole["ledger"][0]));
    assert_eq!(told(&log, "audit summary")[0]["summary"], summary);
    let metrics = ["AuditViewItems", "AuditDrifted", "AuditUnstable", "AuditQuarantined", "AuditRefused"];
    assert_eq!(metrics.map(|name| metric(&log, name)), [[3], [1], [0], [0], [0]].map(Vec::from));

    let commands = [0, 1].map(|finding: usize| found[finding]["command"].as_str().unwrap());
    let tables = "--source-table Point --idempotency-table Idempotency --view-table Map";
    let service = format!("--endpoint-url {} --region eu-west-1", engine.url);
    assert_eq!(commands[0], format!("ddb-rollup repair --item m1 --view default {service} {tables}"));
    for command in commands {
        let ran = run(&engine, &command.split(' ').skip(1).collect::<Vec<_>>()).await;
        assert!(ran.code == 0 && ran.out.contains("exact"), "{command}: {ran:?}");
    }
}

#[tokio::test]
async fn several_short_runs_add_up_to_the_whole_audit() {
    // A slow machine needs longer runs: in too short ones the auditor divides the slices further, or gives up.
    for seconds in [6, 12, 24, 48] {
        if short_runs_add_up(Duration::from_secs(seconds)).await {
            return;
        }
    }
    panic!("no slice fits into a run");
}

/// Compares a pass of runs of this time with a whole audit; false if the time is too short for one of six slices.
async fn short_runs_add_up(time: Duration) -> bool {
    let (engine, records) = points(60, 50).await;
    let mut expired = records[50].clone();
    expired["dynamodb"]["ApproximateCreationDateTime"] = json!(1_500_000_000);
    engine.function().deliver(&[expired]).await;
    tamper(&engine, "m1").await;
    engine.put("Point", [("MapId", s("m2")), ("PointId", s("no category"))]).await;
    let whole = audit(&engine).await.json();

    let sandbox = Sandbox::ready(&settings(&engine).with("ROLLUP_AUDIT_SLICES", "6")).await;
    let (summary, runs) = match pass_or_failure(&sandbox, time).await {
        Ok((summary, _)) if summary["slices"].as_u64() > Some(6) => return false,
        Ok(ended) => ended,
        Err(Ended::Error { kind, .. }) if kind == "Audit.TooLarge" => return false,
        Err(failure) => panic!("{failure:?}"),
    };
    assert!(runs > 1, "{summary}");
    assert_eq!(numbers(&summary), numbers(&whole), "{summary}");
    for name in ["source_items", "markers", "stream_records", "oldest_unmarked", "unreadable_source_items"] {
        assert_eq!(summary[name], whole[name], "{name}");
    }
    assert_eq!(summary["slices"], json!(6));
    assert!(summary["read_units"].as_f64() > whole["read_units"].as_f64());

    let log = log(&sandbox).await;
    let drift = told(&log, "audit finding").into_iter().filter(|line| line["kind"] == "drift");
    assert_eq!(sorted(drift.map(|line| &line["finding"])), sorted(whole["drift"].as_array().unwrap()), "each once");
    assert_eq!(metric(&log, "AuditSecondsSinceLastPass").len(), runs, "every run tells it");
    assert_eq!(metric(&log, "AuditDrifted").last(), whole["drifted"].as_u64().as_ref());
    assert_eq!(metric(&log, "AuditQuarantined"), [1], "at the end of the pass");
    true
}

/// An engine with three records in quarantine that are too old to be applied, each of another map, and their auditor.
async fn expired() -> (Engine, Settings) {
    let (engine, records) = points(24, 20).await;
    let mut expired = records[20..23].to_vec();
    for record in &mut expired {
        record["dynamodb"]["ApproximateCreationDateTime"] = json!(1_500_000_000);
    }
    engine.function().deliver(&expired).await;
    let wanted = settings(&engine).with("ROLLUP_AUDIT_SLICES", "2").with("ROLLUP_AUDIT_REPAIRS", "true");
    (engine, wanted)
}

#[tokio::test]
async fn with_repairs_a_pass_of_several_slices_closes_what_can_never_be_applied() {
    let (engine, wanted) = expired().await;
    let sandbox = Sandbox::ready(&wanted).await;
    let (summary, _) = pass(&sandbox, AMPLE).await;
    assert_eq!((numbers(&summary), &summary["closed"]), ([3, 3, 0, 0, 0, 0], &json!(3)), "{summary}");
    engine.assert_exact().await;
    assert_eq!(numbers(&audit(&engine).await.json()), [3, 3, 0, 0, 0, 0]);
}

#[tokio::test]
async fn without_repairs_a_pass_closes_nothing() {
    let (engine, wanted) = expired().await;
    let sandbox = Sandbox::ready(&wanted.with("ROLLUP_AUDIT_REPAIRS", "false")).await;
    let (summary, _) = pass(&sandbox, AMPLE).await;
    assert_eq!(&summary["quarantined"], &json!(3), "{summary}");
    assert_eq!(audit(&engine).await.json()["quarantined"], json!(3));
}

#[tokio::test]
async fn with_repairs_the_counters_are_exact_after_a_pass() {
    let (engine, _) = points(24, 20).await;
    tamper(&engine, "m0").await;
    tamper(&engine, "m2").await;
    let wanted = settings(&engine).with("ROLLUP_AUDIT_SLICES", "2").with("ROLLUP_AUDIT_REPAIRS", "true");
    let sandbox = Sandbox::ready(&wanted).await;
    let (summary, _) = pass(&sandbox, AMPLE).await;
    assert_eq!((numbers(&summary), &summary["clean"]), ([3, 3, 0, 0, 0, 0], &json!(true)), "{summary}");
    engine.assert_exact().await;
    let log = log(&sandbox).await;
    assert_eq!(told(&log, "audit repaired").len(), 2, "{log:?}");
    assert_eq!((metric(&log, "AuditRepaired").last(), metric(&log, "AuditDrifted").last()), (Some(&2), Some(&2)));
}
