//! The replay of duplicate events: whatever is delivered again, in whatever way, no counter moves.

use std::time::Duration;

use serde_json::{Value, json};

use crate::engine::{Engine, s, sequence_number, without_embedded_engine};

use stage::{Stage, Views};

mod stage;

/// What each of these tests is made over.
const EACH: [Views; 2] = [Views::One, Views::Four];

/// Delivers the history once, then lets `again` deliver of it what it likes: nothing may move.
async fn nothing_moves(again: impl AsyncFn(&Stage, &[Value])) {
    for views in EACH {
        let stage = Stage::new(views).await;
        let records = stage.records().await;
        stage.function().deliver(&records).await;
        stage.assert_exact().await;
        let before = stage.everything().await;
        again(&stage, &records).await;
        assert_eq!(stage.everything().await, before, "a replay over {views:?} moved something");
    }
}

#[tokio::test]
async fn the_same_batch_twice() {
    nothing_moves(async |stage, records| {
        stage.function().deliver(records).await;
        stage.function().deliver(records).await;
    })
    .await;
}

#[tokio::test]
async fn other_batch_boundaries() {
    nothing_moves(async |stage, records| {
        for size in [1, 2, 3, 7, records.len() - 1] {
            for batch in records.chunks(size) {
                stage.function().deliver(batch).await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn in_reverse() {
    nothing_moves(async |stage, records| {
        let reversed: Vec<Value> = records.iter().rev().cloned().collect();
        for batch in reversed.chunks(5) {
            stage.function().deliver(batch).await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_same_record_many_times_in_one_batch() {
    nothing_moves(async |stage, records| {
        let repeated: Vec<Value> = records.iter().flat_map(|record| [record, record, record]).cloned().collect();
        stage.function().deliver(&repeated).await;
    })
    .await;
}

#[tokio::test]
async fn the_same_record_twice_in_the_first_batch_counts_once() {
    for views in EACH {
        let stage = Stage::new(views).await;
        let records = stage.records().await;
        let twice: Vec<Value> = records.iter().chain(&records).cloned().collect();
        stage.function().deliver(&twice).await;
        stage.assert_exact().await;
        let effective = stage.engine.markers().await.len();
        assert_eq!(effective, stage.effective, "one marker a record");
    }
}

#[tokio::test]
async fn overlapping_batches_count_the_overlap_once() {
    for views in EACH {
        let stage = Stage::new(views).await;
        let records = stage.records().await;
        let function = stage.function();
        for start in 0..records.len() {
            function.deliver(&records[start..(start + 4).min(records.len())]).await;
        }
        stage.assert_exact().await;
    }
}

#[tokio::test]
async fn batches_in_any_order_come_to_the_same_counters() {
    for views in EACH {
        let stage = Stage::new(views).await;
        let records = stage.records().await;
        let function = stage.function();
        let batches: Vec<&[Value]> = records.chunks(6).collect();
        for batch in batches.iter().skip(1).step_by(2).chain(batches.iter().step_by(2)).chain(&batches) {
            function.deliver(batch).await;
        }
        stage.assert_exact().await;
    }
}

#[tokio::test]
async fn a_batch_of_counted_and_new_records_counts_the_new_ones() {
    for views in EACH {
        let stage = Stage::new(views).await;
        let records = stage.records().await;
        let function = stage.function();
        let every_third: Vec<Value> = records.iter().step_by(3).cloned().collect();
        function.deliver(&every_third).await;
        function.deliver(&records).await;
        stage.assert_exact().await;
    }
}

#[tokio::test]
async fn a_crash_between_commit_and_response() {
    for views in EACH {
        let stage = Stage::new(views).await;
        let records = stage.records().await;
        let function = stage.function();
        // The response is thrown away, as a crash would: Lambda delivers the whole batch again.
        let _ = function.try_deliver(&records[..20]).await;
        function.deliver(&records).await;
        stage.assert_exact().await;
    }
}

#[tokio::test]
async fn a_crash_at_any_moment_of_an_invocation() {
    for views in EACH {
        let stage = Stage::new(views).await;
        let records = stage.records().await;
        let mut delay = Duration::ZERO;
        loop {
            let cut = stage.function_in_flight(Some(2));
            if tokio::time::timeout(delay, cut.try_deliver(&records)).await.is_ok() {
                break;
            }
            delay += Duration::from_micros(300) + delay / 16;
        }
        stage.function().deliver(&records).await;
        stage.assert_exact().await;
    }
}

#[tokio::test]
async fn a_restart_of_the_engine_which_forgets_its_tokens() {
    if without_embedded_engine("it starts the embedded engine again on its file") {
        return;
    }
    for views in EACH {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("engine.db");
        let stage = Stage::on(Engine::start_on(&file).await, views).await;
        let records = stage.records().await;
        stage.function().deliver(&records).await;
        let before = stage.everything().await;
        let stage = stage.restarted_on(&file).await;
        // Under a view in the source table these are more: what the function wrote there came back in the stream.
        stage.function().deliver(&stage.records().await).await;
        stage.function().deliver(&records).await;
        assert_eq!(stage.everything().await, before, "{views:?}");
        stage.assert_exact().await;
    }
}

#[tokio::test]
async fn two_deliveries_at_the_same_time() {
    for views in EACH {
        let stage = Stage::new(views).await;
        let records = stage.records().await;
        let (one, two, three) = (stage.function(), stage.function(), stage.function());
        let reversed: Vec<Value> = records.iter().rev().cloned().collect();
        tokio::join!(one.deliver(&records), two.deliver(&reversed), three.deliver(&records[10..]));
        stage.assert_exact().await;
        assert_eq!(stage.engine.markers().await.len(), stage.effective);
    }
}

#[tokio::test]
async fn a_sequence_number_of_another_stream_is_another_record() {
    let engine = Engine::start().await;
    engine.put_point("m", "p", Some("Park")).await;
    let record = engine.stream_records().await.remove(0);
    let mut other = record.clone();
    other["eventSourceARN"] =
        json!("arn:aws:dynamodb:eu-west-1:000000000000:table/Point/stream/2001-01-01T00:00:00.000");
    other["eventID"] = json!("another event");
    let function = engine.function();
    function.deliver(&[record, other.clone()]).await;
    function.deliver(&[other]).await;
    assert_eq!(engine.counters("m").await.unwrap().total, 2);
    assert_eq!(engine.scan("Idempotency").await.len(), 2);
}

#[tokio::test]
async fn another_event_with_a_number_that_is_taken_is_kept_and_is_no_duplicate() {
    let engine = Engine::start().await;
    engine.put_point("m", "p", Some("Park")).await;
    engine.put_point("m", "q", Some("Park")).await;
    let records = engine.stream_records().await;
    let function = engine.function();
    function.deliver(&records[..1]).await;

    let mut taken = records[1].clone();
    taken["dynamodb"]["SequenceNumber"] = records[0]["dynamodb"]["SequenceNumber"].clone();
    let kept = async |engine: &Engine| {
        let markers = engine.markers().await.into_iter();
        let kept: Vec<_> = markers.filter(|(_, marker)| marker["Outcome"] == s("QUARANTINED")).collect();
        let [(number, marker)] = kept.as_slice() else { panic!("{kept:?}") };
        assert!(number.starts_with(&format!("{}#taken-", sequence_number(&records[0]))), "{number}");
        assert!(marker["Reason"].as_s().unwrap().contains("another event has the sequence number"), "{marker:?}");
        marker["Record"].as_s().unwrap().clone()
    };
    for _ in 0..2 {
        function.deliver(&[taken.clone(), records[1].clone()]).await;
        assert_eq!(engine.counters("m").await.unwrap().total, 2, "its neighbour is counted");
        let record: serde_json::Value = serde_json::from_str(&kept(&engine).await).unwrap();
        assert_eq!(record, taken, "whole");
    }

    // The same within one batch: the first is counted, the second is kept. In the other order, too.
    for batch in [[records[0].clone(), taken.clone()], [taken.clone(), records[0].clone()]] {
        let fresh = Engine::start().await;
        fresh.function().deliver(&batch).await;
        assert_eq!(fresh.counters("m").await.unwrap().total, 1);
        kept(&fresh).await;
        fresh.function().deliver(&batch).await;
        assert_eq!((fresh.counters("m").await.unwrap().total, fresh.markers().await.len()), (1, 2));
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_read_and_one_that_can_are_two_events_of_one_number() {
    let engine = Engine::start().await;
    engine.put_point("m", "p", Some("Park")).await;
    let readable = engine.stream_records().await.remove(0);
    let mut unreadable = readable.clone();
    unreadable["dynamodb"]["NewImage"] = "no image".into();
    for (batch, counted) in
        [([readable.clone(), unreadable.clone()], true), ([unreadable.clone(), readable.clone()], false)]
    {
        let engine = Engine::start().await;
        for _ in 0..2 {
            engine.function().deliver(&batch).await;
            let total = engine.counters("m").await.map(|counters| counters.total);
            assert_eq!(total, counted.then_some(1), "the first has the number");
            let markers = engine.markers().await;
            assert_eq!(markers.len(), 2, "{markers:?}");
            let kept =
                markers.iter().filter_map(|(number, marker)| Some((number, marker.get("Record")?.as_s().unwrap())));
            let kept: Vec<_> = kept.filter(|(number, _)| number.contains("#taken-")).collect();
            let [(_, record)] = kept.as_slice() else { panic!("{kept:?}") };
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(record).unwrap(),
                batch[1],
                "the second is kept whole"
            );
        }
    }
}

#[tokio::test]
async fn an_insert_and_a_delete_with_one_number_and_one_event_id_are_two_events() {
    let engine = Engine::start().await;
    engine.put_point("m", "p", Some("Park")).await;
    let insert = engine.stream_records().await.remove(0);
    let mut delete = insert.clone();
    let image = delete["dynamodb"].as_object_mut().unwrap().remove("NewImage").unwrap();
    delete["dynamodb"]["OldImage"] = image;
    delete["eventName"] = "REMOVE".into();
    let function = engine.function();
    function.deliver(std::slice::from_ref(&insert)).await;
    for _ in 0..2 {
        function.deliver(std::slice::from_ref(&delete)).await;
        let markers = engine.markers().await;
        assert_eq!((engine.counters("m").await.unwrap().total, markers.len()), (1, 2), "it is kept, and not lost");
    }
    // The same event by another way has another id, another name and other forms of its numbers, and is a duplicate.
    let mut again = insert;
    again["eventID"] = "another".into();
    again["eventName"] = "whatever".into();
    function.deliver(&[again]).await;
    assert_eq!((engine.counters("m").await.unwrap().total, engine.markers().await.len()), (1, 2));
}

#[tokio::test]
async fn the_test_event_of_the_console_counts_once() {
    let engine = Engine::start().await;
    let event = include_str!("../fixtures/console-test-event.json");
    for _ in 0..3 {
        assert_eq!(engine.function().invoke(event, Duration::from_secs(25)).await.unwrap(), None);
    }
    let counters = engine.counters("SeattleMapId").await.unwrap();
    assert_eq!((counters.total, counters.categories["Landmark"]), (1, 1));
}
