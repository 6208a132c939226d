//! Repair: counters become exact, stay so, and the ledger stays whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use crate::audit::{audit, numbers, points, settled, switch_stream};
use crate::command::{Ran, command, run, run_with};
use crate::engine::{Engine, n, s};
use crate::proxy::{Code, Fault, Proxy, Request};
use crate::request_hook::before_each_request;

async fn repair(engine: &Engine) -> Ran {
    settled(engine, "repair", &[]).await
}

/// Nothing that is delivered, again or late, moves an exact counter.
async fn assert_stays_exact(engine: &Engine) {
    engine.assert_exact().await;
    let records = engine.stream_records().await;
    engine.function().try_deliver(&records).await.unwrap();
    engine.assert_exact().await;
    let ran = audit(engine).await;
    assert_eq!(ran.code, 0, "{ran:?}");
}

fn category(text: &str) -> AttributeValue {
    AttributeValue::M([(text.to_owned(), n(3))].into())
}

#[tokio::test]
async fn a_table_without_counters_is_adopted_before_it_has_a_stream() {
    let engine = Engine::start().await;
    switch_stream(&engine, false).await;
    for point in 0..12 {
        engine.put_point(&format!("m{}", point % 3), &format!("p{point}"), Some("Bar")).await;
    }
    let ran = repair(&engine).await;
    assert_eq!((ran.code, ran.json()["repaired"].clone(), numbers(&ran.json())), (0, json!(3), [3, 3, 0, 0, 0, 0]));
    engine.assert_exact().await;
    switch_stream(&engine, true).await;
    engine.put_point("m0", "later", Some("Bar")).await;
    engine.function().deliver(&engine.stream_records().await).await;
    assert_stays_exact(&engine).await;
}

#[tokio::test]
async fn a_table_with_a_stream_is_adopted_with_markers_that_a_function_finds_later() {
    let (engine, records) = points(12, 0).await;
    let ran = repair(&engine).await;
    assert_eq!((ran.code, numbers(&ran.json())), (0, [3, 3, 0, 0, 0, 0]), "{ran:?}");
    assert_eq!(engine.markers().await.len(), records.len());
    assert_stays_exact(&engine).await;
    let before = engine.everything().await;
    assert_eq!(repair(&engine).await.json()["repaired"], 0, "what is exact is left alone");
    assert_eq!(engine.everything().await, before);
}

#[tokio::test]
async fn counters_of_an_at_least_once_function_are_set_right_and_the_rest_of_the_item_stays() {
    let (engine, _) = points(12, 0).await;
    engine.put("Map", [("MapId", s("m0")), ("TotalPoints", n(99)), ("City", s("Bern"))]).await;
    engine.put("Map", [("MapId", s("m1")), ("TotalPoints", s("many")), ("CategoryCounts", n(1))]).await;
    engine.put("Map", [("MapId", s("no points")), ("TotalPoints", n(3)), ("CategoryCounts", category("Bar"))]).await;
    let ran = repair(&engine).await;
    assert_eq!(ran.json()["drifted"], 0, "{ran:?}");
    // Whose the counters of an item are to which nothing contributes cannot be told: the operator says so.
    assert_eq!((ran.code, &ran.json()["items_of_others"]), (0, &json!(["no points"])), "{ran:?}");
    let ran = settled(&engine, "repair", &["--adopt"]).await;
    assert_eq!((ran.code, &ran.json()["items_of_others"]), (0, &json!([])), "{ran:?}");
    assert_stays_exact(&engine).await;
    let items = engine.everything().await.0;
    assert_eq!(items["m0"]["City"], s("Bern"));
    assert_eq!((&items["no points"]["TotalPoints"], &items["no points"]["RollupVersion"]), (&n(0), &n(1)));
}

