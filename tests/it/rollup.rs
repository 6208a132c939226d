//! What is counted: inserts, changes of category, deletes, moves, and what has no category.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use ddb_rollup::rollup::model::definition::Definition;
use ddb_rollup::rollup::model::language::Template;
use ddb_rollup::rollup::model::view::{KeyPart, KeyType, Measure, View};

use crate::engine::{Counters, Engine, n, s, without_embedded_engine};

fn counters(total: i64, categories: &[(&str, i64)]) -> Counters {
    Counters { total, categories: categories.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect() }
}

#[tokio::test]
async fn the_points_of_the_tutorial_are_counted() {
    let engine = Engine::start().await;
    let points: Vec<BTreeMap<String, String>> = serde_json::from_str(include_str!("../fixtures/points.json")).unwrap();
    for point in &points {
        engine.put("Point", point.iter().map(|(name, value)| (name.as_str(), s(value)))).await;
    }
    engine.function().deliver(&engine.stream_records().await).await;
    for (map, expected) in [
        ("SeattleMapId", counters(2, &[("Landmark", 1), ("Restaurant", 1)])),
        ("OlympiaMapId", counters(1, &[("Landmark", 1)])),
        ("SydneyMapId", counters(1, &[("Landmark", 1)])),
        ("TownsvilleMapId", counters(3, &[("Landmark", 2), ("Restaurant", 1)])),
    ] {
        assert_eq!(engine.counters(map).await, Some(expected), "{map}");
    }
}

#[tokio::test]
async fn a_change_of_category_moves_the_count() {
    let engine = Engine::start().await;
    engine.put_point("m", "p", Some("Landmark")).await;
    engine.put_point("m", "q", Some("Landmark")).await;
    engine.put_point("m", "p", Some("Restaurant")).await;
    engine.function().deliver(&engine.stream_records().await).await;
    assert_eq!(engine.counters("m").await, Some(counters(2, &[("Landmark", 1), ("Restaurant", 1)])));
}

#[tokio::test]
async fn deletes_and_reinserts_are_counted() {
    let engine = Engine::start().await;
    let function = engine.function();
    engine.put_point("m", "p", Some("Landmark")).await;
    engine.delete_point("m", "p").await;
    function.deliver(&engine.stream_records().await).await;
    engine.assert_exact().await;
    engine.put_point("m", "p", Some("Restaurant")).await;
    engine.put_point("m", "q", Some("Restaurant")).await;
    engine.delete_point("m", "q").await;
    function.deliver(&engine.stream_records().await).await;
    engine.assert_exact().await;
    assert_eq!(engine.counters("m").await.unwrap().total, 1);
}

#[tokio::test]
async fn a_delete_by_ttl_is_a_delete() {
    if without_embedded_engine("a sweep of the embedded engine deletes what has expired") {
        return;
    }
    let engine = Engine::start().await;
    let spec = aws_sdk_dynamodb::types::TimeToLiveSpecification::builder().enabled(true).attribute_name("Until");
    let spec = spec.build().unwrap();
    engine.db.update_time_to_live().table_name("Point").time_to_live_specification(spec).send().await.unwrap();
    engine
        .put("Point", [("MapId", s("m")), ("PointId", s("p")), ("Category", s("Fair")), ("Until", n(1_000_000_000))])
        .await;
    engine.put_point("m", "q", Some("Fair")).await;
    engine.database.as_ref().unwrap().sweep_ttl().unwrap();
    assert_eq!(engine.scan("Point").await.len(), 1, "the sweep deleted the expired point");
    engine.function().deliver(&engine.stream_records().await).await;
    assert_eq!(engine.counters("m").await, Some(counters(1, &[("Fair", 1)])));
}

#[tokio::test]
async fn a_point_without_a_usable_category_counts_in_the_total_alone() {
    let engine = Engine::start().await;
    let long = "x".repeat(1_025);
    let categories = [
        None,
        Some(AttributeValue::Null(true)),
        Some(s("")),
        Some(s(&long)),
        Some(AttributeValue::Ss(vec!["a".to_owned()])),
        Some(AttributeValue::L(vec![s("a")])),
        Some(AttributeValue::M([("a".to_owned(), s("b"))].into())),
        Some(AttributeValue::B(aws_sdk_dynamodb::primitives::Blob::new("a"))),
    ];
    for (place, category) in categories.iter().enumerate() {
        let category = category.clone().map(|category| ("Category", category));
        let id = format!("p{place}");
        engine.put("Point", [("MapId", s("m")), ("PointId", s(&id))].into_iter().chain(category)).await;
    }
    engine.put_point("m", "said", Some("None")).await;
    engine.function().deliver(&engine.stream_records().await).await;
    let total = i64::try_from(categories.len()).unwrap() + 1;
    assert_eq!(engine.counters("m").await, Some(counters(total, &[("None", 1)])));
}

