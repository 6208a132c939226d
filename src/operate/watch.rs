//! Shows the view items as they change.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::mpsc::UnboundedSender;
use tracing::warn;

use super::poller::Function;
use crate::commit::Store;
use crate::rollup::model::record::Images;
use crate::rollup::model::view::{View, ViewKey};
use crate::rollup::pipeline::parse::{Parsed, parse};
use crate::rollup::{AttributeValue, Item};

/// The measures of one view item, as they are stored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counters(Vec<(String, Reading)>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Reading {
    Whole(String),
    Grouped(BTreeMap<String, String>),
}

impl Counters {
    /// The measures of the view that the item has.
    #[must_use]
    pub fn of(view: &View, item: Option<&Item>) -> Self {
        let Some(item) = item else { return Self::default() };
        let measures = view.measures().iter().filter_map(|measure| {
            let reading = match item.get(&measure.attribute)? {
                AttributeValue::M(groups) => {
                    Reading::Grouped(groups.iter().map(|(group, count)| (group.clone(), plain(count))).collect())
                }
                other => Reading::Whole(plain(other)),
            };
            Some((measure.attribute.clone(), reading))
        });
        Self(measures.collect())
    }
}

fn plain(value: &AttributeValue) -> String {
    match value {
        AttributeValue::N(number) => number.clone(),
        other => format!("not a number: {other:?}"),
    }
}

/// A view item whose measures are not what they were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: ViewKey,
    /// The measures now.
    pub counters: Counters,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.key)?;
        for (attribute, reading) in &self.counters.0 {
            match reading {
                Reading::Whole(number) => write!(f, "  {attribute} {number}")?,
                Reading::Grouped(groups) if groups.is_empty() => {}
                Reading::Grouped(groups) => {
                    let groups: Vec<_> = groups.iter().map(|(group, count)| format!("{group} {count}")).collect();
                    write!(f, "  {attribute} {}", groups.join(", "))?;
                }
            }
        }
        Ok(())
    }
}

impl Change {
    /// The change as one JSON object: the key, and each measure with its number, or its number by group.
    #[must_use]
    pub fn json(&self) -> Value {
        let measures = self.counters.0.iter().map(|(attribute, reading)| {
            let value = match reading {
                Reading::Whole(count) => number(count),
                Reading::Grouped(groups) => {
                    groups.iter().map(|(group, count)| (group.clone(), number(count))).collect::<Map<_, _>>().into()
                }
            };
            (attribute.clone(), value)
        });
        json!({ "key": self.key.to_string(), "counters": measures.collect::<Map<_, _>>() })
    }
}

/// A number where JSON has it exactly, otherwise its text.
fn number(text: &str) -> Value {
    text.parse::<i64>().map_or_else(|_| text.into(), Value::from)
}

/// A function whose effect on the view items is told.
pub struct Watched<F, S> {
    function: F,
    view: View,
    store: S,
    known: Mutex<HashMap<ViewKey, Counters>>,
    changes: UnboundedSender<Change>,
}

impl<F, S: Store> Watched<F, S> {
    /// Tells `changes` about every view item whose measures are different after a call of the function.
    pub fn new(function: F, view: View, store: S, changes: UnboundedSender<Change>) -> Self {
        Self { function, view, store, known: Mutex::default(), changes }
    }

    /// The view items that the records of an event belong to.
    fn touched(&self, event: &str) -> BTreeSet<ViewKey> {
        let records = parse(event).into_iter().flatten().flatten();
        let images = records.flat_map(|record| match record {
            Parsed::Record(record) => match record.images {
                Images::Inserted(image) | Images::Removed(image) => vec![image],
                Images::Modified { old, new } => vec![old, new],
            },
            Parsed::Poison(_) | Parsed::Unnumbered { .. } => Vec::new(),
        });
        images.filter_map(|image| self.view.key_of(&image).ok()).collect()
    }

    async fn read(&self, key: &ViewKey) -> Option<Counters> {
        match self.store.view_item(key).await {
            Ok(item) => Some(Counters::of(&self.view, item.as_ref())),
            Err(error) => {
                warn!("cannot show {key}: {error:?}");
                None
            }
        }
    }

    fn replace(&self, key: &ViewKey, counters: Counters) -> Option<Counters> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), counters)
    }

    fn is_known(&self, key: &ViewKey) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).contains_key(key)
    }
}

impl<F: Function, S: Store + Send> Function for Watched<F, S> {
    async fn invoke(&self, event: String, time_limit: Duration) -> Result<String, String> {
        let touched = self.touched(&event);
        for key in &touched {
            // What a view item was before its first record here is no change.
            if !self.is_known(key)
                && let Some(counters) = self.read(key).await
            {
                self.replace(key, counters);
            }
        }
        let answer = self.function.invoke(event, time_limit).await;
        for key in touched {
            if let Some(counters) = self.read(&key).await
                && self.replace(&key, counters.clone()).as_ref() != Some(&counters)
            {
                // Nobody is left to be told only when the command ends.
                let _ = self.changes.send(Change { key, counters });
            }
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_a_line_or_an_object() {
        let view = View::points_of_maps("Point", "Map").unwrap();
        let item = serde_json::from_value::<Item>(json!({
            "MapId": {"S": "m"},
            "City": {"S": "Seattle"},
            "TotalPoints": {"N": "3"},
            "CategoryCounts": {"M": {"Zoo": {"N": "1"}, "Bar": {"N": "0.5"}}},
        }));
        let item = item.unwrap();
        let change = Change { key: view.key_of(&item).unwrap(), counters: Counters::of(&view, Some(&item)) };
        assert_eq!(change.to_string(), "m  TotalPoints 3  CategoryCounts Bar 0.5, Zoo 1");
        let expected = json!({"key": "m", "counters": {"TotalPoints": 3, "CategoryCounts": {"Bar": "0.5", "Zoo": 1}}});
        assert_eq!(change.json(), expected);
        assert_eq!(Counters::of(&view, None), Counters::default());
    }
}
