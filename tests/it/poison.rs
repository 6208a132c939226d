//! Records that cannot be applied: each goes to quarantine, whole and with the reason, and its neighbours are counted.

use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, CreateGlobalSecondaryIndexAction, GlobalSecondaryIndexDescription,
    GlobalSecondaryIndexUpdate, IndexStatus, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType,
};
use ddb_rollup::handler::InvocationError;
use ddb_rollup::rollup::model::kept_record::kept_record;
use serde_json::{Value, json};

use crate::engine::{Engine, Item, incompressible, n, s, sequence_number, text};

/// Two good records, on an engine of their own.
async fn two_good_records() -> (Engine, Vec<Value>) {
    let engine = Engine::start().await;
    engine.put_point("m", "before", Some("Park")).await;
    engine.put_point("m", "behind", Some("Park")).await;
    let records = engine.stream_records().await;
    (engine, records)
}

fn bad(template: &Value, change: impl FnOnce(&mut Value)) -> Value {
    let mut record = template.clone();
    record["eventID"] = json!("bad");
    record["dynamodb"]["SequenceNumber"] = json!("999");
    change(&mut record);
    record
}

/// The marker of the bad record, checked to hold it as it was sent.
fn assert_quarantined(marker: &Item, record: &Value, reason: &str) {
    assert_eq!(marker["Outcome"], s("QUARANTINED"));
    assert!(!marker.contains_key("ExpiresAt"), "it stays until an operator decides");
    let found = text(&marker["Reason"]);
    assert!(found.contains(reason), "{found:?} should say {reason:?}");
    let kept = kept_record(&serde_dynamo::Item::from(marker.clone()), &[]).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&kept).unwrap(), *record, "the record is kept as it came");
}

#[tokio::test]
async fn every_kind_of_bad_record_is_quarantined_and_its_neighbours_are_counted() {
    type Break = fn(&mut Value);
    let kinds: [(&str, &str, Break); 18] = [
        ("an image without the view key", "no attribute \"MapId\"", |r| {
            r["dynamodb"]["NewImage"].as_object_mut().unwrap().remove("MapId");
        }),
        ("a key of the wrong type", "is of type N; the view's key needs S", |r| {
            r["dynamodb"]["NewImage"]["MapId"] = json!({"N": "7"});
        }),
        ("an empty key", "is empty", |r| r["dynamodb"]["NewImage"]["MapId"] = json!({"S": ""})),
        ("a key that is too long", "has 2049 bytes", |r| {
            r["dynamodb"]["NewImage"]["MapId"] = json!({"S": "x".repeat(2_049)});
        }),
        ("an image that is a string", "not a stream record", |r| r["dynamodb"]["NewImage"] = json!("image")),
        ("an image that is a list", "not a stream record", |r| r["dynamodb"]["NewImage"] = json!([1])),
        ("an image that is a number", "not a stream record", |r| r["dynamodb"]["OldImage"] = json!(7)),
        ("an attribute that is no object", "not a stream record", |r| r["dynamodb"]["NewImage"]["MapId"] = json!("m")),
        ("no image at all", "neither an old nor a new image", |r| {
            r["dynamodb"].as_object_mut().unwrap().remove("NewImage");
        }),
        ("two empty images", "neither an old nor a new image", |r| {
            r["dynamodb"]["NewImage"] = json!({});
            r["dynamodb"]["OldImage"] = json!({});
        }),
        ("images that are null", "neither an old nor a new image", |r| r["dynamodb"]["NewImage"] = Value::Null),
        ("half a MODIFY", "both are needed", |r| r["eventName"] = json!("MODIFY")),
        ("an unknown attribute type", "not a stream record", |r| {
            r["dynamodb"]["NewImage"]["Category"] = json!({"Q": "x"});
        }),
        ("an attribute of no type", "not a stream record", |r| r["dynamodb"]["NewImage"]["Category"] = json!({})),
        ("an attribute of two types", "not a stream record", |r| {
            r["dynamodb"]["NewImage"]["Category"] = json!({"S": "x", "N": "1"});
        }),
        ("keys that are no object", "not a stream record", |r| r["dynamodb"]["Keys"] = json!("key")),
        ("no stream", "no usable eventSourceARN", |r| {
            r.as_object_mut().unwrap().remove("eventSourceARN");
        }),
        ("older than its marker", "expired", |r| {
            r["dynamodb"]["ApproximateCreationDateTime"] = json!(1_502_740_560.0);
        }),
    ];
    for (kind, reason, break_it) in kinds {
        let (engine, good) = two_good_records().await;
        let bad = bad(&good[0], break_it);
        let batch = [good[0].clone(), bad.clone(), good[1].clone()];
        let function = engine.function();
        for _ in 0..2 {
            let failed = function.try_deliver(&batch).await.unwrap_or_else(|error| panic!("{kind}: {error}"));
            assert_eq!(failed, None, "{kind}");
        }
        engine.assert_exact().await;
        let markers = engine.markers().await;
        assert_eq!(markers.len(), 3, "{kind}");
        assert_quarantined(&markers["999"], &bad, reason);
    }
}

