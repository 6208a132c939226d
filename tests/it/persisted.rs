//! What persists, frozen: markers and view items are read by audits, by users, and by other versions of this code.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use ddb_rollup::rollup::model::item_size;
use serde_json::{Value, json};

use crate::engine::{Engine, Item, s};
use crate::four_views::{Point, TOO_HEAVY, four_views};

/// An item as DynamoDB's JSON, with what is another at each run replaced by its form.
fn frozen(item: &Item) -> Value {
    let mut item: HashMap<String, AttributeValue> = item.clone();
    for (name, form) in [("RecordedAt", "RFC 3339, milliseconds, UTC"), ("RequestId", "request id")] {
        if let Some(AttributeValue::S(text)) = item.get(name) {
            let shape = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect::<String>();
            let as_it_should = name != "RecordedAt" || shape == "0000-00-00T00:00:00.000Z";
            assert!(as_it_should, "{name} is {text}");
            item.insert(name.to_owned(), AttributeValue::S(form.to_owned()));
        }
    }
    serde_json::to_value(serde_dynamo::Item::from(item)).unwrap()
}

#[tokio::test]
async fn a_marker_and_a_view_item() {
    let engine = Engine::start().await;
    engine.put_point("m", "p", Some("Park")).await;
    engine.put_point("m", "p", Some("Cafe")).await;
    let records = engine.stream_records().await;
    engine.function().deliver(&records[..1]).await;
    engine.function().deliver(&records[1..]).await;

    let record = &records[1];
    let (number, stream) = (&record["dynamodb"]["SequenceNumber"], &record["eventSourceARN"]);
    let markers = engine.markers().await;
    let marker = &markers[number.as_str().unwrap()];
    let expires_at: i64 = marker["ExpiresAt"].as_n().unwrap().parse().unwrap();
    let recorded_at = chrono::DateTime::parse_from_rfc3339(marker["RecordedAt"].as_s().unwrap()).unwrap();
    assert_eq!(expires_at - recorded_at.timestamp(), 14 * 24 * 60 * 60);
    assert_eq!(
        frozen(marker),
        json!({
            "SequenceNumber": {"S": number},
            "Stream": {"S": stream},
            "EventId": {"S": record["eventID"]},
            "EventName": {"S": "MODIFY"},
            "SourceKey": {"M": {"MapId": {"S": "m"}, "PointId": {"S": "p"}}},
            "Outcome": {"S": "APPLIED"},
            "Deltas": {"L": [{"M": {
                "View": {"S": "default"},
                "Item": {"M": {"MapId": {"S": "m"}}},
                "Measures": {"M": {"CategoryCounts": {"M": {"Cafe": {"N": "1"}, "Park": {"N": "-1"}}}}},
            }}]},
            "RecordedAt": {"S": "RFC 3339, milliseconds, UTC"},
            "RequestId": {"S": "request id"},
            "FormatVersion": {"N": "1"},
            "Fingerprint": {"S": "1d9031bf121a5fa1"},
            "Digest": {"S": "4a1651d00dbd5fbf"},
            "ExpiresAt": {"N": expires_at.to_string()},
        })
    );
    assert_eq!(
        frozen(&engine.scan("Map").await[0]),
        json!({
            "MapId": {"S": "m"},
            "TotalPoints": {"N": "1"},
            "CategoryCounts": {"M": {"Park": {"N": "0"}, "Cafe": {"N": "1"}}},
            "RollupVersion": {"N": "2"},
        })
    );
}

#[tokio::test]
async fn a_marker_in_quarantine() {
    let engine = Engine::start().await;
    engine.put_point("m", "p", Some("Park")).await;
    let mut record = engine.stream_records().await.remove(0);
    record["dynamodb"]["SequenceNumber"] = json!("111649810000000006125634");
    record["dynamodb"]["NewImage"]["MapId"] = json!({"N": "7"});
    engine.function().deliver(std::slice::from_ref(&record)).await;
    assert_eq!(
        frozen(&engine.scan("Idempotency").await[0]),
        json!({
            "SequenceNumber": {"S": "111649810000000006125634"},
            "Stream": {"S": record["eventSourceARN"]},
            "InQuarantine": {"S": "5"},
            "EventId": {"S": record["eventID"]},
            "EventName": {"S": "INSERT"},
            "SourceKey": {"M": {"MapId": {"S": "m"}, "PointId": {"S": "p"}}},
            "Outcome": {"S": "QUARANTINED"},
            "Reason": {"S": "the new image: the attribute \"MapId\", which names the view item, is of type N; the view's key needs S"},
            "Record": {"S": record.to_string()},
            "RecordedAt": {"S": "RFC 3339, milliseconds, UTC"},
            "RequestId": {"S": "request id"},
            "FormatVersion": {"N": "1"},
            "Fingerprint": {"S": "1d9031bf121a5fa1"},
            "Digest": {"S": "8847210ee5fb5f16"},
        })
    );
}

