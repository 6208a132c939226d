//! What a run counts: its definition, the view items, and amounts by counter.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ddb_rollup::rollup::model::definition::{self, Defaults, Definition};
use ddb_rollup::rollup::model::view::{OnMissingViewItem, TableId};
use ddb_rollup::rollup::{AttributeValue, Item};
use serde_json::{Value, json};

/// The maps: each is a view item.
pub const MAPS: [&str; 3] = ["North", "South", "East"];

/// The tags: each is a view item of another table, where one has the key that a map has in the first.
pub const TAGS: [&str; 3] = ["North", "sun", "a.b[0]"];

/// How the view items are called here: the maps, then the tags.
const VIEW_ITEMS: [&str; 6] = ["North", "South", "East", "tag North", "tag sun", "tag a.b[0]"];

/// How the name of a tag's view item begins.
const TAG: &str = "tag ";

/// The table of the maps, and that of the tags.
const TABLES: [TableId; 2] = [TableId(0), TableId(1)];

/// A counter: view item, attribute, and group.
pub type Counter = (&'static str, &'static str, Option<String>);

/// Amounts, in tenths: by counter.
pub type Amounts = BTreeMap<Counter, i64>;

/// Which definition a run has, or a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measures {
    /// The default view's: the points in all, and by category.
    Counts,
    /// Also a sum in all, and by category.
    CountsAndSums,
    /// Also a view of the points that are open, under the map where they are seen: both views share the view items.
    TwoViews,
    /// Also a view with an item for each tag, in a table of its own.
    ThreeViews,
}

/// A measure without groups, and the one that keeps the same by group.
type Pair = (&'static str, &'static str);

const POINTS: Pair = ("TotalPoints", "CategoryCounts");
const AREA: Pair = ("Area", "AreaByCategory");
const OPEN: Pair = ("OpenPoints", "OpenByCategory");
const OPEN_AREA: Pair = ("OpenArea", "OpenAreaByCategory");
const TAGGED: Pair = ("Tagged", "TaggedByCategory");

/// Groups of open points that have no total: a point is in as many of them as it has tags.
pub const OPEN_BY_TAG: &str = "OpenByTag";

/// The attribute that the view of open points sets.
pub const SET: &str = "Board";

impl Measures {
    /// The totals, each with the measure that keeps the same by group.
    pub fn pairs(self) -> &'static [Pair] {
        match self {
            Self::Counts => &[POINTS],
            Self::CountsAndSums => &[POINTS, AREA],
            Self::TwoViews => &[POINTS, OPEN, OPEN_AREA],
            Self::ThreeViews => &[POINTS, OPEN, OPEN_AREA, TAGGED],
        }
    }

    /// The measures by group that have no total.
    pub fn without_total(self) -> &'static [&'static str] {
        if self.has_several_views() { &[OPEN_BY_TAG] } else { &[] }
    }

    /// Whether there are several views.
    pub fn has_several_views(self) -> bool {
        matches!(self, Self::TwoViews | Self::ThreeViews)
    }

    /// The view items that there may be.
    pub fn view_items(self) -> &'static [&'static str] {
        if self.has_several_views() { &VIEW_ITEMS } else { &VIEW_ITEMS[..MAPS.len()] }
    }

    /// What of an effect is counted by this definition, and the rest.
    pub fn parted(self, effect: &Effect) -> (Effect, Effect) {
        effect.parted(|item| self == Self::ThreeViews || !item.starts_with(TAG))
    }

    /// The definition.
    pub fn definition(self) -> Definition {
        let mut measures = json!({ "TotalPoints": "count", "CategoryCounts": "count by Category" });
        if self == Self::CountsAndSums {
            measures["Area"] = "sum Size".into();
            measures["AreaByCategory"] = "sum Size by Category".into();
        }
        let key = |value: &str| json!({ "attribute": "MapId", "type": "S", "value": value });
        let mut map_id = key("{MapId}");
        map_id["missing"] = "quarantine".into();
        let mut views = vec![json!({ "name": "points", "key": [map_id], "measures": measures })];
        if self.has_several_views() {
            let open = json!({
                "OpenPoints": "count", "OpenByCategory": "count by Category", "OpenByTag": "count by each Tags",
                "OpenArea": "sum Size", "OpenAreaByCategory": "sum Size by Category",
            });
            views.push(json!({
                "name": "open", "where": "Open = true", "key": [key("{Seen}")], "measures": open, "set": { SET: "OPEN" },
            }));
        }
        if self == Self::ThreeViews {
            let tagged = json!({ "Tagged": "count", "TaggedByCategory": "count by Category" });
            views.push(json!({ "name": "tags", "table": "Tag", "key": [key("{each Tags}")], "measures": tagged }));
        }
        read(&json!({ "views": views }))
    }

    /// The fingerprints of its definition, one for each answer to a missing view item.
    pub fn fingerprints(self) -> [String; 2] {
        [OnMissingViewItem::Create, OnMissingViewItem::Skip]
            .map(|on_missing| self.definition().with_missing(on_missing).fingerprint().to_string())
    }
}

