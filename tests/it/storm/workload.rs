//! What happens to the source table, and what is expected of each of its stream records.

use aws_sdk_dynamodb::types::AttributeValue;
use fastrand::Rng;
use serde_json::{Value, json};

use crate::engine::{Engine, n, s, sequence_number};

/// The maps that points are put on; their ids are as odd as ids may be.
pub const MAPS: [&str; 5] = ["Seattle", "Sydney.CategoryCounts[0]", "Townsville \u{1f30b}", "#0", "Ein Ort mit :v"];

/// Points of one map: few, so that they are inserted, changed and deleted again and again.
const POINTS: usize = 12;

/// A record of the stream, as it is delivered.
pub struct Record {
    pub json: Value,
    pub sequence_number: String,
    pub stream: String,
    pub expected: Expected,
}

/// What becomes of a record, however it is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    Counted,
    NoEffect,
    Quarantined,
}

/// The maps as they are before the first point: one complete, one without counters, one with half of them, and two
/// that are not there.
pub async fn maps(engine: &Engine) {
    let no_groups = AttributeValue::M(std::collections::HashMap::new());
    engine.put("Map", [("MapId", s(MAPS[0])), ("City", s("Seattle")), ("CategoryCounts", no_groups)]).await;
    engine.put("Map", [("MapId", s(MAPS[1])), ("City", s("Sydney"))]).await;
    engine.put("Map", [("MapId", s(MAPS[2])), ("City", s("Townsville")), ("TotalPoints", n(0))]).await;
}

/// Inserts, changes and deletes points, so many times in all.
pub async fn write(engine: &Engine, rng: &mut Rng, writes: usize) {
    for write in 0..writes {
        let (map, point) = (rng.choice(MAPS).unwrap(), format!("point-{}", rng.usize(..POINTS)));
        if rng.u8(..4) == 0 {
            engine.delete_point(map, &point).await;
            continue;
        }
        let mut item = vec![("MapId", s(map)), ("PointId", s(&point))];
        item.extend(category(rng).map(|category| ("Category", category)));
        if rng.bool() {
            // With the category of before, this is a change without effect.
            item.push(("Visits", n(i64::try_from(write).unwrap())));
        }
        engine.put("Point", item).await;
    }
}

/// Mostly groups, and every kind of value that is none.
fn category(rng: &mut Rng) -> Option<AttributeValue> {
    match rng.u8(..16) {
        0 => None,
        1 => Some(AttributeValue::Null(true)),
        2 => Some(s("")),
        3 => Some(s(&"x".repeat(1_025))),
        4 => Some(AttributeValue::L(vec![s("Landmark")])),
        5 => Some(s("None")),
        6 => Some(s("a.b c[0] \u{1f5fa}")),
        7 => Some(n(7)),
        8 => Some(s(&"y".repeat(1_024))),
        9..12 => Some(s("Restaurant")),
        _ => Some(s("Landmark")),
    }
}

/// The stream's records in their order, some that are poison among them.
pub async fn records(engine: &Engine, rng: &mut Rng) -> Vec<Record> {
    let real = engine.stream_records().await;
    let poison = real.len() / 50 + 3;
    let mut records: Vec<Record> = real.into_iter().map(|json| record(json, None)).collect();
    for number in 0..poison {
        let mut json = rng.choice(&records).unwrap().json.clone();
        json["dynamodb"]["SequenceNumber"] = json!(format!("9{number:0>20}"));
        json["eventID"] = json!(format!("poison-{number}"));
        spoil(&mut json, number);
        records.insert(rng.usize(..=records.len()), record(json, Some(Expected::Quarantined)));
    }
    records
}

fn spoil(record: &mut Value, how: usize) {
    let change = &mut record["dynamodb"];
    let image = if change["NewImage"].is_object() { "NewImage" } else { "OldImage" };
    match how % 3 {
        0 => change[image]["MapId"] = json!({ "N": "7" }),
        1 => change[image]["Category"] = json!({ "NoSuchType": "Landmark" }),
        _ => {
            let images = change.as_object_mut().unwrap();
            images.retain(|name, _| !name.ends_with("Image"));
        }
    }
}

fn record(json: Value, expected: Option<Expected>) -> Record {
    let change = &json["dynamodb"];
    let contribution = |image: &Value| image.is_object().then(|| group(&image["Category"]));
    let (old, new) = (contribution(&change["OldImage"]), contribution(&change["NewImage"]));
    Record {
        expected: expected.unwrap_or(if old == new { Expected::NoEffect } else { Expected::Counted }),
        sequence_number: sequence_number(&json).to_owned(),
        stream: json["eventSourceARN"].as_str().unwrap().to_owned(),
        json,
    }
}

/// How many records of a batch a response acknowledges: those before the failure that it reports.
pub fn acknowledged_by(response: &Value, batch: &[usize], records: &[Record]) -> usize {
    let failures = response["batchItemFailures"].as_array().unwrap();
    assert!(failures.len() <= 1, "{response}");
    let Some(first) = failures.first() else { return batch.len() };
    let failed = |place: &usize| records[*place].sequence_number == first["itemIdentifier"];
    batch.iter().position(failed).unwrap()
}

/// The group of an item with this category, in the stream's JSON; none when it is ungrouped.
pub fn group(category: &Value) -> Option<String> {
    let text = category["S"].as_str().filter(|text| (1..=1_024).contains(&text.len()));
    text.or_else(|| category["N"].as_str()).map(str::to_owned)
}
