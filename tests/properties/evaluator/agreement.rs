//! The two evaluators on definitions and items that are made up.

use std::collections::{BTreeMap, BTreeSet};

use ddb_rollup::rollup::Item;
use ddb_rollup::rollup::model::definition::{self, Defaults, Definition};
use ddb_rollup::rollup::model::poison::Image;
use ddb_rollup::rollup::model::view::OnMissingViewItem;
use ddb_rollup::rollup::pipeline::contribution::contribution;
use fastrand::Rng;
use serde_json::{Value, json};

use super::document;
use super::evaluate::Tally;
use super::image::{Contributed, Counter, contributed};
use super::made_up_definition::definition;
use super::made_up_item::item;

const VIEW_TABLE: &str = "View";
const ITEMS_OF_A_DEFINITION: u64 = 8;

/// What the function's own evaluator says.
fn product(definition: &Definition, item: &Value) -> Contributed {
    let item: Item = serde_json::from_value(item.clone()).unwrap();
    let Ok(found) = contribution(definition, Image::New, &item) else {
        return Contributed { quarantined: true, ..Contributed::default() };
    };
    let mut result = Contributed::default();
    result.uncountable.extend(found.uncountable.iter().map(|(view, _)| definition[*view].name().to_owned()));
    for part in &found.parts {
        let table = definition[part.view].view_table();
        for (key, texts) in &part.items {
            let key: BTreeMap<String, Value> =
                serde_json::from_value(serde_json::to_value(definition.key_item(key)).unwrap()).unwrap();
            let (table, key) = (table.to_owned(), serde_json::to_string(&key).unwrap());
            for (attribute, text) in texts {
                result.set.insert((table.clone(), key.clone(), attribute.clone()), text.clone());
            }
            for (counter, amount) in &part.amounts {
                let (table, key, group) = (table.clone(), key.clone(), counter.group.clone());
                let measure = definition[counter.measure].attribute.clone();
                result.amounts.insert(Counter { table, key, measure, group }, amount.to_string());
            }
        }
    }
    result
}

/// The definition as the function reads it, or why it does not.
fn read(definition: &str) -> Result<Definition, String> {
    let defaults = Defaults { source_table: "Source", view_table: VIEW_TABLE, on_missing: OnMissingViewItem::Create };
    definition::read(definition, &defaults).map_err(|error| error.to_string())
}

/// Whether the answers are the same, as far as the contract decides them: of a key with several unusable attributes, it
/// does not say which one tells the reason.
fn same(expected: &Contributed, found: &Contributed) -> bool {
    let decided = |of: &Contributed| &of.uncountable - &expected.undecided;
    expected.quarantined == found.quarantined
        && expected.amounts == found.amounts
        && expected.set == found.set
        && decided(expected) == decided(found)
}

/// A definition, read by both.
struct Both {
    plain: Vec<document::View>,
    product: Definition,
}

impl Both {
    fn read(definition: &Value) -> Result<Self, String> {
        let text = definition.to_string();
        let plain =
            document::views(&text, VIEW_TABLE).map_err(|why| format!("the second evaluator refuses it: {why}"))?;
        Ok(Self { plain, product: read(&text).map_err(|why| format!("the function refuses it: {why}"))? })
    }

    /// What was met on the way; or both answers, when they differ.
    fn agree(&self, item: &Value) -> Result<Tally, String> {
        let (expected, tally) = contributed(&self.plain, item);
        let found = product(&self.product, item);
        if same(&expected, &found) { Ok(tally) } else { Err(format!("expected {expected:#?}\nfound {found:#?}")) }
    }
}

/// The two disagree about a definition and an item: both without what the disagreement does not need.
fn smaller(definition: &Value, item: &Value) -> String {
    let differs = |definition: &Value, item: &Value| match Both::read(definition) {
        Ok(both) => both.agree(item).err(),
        // It was read before something was taken out of it, so that was needed.
        Err(_) => None,
    };
    let (mut definition, mut item) = (definition.clone(), item.clone());
    let views = definition["views"].as_array().map_or(0, Vec::len);
    for place in (0..views).rev() {
        let mut fewer = definition.clone();
        fewer["views"].as_array_mut().map(|views| views.remove(place));
        if differs(&fewer, &item).is_some() {
            definition = fewer;
        }
    }
    let views = definition["views"].as_array().map_or(0, Vec::len);
    for pointer in (0..views).map(|place| format!("/views/{place}")).chain([String::new()]) {
        without(&mut definition, &format!("{pointer}/measures"), |smaller| differs(smaller, &item).is_some());
        without(&mut definition, &pointer, |smaller| differs(smaller, &item).is_some());
    }
    without(&mut item, "", |smaller| differs(&definition, smaller).is_some());
    format!("{definition}\n{item}\n{}", differs(&definition, &item).unwrap_or_default())
}

