//! Histories of a source table under four views: every kind of crossing from one view to another, and back.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::four_views::{Counts, Point, TOO_HEAVY};
use crate::history::{STREAM, sequence_number};

/// A source item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Id {
    P,
    Q,
}

impl Id {
    fn name(self) -> &'static str {
        match self {
            Self::P => "p",
            Self::Q => "pq",
        }
    }
}

/// What an item is put as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// In `Points` and `Totals` alone.
    Closed,
    /// In `Points` and `Open`, which share its view item, and in one item of `Tags`.
    OpenAtHome,
    /// Of one view item in `Points` and of another one in `Open`, and of two items of `Tags`.
    OpenElsewhere,
}

/// What is changed of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// Its home goes from one map to the other, to none, and back.
    Rehome,
    /// The map where it is seen becomes the other one.
    Resee,
    /// It enters `Open`, or leaves it.
    Toggle,
    /// Its tags become more, and fewer again.
    Retag,
    /// It gets a category, or loses it.
    Categorise,
    /// Its weight becomes so large that no sum can count it, or small again.
    Weigh,
    /// Something changes that no view reads.
    Touch,
}

/// A write to the source table, and what its stream does besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Write {
    Insert(Id, Kind),
    Change(Id, Change),
    Delete(Id),
    /// A record without an image.
    Poison,
    /// The stream has the first record once more.
    Repeat,
}

impl Write {
    /// Whether it is a write that changes a counter.
    pub fn counts(self) -> bool {
        !matches!(self, Self::Change(_, Change::Touch) | Self::Poison | Self::Repeat)
    }
}

/// A stream record.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// In Lambda's JSON.
    json: String,
    pub sequence_number: String,
    /// What it adds to the counters.
    pub effect: Counts,
    pub poison: bool,
}

impl Record {
    /// Whether a marker must tell of it.
    pub fn effective(&self) -> bool {
        self.poison || !self.effect.0.is_empty()
    }
}

/// A source table after some writes, and its stream.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    pub writes: Vec<Write>,
    pub records: Vec<Record>,
    source: BTreeMap<Id, Point>,
}

impl History {
    /// The history with one more write; none when it cannot be made.
    fn followed_by(&self, write: Write) -> Option<Self> {
        let mut next = self.clone();
        next.writes.push(write);
        let (id, new) = match write {
            Write::Repeat => {
                let first = next.records.first()?.clone();
                next.records.push(first);
                return Some(next);
            }
            Write::Poison => {
                next.push("poison", [None, None]);
                return Some(next);
            }
            Write::Insert(id, _) if self.source.contains_key(&id) => return None,
            Write::Insert(id, kind) => (id, Some(inserted(id, kind))),
            Write::Change(id, change) => (id, Some(changed(self.source.get(&id)?, change))),
            Write::Delete(id) => (id, None),
        };
        let old = self.source.get(&id);
        if old.is_none() && new.is_none() {
            return None;
        }
        next.push(id.name(), [old, new.as_ref()]);
        match new {
            Some(new) => next.source.insert(id, new),
            None => next.source.remove(&id),
        };
        Some(next)
    }

    fn push(&mut self, id: &str, [old, new]: [Option<&Point>; 2]) {
        let sequence_number = sequence_number(self.records.len());
        let mut dynamodb = json!({
            "ApproximateCreationDateTime": 1_795_000_000.0,
            "Keys": { "MapId": { "S": "points" }, "PointId": { "S": id } },
            "SequenceNumber": sequence_number,
            "SizeBytes": 100,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        });
        let images: Vec<Option<Value>> = [old, new].map(|point| point.map(|point| point.image(id))).into();
        for (name, image) in ["OldImage", "NewImage"].into_iter().zip(&images) {
            if let Some(image) = image {
                dynamodb[name] = image.clone();
            }
        }
        let event_name = match (old, new) {
            (None, _) => "INSERT",
            (Some(_), Some(_)) => "MODIFY",
            (Some(_), None) => "REMOVE",
        };
        let json = json!({
            // Another event has another name, also at the same place of another history.
            "eventID": format!("event {old:?} {new:?}"),
            "eventName": event_name,
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": "eu-west-1",
            "eventSourceARN": STREAM,
            "dynamodb": dynamodb,
        });
        let poison = old.is_none() && new.is_none();
        let effect = Counts::of_change(old, new);
        self.records.push(Record { json: json.to_string(), sequence_number, effect, poison });
    }

