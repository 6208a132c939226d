//! Histories of a source table, their stream records, and what the counters should be: worked out from the source
//! alone, by counting.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// The stream that every record is of.
pub const STREAM: &str = "arn:aws:dynamodb:eu-west-1:123456789012:table/Point/stream/2026-11-22T00:00:00.000";

/// The sequence number of a position. They grow, but their order as text is another one.
pub fn sequence_number(position: usize) -> String {
    (9 + 13 * position.pow(3)).to_string()
}

/// A source item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Point {
    P,
    Q,
    Other(usize),
}

/// A view item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Map {
    M,
    N,
}

/// A group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    Park,
    Cafe,
}

/// What a source item counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub map: Map,
    pub category: Option<Category>,
}

/// A write to the source table, and what its stream does besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Write {
    /// A point is put that was not there.
    Insert(Point, Place),
    /// Its category becomes the next: a park, a cafe, none.
    Regroup(Point),
    /// It goes to the other map.
    Move(Point),
    /// Something changes that does not count.
    Touch(Point),
    /// It is deleted.
    Delete(Point),
    /// A record that does not tell its map.
    Poison,
    /// The stream has the first record once more.
    Repeat,
}

impl Write {
    /// Whether it is a write that changes a counter.
    pub fn counts(self) -> bool {
        !matches!(self, Self::Touch(_) | Self::Poison | Self::Repeat)
    }
}

/// A stream record.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// In Lambda's JSON.
    pub json: String,
    pub sequence_number: String,
    /// What the item counted as before, and what it counts as now.
    change: (Option<Place>, Option<Place>),
    pub poison: bool,
}

impl Record {
    /// Whether a marker must tell of it.
    pub fn effective(&self) -> bool {
        self.poison || self.change.0 != self.change.1
    }

    /// The view items that it changes.
    pub fn maps(&self) -> BTreeSet<Map> {
        let places = if self.effective() { [self.change.0, self.change.1] } else { [None, None] };
        places.into_iter().flatten().map(|place| place.map).collect()
    }
}

/// The counters of one view item. Those that are zero are left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Counts {
    pub total: i64,
    pub categories: BTreeMap<String, i64>,
}

/// The counters of all view items. Those without any are left out.
pub type AllCounts = BTreeMap<Map, Counts>;

/// A source table after some writes, and its stream.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    pub writes: Vec<Write>,
    pub records: Vec<Record>,
    source: BTreeMap<Point, Stored>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Stored {
    place: Place,
    touches: usize,
}

impl History {
    /// The history with one more write; none when it cannot be made.
    pub fn followed_by(&self, write: Write) -> Option<Self> {
        let mut next = self.clone();
        next.writes.push(write);
        match write {
            Write::Repeat => {
                let first = next.records.first()?.clone();
                next.records.push(first);
            }
            Write::Poison => {
                let image = json!({"PointId": {"S": "poison"}});
                let record = next.record("poison", None, Some(image), (None, None), true);
                next.records.push(record);
            }
            Write::Insert(point, _)
            | Write::Regroup(point)
            | Write::Move(point)
            | Write::Touch(point)
            | Write::Delete(point) => {
                let old = next.source.get(&point).copied();
                let new = changed(old, write).ok()?;
                match new {
                    Some(new) => next.source.insert(point, new),
                    None => next.source.remove(&point),
                };
                let images = [old, new].map(|stored| stored.map(|stored| image(point, stored)));
                let [before, after] = [old, new].map(|stored| stored.map(|stored| stored.place));
                let [old, new] = images;
                let record = next.record(&format!("{point:?}"), old, new, (before, after), false);
                next.records.push(record);
            }
        }
        Some(next)
    }

    fn record(
        &self,
        point: &str,
        old: Option<Value>,
        new: Option<Value>,
        change: (Option<Place>, Option<Place>),
        poison: bool,
    ) -> Record {
        let position = self.records.len();
        let sequence_number = sequence_number(position);
        let event_name = match (&old, &new) {
            (None, _) => "INSERT",
            (Some(_), Some(_)) => "MODIFY",
            (Some(_), None) => "REMOVE",
        };
        let mut dynamodb = json!({
            "ApproximateCreationDateTime": 1_795_000_000.0,
            "Keys": {"PointId": {"S": point}},
            "SequenceNumber": sequence_number,
            "SizeBytes": 100,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        });
        for (name, image) in [("OldImage", old), ("NewImage", new)] {
            if let Some(image) = image {
                dynamodb[name] = image;
            }
        }
        let json = json!({
            "eventID": format!("event-{position}"),
            "eventName": event_name,
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": "eu-west-1",
            "eventSourceARN": STREAM,
            "dynamodb": dynamodb,
        });
        Record { json: json.to_string(), sequence_number, change, poison }
    }

