//! The real process: what Lambda starts, invokes, and stops.

mod deadline;
mod failure;
mod log;
mod start;
mod stop;
mod tls;

use std::time::Duration;

use serde_json::{Value, json};

use crate::engine::{Engine, sequence_number, text};
use crate::runtime_api::{Ended, Sandbox, Settings};

/// Time for an invocation of which nothing but its result matters.
const AMPLE: Duration = Duration::from_secs(20);

const CONSOLE_TEST_EVENT: &str = include_str!("../fixtures/console-test-event.json");
const STREAM_EVENT: &str = include_str!("../fixtures/stream-event.json");

/// Records as one event.
fn event(records: &[Value]) -> String {
    json!({ "Records": records }).to_string()
}

/// An engine, and so many records of new landmarks in Seattle.
async fn landmarks(records: usize) -> (Engine, Vec<Value>) {
    let engine = Engine::start().await;
    for point in 0..records {
        engine.put_point("Seattle", &format!("landmark-{point}"), Some("Landmark")).await;
    }
    let records = engine.stream_records().await;
    (engine, records)
}

/// The outcomes in the markers, by sequence number.
async fn outcomes(engine: &Engine) -> Vec<(String, String)> {
    let markers = engine.markers().await.into_iter();
    markers.map(|(sequence_number, marker)| (sequence_number, text(&marker["Outcome"]))).collect()
}

#[tokio::test]
async fn the_process_counts_a_stream_on_the_default_tables_with_no_setting_at_all() {
    let engine = Engine::start().await;
    let points: Vec<Value> = serde_json::from_str(include_str!("../fixtures/points.json")).unwrap();
    for point in &points {
        let text = |name: &str| point[name].as_str().unwrap();
        engine.put_point(text("MapId"), text("PointId"), Some(text("Category"))).await;
    }
    let sandbox = Sandbox::ready(&Settings::on(&engine)).await;

    let records = engine.stream_records().await;
    assert_eq!(sandbox.invoke(&event(&records), AMPLE).await, Ended::nothing_failed());

    engine.assert_exact().await;
    assert_eq!(engine.counters("TownsvilleMapId").await.unwrap().total, 3);
    assert_eq!(engine.markers().await.len(), points.len());
}

#[tokio::test]
async fn the_process_works_on_the_tables_that_it_is_told() {
    let engine = Engine::start().await;
    engine.create_table("Markers", &["SequenceNumber", "Stream"], false).await;
    let settings = Settings::on(&engine).with("ROLLUP_IDEMPOTENCY_TABLE", "Markers").with("ROLLUP_MAX_IN_FLIGHT", "1");
    let sandbox = Sandbox::ready(&settings).await;

    assert_eq!(sandbox.invoke(CONSOLE_TEST_EVENT, AMPLE).await, Ended::nothing_failed());
    // The marker, and what the function says of its definition.
    assert_eq!((engine.scan("Markers").await.len(), engine.everything_of(&["Idempotency"]).await.len()), (2, 0));
}

#[tokio::test]
async fn a_map_that_is_not_there_is_left_alone_when_the_setting_says_so() {
    let engine = Engine::start().await;
    let settings = Settings::on(&engine).with("ROLLUP_ON_MISSING_VIEW_ITEM", "skip");
    let sandbox = Sandbox::ready(&settings).await;

    assert_eq!(sandbox.invoke(CONSOLE_TEST_EVENT, AMPLE).await, Ended::nothing_failed());
    assert_eq!(engine.counters("SeattleMapId").await, None);
    assert_eq!(outcomes(&engine).await, [("111".to_owned(), "APPLIED".to_owned())]);
}

#[tokio::test]
async fn the_console_test_event_counts_one_landmark_in_seattle_however_often_it_is_delivered() {
    let engine = Engine::start().await;
    for _ in 0..2 {
        let sandbox = Sandbox::ready(&Settings::on(&engine)).await;
        for _ in 0..3 {
            assert_eq!(sandbox.invoke(CONSOLE_TEST_EVENT, AMPLE).await, Ended::nothing_failed());
        }
    }
    let seattle = engine.counters("SeattleMapId").await.unwrap();
    assert_eq!((seattle.total, seattle.categories), (1, [("Landmark".to_owned(), 1)].into()));
    assert_eq!(outcomes(&engine).await, [("111".to_owned(), "APPLIED".to_owned())]);
}

