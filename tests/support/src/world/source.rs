//! The source table, the writes to it, and what each of them should do to the counters: counted by rules of its own, not
//! by the code under test.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{Value, json};

use super::measures::{Effect, MAPS, Measures, OPEN_BY_TAG, TAGS, of_open_point, of_tagged_point};
use super::seeded_choices::SeededChoices;

/// How many source items there are, at the most.
const POINTS: usize = 9;

/// From this size on, in tenths, a point cannot be counted by a view that sums up its size.
pub const TOO_LARGE: i64 = 10_i64.pow(14);

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

/// Longer than a key may be.
const TOO_LONG_KEY: usize = 2_049;

/// Text that does not fit into one item, however well it is compressed.
const TOO_LARGE_RECORD: usize = 560_000;

/// Values that no key of a view item can have.
fn hostile_keys() -> [Value; 4] {
    [json!({"N": "7"}), json!({"S": ""}), json!({"S": "x".repeat(TOO_LONG_KEY)}), json!({"SS": ["North"]})]
}

/// What an attribute of a point is that tells a map: the name of one, or what no key can be.
#[derive(Debug, Clone, Copy, PartialEq)]
enum MapName {
    Known(usize),
    Hostile(usize),
}

impl Default for MapName {
    fn default() -> Self {
        Self::Known(0)
    }
}

impl MapName {
    fn drawn(choices: &mut SeededChoices) -> Self {
        if choices.below(16) == 0 {
            Self::Hostile(choices.below(hostile_keys().len()))
        } else {
            Self::Known(choices.weighted([5, 3, 2].into_iter()))
        }
    }

