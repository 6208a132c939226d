//! What a batch costs that was counted before, in whole or in part: its cancelled transactions, and the units of them.

use ddb_rollup::config::Config;
use ddb_rollup::rollup::model::view::OnMissingViewItem;
use ddb_rollup::rollup::pipeline::verdict::{Failure, RetryCause};
use serde_json::Value;

use crate::engine::Engine;
use crate::limits::inserts;
use crate::requests::{Before, Process, Recording, Sent, engine, recording};

/// Records of a batch.
const RECORDS: usize = 1_000;

/// How many view items they are of: many entries an item, or one.
const MAPS: [usize; 2] = [20, 1_000];

/// Which records of the batch were counted before.
type Counted = fn(usize) -> bool;

async fn counters_are_exact(engine: &Engine, records: usize) {
    let counters = engine.all_counters().await;
    assert_eq!(counters.values().map(|counters| counters.total).sum::<i64>(), i64::try_from(records).unwrap());
    assert!(counters.values().all(|counters| counters.total == counters.categories.values().sum::<i64>()));
}

fn process(recording: &Recording) -> Process<'_> {
    Process::begin(recording, OnMissingViewItem::Create)
}

/// The batch, of which a process counted those records.
async fn batch_counted_before(engine: &Engine, recording: &Recording, maps: usize, counted: Counted) -> Vec<Value> {
    let batch = inserts(engine, RECORDS, maps).await;
    let before: Vec<Value> = (0..RECORDS).filter(|place| counted(*place)).map(|place| batch[place].clone()).collect();
    process(recording).deliver(&before).await;
    batch
}

fn affordable(sent: Sent, told: &str) {
    assert!(sent.cancelled <= 2, "{told}");
    assert!(4 * sent.cancelled_units <= RECORDS, "at most 0.25 write units an event: {told}");
    assert!(sent.keys <= 2 * RECORDS, "at most one read unit an event: {told}");
}

#[tokio::test]
async fn a_new_process_pays_little_for_what_was_counted_before() {
    let shares: [(&str, Counted); 4] = [
        ("all", |_| true),
        ("every second", |place| place % 2 == 0),
        ("every tenth", |place| place % 10 == 0),
        ("the first half", |place| place < RECORDS / 2),
    ];
    for maps in MAPS {
        for (share, counted) in shares {
            let engine = engine(maps, Before::Complete).await;
            let recording = recording(&engine);
            let batch = batch_counted_before(&engine, &recording, maps, counted).await;
            let sent = process(&recording).deliver(&batch).await;
            let told = format!("{share} of {RECORDS} records over {maps} maps: {sent:?}");
            affordable(sent, &told);
            let left = (0..RECORDS).filter(|place| !counted(*place)).count();
            // Two write units a marker and a view item, and a few view items that are cut.
            let needed = 2 * (left + maps.min(left));
            assert!(10 * (sent.write_units - sent.cancelled_units) <= 11 * needed + 200, "{needed} needed: {told}");
            counters_are_exact(&engine, RECORDS).await;
        }
    }
}

#[tokio::test]
async fn after_a_failure_a_process_expects_duplicates_and_else_it_does_not() {
    let engine = engine(20, Before::Complete).await;
    let recording = recording(&engine);
    let batch = inserts(&engine, RECORDS, 20).await;
    let process = process(&recording);
    process.deliver(&batch).await;

    // Nothing failed: what is on its way beside the first duplicate is lost, and nothing more.
    let sent = process.deliver(&batch).await;
    let in_flight = Config::of(ddb_rollup::config::Tables::default()).unwrap().max_in_flight;
    assert!((2..=in_flight).contains(&sent.cancelled), "{sent:?}");
    assert!((1..RECORDS).contains(&sent.keys) && sent.marker_look_ups == sent.keys.div_ceil(100), "{sent:?}");

    *recording.transactions_fail.lock().unwrap() = Some(Failure::Broken("no rights".to_owned()));
    process.handle(&batch).await.unwrap_err();
    *recording.transactions_fail.lock().unwrap() = None;
    let sent = process.deliver(&batch).await;
    affordable(sent, &format!("{sent:?}"));
    assert_eq!(sent.cancelled, 1, "{sent:?}");
    counters_are_exact(&engine, RECORDS).await;
}

#[tokio::test]
async fn a_batch_without_duplicates_asks_for_no_marker() {
    for maps in MAPS {
        let engine = engine(maps, Before::Complete).await;
        let recording = recording(&engine);
        let batch = inserts(&engine, RECORDS, maps).await;
        let sent = process(&recording).deliver(&batch).await;
        assert_eq!((sent.marker_look_ups, sent.cancelled), (0, 0), "{sent:?}");
    }
}

#[tokio::test]
async fn a_look_up_that_fails_fails_no_record_and_one_that_is_denied_is_not_tried_again() {
    for (failure, asks_again) in [
        (Failure::Transient(RetryCause::Throttled), true),
        (Failure::Refused("ValidationException".to_owned()), true),
        (Failure::Broken("AccessDeniedException".to_owned()), false),
    ] {
        let engine = engine(20, Before::Complete).await;
        let recording = recording(&engine);
        let batch = batch_counted_before(&engine, &recording, 20, |place| place < RECORDS / 2).await;
        *recording.marker_look_ups_fail.lock().unwrap() = Some(failure.clone());
        let process = process(&recording);
        for asks in [true, asks_again] {
            let sent = process.deliver(&batch).await;
            assert_eq!(sent.marker_look_ups > 0, asks, "{failure:?}: {sent:?}");
            counters_are_exact(&engine, RECORDS).await;
        }
    }
}