#[tokio::test]
async fn each_repair_is_in_the_ledger() {
    let (engine, _) = points(12, 12).await;
    engine.put("Map", [("MapId", s("m1")), ("TotalPoints", n(9)), ("CategoryCounts", category("Gone"))]).await;
    let user = [("USER", "ada"), ("HOSTNAME", "analytical")];
    let ran = run_with(&engine, &["repair", "--settle", "0"], &user).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("TotalPoints from 9 to 4") && ran.out.contains("1 view item repaired"), "{}", ran.out);
    let markers = engine.markers().await;
    let (name, record) = markers.iter().find(|(name, _)| name.starts_with("repair-")).unwrap();
    assert_eq!(&record["SequenceNumber"], &s(name));
    assert_eq!((&record["Stream"], &record["Outcome"]), (&s("Map"), &s("REPAIRED")));
    assert_eq!(record["Who"], s("ada@analytical"));
    let [set] = record["Items"].as_l().unwrap().as_slice() else { panic!("{record:?}") };
    let side = |name: &str| {
        let value = set.as_m().unwrap()[name].as_m().unwrap();
        serde_json::to_value(serde_dynamo::Item::from(value.clone())).unwrap()
    };
    assert_eq!(side("Item"), json!({"MapId": {"S": "m1"}}));
    assert_eq!(
        side("From"),
        json!({"TotalPoints": {"N": "9"}, "CategoryCounts": {"M": {"Gone": {"N": "3"}, "Bar": {"N": "0"}, "Zoo": {"N": "0"}}}})
    );
    assert_eq!(
        side("To"),
        json!({"TotalPoints": {"N": "4"}, "CategoryCounts": {"M": {"Gone": {"N": "0"}, "Bar": {"N": "2"}, "Zoo": {"N": "2"}}}})
    );
    assert!(record.contains_key("ExpiresAt") && record.contains_key("RecordedAt"));
    assert_stays_exact(&engine).await;
}

#[tokio::test]
async fn a_dry_run_shows_the_writes_and_makes_none() {
    let (engine, _) = points(12, 7).await;
    engine.put("Map", [("MapId", s("m1")), ("TotalPoints", n(9))]).await;
    let before = engine.everything().await;
    let ran = settled(&engine, "repair", &["--dry-run"]).await;
    assert_eq!((ran.code, ran.json()["repaired"].clone()), (1, json!(0)), "{ran:?}");
    assert_eq!(ran.json()["writes"][0]["item"], "m1");
    let total = json!({"counter": "TotalPoints", "from": "9", "to": "2"});
    assert!(ran.json()["writes"][0]["changes"].as_array().unwrap().contains(&total), "{ran:?}");
    let ran = run(&engine, &["repair", "--dry-run", "--settle", "0"]).await;
    assert!(ran.out.contains("would set m1: TotalPoints from 9 to 2"), "{}", ran.out);
    assert_eq!(engine.everything().await, before);
}

/// An engine whose map m0 took no record: its points are in quarantine.
async fn poisoned(count: usize) -> (Engine, Vec<Value>) {
    let engine = Engine::start().await;
    engine.put("Map", [("MapId", s("m0")), ("TotalPoints", s("broken"))]).await;
    for point in 0..count {
        engine.put_point(&format!("m{}", point % 2), &format!("p{point}"), Some("Bar")).await;
    }
    let records = engine.stream_records().await;
    engine.function().deliver(&records).await;
    (engine, records)
}

#[tokio::test]
async fn what_is_in_quarantine_is_told_as_such_and_no_drift() {
    let (engine, _) = poisoned(6).await;
    engine.put("Map", [("MapId", s("m0"))]).await;
    let ran = audit(&engine).await;
    assert_eq!((ran.code, numbers(&ran.json())), (1, [2, 1, 1, 0, 0, 3]), "{ran:?}");
    assert_eq!(ran.json()["behind_items"], json!([{"key": "m0", "unmarked": 0, "quarantined": 3}]));
    // Also of one item alone, and when the stream has the records no more.
    for has_stream in [true, false] {
        if !has_stream {
            switch_stream(&engine, false).await;
        }
        let ran = settled(&engine, "audit", &["--item", "m0"]).await;
        assert_eq!((ran.code, numbers(&ran.json())), (1, [1, 0, 1, 0, 0, 3]), "{ran:?}");
        let ran = settled(&engine, "audit", &["--item", "m1"]).await;
        assert_eq!((ran.code, numbers(&ran.json())), (0, [1, 1, 0, 0, 0, 0]), "{ran:?}");
    }
    let ran = settled(&engine, "repair", &["--item", "m0"]).await;
    assert_eq!((ran.code, numbers(&ran.json())), (0, [1, 1, 0, 0, 0, 0]), "{ran:?}");
    let ran = run(&engine, &["quarantine", "replay", "--all", "--json"]).await;
    assert_eq!(ran.json()["read"], 0, "the repair applied what it did not set: {ran:?}");
    engine.assert_exact().await;
}

