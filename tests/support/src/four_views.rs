//! A definition of four views in three tables, its source items, and what each of them counts as: worked out for each view
//! by hand, and never by the code under test.

use std::collections::{BTreeMap, BTreeSet};

use ddb_rollup::rollup::model::definition::{self, Defaults, Definition};
use ddb_rollup::rollup::model::view::{OnMissingViewItem, ROLLUP_VERSION};
use ddb_rollup::rollup::{AttributeValue, Item};
use serde_json::{Value, json};

/// `Points` and `Open` share view items, `Tags` is in a table of its own whose items nobody creates, and `Totals` is in the
/// source table.
pub const FOUR_VIEWS: &str = r#"{ "views": [
    { "name": "Points", "table": "Map", "key": [{ "attribute": "MapId", "type": "S", "value": "{Home}" }],
      "measures": { "Points": "count", "PointsByCategory": "count by Category" } },
    { "name": "Open", "table": "Map", "where": "Open = true",
      "key": [{ "attribute": "MapId", "type": "S", "value": "{Seen}" }],
      "measures": { "OpenPoints": "count", "OpenWeight": "sum Weight", "OpenByTag": "count by each Tags" },
      "set": { "Board": "OPEN", "Label": "seen at {Seen}" } },
    { "name": "Tags", "table": "Tag", "on_missing": "skip",
      "key": [{ "attribute": "MapId", "type": "S", "value": "{each Tags}" }],
      "measures": { "Tagged": "count", "TaggedByHome": "count by Home where attribute_exists(Category)" } },
    { "name": "Totals", "table": "Point", "where": "begins_with(PointId, 'p')",
      "key": [{ "attribute": "MapId", "type": "S", "value": "{Home}" },
              { "attribute": "PointId", "type": "S", "value": "TOTAL" }],
      "measures": { "TotalPoints": "count", "TotalWeight": "sum Weight" } } ] }"#;

/// Its tables, in the order in which it names them.
pub const TABLES: [&str; 3] = ["Map", "Tag", "Point"];

/// From this amount on, and below its negative, a view with a sum cannot count an item.
pub const TOO_HEAVY: i64 = 10_i64.pow(13);

/// From so many tags on, views with `each` get nothing from an item. A little fewer may be too many as well, beside what
/// else it counts for; such items are not made up.
pub const TOO_MANY_TAGS: usize = 50;

/// The definition.
pub fn four_views() -> Definition {
    let defaults = Defaults { source_table: "Point", view_table: "Map", on_missing: OnMissingViewItem::Create };
    definition::read(FOUR_VIEWS, &defaults).unwrap()
}

/// A source item, as far as it counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Point {
    pub home: Option<String>,
    pub seen: Option<String>,
    pub open: bool,
    pub category: Option<String>,
    pub tags: BTreeSet<String>,
    pub weight: Option<i64>,
    /// Changes of what counts nowhere.
    pub touches: usize,
}

impl Point {
    /// As it is stored, under an id that begins with a `p`.
    pub fn image(&self, id: &str) -> Value {
        let mut image = json!({
            "MapId": { "S": "points" },
            "PointId": { "S": id },
            "Open": { "BOOL": self.open },
            "Touches": { "N": self.touches.to_string() },
        });
        for (name, text) in [("Home", &self.home), ("Seen", &self.seen), ("Category", &self.category)] {
            if let Some(text) = text {
                image[name] = json!({ "S": text });
            }
        }
        if !self.tags.is_empty() {
            image["Tags"] = json!({ "SS": self.tags });
        }
        if let Some(weight) = self.weight {
            image["Weight"] = json!({ "N": weight.to_string() });
        }
        image
    }

    /// What it counts as: each view for itself.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        let light = self.weight.is_none_or(|weight| (-TOO_HEAVY + 1..TOO_HEAVY).contains(&weight));
        let few_tags = self.tags.len() < TOO_MANY_TAGS;
        if let Some(home) = &self.home {
            counts.add("Map", home, "Points", None, 1);
            if let Some(category) = &self.category {
                counts.add("Map", home, "PointsByCategory", Some(category), 1);
            }
            if light {
                counts.add("Point", home, "TotalPoints", None, 1);
                counts.add("Point", home, "TotalWeight", None, self.weight.unwrap_or(0));
            }
        }
        if let Some(seen) = self.seen.as_ref().filter(|_| self.open && light && few_tags) {
            counts.add("Map", seen, "OpenPoints", None, 1);
            counts.add("Map", seen, "OpenWeight", None, self.weight.unwrap_or(0));
            for tag in &self.tags {
                counts.add("Map", seen, "OpenByTag", Some(tag), 1);
            }
        }
        for tag in self.tags.iter().filter(|_| few_tags) {
            counts.add("Tag", tag, "Tagged", None, 1);
            if let Some(home) = self.home.as_ref().filter(|_| self.category.is_some()) {
                counts.add("Tag", tag, "TaggedByHome", Some(home), 1);
            }
        }
        counts
    }
}

/// The view that an attribute of a view item is of.
pub fn view_of(attribute: &str) -> &'static str {
    match attribute {
        "Points" | "PointsByCategory" => "Points",
        "OpenPoints" | "OpenWeight" | "OpenByTag" => "Open",
        "Tagged" | "TaggedByHome" => "Tags",
        "TotalPoints" | "TotalWeight" => "Totals",
        other => panic!("no view has the measure {other}"),
    }
}