#[tokio::test]
async fn what_the_roll_up_does_not_need_may_be_missing_or_nonsense() {
    let bare = |record: &mut Value| {
        for name in ["awsRegion", "eventName", "eventVersion", "eventSource", "eventID"] {
            record.as_object_mut().unwrap().remove(name);
        }
        for name in ["SizeBytes", "StreamViewType", "Keys", "ApproximateCreationDateTime"] {
            record["dynamodb"].as_object_mut().unwrap().remove(name);
        }
    };
    let nulls = |record: &mut Value| {
        record["awsRegion"] = Value::Null;
        record["dynamodb"]["OldImage"] = Value::Null;
        record["dynamodb"]["ApproximateCreationDateTime"] = Value::Null;
    };
    let nonsense = |record: &mut Value| {
        record["userIdentity"] = json!("root");
        record["dynamodb"]["NewImage"]["X"] = json!({"S": "y", "N": null});
        record["dynamodb"]["NewImage"]["Y"] = json!({"B": "no base64"});
        record["dynamodb"]["ApproximateCreationDateTime"] = json!("yesterday");
        record["dynamodb"]["SizeBytes"] = json!(26.0);
    };
    for change in [bare, nulls, nonsense] {
        let (engine, mut records) = two_good_records().await;
        change(&mut records[1]);
        engine.function().deliver(&records).await;
        engine.assert_exact().await;
        assert!(engine.markers().await.values().all(|marker| marker["Outcome"] == s("APPLIED")));
    }
}

#[tokio::test]
async fn a_number_that_dynamodb_cannot_hold_is_no_group_and_its_record_is_counted() {
    for number in ["many", "1_000", "1e999999999", ""] {
        let (engine, good) = two_good_records().await;
        let odd = bad(&good[0], |record| record["dynamodb"]["NewImage"]["Category"] = json!({ "N": number }));
        engine.function().deliver(&[good[0].clone(), odd, good[1].clone()]).await;
        let counters = engine.counters("m").await.unwrap();
        assert_eq!((counters.total, counters.categories), (3, [("Park".to_owned(), 2)].into()), "{number:?}");
        assert_eq!(engine.markers().await["999"]["Outcome"], s("APPLIED"), "{number:?}");
    }
}

#[tokio::test]
async fn a_record_without_a_sequence_number_fails_the_invocation_after_its_neighbours_are_counted() {
    let breaks: [fn(&mut Value); 7] = [
        |r| *r = json!("not an object"),
        |r| *r = json!(null),
        |r| r["dynamodb"] = json!("not an object"),
        |r| r["dynamodb"] = json!([]),
        |r| {
            r["dynamodb"].as_object_mut().unwrap().remove("SequenceNumber");
        },
        |r| r["dynamodb"]["SequenceNumber"] = json!(""),
        |r| r["dynamodb"]["SequenceNumber"] = json!(7),
    ];
    for break_it in breaks {
        let (engine, good) = two_good_records().await;
        let bad = bad(&good[0], break_it);
        let batch = [good[0].clone(), bad.clone(), bad.clone(), good[1].clone()];
        for _ in 0..2 {
            let error = engine.function().try_deliver(&batch).await.unwrap_err();
            assert!(
                matches!(error, InvocationError::Unnumbered { count: 2, records: 4, kept: 2, .. }),
                "{bad}: {error}"
            );
        }
        engine.assert_exact().await;
        let markers = engine.scan("Idempotency").await;
        let kept: Vec<_> = markers.iter().filter(|marker| marker["Outcome"] == s("QUARANTINED")).collect();
        assert_eq!(kept.len(), 1, "{bad}");
        assert_quarantined(kept[0], &bad, "not a stream record");
    }
}