#[tokio::test]
async fn a_quarantine_that_was_repaired_over_counts_once() {
    for count in [6, 240] {
        let (engine, _) = poisoned(count).await;
        let ran = repair(&engine).await;
        assert_eq!((ran.code, numbers(&ran.json())), (0, [2, 2, 0, 0, 0, 0]), "{ran:?}");
        assert_eq!(ran.json()["applied_from_quarantine"], json!(count / 2), "{ran:?}");
        engine.assert_exact().await;
        let ran = run(&engine, &["quarantine", "replay", "--all", "--json"]).await;
        assert_eq!((ran.code, ran.json()["applied"].clone()), (0, json!(0)), "{ran:?}");
        run(&engine, &["replay", "--from-stream"]).await;
        assert_stays_exact(&engine).await;
        let applied = engine.markers().await.into_values().filter(|marker| marker["Outcome"] == s("APPLIED")).count();
        assert_eq!(applied, count, "each is applied by its own marker");
    }
}

#[tokio::test]
async fn a_quarantine_whose_cause_is_mended_may_be_replayed_before_a_repair() {
    let (engine, _) = poisoned(6).await;
    engine.put("Map", [("MapId", s("m0"))]).await;
    let ran = run(&engine, &["quarantine", "replay", "--all", "--json"]).await;
    assert_eq!((ran.code, ran.json()["applied"].clone()), (0, json!(3)), "{ran:?}");
    assert_eq!(repair(&engine).await.json()["repaired"], 0);
    assert_stays_exact(&engine).await;
}

#[tokio::test]
async fn a_discarded_record_is_drift_until_it_is_repaired() {
    let (engine, _) = poisoned(6).await;
    run(&engine, &["quarantine", "discard", "--all"]).await;
    let ran = audit(&engine).await;
    assert_eq!((ran.code, numbers(&ran.json())), (1, [2, 1, 0, 0, 1, 0]), "{ran:?}");
    assert_eq!(ran.json()["drift"][0]["stored"], "of type S");
    assert_eq!(repair(&engine).await.code, 0);
    assert_stays_exact(&engine).await;
}

#[tokio::test]
async fn an_expired_record_is_closed_whether_it_had_counted_or_not() {
    let (engine, mut records) = points(4, 0).await;
    for record in &mut records[..2] {
        record["dynamodb"]["ApproximateCreationDateTime"] = json!(1_500_000_000);
    }
    engine.function().deliver(&records).await;
    let ran = audit(&engine).await;
    assert_eq!((ran.code, numbers(&ran.json())[5]), (1, 2), "{ran:?}");
    let ran = repair(&engine).await;
    assert_eq!((ran.code, numbers(&ran.json())), (0, [3, 3, 0, 0, 0, 0]), "{ran:?}");
    let closed: Vec<_> =
        engine.markers().await.into_values().filter(|marker| marker["Outcome"] == s("DISCARDED")).collect();
    assert_eq!((closed.len(), &ran.json()["closed"]), (2, &json!(2)));
    for marker in closed {
        assert!(marker["RepairedBy"].as_s().unwrap().starts_with("repair-"));
        assert!(marker.contains_key("Record") && marker.contains_key("Reason"), "it is kept with its reason");
    }
    engine.function().deliver(&engine.stream_records().await).await;
    assert_stays_exact(&engine).await;
}

#[tokio::test]
async fn a_missing_view_item_is_left_alone_where_the_function_skips_them() {
    let (engine, _) = points(6, 0).await;
    let skip = [("ROLLUP_ON_MISSING_VIEW_ITEM", "skip")];
    engine.put("Map", [("MapId", s("m0"))]).await;
    let arguments = ["repair", "--json", "--settle", "0"];
    let ran = run_with(&engine, &arguments, &skip).await;
    assert_eq!((ran.code, numbers(&ran.json())), (0, [1, 1, 0, 0, 0, 0]), "{ran:?}");
    assert_eq!(ran.json()["orphans"]["missing"], json!(["m1", "m2"]));
    assert_eq!(engine.all_counters().await.keys().collect::<Vec<_>>(), ["m0"]);

    // It is created later: its counters begin with what a repair finds.
    engine.put("Map", [("MapId", s("m1"))]).await;
    let ran = run_with(&engine, &arguments, &skip).await;
    assert_eq!((ran.code, ran.json()["repaired"].clone()), (0, json!(1)), "{ran:?}");
    assert_eq!(engine.counters("m1").await.unwrap().total, 2);
}

#[tokio::test]
async fn repairs_of_two_operators_do_each_other_no_harm() {
    let (engine, _) = points(60, 20).await;
    for map in ["m0", "m1", "m2"] {
        engine.put("Map", [("MapId", s(map)), ("TotalPoints", n(99))]).await;
    }
    let (one, other) = tokio::join!(repair(&engine), repair(&engine));
    for ran in [one, other] {
        assert_eq!((ran.code, ran.json()["drifted"].clone()), (0, json!(0)), "{ran:?}");
    }
    assert_stays_exact(&engine).await;
}