/// Whether a view item has what `Open` sets, a constant and a text of its key; all of it, or nothing.
pub fn has_what_open_sets(item: &Item) -> bool {
    let text = |attribute: &str| match item.get(attribute) {
        Some(AttributeValue::S(text)) => Some(text.clone()),
        None => None,
        other => panic!("{attribute} is {other:?}"),
    };
    let set = [text("Board"), text("Label")];
    let expected = [Some("OPEN".to_owned()), text("MapId").map(|map| format!("seen at {map}"))];
    assert!(set == expected || set == [None, None], "what is set of {item:?}");
    set[0].is_some()
}

/// A view item: its table, and its map, tag or home.
pub type ItemName = (&'static str, String);

/// One counter: its view item, its attribute and its group.
pub type CounterName = (ItemName, String, Option<String>);

/// Counters of any view items. None is zero.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Counts(pub BTreeMap<CounterName, i128>);

impl Counts {
    fn add(&mut self, table: &'static str, item: &str, attribute: &str, group: Option<&String>, amount: i64) {
        let counter = ((table, item.to_owned()), attribute.to_owned(), group.cloned());
        self.add_counter(counter, i128::from(amount));
    }

    fn add_counter(&mut self, counter: CounterName, amount: i128) {
        let sum = self.0.entry(counter).or_default();
        *sum += amount;
        if *sum == 0 {
            self.0.retain(|_, amount| *amount != 0);
        }
    }

    /// Adds others so many times.
    pub fn add_all(&mut self, others: &Self, times: i128) {
        for (counter, amount) in &others.0 {
            self.add_counter(counter.clone(), times * amount);
        }
    }

    /// What a change from one state of an item to another adds.
    pub fn of_change(old: Option<&Point>, new: Option<&Point>) -> Self {
        let mut counts = new.map(Point::counts).unwrap_or_default();
        counts.add_all(&old.map(Point::counts).unwrap_or_default(), -1);
        counts
    }

    /// The view items that they are of.
    pub fn items(&self) -> BTreeSet<ItemName> {
        self.0.keys().map(|(item, ..)| item.clone()).collect()
    }

    /// Without the counters of some view items.
    pub fn without(mut self, left_out: impl Fn(&ItemName) -> bool) -> Self {
        self.0.retain(|(item, ..), _| !left_out(item));
        self
    }

    /// Adds to one counter of the view item with this key.
    pub fn add_at(&mut self, table: &str, key: &Item, attribute: &str, group: Option<&String>, amount: i128) {
        self.add_counter((name_of_key(table, key), attribute.to_owned(), group.cloned()), amount);
    }

    /// The counters of an item of a view table.
    pub fn of_item(table: &str, item: &Item) -> Self {
        let name = name_of_key(table, item);
        let mut counts = Self::default();
        for (attribute, value) in item.iter() {
            if !["MapId", "PointId", "Board", "Label", "City", ROLLUP_VERSION].contains(&attribute.as_str()) {
                counts.add_value(&name, attribute, value);
            }
        }
        counts
    }

    /// What a marker's deltas say: a list of view, view item and measures.
    pub fn of_deltas(tables: &BTreeMap<&str, &'static str>, deltas: &AttributeValue) -> Self {
        let AttributeValue::L(deltas) = deltas else { panic!("no list: {deltas:?}") };
        let mut counts = Self::default();
        let mut seen = BTreeSet::new();
        for delta in deltas {
            let AttributeValue::M(delta) = delta else { panic!("no map: {delta:?}") };
            let (AttributeValue::S(view), AttributeValue::M(key), AttributeValue::M(measures)) =
                (&delta["View"], &delta["Item"], &delta["Measures"])
            else {
                panic!("not a delta: {delta:?}")
            };
            let name = name_of_key(tables[view.as_str()], &Item::from(key.clone()));
            assert!(seen.insert((view.clone(), name.clone())), "one delta a view and view item: {deltas:?}");
            assert!(!measures.is_empty(), "a delta of nothing: {deltas:?}");
            for (attribute, value) in measures {
                assert_eq!(view_of(attribute), view, "{attribute} is a measure of another view: {deltas:?}");
                counts.add_value(&name, attribute, value);
            }
        }
        counts
    }

    fn add_value(&mut self, name: &ItemName, attribute: &str, value: &AttributeValue) {
        let mut add = |group: Option<&String>, value: &AttributeValue| {
            // A text is what a user put in a counter's place.
            let AttributeValue::N(text) = value else { return };
            self.add_counter((name.clone(), attribute.to_owned(), group.cloned()), text.parse().unwrap());
        };
        match value {
            AttributeValue::M(groups) => groups.iter().for_each(|(group, value)| add(Some(group), value)),
            value => add(None, value),
        }
    }
}

/// The table of each view.
pub fn tables_of_views() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([("Points", "Map"), ("Open", "Map"), ("Tags", "Tag"), ("Totals", "Point")])
}

/// The view item with this key.
fn name_of_key(table: &str, key: &Item) -> ItemName {
    let table = TABLES.into_iter().find(|name| *name == table).unwrap_or_else(|| panic!("no view table: {table}"));
    let second = (table == "Point").then(|| AttributeValue::S("TOTAL".to_owned()));
    assert_eq!(key.get("PointId"), second.as_ref(), "the sort key of an item of {table}");
    match &key["MapId"] {
        AttributeValue::S(name) => (table, name.clone()),
        other => panic!("not a text: {other:?}"),
    }
}
