//! The source items of a view item, counted one by one.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::rollup::model::change::{self, Counter, Sums};
use crate::rollup::model::measure::ViewSet;
use crate::rollup::model::number::Number;
use crate::rollup::model::set_attribute::SetTexts;
use crate::rollup::model::view::ViewKey;
use crate::rollup::pipeline::contribution::{Contribution, ItemContribution};
use crate::rollup::{AttributeValue, Item};

/// The sum of the source items of one view item.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceTotals {
    /// The sum of each counter that is not zero.
    pub sums: Sums,
    /// Number of source items.
    pub sources: u64,
    /// The views to which they contribute.
    pub views: ViewSet,
    /// The texts that its source items set. All of them set the same texts, because the texts are computed from the
    /// values of the key.
    pub texts: SetTexts,
}

impl SourceTotals {
    /// Adds one source item.
    pub fn add(&mut self, source: &ItemContribution) {
        self.count(source.views, &source.texts, &source.amounts);
    }

    fn count<'a>(
        &mut self,
        views: ViewSet,
        texts: &SetTexts,
        amounts: impl IntoIterator<Item = (&'a Counter, &'a Number)>,
    ) {
        self.sources += 1;
        self.views.extend(views);
        if !texts.is_empty() {
            self.texts.extend(texts.iter().map(|(attribute, text)| (attribute.clone(), text.clone())));
        }
        for (counter, amount) in amounts {
            change::add(&mut self.sums, counter, amount);
        }
    }
}

/// A digest of a source item's key. Equal keys have the same digest, even if their numbers are written differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceKey(u64, u64);

impl SourceKey {
    /// The digest of an item's key, with these key attributes.
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
        let digest = |part: u8| {
            let mut hasher = DefaultHasher::new();
            (part, &text).hash(&mut hasher);
            hasher.finish()
        };
        Self(digest(0), digest(1))
    }
}

/// The contribution of a source item, in few bytes.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Kept {
    views: ViewSet,
    amounts: Box<[(Counter, Number)]>,
    texts: SetTexts,
}

impl From<ItemContribution> for Kept {
    fn from(ItemContribution { views, amounts, texts }: ItemContribution) -> Self {
        Self { views, amounts: amounts.into_iter().collect(), texts }
    }
}

/// The source items of one view item, each with its contribution.
#[derive(Debug, Clone, Default)]
pub struct Recount(HashMap<SourceKey, Arc<Kept>>);

impl Recount {
    /// Sets the contribution of a source item; `None` removes it from this view item.
    pub fn put(&mut self, source: SourceKey, contribution: Option<ItemContribution>) {
        match contribution {
            Some(contribution) => self.0.insert(source, Arc::new(contribution.into())),
            None => self.0.remove(&source),
        };
    }

    /// The sum of the contributions.
    #[must_use]
    pub fn tally(&self) -> SourceTotals {
        let mut tally = SourceTotals::default();
        for source in self.0.values() {
            tally.count(source.views, &source.texts, source.amounts.iter().map(|(counter, amount)| (counter, amount)));
        }
        tally
    }
}

/// The source items of several view items. Equal contributions share memory.
#[derive(Debug, Default)]
pub struct Recounts {
    items: HashMap<ViewKey, Recount>,
    contributions: HashSet<Arc<Kept>>,
}

impl Recounts {
    /// An empty recount of each of these view items.
    #[must_use]
    pub fn of(keys: &[ViewKey]) -> Self {
        let items = keys.iter().map(|key| (key.clone(), Recount::default())).collect();
        Self { items, contributions: HashSet::new() }
    }

    /// Adds a source item to those view items that are being recounted.
    pub fn add(&mut self, source: SourceKey, contribution: &Contribution) {
        for item in contribution.items() {
            let Some(recount) = self.items.get_mut(item) else { continue };
            let kept = Kept::from(contribution.of(item).unwrap_or_default());
            let known = self.contributions.get(&kept).map(Arc::clone);
            let kept = known.unwrap_or_else(|| {
                let kept = Arc::new(kept);
                self.contributions.insert(Arc::clone(&kept));
                kept
            });
            recount.0.insert(source, kept);
        }
    }
}

impl IntoIterator for Recounts {
    type Item = (ViewKey, Recount);
    type IntoIter = std::collections::hash_map::IntoIter<ViewKey, Recount>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rollup::check::example::item;
    use crate::rollup::model::measure::{MeasureId, ViewId};

    fn amounts(category: &str) -> ItemContribution {
        let counter = Counter { measure: MeasureId::first_view(1), group: Some(category.to_owned()) };
        let views = [ViewId(0)].into_iter().collect();
        ItemContribution { views, amounts: [(counter, Number::from(1))].into(), texts: SetTexts::new() }
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
