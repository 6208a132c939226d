//! Prints the view items as they change.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tracing::warn;

use super::poller::Function;
use crate::commit::Store;
use crate::operate::printable::printable;
use crate::operate::stop::Stopper;
use crate::rollup::model::definition::Definition;
use crate::rollup::model::poison::Image;
use crate::rollup::model::record::Images;
use crate::rollup::model::view::{TableId, ViewKey};
use crate::rollup::pipeline::contribution::contribution;
use crate::rollup::pipeline::parse::{Parsed, parse};
use crate::rollup::{AttributeValue, Item};

/// The measures of one view item, by attribute in the definition's order: each a number, or an object from group to
/// number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct MeasureValues(Vec<(String, Value)>);

impl MeasureValues {
    fn of(definition: &Definition, key: &ViewKey, item: Option<&Item>) -> Self {
        let Some(item) = item else { return Self::default() };
        let measures = definition.measures(definition.fitting(key)).filter_map(|(_, measure)| {
            let value = match item.get(&measure.attribute)? {
                AttributeValue::M(groups) => {
                    let groups: BTreeMap<_, _> = groups.iter().map(|(group, count)| (group, number(count))).collect();
                    json!(groups)
                }
                other => number(other),
            };
            Some((measure.attribute.clone(), value))
        });
        Self(measures.collect())
    }
}

/// A JSON number if that is exact, otherwise a string.
fn number(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::N(number) => number.parse::<i64>().map_or_else(|_| json!(number), Value::from),
        other => format!("not a number: {other:?}").into(),
    }
}

/// A view item whose measures have changed.
#[derive(Debug)]
struct ViewItemChange {
    key: ViewKey,
    /// The current measures.
    measures: MeasureValues,
}

impl fmt::Display for ViewItemChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |number: &Value| number.as_str().map_or_else(|| number.to_string(), str::to_owned);
        write!(f, "{}", self.key)?;
        for (attribute, value) in &self.measures.0 {
            match value {
                Value::Object(groups) if groups.is_empty() => {}
                Value::Object(groups) => {
                    let groups: Vec<_> =
                        groups.iter().map(|(group, count)| format!("{group} {}", text(count))).collect();
                    write!(f, "  {attribute} {}", groups.join(", "))?;
                }
                number => write!(f, "  {attribute} {}", text(number))?,
            }
        }
        Ok(())
    }
}

impl ViewItemChange {
    /// The change as one JSON object: the key, each measure (a number, or an object from group to number), and the
    /// table if there are several.
    fn json(&self, definition: &Definition) -> Value {
        let counters = self.measures.0.iter().cloned().collect::<Map<_, _>>();
        let mut object = json!({ "key": self.key.to_string(), "counters": counters });
        if definition.tables().len() > 1 {
            object["table"] = definition[self.key.table].name.as_str().into();
        }
        object
    }
}

/// How changes are printed, one per line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Text for a person.
    Text,
    /// A JSON object.
    Json,
}

/// A function that prints what its calls change in the view items.
pub(super) struct ViewPrinter<'a, F, S> {
    function: F,
    definition: Definition,
    store: S,
    format: Format,
    last_seen: Mutex<HashMap<ViewKey, MeasureValues>>,
    stopper: &'a Stopper,
}

impl<'a, F, S: Store> ViewPrinter<'a, F, S> {
    /// Prints every view item whose measures after a call of the function differ from those seen last. `existing` are
    /// the view items before anything was counted. If standard output is closed, it requests a stop.
    pub(super) fn new(
        function: F,
        definition: Definition,
        existing: &[(TableId, Item)],
        store: S,
        format: Format,
        stopper: &'a Stopper,
    ) -> Self {
        let known = existing.iter().filter_map(|(table, item)| {
            let key = definition.own_key(*table, item).ok()?;
            let measures = MeasureValues::of(&definition, &key, Some(item));
            Some((key, measures)).filter(|(_, measures)| *measures != MeasureValues::default())
        });
        let last_seen = Mutex::new(known.collect());
        Self { function, definition, store, format, last_seen, stopper }
    }

    /// The view items that the records of an event concern.
    fn touched_by(&self, event: &str) -> BTreeSet<ViewKey> {
        let records: Result<Vec<_>, _> = parse(event).and_then(Iterator::collect);
        let records = records.unwrap_or_default().into_iter();
        let images = records.flat_map(|record| match record {
            Parsed::Record(record) => match record.images {
                Images::Inserted(image) | Images::Removed(image) => vec![image],
                Images::Modified { old, new } => vec![old, new],
            },
            Parsed::Poison(_) | Parsed::Unnumbered { .. } => Vec::new(),
        });
        let contributions = images.filter_map(|image| contribution(&self.definition, Image::New, &image).ok());
        contributions.flat_map(|found| found.items().into_iter().cloned().collect::<Vec<_>>()).collect()
    }

    async fn read(&self, key: &ViewKey) -> Option<MeasureValues> {
        match self.store.view_item(key).await {
            Ok(item) => Some(MeasureValues::of(&self.definition, key, item.as_ref())),
            Err(error) => {
                warn!("cannot show {key}: {error:?}");
                None
            }
        }
    }

    /// Whether the measures differ from those seen last of the view item. Remembers them.
    fn is_new(&self, key: &ViewKey, measures: &MeasureValues) -> bool {
        let mut last_seen = self.last_seen.lock().unwrap_or_else(PoisonError::into_inner);
        last_seen.insert(key.clone(), measures.clone()).unwrap_or_default() != *measures
    }

    fn print(&self, change: &ViewItemChange) {
        let several = self.definition.tables().len() > 1;
        let table = several.then(|| self.definition[change.key.table].name.as_str());
        let line = match self.format {
            Format::Text => match table {
                Some(table) => printable(format_args!("{table} {change}")),
                None => printable(change),
            },
            Format::Json => change.json(&self.definition).to_string(),
        };
        if writeln!(io::stdout(), "{line}").is_err() {
            self.stopper.stop();
        }
    }
}

impl<F: Function, S: Store + Send> Function for ViewPrinter<'_, F, S> {
    async fn invoke(&self, event: String, time_limit: Duration) -> Result<String, String> {
        let touched = self.touched_by(&event);
        let response = self.function.invoke(event, time_limit).await;
        for key in touched {
            if let Some(measures) = self.read(&key).await
                && self.is_new(&key, &measures)
            {
                self.print(&ViewItemChange { key, measures });
            }
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_a_line_or_an_object() {
        let definition = Definition::points_of_maps("Point", "Map").unwrap();
        let item = serde_json::from_value::<Item>(json!({
            "MapId": {"S": "m"},
            "City": {"S": "Seattle"},
            "TotalPoints": {"N": "3"},
            "CategoryCounts": {"M": {"Zoo": {"N": "1"}, "Bar": {"N": "0.5"}}},
        }));
        let item = item.unwrap();
        let key = definition.own_key(TableId(0), &item).unwrap();
        let measures = MeasureValues::of(&definition, &key, Some(&item));
        let change = ViewItemChange { key: key.clone(), measures };
        assert_eq!(change.to_string(), "m  TotalPoints 3  CategoryCounts Bar 0.5, Zoo 1");
        let expected = json!({"key": "m", "counters": {"TotalPoints": 3, "CategoryCounts": {"Bar": "0.5", "Zoo": 1}}});
        assert_eq!(change.json(&definition), expected);
        assert_eq!(MeasureValues::of(&definition, &key, None), MeasureValues::default());
    }
}