#[tokio::test]
async fn the_stream_event_of_2017_goes_to_quarantine_as_expired_and_counts_with_a_date_of_today() {
    let engine = Engine::start().await;
    let sandbox = Sandbox::ready(&Settings::on(&engine)).await;

    assert_eq!(sandbox.invoke(STREAM_EVENT, AMPLE).await, Ended::nothing_failed());
    assert_eq!(engine.counters("SeattleMapId").await, None);
    let quarantined = &engine.markers().await["100000000000950939886"];
    assert_eq!(text(&quarantined["Outcome"]), "QUARANTINED");
    assert!(text(&quarantined["Reason"]).starts_with("expired"), "{quarantined:?}");
    let kept: Value = serde_json::from_str(&text(&quarantined["Record"])).unwrap();
    let mut today: Value = serde_json::from_str(STREAM_EVENT).unwrap();
    assert_eq!(kept, today["Records"][0]);

    #[allow(clippy::cast_precision_loss, reason = "the field is a fractional number in real events")]
    let now = chrono::Utc::now().timestamp() as f64 + 0.5;
    today["Records"][0]["dynamodb"]["ApproximateCreationDateTime"] = json!(now);
    today["Records"][0]["dynamodb"]["SequenceNumber"] = json!("100000000000950939887");
    assert_eq!(sandbox.invoke(&today.to_string(), AMPLE).await, Ended::nothing_failed());
    assert_eq!(engine.counters("SeattleMapId").await.unwrap().total, 1);
}

#[tokio::test]
async fn an_empty_batch_and_a_batch_without_effect_are_answered_with_no_failures() {
    let engine = Engine::start().await;
    let sandbox = Sandbox::ready(&Settings::on(&engine)).await;
    assert_eq!(sandbox.invoke(&event(&[]), AMPLE).await, Ended::nothing_failed());

    engine.put_point("Seattle", "landmark", Some("Landmark")).await;
    let mut records = engine.stream_records().await;
    let image = records[0]["dynamodb"]["NewImage"].clone();
    records[0]["dynamodb"]["OldImage"] = image;
    records[0]["eventName"] = json!("MODIFY");
    assert_eq!(sandbox.invoke(&event(&records), AMPLE).await, Ended::nothing_failed());
    assert_eq!(engine.everything().await, Default::default());
}

#[tokio::test]
async fn a_poisonous_record_is_kept_and_its_neighbours_count() {
    let (engine, mut records) = landmarks(5).await;
    let sandbox = Sandbox::ready(&Settings::on(&engine)).await;
    records[2]["dynamodb"]["NewImage"]["MapId"] = json!({ "N": "7" });

    assert_eq!(sandbox.invoke(&event(&records), AMPLE).await, Ended::nothing_failed());
    assert_eq!(engine.counters("Seattle").await.unwrap().total, 4);
    assert_eq!(text(&engine.markers().await[sequence_number(&records[2])]["Outcome"]), "QUARANTINED");
}

#[tokio::test]
async fn another_event_with_a_sequence_number_that_is_taken_is_kept() {
    let (engine, mut records) = landmarks(3).await;
    let sandbox = Sandbox::ready(&Settings::on(&engine)).await;
    assert_eq!(sandbox.invoke(&event(&records[..2]), AMPLE).await, Ended::nothing_failed());

    records[1]["dynamodb"]["NewImage"]["Category"] = json!({ "S": "Another" });
    for _ in 0..2 {
        assert_eq!(sandbox.invoke(&event(&records), AMPLE).await, Ended::nothing_failed());
        assert_eq!(engine.counters("Seattle").await.unwrap().total, 3, "the record behind it is committed");
        let taken = format!("{}#taken-", sequence_number(&records[1]));
        let markers = engine.markers().await;
        let kept: Vec<_> = markers.iter().filter(|(number, _)| number.starts_with(&taken)).collect();
        assert_eq!(kept.iter().map(|(_, marker)| text(&marker["Outcome"])).collect::<Vec<_>>(), ["QUARANTINED"]);
    }
}