#[tokio::test]
async fn an_event_of_something_else_fails_the_invocation() {
    let engine = Engine::start().await;
    for event in ["{}", "[]", "null", "7", r#"{"Records": {}}"#, r#"{"Records": null}"#, r#"{"records": []}"#] {
        let error = engine.function().invoke(event, Duration::from_secs(5)).await.unwrap_err();
        assert!(error.to_string().contains("not from a DynamoDB stream"), "{event}: {error}");
    }
    assert_eq!(engine.function().invoke(r#"{"Records": []}"#, Duration::from_secs(5)).await.unwrap(), None);
}

#[tokio::test]
async fn a_stream_of_the_wrong_view_type_fails_the_invocation_and_quarantines_nothing() {
    for view_type in ["KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE"] {
        let (engine, mut records) = two_good_records().await;
        records[1]["dynamodb"]["StreamViewType"] = json!(view_type);
        let error = engine.function().try_deliver(&records).await.unwrap_err().to_string();
        assert!(error.contains(view_type) && error.contains("NEW_AND_OLD_IMAGES"), "{error}");
        assert_eq!(engine.markers().await.len(), 0);
    }
}

#[tokio::test]
async fn a_missing_table_fails_the_invocation_and_quarantines_nothing() {
    for table in ["Map", "Idempotency"] {
        let (engine, records) = two_good_records().await;
        engine.db.delete_table().table_name(table).send().await.unwrap();
        let error = engine.function().try_deliver(&records).await.unwrap_err();
        assert!(matches!(error, InvocationError::Broken(_)), "{error}");
        engine
            .create_table(table, if table == "Map" { &["MapId"] } else { &["SequenceNumber", "Stream"] }, false)
            .await;
        assert_eq!(engine.scan("Idempotency").await.len(), 0);
        engine.function().deliver(&records).await;
        engine.assert_exact().await;
    }
}

#[tokio::test]
async fn counters_that_are_no_numbers_poison_the_records_that_touch_them_and_no_others() {
    let broken: [(&str, AttributeValue, &[&str]); 5] = [
        ("TotalPoints", s("seven"), &["Park", "Cafe", "none"]),
        ("CategoryCounts", s("a map"), &["Park", "Cafe", "none"]),
        ("CategoryCounts", AttributeValue::M([("Park".into(), s("seven"))].into()), &["Park"]),
        ("CategoryCounts", AttributeValue::M([("Cafe".into(), AttributeValue::Null(true))].into()), &["Cafe"]),
        ("RollupVersion", s("one"), &["Park", "Cafe", "none"]),
    ];
    for (attribute, value, poisoned) in broken {
        let engine = Engine::start().await;
        let base = AttributeValue::M([("Park".into(), n(0))].into());
        let counters = [("MapId", s("broken")), ("CategoryCounts", base), (attribute, value.clone())];
        engine.put("Map", counters).await;
        let mut expected = 0;
        for point in 0..60 {
            let category = ["Park", "Cafe", "none"][point % 3];
            expected += usize::from(poisoned.contains(&category));
            let named = (category != "none").then_some(category);
            engine.put_point("broken", &format!("p{point}"), named).await;
            engine.put_point("fine", &format!("p{point}"), named).await;
        }
        let records = engine.stream_records().await;
        engine.function().deliver(&records).await;
        engine.function().deliver(&records).await;
        let markers = engine.scan("Idempotency").await;
        let quarantined: Vec<_> = markers.iter().filter(|marker| marker["Outcome"] == s("QUARANTINED")).collect();
        assert_eq!(quarantined.len(), expected, "{attribute}: {value:?}");
        assert_eq!(markers.len(), 120);
        for marker in quarantined {
            let reason = text(&marker["Reason"]);
            assert!(reason.contains("Map broken") && reason.contains(attribute), "{reason}");
            assert!(marker.contains_key("Record"));
        }
        assert_eq!(engine.counters("fine").await.unwrap().total, 60);
    }
}

#[tokio::test]
async fn a_full_view_item_poisons_the_records_that_would_make_it_larger() {
    let engine = Engine::start().await;
    let groups = AttributeValue::M([("Park".into(), n(1)), ("Cafe".into(), n(1))].into());
    let fixed = [("MapId", s("full")), ("TotalPoints", n(2)), ("CategoryCounts", groups), ("RollupVersion", n(1))];
    let filler = s(&"x".repeat(400 * 1024 - 90));
    engine.put("Map", fixed.into_iter().chain([("Filler", filler)])).await;
    for point in 0..12 {
        let category =
            if point % 4 == 3 { format!("A new category that does not fit {point}") } else { "Park".to_owned() };
        engine.put_point("full", &format!("p{point}"), Some(&category)).await;
        engine.put_point("fine", &format!("p{point}"), Some(&category)).await;
    }
    let records = engine.stream_records().await;
    engine.function().deliver(&records).await;
    let quarantined: Vec<_> =
        engine.scan("Idempotency").await.into_iter().filter(|marker| marker["Outcome"] == s("QUARANTINED")).collect();
    assert_eq!(quarantined.len(), 3);
    assert!(quarantined.iter().all(|marker| text(&marker["Reason"]).contains("Map full")), "{quarantined:?}");
    let counters = engine.counters("full").await.unwrap();
    assert_eq!((counters.total, counters.categories["Park"]), (2 + 9, 1 + 9));
    assert_eq!(engine.counters("fine").await.unwrap().total, 12);
}

/// A secondary index of the view table, whose key has that type.
async fn index_maps_by(engine: &Engine, attribute: &str, of: ScalarAttributeType) {
    let key = KeySchemaElement::builder().attribute_name(attribute).key_type(KeyType::Hash).build().unwrap();
    let all = Projection::builder().projection_type(ProjectionType::All).build();
    let index = CreateGlobalSecondaryIndexAction::builder().index_name("top").key_schema(key).projection(all).build();
    let create = GlobalSecondaryIndexUpdate::builder().create(index.unwrap()).build();
    let defined =
        |name: &str, of| AttributeDefinition::builder().attribute_name(name).attribute_type(of).build().unwrap();
    let update = engine.db.update_table().table_name("Map").global_secondary_index_updates(create);
    let update = update.attribute_definitions(defined("MapId", ScalarAttributeType::S));
    update.attribute_definitions(defined(attribute, of)).send().await.unwrap();
    // Until then, writes that do not fit into the index are taken.
    while engine.db.describe_table().table_name("Map").send().await.unwrap().table.is_some_and(|table| {
        let status = |index: &GlobalSecondaryIndexDescription| index.index_status.clone();
        table.global_secondary_indexes().iter().filter_map(status).any(|status| status != IndexStatus::Active)
    }) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_index_whose_key_is_a_counter_of_another_type_fails_the_invocation_and_quarantines_nothing() {
    for counted_before in [false, true] {
        let (engine, records) = two_good_records().await;
        if counted_before {
            engine.function().deliver(&records[..1]).await;
        }
        index_maps_by(&engine, "TotalPoints", ScalarAttributeType::S).await;
        // One record alone, as Lambda may have halved the batch, and both.
        for batch in [&records[1..], &records[..]] {
            let error = engine.function().try_deliver(batch).await.unwrap_err();
            assert!(matches!(&error, InvocationError::Broken(_)), "{error}");
            // Amazon's local engine names neither attribute nor index.
            assert!(error.to_string().contains("Type mismatch for Index Key"), "{error}");
        }
        assert_eq!(engine.markers().await.len(), usize::from(counted_before));
    }
}

#[tokio::test]
async fn a_long_record_is_kept_compressed() {
    let (engine, good) = two_good_records().await;
    let long = bad(&good[0], |r| {
        r["dynamodb"]["NewImage"]["MapId"] = json!({"N": "1"});
        r["dynamodb"]["NewImage"]["Text"] = json!({"S": "lorem ipsum ".repeat(60_000)});
    });
    engine.function().deliver(&[good[0].clone(), long.clone(), good[1].clone()]).await;
    engine.assert_exact().await;
    let marker = &engine.markers().await["999"];
    assert!(matches!(marker["Record"], AttributeValue::B(_)));
    assert_quarantined(marker, &long, "the view's key needs S");
}

#[tokio::test]
async fn many_records_in_quarantine_are_spread_over_transactions() {
    let (engine, good) = two_good_records().await;
    let bad: Vec<Value> = (0..250)
        .map(|number| {
            bad(&good[0], |r| {
                r["dynamodb"]["SequenceNumber"] = json!(format!("bad{number}"));
                r["dynamodb"]["NewImage"] = json!({"Text": {"S": incompressible(15_000)}});
            })
        })
        .collect();
    engine.function().deliver(&bad).await;
    let markers = engine.markers().await;
    assert_eq!(markers.len(), 250);
    for record in &bad {
        assert_quarantined(&markers[sequence_number(record)], record, "no attribute \"MapId\"");
    }
}