fn read(definition: &Value) -> Definition {
    let defaults = Defaults { source_table: "Point", view_table: "Map", on_missing: OnMissingViewItem::Create };
    definition::read(&definition.to_string(), &defaults).unwrap()
}

/// The view that an attribute is a measure of.
pub fn view_of(attribute: &str) -> &'static str {
    match attribute {
        "Tagged" | "TaggedByCategory" => "tags",
        _ if attribute.starts_with("Open") => "open",
        _ => "points",
    }
}

/// The table of a view's items.
pub fn table_of(view: &str) -> TableId {
    TABLES[usize::from(view == "tags")]
}

/// The view item of a tag.
pub fn tag_item(tag: usize) -> &'static str {
    VIEW_ITEMS[MAPS.len() + tag]
}

/// Where a view item is: its table, and its key as attributes.
pub fn key_of(view_item: &str) -> (TableId, Item) {
    let (table, id) = view_item.strip_prefix(TAG).map_or((TABLES[0], view_item), |tag| (TABLES[1], tag));
    (table, Item::from(HashMap::from([("MapId".to_owned(), AttributeValue::S(id.to_owned()))])))
}

/// The view item that is there.
pub fn view_item_at(table: TableId, key: &HashMap<String, AttributeValue>) -> Option<&'static str> {
    VIEW_ITEMS.into_iter().find(|name| {
        let (of, key_of) = key_of(name);
        of == table && *key_of == *key
    })
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
    pub fn view_items(&self) -> BTreeSet<&'static str> {
        self.counters.keys().map(|(item, ..)| *item).collect()
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

    /// Adds to a total, and to the group of it, or to its part that is in none.
    pub fn add_pair(&mut self, item: &'static str, (total, by): Pair, group: Option<&str>, amount: i64) {
        let mut one = Self::default();
        one.counters.insert((item, total, None), amount);
        match group {
            Some(group) => one.counters.insert((item, by, Some(group.to_owned())), amount),
            None => one.ungrouped.insert((item, total, None), amount),
        };
        self.add(&one, 1);
    }
}

impl Measures {
    /// What a point adds that is on a map, of a category, and of a size in tenths.
    pub fn of_point(self, effect: &mut Effect, map: &'static str, category: Option<&str>, size: i64) {
        effect.add_pair(map, POINTS, category, 10);
        if self == Self::CountsAndSums {
            effect.add_pair(map, AREA, category, size);
        }
    }
}

/// What an open point adds to the map where it is seen.
pub fn of_open_point(effect: &mut Effect, map: &'static str, category: Option<&str>, size: i64) {
    effect.add_pair(map, OPEN, category, 10);
    effect.add_pair(map, OPEN_AREA, category, size);
}

/// What a point adds to each tag.
pub fn of_tagged_point(effect: &mut Effect, tag: usize, category: Option<&str>) {
    effect.add_pair(tag_item(tag), TAGGED, category, 10);
}