/// Takes out of an object each member that it can do without.
fn without(whole: &mut Value, pointer: &str, holds: impl Fn(&Value) -> bool) {
    let Some(Value::Object(object)) = whole.pointer(pointer) else { return };
    for name in object.keys().cloned().collect::<Vec<_>>() {
        let mut smaller = whole.clone();
        if let Some(Value::Object(object)) = smaller.pointer_mut(pointer) {
            object.remove(&name);
        }
        if holds(&smaller) {
            *whole = smaller;
        }
    }
}

/// What must be met so often in 20,000 pairs: without it, that they agree would say little.
const FLOORS: [(&str, u64); 81] = [
    ("image: counted", 5_000),
    ("image: not in the view", 5_000),
    ("image: uncountable", 1_000),
    ("image: quarantined", 400),
    ("image: too large", 100),
    ("image: too large for some views", 25),
    ("item: of several views", 100),
    ("set: a text", 500),
    ("measure: without group", 6_000),
    ("measure: grouped", 2_000),
    ("measure: ungrouped", 1_000),
    ("sum each: an entry", 1_000),
    ("by each: elements", 600),
    ("by each: none", 400),
    ("template: a value", 10_000),
    ("template: none", 3_000),
    ("minute: a value", 300),
    ("minute: none", 200),
    ("hour: a value", 300),
    ("hour: none", 200),
    ("day: a value", 300),
    ("day: none", 200),
    ("week: a value", 200),
    ("week: none", 200),
    ("month: a value", 300),
    ("month: none", 200),
    ("year: a value", 200),
    ("year: none", 200),
    ("before: a value", 50),
    ("before: none", 300),
    ("after: a value", 50),
    ("after: none", 300),
    ("lower: a value", 300),
    ("lower: none", 100),
    ("concat: a value", 800),
    ("concat: none", 500),
    ("round: a value", 1_000),
    ("round: none", 400),
    ("shard: a value", 500),
    ("shard: none", 100),
    ("*: a value", 1_000),
    ("*: none", 800),
    ("+: a value", 500),
    ("+: none", 400),
    ("-: a value", 500),
    ("-: none", 400),
    ("negation: a value", 900),
    ("negation: none", 150),
    ("Equal: true", 40),
    ("Equal: false", 400),
    ("Unequal: true", 400),
    ("Unequal: false", 30),
    ("Less: true", 60),
    ("Less: false", 300),
    ("LessOrEqual: true", 80),
    ("LessOrEqual: false", 300),
    ("Greater: true", 60),
    ("Greater: false", 300),
    ("GreaterOrEqual: true", 80),
    ("GreaterOrEqual: false", 300),
    ("IN: true", 40),
    ("IN: false", 900),
    ("BETWEEN: true", 100),
    ("BETWEEN: false", 900),
    ("begins_with: true", 60),
    ("begins_with: false", 400),
    ("contains: true", 15),
    ("contains: false", 500),
    ("attribute_exists: true", 200),
    ("attribute_exists: false", 30),
    ("attribute_not_exists: true", 30),
    ("attribute_not_exists: false", 200),
    ("attribute_type: true", 50),
    ("attribute_type: false", 400),
    ("size: true", 150),
    ("size: false", 300),
    ("NOT: true", 800),
    ("NOT: false", 250),
    ("AND: true", 40),
    ("AND: false", 600),
    ("OR: true", 600),
];

/// A number from the environment, for a longer run or another one.
fn set(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |value| value.parse().unwrap())
}

