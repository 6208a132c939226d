//! The source items of a view item, counted one by one.

use std::collections::HashMap;

use crate::rollup::model::change::{self, Sums};
use crate::rollup::model::measure::ViewSet;
use crate::rollup::model::number::Number;
use crate::rollup::model::set_attribute::SetTexts;
use crate::rollup::pipeline::contribution::ItemContribution;
use crate::rollup::{AttributeValue, Item};

/// What the source items of one view item add up to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceTotals {
    /// The sum for each counter that is not zero.
    pub sums: Sums,
    /// How many source items there are.
    pub sources: u64,
    /// The views that they count for.
    pub views: ViewSet,
    /// The texts that one of them sets: all of them set the same ones, as those are made of what the key is made of.
    pub texts: SetTexts,
}

impl SourceTotals {
    /// Counts one more source item.
    pub fn add(&mut self, source: &ItemContribution) {
        self.sources += 1;
        self.views.extend(source.views);
        if !source.texts.is_empty() {
            self.texts.extend(source.texts.iter().map(|(attribute, text)| (attribute.clone(), text.clone())));
        }
        for (counter, amount) in &source.amounts {
            change::add(&mut self.sums, counter, amount);
        }
    }

    /// Joins two tallies of different source items.
    pub fn join(&mut self, other: SourceTotals) {
        self.sources += other.sources;
        self.views.extend(other.views);
        self.texts.extend(other.texts);
        for (counter, amount) in other.sums {
            change::add(&mut self.sums, &counter, &amount);
        }
    }
}

/// A source item, by its key: its text is the same for the same key, however its numbers are written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceKey(String);

impl SourceKey {
    /// The key of an item, of these attributes.
    #[must_use]
    pub fn of(attributes: &[String], item: &Item) -> Self {
        let mut text = String::new();
        for attribute in attributes {
            let value = match item.get(attribute) {
                Some(AttributeValue::S(value)) => format!("S{}:{value}", value.len()),
                Some(AttributeValue::N(value)) => {
                    value.parse::<Number>().map_or_else(|_| format!("N{value};"), |number| format!("N{number};"))
                }
                other => format!("{other:?};"),
            };
            text.push_str(&value);
        }
        Self(text)
    }
}

/// The source items of one view item, each with what it contributes.
#[derive(Debug, Clone, Default)]
pub struct Recount(HashMap<SourceKey, ItemContribution>);

impl Recount {
    /// Says what a source item contributes; none when it is not one of this view item.
    pub fn put(&mut self, source: SourceKey, contribution: Option<ItemContribution>) {
        match contribution {
            Some(contribution) => self.0.insert(source, contribution),
            None => self.0.remove(&source),
        };
    }

    /// What they add up to.
    #[must_use]
    pub fn tally(&self) -> SourceTotals {
        let mut tally = SourceTotals::default();
        for source in self.0.values() {
            tally.add(source);
        }
        tally
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rollup::model::change::Counter;
    use crate::rollup::model::measure::{MeasureId, ViewId};

    fn item(value: serde_json::Value) -> Item {
        serde_json::from_value(value).unwrap()
    }

    fn amounts(category: &str) -> ItemContribution {
        let counter = Counter { measure: MeasureId::first_view(1), group: Some(category.to_owned()) };
        let views = [ViewId(0)].into_iter().collect();
        ItemContribution { views, amounts: [(counter, Number::from(1))].into(), texts: SetTexts::new() }
    }

    #[test]
    fn tallies_of_different_items_add_up() {
        let tally = |categories: &[&str]| {
            let mut tally = SourceTotals::default();
            for category in categories {
                tally.add(&amounts(category));
            }
            tally
        };
        let mut joined = tally(&["A", "B"]);
        joined.join(tally(&["B", "C", "B"]));
        assert_eq!(joined, tally(&["A", "B", "B", "B", "C"]));
        assert_eq!(joined.sources, 5);
    }

    #[test]
    fn later_images_take_the_place_of_what_was_read() {
        let key = |text: &str| {
            SourceKey::of(
                &["MapId".into(), "PointId".into()],
                &item(json!({"MapId": {"S": "m"}, "PointId": {"S": text}})),
            )
        };
        let mut recount = Recount::default();
        recount.put(key("p1"), Some(amounts("A")));
        recount.put(key("p2"), Some(amounts("A")));
        recount.put(key("p1"), Some(amounts("B")));
        recount.put(key("p2"), None);
        recount.put(key("p3"), None);
        recount.put(key("p4"), Some(amounts("B")));
        let mut expected = SourceTotals::default();
        expected.add(&amounts("B"));
        expected.add(&amounts("B"));
        assert_eq!((recount.tally(), expected.sources), (expected, 2));
    }

    #[test]
    fn one_key_has_one_text() {
        let key = |value| SourceKey::of(&["A".into(), "B".into()], &item(value));
        assert_eq!(key(json!({"A": {"N": "1.0"}, "B": {"S": "x"}})), key(json!({"B": {"S": "x"}, "A": {"N": "1"}})));
        assert_ne!(
            key(json!({"A": {"S": "xS1:"}, "B": {"S": "y"}})),
            key(json!({"A": {"S": "x"}, "B": {"S": "S1:y"}}))
        );
        assert_ne!(key(json!({"A": {"S": "1"}})), key(json!({"A": {"N": "1"}})));
    }
}
