//! Audit and repair while source items move from one view item to another.

use std::sync::Arc;
use std::time::Duration;

use ddb_rollup::config::{Config, Tables};
use ddb_rollup::operate::args::Pace;
use ddb_rollup::operate::audit::judged::DriftedCounter;
use ddb_rollup::operate::audit::report::AuditReport;
use ddb_rollup::operate::audit::{AuditScope, audit as audit_view};
use ddb_rollup::operate::repair::repair as repair_view;
use ddb_rollup::operate::repair::report::RepairReport;
use ddb_rollup::operate::stop;
use ddb_rollup::rollup::model::number::Number;

use crate::audit::{audit, numbers, settled};
use crate::engine::{Engine, s};
use crate::under_fire::{BUSY, Fire, QUIET, Writes, add, engine};

/// Audits in a row: drift that is not there would show in one of them.
const AUDITS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn points_that_move_between_maps_are_no_drift_and_hide_none() {
    let engine = engine().await;
    let fire = Fire::light_with(&engine, Writes::PointsThatMove);
    for _ in 0..AUDITS {
        let ran = audit(&engine).await;
        let [view_items, exact, _, unstable, drifted, _] = numbers(&ran.json());
        assert_eq!((view_items, unstable, drifted), (BUSY + QUIET, 0, 0), "{ran:?}");
        assert!(exact >= QUIET, "{ran:?}");
    }
    // One less here and one more there is what a move does; this one is none.
    add(&engine, "busy0", -1).await;
    add(&engine, "busy1", 1).await;
    let ran = audit(&engine).await;
    let drift = ran.json()["drift"].as_array().unwrap().clone();
    let found = drift
        .iter()
        .map(|drift| (drift["key"].clone(), drift["stored"].as_i64().unwrap() - drift["recounted"].as_i64().unwrap()));
    assert_eq!(found.collect::<Vec<_>>(), [("busy0".into(), -1), ("busy1".into(), 1)], "{ran:?}");
    let ran = settled(&engine, "repair", &[]).await;
    assert_eq!(numbers(&ran.json())[3..5], [0, 0], "{ran:?}");
    fire.put_out(&engine).await;
    engine.assert_exact().await;
    let ran = audit(&engine).await;
    assert_eq!((ran.code, numbers(&ran.json())), (0, [6, 6, 0, 0, 0, 0]), "{ran:?}");
}

fn config() -> Config {
    Config { definition: Writes::Spots.definition(), ..Config::of(Tables::default()).unwrap() }
}

fn scope() -> AuditScope {
    AuditScope { pace: Pace { settle: Duration::from_millis(50), ..Pace::default() }, ..AuditScope::default() }
}

async fn audit_spots(engine: &Engine) -> AuditReport {
    let (_stopper, stop) = stop::stop();
    Box::pin(audit_view(&engine.sdk, config(), &scope(), &stop)).await.unwrap()
}

async fn repair_spots(engine: &Engine) -> RepairReport {
    let (_stopper, stop) = stop::stop();
    Box::pin(repair_view(&engine.sdk, config(), &scope(), "ann", &stop)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_write_that_moves_an_item_to_another_view_item_is_seen_on_both() {
    let engine = Arc::new(Engine::start().await);
    engine.create_table("Spot", &["PointId"], true).await;
    for spot in 0..20 {
        let map = format!("busy{}", spot % BUSY);
        engine.put("Spot", [("PointId", s(&format!("p{spot}"))), ("MapId", s(&map)), ("Category", s("Bar"))]).await;
    }
    let function = engine.function_with(|config| config.definition = Writes::Spots.definition());
    function.deliver(&engine.stream_records_of("Spot").await).await;
    let fire = Fire::light_with(&engine, Writes::Spots);
    for _ in 0..AUDITS {
        let report = audit_spots(&engine).await;
        assert_eq!((report.view_items(), report.unstable.len()), (BUSY, 0), "{report:?}");
        assert!(report.drifted.is_empty(), "{report:?}");
    }
    add(&engine, "busy0", -1).await;
    add(&engine, "busy1", 1).await;
    let report = audit_spots(&engine).await;
    let found = report.drifted.iter().map(|item| {
        let [DriftedCounter { difference, .. }] = &item.counters[..] else { panic!("{report:?}") };
        let ddb_rollup::rollup::check::judge::StoredValue::Number(stored) = &difference.stored else {
            panic!("{report:?}")
        };
        let mut off = stored.clone();
        off += &-difference.expected.clone();
        (item.key.to_string(), off)
    });
    let expected = [("busy0".to_owned(), Number::from(-1)), ("busy1".to_owned(), Number::from(1))];
    assert_eq!(found.collect::<Vec<_>>(), expected);
    let (one, other) = tokio::join!(repair_spots(&engine), repair_spots(&engine));
    for report in [one, other] {
        assert!(report.audit.drifted.is_empty() && report.audit.unstable.is_empty(), "{report:?}");
    }
    fire.put_out(&engine).await;
    engine.assert_exact_of("Spot").await;
    let report = audit_spots(&engine).await;
    assert_eq!((report.exact, report.view_items()), (BUSY, BUSY), "{report:?}");
}