    /// What the counters should be in the end: the points counted one by one.
    pub fn recount(&self) -> AllCounts {
        let mut all = AllCounts::new();
        for stored in self.source.values() {
            count(&mut all, Some(stored.place), 1);
        }
        // The sum over the categories and the points of none is the total, by the way it is counted.
        for (map, counts) in &all {
            let here = self.source.values().filter(|stored| stored.place.map == *map);
            let ungrouped = here.filter(|stored| stored.place.category.is_none()).count();
            assert_eq!(counts.total, counts.categories.values().sum::<i64>() + i64::try_from(ungrouped).unwrap());
        }
        all
    }

    /// What the counters should be when just the records with these sequence numbers are counted, each once.
    pub fn count_of(&self, counted: &BTreeSet<&str>) -> AllCounts {
        let mut all = AllCounts::new();
        let mut seen = BTreeSet::new();
        for record in &self.records {
            if counted.contains(record.sequence_number.as_str()) && seen.insert(&record.sequence_number) {
                count(&mut all, record.change.0, -1);
                count(&mut all, record.change.1, 1);
            }
        }
        all.retain(|_, counts| {
            counts.categories.retain(|_, count| *count != 0);
            *counts != Counts::default()
        });
        all
    }

    /// The writes that may come next. Of two histories that differ by names only, there is one: the first point is `P`,
    /// the first map `M` and the first category a park.
    pub fn next_writes(&self) -> Vec<Write> {
        let mut writes = Vec::new();
        let inserts_of = |wanted: fn(Place) -> bool| {
            self.writes.iter().any(|write| matches!(write, Write::Insert(_, place) if wanted(*place)))
        };
        let seen_p = inserts_of(|_| true);
        let seen_park = inserts_of(|place| place.category.is_some());
        for point in [Point::P, Point::Q] {
            if self.source.contains_key(&point) {
                writes.extend([Write::Regroup(point), Write::Move(point), Write::Touch(point), Write::Delete(point)]);
            } else if point == Point::P || seen_p {
                let categories = if seen_park {
                    &[None, Some(Category::Park), Some(Category::Cafe)][..]
                } else {
                    &[None, Some(Category::Park)][..]
                };
                let map = if point == Point::P { Map::M } else { Map::N };
                writes.extend(categories.iter().map(|&category| Write::Insert(point, Place { map, category })));
            }
        }
        writes.push(Write::Poison);
        if !self.records.is_empty() {
            writes.push(Write::Repeat);
        }
        writes
    }

    /// Every history of so many writes of these kinds.
    pub fn all_of(length: usize, kind: fn(Write) -> bool) -> Vec<Self> {
        let mut histories = vec![Self::default()];
        for _ in 0..length {
            let next = |history: &Self| {
                let writes = history.next_writes().into_iter().filter(|&write| kind(write));
                writes.filter_map(|write| history.followed_by(write)).collect::<Vec<_>>()
            };
            histories = histories.iter().flat_map(next).collect();
        }
        histories
    }

    /// The event that carries the records at these positions.
    pub fn event(&self, batch: &[usize]) -> String {
        let records: Vec<&str> = batch.iter().map(|&position| self.records[position].json.as_str()).collect();
        format!("{{\"Records\":[{}]}}", records.join(","))
    }
}

/// A write that cannot be made, as its point is there already, or is not.
struct Impossible;

fn changed(old: Option<Stored>, write: Write) -> Result<Option<Stored>, Impossible> {
    let at = |stored: Stored, place: Place| Ok(Some(Stored { place, ..stored }));
    match (old, write) {
        (None, Write::Insert(_, place)) => Ok(Some(Stored { place, touches: 0 })),
        (Some(stored), Write::Regroup(_)) => {
            let category = match stored.place.category {
                None => Some(Category::Park),
                Some(Category::Park) => Some(Category::Cafe),
                Some(Category::Cafe) => None,
            };
            at(stored, Place { category, ..stored.place })
        }
        (Some(stored), Write::Move(_)) => {
            let map = if stored.place.map == Map::M { Map::N } else { Map::M };
            at(stored, Place { map, ..stored.place })
        }
        (Some(stored), Write::Touch(_)) => Ok(Some(Stored { touches: stored.touches + 1, ..stored })),
        (Some(_), Write::Delete(_)) => Ok(None),
        _ => Err(Impossible),
    }
}

/// A point as it is stored. One without a category shows it in one of three ways.
fn image(point: Point, stored: Stored) -> Value {
    let mut image = json!({
        "PointId": {"S": format!("{point:?}")},
        "MapId": {"S": format!("{:?}", stored.place.map)},
        "Touches": {"N": stored.touches.to_string()},
    });
    match (stored.place.category, stored.touches % 3) {
        (Some(category), _) => image["Category"] = json!({"S": format!("{category:?}")}),
        (None, 0) => {}
        (None, 1) => image["Category"] = json!({"NULL": true}),
        (None, _) => image["Category"] = json!({"S": ""}),
    }
    image
}

fn count(all: &mut AllCounts, place: Option<Place>, amount: i64) {
    let Some(Place { map, category }) = place else { return };
    let counts = all.entry(map).or_default();
    counts.total += amount;
    if let Some(category) = category {
        *counts.categories.entry(format!("{category:?}")).or_default() += amount;
    }
}