/// The maps, each with a point and without counters.
async fn uncounted(maps: usize) -> Engine {
    let engine = Engine::start().await;
    switch_stream(&engine, false).await;
    for map in 0..maps {
        engine.put_point(&format!("m{map}"), "p", Some("Bar")).await;
    }
    engine
}

#[tokio::test]
async fn an_adoption_that_was_killed_goes_on_when_it_is_started_again() {
    const MAPS: usize = 2_000;
    let engine = uncounted(MAPS).await;
    switch_stream(&engine, true).await;
    let start = || {
        let mut command = command(&engine, &["repair", "--json", "--settle", "0", "--concurrency", "1"]);
        command.stdout(std::process::Stdio::piped()).spawn().unwrap()
    };
    let set = async |child: &mut tokio::process::Child, at_least: usize| {
        loop {
            let set = engine.scan("Map").await.len();
            if set >= at_least {
                return set;
            }
            assert_eq!(child.try_wait().unwrap(), None, "it ended after {set}");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let mut child = start();
    set(&mut child, 5).await;
    child.kill().await.unwrap();
    let before = engine.scan("Map").await.len();
    assert!((5..MAPS).contains(&before), "it was killed in the middle, after {before}");

    // Asked to stop, it says what it did.
    let mut child = start();
    let id = child.id().unwrap();
    set(&mut child, before + 5).await;
    let asked = tokio::process::Command::new("kill").args(["-INT", &id.to_string()]).status().await.unwrap();
    assert!(asked.success());
    let output = child.wait_with_output().await.unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{report}");
    let (repaired, left) = (report["repaired"].as_u64().unwrap(), report["not_examined"].as_u64().unwrap());
    assert!(repaired >= 5 && left > 0, "{report}");

    let ran = repair(&engine).await;
    assert_eq!((ran.code, numbers(&ran.json())), (0, [MAPS as u64, MAPS as u64, 0, 0, 0, 0]), "{ran:?}");
    assert!(ran.json()["repaired"].as_u64().unwrap() < MAPS as u64, "what was set stays set");
    assert_stays_exact(&engine).await;
}

/// A proxy that holds up the first transaction that sets so many view items, and refuses all later ones.
async fn refusing_the_second(engine: &Engine, items: usize) -> Proxy {
    let mut writes = 0;
    let refuse = move |request: &Request| {
        // The record of the repair takes an action too.
        writes += usize::from(request.actions() == items + 1);
        match writes {
            0 => None,
            _ if request.actions() == 0 => None,
            1 => Some(Fault::Late(Duration::from_millis(300))),
            _ => Some(Fault::Error(Code::AccessDenied)),
        }
    };
    Proxy::start(&engine.url, refuse).await
}

async fn repair_two_at_a_time(engine: &Engine, url: &str) -> Ran {
    run(engine, &["repair", "--settle", "0", "--concurrency", "2", "--endpoint-url", url]).await
}

#[tokio::test]
async fn a_repair_that_is_refused_in_the_middle_says_how_many_items_it_set() {
    let engine = uncounted(300).await;
    let proxy = refusing_the_second(&engine, 99).await;
    let ran = repair_two_at_a_time(&engine, &proxy.url).await;
    assert_eq!((ran.code, engine.scan("Map").await.len()), (2, 99), "{ran:?}");
    assert!(ran.err.contains("99 view items were set before this"), "{ran:?}");
}

#[tokio::test]
async fn so_does_one_that_sets_items_alone_because_they_changed() {
    const MAPS: usize = 6;
    let engine = Arc::new(uncounted(MAPS).await);
    let proxy = refusing_the_second(&engine, 1).await;
    let (changed, changing) = (Arc::new(AtomicBool::new(false)), Arc::clone(&engine));
    let url = before_each_request(&proxy.url, move |operation| {
        let (changed, engine) = (Arc::clone(&changed), Arc::clone(&changing));
        async move {
            if operation == "TransactWriteItems" && !changed.swap(true, Ordering::SeqCst) {
                for map in 0..MAPS {
                    engine.put("Map", [("MapId", s(&format!("m{map}"))), ("City", s("Bern"))]).await;
                }
            }
        }
    });
    let ran = repair_two_at_a_time(&engine, &url.await).await;
    let counted = engine.scan("Map").await.into_iter().filter(|map| map.contains_key("TotalPoints")).count();
    assert_eq!((ran.code, counted), (2, 1), "{ran:?}");
    assert!(ran.err.contains("1 view item was set before this"), "{ran:?}");
}
