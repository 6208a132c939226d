//! The two evaluators on definitions and items that are made up.

use std::collections::BTreeMap;

use ddb_rollup::rollup::Item;
use ddb_rollup::rollup::model::definition::{self, Defaults};
use ddb_rollup::rollup::model::poison::Image;
use ddb_rollup::rollup::model::view::{OnMissingViewItem, View};
use ddb_rollup::rollup::pipeline::delta::contribution;
use fastrand::Rng;
use serde_json::Value;

use super::document;
use super::evaluate::Tally;
use super::image::{Contributed, Counter, SEVERAL_UNUSABLE, contributed};
use super::made_up_definition::definition;
use super::made_up_item::item;

const VIEW_TABLE: &str = "View";
const ITEMS_OF_A_DEFINITION: usize = 8;

/// What the function's own evaluator says.
fn product(views: &[View], item: &Value) -> Contributed {
    let item: Item = serde_json::from_value(item.clone()).unwrap();
    let mut result = Contributed::default();
    for view in views {
        let Ok(found) = contribution(view, Image::New, &item) else {
            return Contributed { quarantined: true, ..Contributed::default() };
        };
        if found.uncountable.is_some() {
            result.uncountable.insert(view.name().to_owned());
        }
        for key in &found.items {
            let key: BTreeMap<String, Value> =
                serde_json::from_value(serde_json::to_value(view.key_item(key)).unwrap()).unwrap();
            for (counter, amount) in &found.amounts {
                let (table, key) = (view.view_table().to_owned(), serde_json::to_string(&key).unwrap());
                let (measure, group) = (view.measures()[counter.measure].attribute.clone(), counter.group.clone());
                result.amounts.insert(Counter { table, key, measure, group }, amount.to_string());
            }
        }
    }
    result
}

/// The views as the function reads them, or why it does not.
fn views(definition: &str) -> Result<Vec<View>, String> {
    let defaults = Defaults { source_table: "Source", view_table: VIEW_TABLE, on_missing: OnMissingViewItem::Create };
    definition::read(definition, &defaults).map(|read| vec![read.view]).map_err(|error| error.to_string())
}

/// A definition, read by both.
struct Both {
    plain: Vec<document::View>,
    product: Vec<View>,
}

impl Both {
    fn read(definition: &Value) -> Result<Self, String> {
        let text = definition.to_string();
        let plain =
            document::views(&text, VIEW_TABLE).map_err(|why| format!("the second evaluator refuses it: {why}"))?;
        Ok(Self { plain, product: views(&text).map_err(|why| format!("the function refuses it: {why}"))? })
    }

    /// What was met on the way; or both answers, when they differ.
    fn agree(&self, item: &Value) -> Result<Tally, String> {
        let (expected, tally) = contributed(&self.plain, item);
        let found = product(&self.product, item);
        // Nothing is contributed either way. The function looks at the key attributes in their order and stops at the first
        // that cannot be a key; the contract does not say which of several unusable ones tells the reason.
        let same = if tally.contains_key(SEVERAL_UNUSABLE) {
            expected.amounts.is_empty() && found.amounts.is_empty()
        } else {
            expected == found
        };
        if same { Ok(tally) } else { Err(format!("expected {expected:#?}\nfound {found:#?}")) }
    }
}

/// The two disagree about a definition and an item: both without what the disagreement does not need.
fn smaller(definition: &Value, item: &Value) -> String {
    let differs = |definition: &Value, item: &Value| match Both::read(definition) {
        Ok(both) => both.agree(item).err(),
        Err(why) => Some(why).filter(|_| item == &Value::Null),
    };
    let (mut definition, mut item) = (definition.clone(), item.clone());
    for pointer in ["", "/views/0"] {
        without(&mut definition, &format!("{pointer}/measures"), |smaller| differs(smaller, &item).is_some());
        without(&mut definition, pointer, |smaller| differs(smaller, &item).is_some());
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

#[test]
fn probe() {
    let set = |name: &str, usual: u64| std::env::var(name).map_or(usual, |value| value.parse().unwrap());
    let mut tally = Tally::new();
    let mut failed = 0;
    for seed in 0..set("PAIRS", 20_000) / 8 {
        let mut rng = Rng::with_seed(seed);
        let definition = definition(&mut rng);
        let both = match Both::read(&definition) {
            Ok(both) => both,
            Err(why) => {
                failed += 1;
                println!("seed {seed}\n{definition}\n{why}\n=====");
                continue;
            }
        };
        for _ in 0..ITEMS_OF_A_DEFINITION {
            let item = item(&mut rng);
            match both.agree(&item) {
                Ok(met) => met.into_iter().for_each(|(what, count)| *tally.entry(what).or_default() += count),
                Err(_) => {
                    failed += 1;
                    println!("seed {seed}\n{}\n=====", smaller(&definition, &item));
                }
            }
        }
    }
    println!("{tally:#?}\n{failed} failed");
}