    /// What the counters should be in the end: the items counted one by one.
    pub fn recount(&self) -> Counts {
        let mut all = Counts::default();
        self.source.values().for_each(|point| all.add_all(&point.counts(), 1));
        all
    }

    /// What the counters should be when just the records with these sequence numbers are counted, each once.
    pub fn count_of(&self, counted: &BTreeSet<&str>) -> Counts {
        let mut all = Counts::default();
        let mut seen = BTreeSet::new();
        for record in &self.records {
            if counted.contains(record.sequence_number.as_str()) && seen.insert(&record.sequence_number) {
                all.add_all(&record.effect, 1);
            }
        }
        all
    }

    /// The event that carries the records at these positions.
    pub fn event(&self, batch: &[usize]) -> String {
        let records: Vec<&str> = batch.iter().map(|&position| self.records[position].json.as_str()).collect();
        format!("{{\"Records\":[{}]}}", records.join(","))
    }

    /// Every history of so many writes of these kinds.
    pub fn all_of(length: usize, wanted: fn(Write) -> bool) -> Vec<Self> {
        let mut histories = vec![Self::default()];
        for _ in 0..length {
            let next = |history: &Self| {
                let writes = history.next_writes().into_iter().filter(|&write| wanted(write));
                writes.filter_map(|write| history.followed_by(write)).collect::<Vec<_>>()
            };
            histories = histories.iter().flat_map(next).collect();
        }
        histories
    }

    /// The writes that may come next. The first point is `P`; the second one is always of the same kind.
    fn next_writes(&self) -> Vec<Write> {
        use Change::{Categorise, Rehome, Resee, Retag, Toggle, Touch, Weigh};
        let changes = [Rehome, Resee, Toggle, Retag, Categorise, Weigh, Touch];
        let mut writes = Vec::new();
        for id in [Id::P, Id::Q] {
            if self.source.contains_key(&id) {
                writes.extend(changes.map(|change| Write::Change(id, change)));
                writes.push(Write::Delete(id));
            } else if id == Id::P {
                writes
                    .extend([Kind::Closed, Kind::OpenAtHome, Kind::OpenElsewhere].map(|kind| Write::Insert(id, kind)));
            } else if self.writes.iter().any(|write| matches!(write, Write::Insert(..))) {
                writes.push(Write::Insert(id, Kind::OpenElsewhere));
            }
        }
        writes.push(Write::Poison);
        if !self.records.is_empty() {
            writes.push(Write::Repeat);
        }
        writes
    }
}

fn inserted(id: Id, kind: Kind) -> Point {
    let home = if id == Id::P { "m" } else { "n" };
    let (open, seen, tags) = match kind {
        Kind::Closed => (false, home, &[][..]),
        Kind::OpenAtHome => (true, home, &["a"][..]),
        Kind::OpenElsewhere => (true, other_map(home), &["a", "b"][..]),
    };
    Point {
        home: Some(home.to_owned()),
        seen: Some(seen.to_owned()),
        open,
        category: (kind == Kind::OpenAtHome).then(|| "Park".to_owned()),
        tags: texts(tags),
        weight: (kind == Kind::OpenElsewhere).then_some(2),
        touches: 0,
    }
}

fn changed(old: &Point, change: Change) -> Point {
    let mut new = old.clone();
    match change {
        Change::Rehome => {
            new.home = match old.home.as_deref() {
                Some("m") => Some("n".to_owned()),
                Some(_) => None,
                None => Some("m".to_owned()),
            }
        }
        Change::Resee => new.seen = old.seen.as_deref().map(|seen| other_map(seen).to_owned()),
        Change::Toggle => new.open = !old.open,
        Change::Retag => {
            new.tags = match old.tags.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                [] => texts(&["a"]),
                ["a"] => texts(&["a", "b"]),
                [_, _] => texts(&["b"]),
                _ => BTreeSet::new(),
            }
        }
        Change::Categorise => new.category = old.category.is_none().then(|| "Park".to_owned()),
        Change::Weigh => new.weight = Some(if old.weight == Some(TOO_HEAVY) { 3 } else { TOO_HEAVY }),
        Change::Touch => new.touches += 1,
    }
    new
}

fn other_map(map: &str) -> &'static str {
    if map == "m" { "n" } else { "m" }
}

fn texts(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}
