//! The source table, the writes to it, and what each of them should do to the counters: counted by rules of its own, not
//! by the code under test.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use ddb_rollup::rollup::model::definition::Definition;
use ddb_rollup::rollup::model::view::{KeyPart, KeyType, Measure, MissingKey, View};
use serde_json::{Value, json};

use super::seeded_choices::SeededChoices;

/// The view items.
pub const MAPS: [&str; 3] = ["North", "South", "East"];

/// How many source items there are, at the most.
const POINTS: usize = 9;

/// Longer than a group's name may be.
const TOO_LONG: usize = 1_025;

/// What a source item's group can be: as it is stored, and as it counts.
fn groups() -> Vec<(Value, Option<&'static str>)> {
    vec![
        (json!({"S": "Park"}), Some("Park")),
        (json!({"S": "Café"}), Some("Café")),
        (json!({"S": "a.b[0]"}), Some("a.b[0]")),
        (json!({"N": "7.0"}), Some("7")),
        (json!({"S": "None"}), Some("None")),
        (Value::Null, None),
        (json!({"NULL": true}), None),
        (json!({"S": ""}), None),
        (json!({"BOOL": true}), Some("true")),
        (json!({"S": "x".repeat(TOO_LONG)}), None),
    ]
}

/// A counter: view item, attribute, and group.
pub type Counter = (&'static str, &'static str, Option<String>);

/// Amounts, in tenths: by counter.
pub type Amounts = BTreeMap<Counter, i64>;

/// Which measures a run's view has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measures {
    /// The default view's: the points in all, and by category.
    Counts,
    /// Also a sum in all, and by category.
    CountsAndSums,
}

impl Measures {
    /// The totals, each with the measure that keeps the same by group.
    pub fn pairs(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Counts => &[("TotalPoints", "CategoryCounts")],
            Self::CountsAndSums => &[("TotalPoints", "CategoryCounts"), ("Area", "AreaByCategory")],
        }
    }

    /// The definition.
    pub fn definition(self) -> Definition {
        let mut measures = vec![("TotalPoints", "count"), ("CategoryCounts", "count by Category")];
        if self == Self::CountsAndSums {
            measures.extend([("Area", "sum Size"), ("AreaByCategory", "sum Size by Category")]);
        }
        let measures = measures.into_iter().map(|(name, words)| Measure::parse(name, words).unwrap()).collect();
        let key = KeyPart { missing: MissingKey::Quarantine, ..KeyPart::attribute("MapId", KeyType::S) };
        Definition::new(vec![View::new("Point", "Map", None, vec![key], measures).unwrap()]).unwrap()
    }
}

/// What a record does to the counters.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Effect {
    /// What it adds. Holds no zero.
    pub counters: Amounts,
    /// What it adds to the part of a total that is in no group; the counter is the total's. Holds no zero.
    pub ungrouped: Amounts,
}

impl Effect {
    /// The view items whose counters it changes.
    pub fn maps(&self) -> BTreeSet<&'static str> {
        self.counters.keys().map(|(map, ..)| *map).collect()
    }

    /// The part of it that is of view items for which something holds, and the rest.
    pub fn parted(&self, which: impl Fn(&str) -> bool) -> (Self, Self) {
        let (mut those, mut others) = (Self::default(), Self::default());
        for (counter, amount) in &self.counters {
            let part = if which(counter.0) { &mut those } else { &mut others };
            part.counters.insert(counter.clone(), *amount);
        }
        for (counter, amount) in &self.ungrouped {
            let part = if which(counter.0) { &mut those } else { &mut others };
            part.ungrouped.insert(counter.clone(), *amount);
        }
        (those, others)
    }

    /// The other effect's amounts on top.
    pub fn add(&mut self, other: &Self, sign: i64) {
        for (mine, others) in [(&mut self.counters, &other.counters), (&mut self.ungrouped, &other.ungrouped)] {
            for (counter, amount) in others {
                *mine.entry(counter.clone()).or_default() += sign * amount;
            }
            mine.retain(|_, amount| *amount != 0);
        }
    }
}

/// A stream record.
#[derive(Debug, PartialEq)]
pub struct Record {
    pub sequence_number: String,
    pub stream: String,
    /// Seconds since the epoch.
    pub created_at: i64,
    /// In Lambda's JSON.
    pub json: String,
    pub effect: Effect,
    /// Whether it cannot be applied, whatever the tables are like.
    pub poison: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Stored {
    map: usize,
    group: usize,
    /// In tenths; none when the attribute is missing.
    size: Option<i64>,
    touches: usize,
}

/// What a write was.
pub struct Written {
    pub what: &'static str,
    pub point: usize,
    body: Value,
    effect: Effect,
    poison: bool,
}

/// The source table.
pub struct Source {
    pub measures: Measures,
    items: BTreeMap<usize, Stored>,
    groups: Vec<(Value, Option<&'static str>)>,
    /// Every record ever written to a stream.
    pub records: Vec<Rc<Record>>,
}

impl Source {
    pub fn new(measures: Measures) -> Self {
        Self { measures, items: BTreeMap::new(), groups: groups(), records: Vec::new() }
    }