    fn map(self) -> Option<&'static str> {
        match self {
            Self::Known(map) => Some(MAPS[map]),
            Self::Hostile(_) => None,
        }
    }

    fn value(self) -> Value {
        match self {
            Self::Known(map) => json!({ "S": MAPS[map] }),
            Self::Hostile(key) => hostile_keys()[key].clone(),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Stored {
    /// Without one that is known, the definition wants its records in quarantine.
    map: MapName,
    group: usize,
    /// In tenths; none when the attribute is missing.
    size: Option<i64>,
    touches: usize,
    /// What several views count besides.
    of_views: OfViews,
}

/// What several views count of a point, besides what one view does.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct OfViews {
    open: bool,
    /// Without one that is known, it is not in the view of open points.
    seen: MapName,
    tags: [bool; TAGS.len()],
}

impl OfViews {
    fn drawn(choices: &mut SeededChoices) -> Self {
        let tags = TAGS.map(|_| choices.below(3) == 0);
        Self { open: choices.below(2) == 0, seen: MapName::drawn(choices), tags }
    }
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
            return poison(choices);
        }
        let several = self.measures.has_several_views();
        let kinds: &[usize] = if several { &[6, 5, 5, 2, 2, 3, 1, 5, 3, 4, 2] } else { &[6, 5, 5, 2, 2, 3, 1] };
        let old = self.items.get(&point).cloned();
        let (what, new) = match &old {
            None => {
                let size = Self::size(choices);
                let map = MapName::drawn(choices);
                let group = choices.below(self.groups.len());
                let of_views = if several { OfViews::drawn(choices) } else { OfViews::default() };
                ("put", Some(Stored { map, group, size, touches: 0, of_views }))
            }
            Some(old) => match choices.weighted(kinds.iter().copied()) {
                0 => ("change of group", Some(Stored { group: choices.below(self.groups.len()), ..old.clone() })),
                1 => ("move", Some(Stored { map: MapName::drawn(choices), ..old.clone() })),
                2 => ("delete", None),
                3 => ("delete by TTL", None),
                4 => ("unrelated change", Some(Stored { touches: old.touches + 1, ..old.clone() })),
                5 => ("change of size", Some(Stored { size: Self::size(choices), ..old.clone() })),
                6 => ("no-op", Some(old.clone())),
                of_views => {
                    let drawn = OfViews::drawn(choices);
                    let (what, of_views) = match of_views {
                        7 => ("opened or closed", OfViews { open: !old.of_views.open, ..old.of_views }),
                        8 => ("seen elsewhere", OfViews { seen: drawn.seen, ..old.of_views }),
                        9 => ("change of tags", OfViews { tags: drawn.tags, ..old.of_views }),
                        _ => ("change of all", drawn),
                    };
                    (what, Some(Stored { of_views, ..old.clone() }))
                }
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
        let images = [&old, &new].into_iter().flatten();
        let poison = images.into_iter().any(|stored| stored.map.map().is_none());
        match new {
            Some(new) => self.items.insert(point, new),
            None => self.items.remove(&point),
        };
        Written { what, point, body, effect, poison }
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

    /// What an item adds to each view, by the rules of the definition.
    fn contribution(&self, stored: &Stored) -> Effect {
        let mut effect = Effect::default();
        let (group, size) = (self.groups[stored.group].1, stored.size.unwrap_or(0));
        // A size out of bounds costs a view that sums it up the whole point, and the other views nothing.
        if let Some(map) = stored.map.map()
            && (self.measures != Measures::CountsAndSums || size < TOO_LARGE)
        {
            self.measures.of_point(&mut effect, map, group, size);
        }
        if !self.measures.has_several_views() {
            return effect;
        }
        let OfViews { open, seen, tags } = stored.of_views;
        let tags = || (0..TAGS.len()).filter(move |&tag| tags[tag]);
        if let Some(map) = seen.map()
            && open
            && size < TOO_LARGE
        {
            of_open_point(&mut effect, map, group, size);
            for tag in tags() {
                effect.counters.insert((map, OPEN_BY_TAG, Some(TAGS[tag].to_owned())), 10);
            }
        }
        tags().for_each(|tag| of_tagged_point(&mut effect, tag, group));
        effect
    }

    /// What a point's size may be, in tenths; none when it has none.
    fn size(choices: &mut SeededChoices) -> Option<i64> {
        const SIZES: [Option<i64>; 11] = [
            None,
            None,
            Some(0),
            Some(5),
            Some(10),
            Some(123),
            Some(-70),
            Some(9_999_999_999_999),
            Some(TOO_LARGE - 1),
            Some(TOO_LARGE),
            Some(2 * TOO_LARGE),
        ];
        *choices.pick(&SIZES)
    }

    fn image(&self, point: usize, stored: &Stored) -> Value {
        let mut image = json!({
            "PointId": {"S": format!("P{point}")},
            "MapId": stored.map.value(),
            "Touches": {"N": stored.touches.to_string()},
        });
        if let Some(size) = stored.size {
            image["Size"] = json!({"N": in_tenths(size)});
        }
        if self.measures.has_several_views() {
            let OfViews { open, seen, tags } = stored.of_views;
            let tags: Vec<&str> = TAGS.into_iter().zip(tags).filter(|(_, has)| *has).map(|(tag, _)| tag).collect();
            image["Open"] = json!({ "BOOL": open });
            image["Seen"] = seen.value();
            if !tags.is_empty() {
                image["Tags"] = json!({ "SS": tags });
            }
        }
        let (category, _) = &self.groups[stored.group];
        if !category.is_null() {
            image["Category"] = category.clone();
        }
        image
    }
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
fn poison(choices: &mut SeededChoices) -> Written {
    let keys = json!({"PointId": {"S": "poison"}});
    let image = json!({"PointId": {"S": "poison"}, "MapId": {"S": MAPS[0]}});
    let nowhere = json!({"PointId": {"S": "poison"}});
    let (what, body) = match choices.weighted([6, 6, 6, 6, 1].into_iter()) {
        0 => ("point on no map", json!({"Keys": keys, "NewImage": nowhere})),
        1 => ("half a MODIFY", json!({"Keys": keys, "NewImage": image})),
        2 => ("record without an image", json!({ "Keys": keys })),
        3 => ("record that is unreadable", json!({"Keys": keys, "NewImage": {"MapId": 7}})),
        _ => {
            let letters =
                (0..TOO_LARGE_RECORD).map(|_| char::from(b'0' + u8::try_from(choices.below(64)).unwrap_or(0)));
            let text: String = letters.collect();
            ("record for several items", json!({"Keys": keys, "NewImage": {"MapId": 7, "Text": {"S": text}}}))
        }
    };
    Written { what, point: 0, body, effect: Effect::default(), poison: true }
}