#[tokio::test]
async fn a_number_is_a_category_by_its_canonical_text() {
    let engine = Engine::start().await;
    for (id, number) in [("p", "1"), ("q", "1.0"), ("r", "1e0"), ("t", "2.50")] {
        engine
            .put("Point", [("MapId", s("m")), ("PointId", s(id)), ("Category", AttributeValue::N(number.into()))])
            .await;
    }
    engine.function().deliver(&engine.stream_records().await).await;
    assert_eq!(engine.counters("m").await, Some(counters(4, &[("1", 3), ("2.5", 1)])));
}

#[tokio::test]
async fn a_write_that_changes_no_counter_needs_no_marker() {
    let engine = Engine::start().await;
    engine.put_point("m", "p", Some("Landmark")).await;
    engine
        .put("Point", [("MapId", s("m")), ("PointId", s("p")), ("Category", s("Landmark")), ("Address", s("x"))])
        .await;
    engine.function().deliver(&engine.stream_records().await).await;
    engine.assert_exact().await;
    assert_eq!(engine.markers().await.len(), 1);
}

#[tokio::test]
async fn an_item_that_moves_to_another_view_item_is_moved_in_one_transaction() {
    let engine = Engine::start().await;
    engine.put("Point", [("MapId", s("a")), ("PointId", s("p")), ("Owner", s("ann")), ("Category", s("Cafe"))]).await;
    engine.put("Point", [("MapId", s("a")), ("PointId", s("p")), ("Owner", s("bob")), ("Category", s("Bar"))]).await;
    let key = KeyPart { value: Template::parse("{Owner}").unwrap(), ..KeyPart::attribute("MapId", KeyType::S) };
    let measures = vec![
        Measure::parse("TotalPoints", "count").unwrap(),
        Measure::parse("CategoryCounts", "count by Category").unwrap(),
    ];
    let view = View::new("Point", "Map", None, vec![key], measures).unwrap();
    let function = engine.function_with(|config| config.definition = Definition::new(vec![view]).unwrap());
    let records = engine.stream_records().await;
    function.deliver(&records[..1]).await;
    assert_eq!(engine.counters("ann").await, Some(counters(1, &[("Cafe", 1)])));
    function.deliver(&records).await;
    function.deliver(&records).await;
    assert_eq!(engine.counters("ann").await, Some(counters(0, &[("Cafe", 0)])));
    assert_eq!(engine.counters("bob").await, Some(counters(1, &[("Bar", 1)])));
}

#[tokio::test]
async fn sums_are_kept_like_counts() {
    let engine = Engine::start().await;
    let price = |text: &str| AttributeValue::N(text.to_owned());
    let order = |id: &'static str, customer: &'static str, total: &str| {
        [("MapId", s(customer)), ("PointId", s(id)), ("Price", price(total)), ("Category", s("Book"))]
    };
    engine.put("Point", order("1", "ann", "0.1")).await;
    engine.put("Point", order("2", "ann", "0.2")).await;
    engine.put("Point", order("2", "ann", "1234567890123.25")).await;
    let key = KeyPart::attribute("MapId", KeyType::S);
    let measures = vec![
        Measure::parse("Spent", "sum Price").unwrap(),
        Measure::parse("SpentOn", "sum Price by Category").unwrap(),
    ];
    let view = View::new("Point", "Map", None, vec![key], measures).unwrap();
    let function = engine.function_with(|config| config.definition = Definition::new(vec![view]).unwrap());
    let records = engine.stream_records().await;
    function.deliver(&records).await;
    function.deliver(&records).await;
    let item = &engine.scan("Map").await[0];
    assert_eq!(item["Spent"], price("1234567890123.35"));
    assert_eq!(item["SpentOn"].as_m().unwrap()["Book"], price("1234567890123.35"));
}

#[tokio::test]
async fn names_of_maps_and_categories_may_hold_anything() {
    let engine = Engine::start().await;
    let names = ["a.b", "a b", "🍕 pizza", "#c", ":v", "[0]", "a,b", "=", "if_not_exists", "ADD", "\u{0}", "\"", "\\"];
    let long = "é".repeat(512);
    for name in names.into_iter().chain([long.as_str()]) {
        engine.put_point(name, name, Some(name)).await;
        engine.put_point("all", name, Some(name)).await;
    }
    let function = engine.function();
    function.deliver(&engine.stream_records().await).await;
    engine.assert_exact().await;
    for name in names {
        engine.delete_point("all", name).await;
    }
    function.deliver(&engine.stream_records().await).await;
    engine.assert_exact().await;
}

#[tokio::test]
async fn a_batch_may_hold_more_categories_than_one_update() {
    let engine = Engine::start().await;
    for category in 0..150 {
        engine.put_point("m", &format!("p{category}"), Some(&format!("category {category}"))).await;
    }
    let function = engine.function();
    function.deliver(&engine.stream_records().await).await;
    engine.assert_exact().await;
    for category in 0..150 {
        engine.put_point("m", &format!("p{category}"), Some(&format!("other {category}"))).await;
    }
    function.deliver(&engine.stream_records().await[150..]).await;
    engine.assert_exact().await;
}