    /// One write, drawn.
    pub fn write(&mut self, choices: &mut SeededChoices) -> Written {
        // A third of the writes is of one hot item.
        let point = if choices.below(3) == 0 { 0 } else { choices.below(POINTS) };
        if choices.below(25) == 0 {
            return poison(choices.below(4));
        }
        let old = self.items.get(&point).cloned();
        let (what, new) = match &old {
            None => {
                let size = size(choices);
                let map = choices.weighted([5, 3, 2].into_iter());
                ("put", Some(Stored { map, group: choices.below(self.groups.len()), size, touches: 0 }))
            }
            Some(old) => match choices.weighted([6, 5, 5, 2, 2, 3, 1].into_iter()) {
                0 => ("change of group", Some(Stored { group: choices.below(self.groups.len()), ..old.clone() })),
                1 => ("move", Some(Stored { map: choices.below(MAPS.len()), ..old.clone() })),
                2 => ("delete", None),
                3 => ("delete by TTL", None),
                4 => ("unrelated change", Some(Stored { touches: old.touches + 1, ..old.clone() })),
                5 => ("change of size", Some(Stored { size: size(choices), ..old.clone() })),
                _ => ("no-op", Some(old.clone())),
            },
        };
        let mut effect = Effect::default();
        for (stored, sign) in [(&old, -1), (&new, 1)] {
            if let Some(stored) = stored {
                effect.add(&self.contribution(stored), sign);
            }
        }
        let mut body = json!({ "Keys": {"PointId": {"S": format!("P{point}")}} });
        for (name, stored) in [("OldImage", &old), ("NewImage", &new)] {
            if let Some(stored) = stored {
                body[name] = self.image(point, stored);
            }
        }
        match new {
            Some(new) => self.items.insert(point, new),
            None => self.items.remove(&point),
        };
        Written { what, point, body, effect, poison: false }
    }

    /// Puts a write on a stream.
    pub fn record(&mut self, written: Written, sequence_number: String, stream: &str, created_at: i64) -> usize {
        let Written { what, body, effect, poison, .. } = written;
        let mut dynamodb = body;
        dynamodb["ApproximateCreationDateTime"] = json!(created_at);
        dynamodb["SequenceNumber"] = json!(sequence_number);
        dynamodb["SizeBytes"] = json!(100);
        dynamodb["StreamViewType"] = json!("NEW_AND_OLD_IMAGES");
        let event_name = match (dynamodb.get("OldImage"), dynamodb.get("NewImage")) {
            _ if what == "half a MODIFY" => "MODIFY",
            (None, _) => "INSERT",
            (Some(_), Some(_)) => "MODIFY",
            (Some(_), None) => "REMOVE",
        };
        let mut record = json!({
            "eventID": format!("event-{}", self.records.len()),
            "eventName": event_name,
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": "eu-west-1",
            "eventSourceARN": stream,
            "dynamodb": dynamodb,
        });
        if what == "delete by TTL" {
            record["userIdentity"] = json!({"type": "Service", "principalId": "dynamodb.amazonaws.com"});
        }
        let json = record.to_string();
        let stream = stream.to_owned();
        self.records.push(Rc::new(Record { sequence_number, stream, created_at, json, effect, poison }));
        self.records.len() - 1
    }

    /// What the counters should be: the items counted one by one.
    pub fn recount(&self) -> Effect {
        let mut all = Effect::default();
        for stored in self.items.values() {
            all.add(&self.contribution(stored), 1);
        }
        all
    }

    fn contribution(&self, stored: &Stored) -> Effect {
        let map = MAPS[stored.map];
        let group = self.groups[stored.group].1;
        let mut effect = Effect::default();
        let amounts = [10, stored.size.unwrap_or(0)];
        for ((total, by), amount) in self.measures.pairs().iter().zip(amounts) {
            effect.counters.insert((map, total, None), amount);
            match group {
                Some(group) => effect.counters.insert((map, by, Some(group.to_owned())), amount),
                None => effect.ungrouped.insert((map, total, None), amount),
            };
        }
        effect
    }

    fn image(&self, point: usize, stored: &Stored) -> Value {
        let mut image = json!({
            "PointId": {"S": format!("P{point}")},
            "MapId": {"S": MAPS[stored.map]},
            "Touches": {"N": stored.touches.to_string()},
        });
        if let Some(size) = stored.size {
            image["Size"] = json!({"N": in_tenths(size)});
        }
        let (category, _) = &self.groups[stored.group];
        if !category.is_null() {
            image["Category"] = category.clone();
        }
        image
    }
}

/// What a point's size may be, in tenths; none when it has none.
fn size(choices: &mut SeededChoices) -> Option<i64> {
    const SIZES: [Option<i64>; 8] =
        [None, None, Some(0), Some(5), Some(10), Some(123), Some(-70), Some(9_999_999_999_999)];
    *choices.pick(&SIZES)
}

/// A number of tenths as DynamoDB writes it.
fn in_tenths(number: i64) -> String {
    let sign = if number < 0 { "-" } else { "" };
    match number.abs() % 10 {
        0 => (number / 10).to_string(),
        tenth => format!("{sign}{}.{tenth}", number.abs() / 10),
    }
}

/// A record that cannot be applied. Nothing was written to the table: these come with what the stream or its reader did.
fn poison(kind: usize) -> Written {
    let keys = json!({"PointId": {"S": "poison"}});
    let image = json!({"PointId": {"S": "poison"}, "MapId": {"S": MAPS[0]}});
    let nowhere = json!({"PointId": {"S": "poison"}});
    let (what, body) = match kind {
        0 => ("point on no map", json!({"Keys": keys, "NewImage": nowhere})),
        1 => ("half a MODIFY", json!({"Keys": keys, "NewImage": image})),
        2 => ("record without an image", json!({ "Keys": keys })),
        _ => ("record that is unreadable", json!({"Keys": keys, "NewImage": {"MapId": 7}})),
    };
    Written { what, point: 0, body, effect: Effect::default(), poison: true }
}
