//! Source items and stream records that are made up, and what they count as: worked out from how they were made, and
//! never by the code under test.

use std::collections::BTreeMap;

use ddb_rollup::rollup::model::definition::Definition;
use ddb_rollup::rollup::model::view::{KeyPart, KeyType, Measure, MissingKey, View};
use proptest::prelude::*;
use serde_json::{Value, json};

/// The stream that every record is of.
pub const STREAM: &str = "arn:aws:dynamodb:eu-west-1:123456789012:table/Point/stream/2026-11-22T00:00:00.000";

/// A view with every kind of measure.
pub fn definition() -> Definition {
    let measure = |attribute: &str, sum: bool, by: bool| {
        let words = [if sum { "sum Weight" } else { "count" }, if by { " by Category" } else { "" }].concat();
        Measure::parse(attribute, &words).unwrap()
    };
    let key = KeyPart { missing: MissingKey::Quarantine, ..KeyPart::attribute("MapId", KeyType::S) };
    let measures = vec![
        measure("Points", false, false),
        measure("PointsByCategory", false, true),
        measure("Weight", true, false),
        measure("WeightByCategory", true, true),
    ];
    Definition::new(vec![View::new("Point", "Map", None, vec![key], measures).unwrap()]).unwrap()
}

/// A category, in one of the ways in which an item can have it or not.
#[derive(Debug, Clone, PartialEq)]
pub enum Category {
    Text(String),
    /// One number, in one of several texts.
    Number(u8, usize),
    /// None, in one of several ways.
    None(usize),
}

impl Category {
    fn json(&self) -> Option<Value> {
        match self {
            Self::Text(text) => Some(json!({ "S": text })),
            Self::Number(number, 0) => Some(json!({ "N": number.to_string() })),
            Self::Number(number, 1) => Some(json!({ "N": format!("{number}.00") })),
            Self::Number(number, _) => Some(json!({ "N": format!("{number}0e-1") })),
            Self::None(0) => None,
            Self::None(1) => Some(json!({ "NULL": true })),
            Self::None(2) => Some(json!({ "S": "" })),
            Self::None(3) => Some(json!({ "S": "x".repeat(1_025) })),
            Self::None(4) => Some(json!({ "L": [{ "S": "Park" }] })),
            Self::None(_) => Some(json!({ "SS": ["Park"] })),
        }
    }

    fn group(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Number(number, _) => Some(number.to_string()),
            Self::None(_) => None,
        }
    }
}

/// What a source item is, as far as it counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    pub map: u8,
    pub category: Category,
    /// In thousandths; none when it has no weight.
    pub weight: Option<i64>,
}

impl Point {
    /// Whether the view counts it: it does not count an amount of more than 13 digits before the point, nor anything else
    /// of such an item.
    pub fn counts(&self) -> bool {
        self.weight.is_none_or(|weight| i128::from(weight).abs() < 10_i128.pow(13) * 1_000)
    }

    fn image(&self, point: usize) -> Value {
        let mut image =
            json!({ "MapId": { "S": format!("map-{}", self.map) }, "PointId": { "S": format!("point-{point}") } });
        if let Some(category) = self.category.json() {
            image["Category"] = category;
        }
        if let Some(weight) = self.weight {
            image["Weight"] = json!({ "N": format!("{weight}e-3") });
        }
        image
    }
}

/// What was written: the point before and after it, at least one of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    pub old: Option<Point>,
    pub new: Option<Point>,
}

impl Written {
    /// The stream record of the write, in Lambda's JSON.
    pub fn record(&self, position: usize) -> Value {
        let mut change = json!({
            "Keys": { "PointId": { "S": format!("point-{position}") } },
            "SequenceNumber": sequence_number(position),
            "SizeBytes": 100,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        });
        for (name, point) in [("OldImage", &self.old), ("NewImage", &self.new)] {
            if let Some(point) = point {
                change[name] = point.image(position);
            }
        }
        let name = match (&self.old, &self.new) {
            (None, _) => "INSERT",
            (Some(_), Some(_)) => "MODIFY",
            (Some(_), None) => "REMOVE",
        };
        json!({
            "eventID": format!("event-{position}"), "eventName": name, "awsRegion": "eu-west-1",
            "eventSource": "aws:dynamodb", "eventSourceARN": STREAM, "dynamodb": change,
        })
    }
}

/// The sequence number of a position. They grow, but their order as text is another one.
pub fn sequence_number(position: usize) -> String {
    (7 + 11 * position).to_string()
}

/// An event of the records at these positions.
pub fn event(written: &[Written], positions: &[usize]) -> String {
    let records: Vec<Value> = positions.iter().map(|&position| written[position].record(position)).collect();
    json!({ "Records": records }).to_string()
}

/// Counters by view item, attribute and group, in thousandths. None is zero.
pub type Counters = BTreeMap<(String, String, Option<String>), i128>;

/// What these writes come to, counted one by one.
pub fn counted<'w>(written: impl IntoIterator<Item = &'w Written>) -> Counters {
    let mut counters = Counters::new();
    for Written { old, new } in written {
        for (point, sign) in [(old, -1), (new, 1)] {
            let Some(point) = point.as_ref().filter(|point| point.counts()) else { continue };
            let weight = i128::from(point.weight.unwrap_or(0));
            let mut add = |attribute: &str, group: Option<String>, amount: i128| {
                let counter = (format!("map-{}", point.map), attribute.to_owned(), group);
                *counters.entry(counter).or_default() += sign * amount;
            };
            add("Points", None, 1_000);
            add("Weight", None, weight);
            if let Some(group) = point.category.group() {
                add("PointsByCategory", Some(group.clone()), 1_000);
                add("WeightByCategory", Some(group), weight);
            }
        }
    }
    counters.retain(|_, amount| *amount != 0);
    counters
}

/// A number's text in thousandths.
pub fn thousandths(text: &str) -> i128 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    assert!(fraction.len() <= 3, "no made-up weight is so exact: {text}");
    format!("{whole}{fraction:0<3}").parse().unwrap()
}

fn category() -> impl Strategy<Value = Category> {
    const ODD: [&str; 9] = ["Park", "None", "null", "a.b c[0]", "#0", ":v", "\u{1f5fa}", "\0", "7"];
    prop_oneof![
        6 => proptest::sample::select(&ODD[..]).prop_map(|text| Category::Text(text.to_owned())),
        1 => "\\PC{1,40}".prop_map(Category::Text),
        2 => (0..3_u8, 0..3_usize).prop_map(|(number, text)| Category::Number(number, text)),
        2 => (0..6_usize).prop_map(Category::None),
    ]
}

fn point() -> impl Strategy<Value = Point> {
    let weight =
        prop_oneof![3 => Just(None), 2 => (-5_000..5_000_i64).prop_map(Some), 1 => any::<i64>().prop_map(Some)];
    (0..4_u8, category(), weight).prop_map(|(map, category, weight)| Point { map, category, weight })
}

/// A write: an insert, a delete, any change, or a change without effect.
pub fn written() -> impl Strategy<Value = Written> {
    prop_oneof![
        3 => point().prop_map(|new| Written { old: None, new: Some(new) }),
        1 => point().prop_map(|old| Written { old: Some(old), new: None }),
        2 => (point(), point()).prop_map(|(old, new)| Written { old: Some(old), new: Some(new) }),
        1 => point().prop_map(|same| Written { old: Some(same.clone()), new: Some(same) }),
    ]
}

/// Up to so many writes, at least one.
pub fn writes(most: usize) -> impl Strategy<Value = Vec<Written>> {
    proptest::collection::vec(written(), 1..=most)
}