#[tokio::test]
async fn a_marker_of_the_example_is_small() {
    let engine = Engine::start().await;
    engine
        .put_point("a-map-with-an-id-of-thirty-six-byte", "a-point-with-an-id-of-thirty-six-bytes", Some("Landmark"))
        .await;
    engine
        .put_point("a-map-with-an-id-of-thirty-six-byte", "a-point-with-an-id-of-thirty-six-bytes", Some("Restaurant"))
        .await;
    let mut records = engine.stream_records().await;
    for record in &mut records {
        // As long as AWS has them.
        record["eventID"] = json!("557c8825da98fd59e1ac0e4db8258c99");
        let number = record["dynamodb"]["SequenceNumber"].as_str().unwrap();
        record["dynamodb"]["SequenceNumber"] = json!(format!("{number:0>40}"));
        record["eventSourceARN"] =
            json!("arn:aws:dynamodb:ap-southeast-2:123456789012:table/Point/stream/2026-01-01T00:00:00.000");
    }
    engine.function().deliver(&records).await;
    for marker in engine.scan("Idempotency").await {
        let marker: ddb_rollup::rollup::Item = marker.into();
        let bytes = item_size::bytes(marker.inner());
        assert!(bytes <= 600, "{bytes} bytes in {marker:?}");
    }
}

/// The one item of a table that is wanted.
async fn only(engine: &Engine, table: &str, wanted: impl Fn(&Item) -> bool) -> Value {
    let items = engine.scan(table).await.into_iter().filter(wanted).collect::<Vec<_>>();
    let [item] = &items[..] else { panic!("{items:?}") };
    frozen(item)
}

/// A point under four views: it enters a view that shares its view item with another one; then it goes to another map, and
/// is too heavy for two of the views. Delivers its first records, or all, and gives them.
async fn deliver_point_of_four_views(engine: &Engine, delivered: usize) -> Vec<Value> {
    engine.create_table("Tag", &["MapId"], false).await;
    engine.put("Tag", [("MapId", s("a"))]).await;
    let text = |text: &str| Some(text.to_owned());
    let first = Point {
        home: text("m"),
        seen: text("m"),
        category: text("Park"),
        tags: ["a".to_owned(), "b".to_owned()].into(),
        weight: Some(2),
        ..Point::default()
    };
    let open = Point { open: true, ..first.clone() };
    let gone = Point { home: text("n"), weight: Some(TOO_HEAVY), ..open.clone() };
    for point in [first, open, gone] {
        let item: ddb_rollup::rollup::Item = serde_json::from_value(point.image("p")).unwrap();
        engine.db.put_item().table_name("Point").set_item(Some(item.into())).send().await.unwrap();
    }
    let records = engine.stream_records().await;
    let function = engine.function_with(|config| config.definition = four_views());
    function.deliver(&records[..2]).await;
    function.deliver(&records[2..delivered]).await;
    records
}

#[tokio::test]
async fn a_view_item_that_two_views_share() {
    let engine = Engine::start().await;
    deliver_point_of_four_views(&engine, 2).await;
    assert_eq!(
        only(&engine, "Map", |_| true).await,
        json!({
            "MapId": {"S": "m"},
            "Points": {"N": "1"},
            "PointsByCategory": {"M": {"Park": {"N": "1"}}},
            "OpenPoints": {"N": "1"},
            "OpenWeight": {"N": "2"},
            "OpenByTag": {"M": {"a": {"N": "1"}, "b": {"N": "1"}}},
            "Board": {"S": "OPEN"},
            "Label": {"S": "seen at m"},
            "RollupVersion": {"N": "1"},
        })
    );
}