#[test]
fn two_evaluators_say_the_same_of_definitions_and_items_that_are_made_up() {
    const PAIRS: u64 = 20_000;
    let (pairs, first) = (set("EVALUATOR_PAIRS", PAIRS), set("EVALUATOR_SEED", 0));
    let mut tally = Tally::new();
    for seed in (first..).take(usize::try_from(pairs.div_ceil(ITEMS_OF_A_DEFINITION)).unwrap()) {
        let mut rng = Rng::with_seed(seed);
        let definition = definition(&mut rng);
        let both = Both::read(&definition).unwrap_or_else(|why| panic!("seed {seed}: {definition}\n{why}"));
        for _ in 0..ITEMS_OF_A_DEFINITION {
            let item = item(&mut rng);
            let Ok(met) = both.agree(&item) else { panic!("seed {seed}:\n{}", smaller(&definition, &item)) };
            for (what, count) in met {
                *tally.entry(what).or_default() += count;
            }
        }
    }
    for (what, floor) in FLOORS {
        let count = tally.get(what).copied().unwrap_or(0);
        assert!(count * PAIRS >= floor * pairs, "{what} was met {count} times in {pairs} pairs");
    }
}

/// An item with so many tags of a length, and labels of these lengths; no two are the same.
fn with_elements(tags: usize, length: usize, labels: &[usize]) -> Value {
    let element = |number: usize, length: usize| json!({ "S": format!("{number:0length$}") });
    let tags: Vec<Value> = (0..tags).map(|number| element(number, length)).collect();
    let labels: Vec<Value> = labels.iter().enumerate().map(|(number, length)| element(number, *length)).collect();
    json!({ "Tags": { "L": tags }, "Labels": { "L": labels } })
}

#[test]
fn both_know_the_bounds_of_an_image_to_the_byte() {
    let both = Both::read(&json!({
        "key": [{ "attribute": "Id", "type": "S", "value": "{each Labels}" }],
        "measures": { "Count": "count by each Tags" },
    }))
    .unwrap();
    for (item, counters) in [
        (with_elements(50, 10, &[5]), 50),
        (with_elements(51, 10, &[5]), 0),
        (with_elements(1, 10, &[5; 49]), 49),
        (with_elements(1, 10, &[5; 50]), 0),
        // 3 keys, and for each of them 49 groups of 1,024 bytes with the 5 of the measure: 150 KB in all, and a byte more.
        (with_elements(49, 1_024, &[779, 779, 779]), 147),
        (with_elements(49, 1_024, &[779, 779, 780]), 0),
    ] {
        let tally = both.agree(&item).unwrap_or_else(|why| panic!("{why}"));
        let found = contributed(&both.plain, &item).0;
        assert_eq!(found.amounts.len(), counters, "{tally:?}");
        assert_eq!(found.uncountable.len(), usize::from(counters == 0));
    }
}

#[test]
fn of_an_image_that_is_too_large_the_views_with_each_get_nothing_and_then_none_does() {
    let view = |name: &str, id: &str, measure: &str, measures: usize| {
        let measures: BTreeMap<String, &str> = (0..measures).map(|number| (format!("M{number:03}"), measure)).collect();
        let key = json!([{ "attribute": "Id", "type": "S", "value": id }]);
        json!({ "name": name, "table": name, "key": key, "measures": measures })
    };
    // 48 groups of 1,024 bytes in measures of 4: 48 KB of a view and its key.
    let plain = |name: &str| view(name, "ALL", "count by Status", 48);
    let each = |name: &str| view(name, "{each Tags}", "count by Status", 1);
    let tags: Vec<Value> = ["a", "b", "c", "d", "e", "f"].map(|tag| json!({ "S": tag })).into();
    let item = json!({ "Status": { "S": "x".repeat(1_024) }, "Tags": { "L": tags } });
    let counted = |views: &[Value]| {
        let both = Both::read(&json!({ "views": views })).unwrap();
        both.agree(&item).unwrap_or_else(|why| panic!("{why}"));
        let found = contributed(&both.plain, &item).0;
        let tables: BTreeSet<String> = found.amounts.into_keys().map(|counter| counter.table).collect();
        (tables.into_iter().collect::<Vec<_>>().concat(), found.uncountable.into_iter().collect::<Vec<_>>().concat())
    };
    let is = |counted: &str, uncountable: &str| (counted.to_owned(), uncountable.to_owned());
    assert_eq!(counted(&[plain("a"), plain("b"), each("c")]), is("abc", ""));
    assert_eq!(counted(&[plain("a"), each("b"), plain("c"), plain("d")]), is("acd", "b"));
    assert_eq!(counted(&[plain("a"), each("b"), plain("c"), plain("d"), plain("e")]), is("", "abcde"));
    assert_eq!(counted(&[plain("a"), plain("b"), plain("c"), plain("d")]), is("", "abcd"));
}