#[tokio::test]
async fn a_marker_of_four_views() {
    let engine = Engine::start().await;
    let records = deliver_point_of_four_views(&engine, 3).await;
    let record = &records[2];
    let number = &record["dynamodb"]["SequenceNumber"];
    let marker = &engine.markers().await[number.as_str().unwrap()];
    let mut marker = frozen(marker);
    let deltas = marker["Deltas"].take();
    let delta = |view: &str, item: Value, measures: Value| json!({"M": {"View": {"S": view}, "Item": {"M": item}, "Measures": {"M": measures}}});
    let [m, n, a] = ["m", "n", "a"].map(|id| json!({"MapId": {"S": id}}));
    let points = |amount: &str| json!({"Points": {"N": amount}, "PointsByCategory": {"M": {"Park": {"N": amount}}}});
    assert_eq!(
        deltas,
        json!({"L": [
            delta("Points", m.clone(), points("-1")),
            delta(
                "Open",
                m,
                json!({
                    "OpenPoints": {"N": "-1"},
                    "OpenWeight": {"N": "-2"},
                    "OpenByTag": {"M": {"a": {"N": "-1"}, "b": {"N": "-1"}}},
                })
            ),
            delta("Points", n, points("1")),
            delta("Tags", a, json!({"TaggedByHome": {"M": {"m": {"N": "-1"}, "n": {"N": "1"}}}})),
            delta(
                "Totals",
                json!({"MapId": {"S": "m"}, "PointId": {"S": "TOTAL"}}),
                json!({"TotalPoints": {"N": "-1"}, "TotalWeight": {"N": "-2"}})
            ),
        ]})
    );
    let uncountable = |view: &str, measure: &str| {
        let reason = format!(
            "the measure {measure:?}: the amount is out of bounds: rounded to 17 decimals it may have 13 digits before the point"
        );
        json!({"M": {"View": {"S": view}, "Image": {"S": "new"}, "Reason": {"S": reason}}})
    };
    assert_eq!(
        marker,
        json!({
            "SequenceNumber": {"S": number},
            "Stream": {"S": record["eventSourceARN"]},
            "EventId": {"S": record["eventID"]},
            "EventName": {"S": "MODIFY"},
            "SourceKey": {"M": {"MapId": {"S": "points"}, "PointId": {"S": "p"}}},
            "Outcome": {"S": "APPLIED"},
            "Deltas": null,
            "Uncountable": {"L": [uncountable("Open", "OpenWeight"), uncountable("Totals", "TotalWeight")]},
            "RecordedAt": {"S": "RFC 3339, milliseconds, UTC"},
            "RequestId": {"S": "request id"},
            "FormatVersion": {"N": "1"},
            "Fingerprint": {"S": "9d235c51e6a256a9"},
            "Digest": {"S": "fa5969c0657a569d"},
            "ExpiresAt": marker["ExpiresAt"],
        })
    );
}

#[tokio::test]
async fn the_view_items_of_four_views() {
    let engine = Engine::start().await;
    deliver_point_of_four_views(&engine, 3).await;
    assert_eq!(
        only(&engine, "Map", |item| item["MapId"] == s("m")).await,
        json!({
            "MapId": {"S": "m"},
            "Points": {"N": "0"},
            "PointsByCategory": {"M": {"Park": {"N": "0"}}},
            "OpenPoints": {"N": "0"},
            "OpenWeight": {"N": "0"},
            "OpenByTag": {"M": {"a": {"N": "0"}, "b": {"N": "0"}}},
            "Board": {"S": "OPEN"},
            "Label": {"S": "seen at m"},
            "RollupVersion": {"N": "2"},
        })
    );
    assert_eq!(
        only(&engine, "Map", |item| item["MapId"] == s("n")).await,
        json!({
            "MapId": {"S": "n"},
            "Points": {"N": "1"},
            "PointsByCategory": {"M": {"Park": {"N": "1"}}},
            "RollupVersion": {"N": "1"},
        })
    );
    assert_eq!(
        only(&engine, "Tag", |_| true).await,
        json!({
            "MapId": {"S": "a"},
            "Tagged": {"N": "1"},
            "TaggedByHome": {"M": {"m": {"N": "0"}, "n": {"N": "1"}}},
            "RollupVersion": {"N": "2"},
        })
    );
    assert_eq!(
        only(&engine, "Point", |item| item["PointId"] == s("TOTAL")).await,
        json!({
            "MapId": {"S": "m"},
            "PointId": {"S": "TOTAL"},
            "TotalPoints": {"N": "0"},
            "TotalWeight": {"N": "0"},
            "RollupVersion": {"N": "2"},
        })
    );
}
