//! Who is at fault for a refusal: the record that was sent alone, or the deployment.
//!
//! A record at fault goes to quarantine, and the shard continues. A deployment at fault would refuse every record, so
//! the invocation fails and nothing is lost. Nothing that a writer of the source table does may stop the shard.

use crate::rollup::Item;
use crate::rollup::model::definition::Definition;
use crate::rollup::model::set_attribute::{Constant, SetValue};
use crate::rollup::model::view::ROLLUP_VERSION;

/// Who is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The record, or the view item that it touches.
    Record,
    /// The deployment: a table or an index that does not go with the definition.
    Deployment,
}

/// Parts of DynamoDB's messages, in lower case, about what a writer's data decides: how large a value, a key, an item
/// or an item collection is.
const ABOUT_DATA: [&str; 9] = [
    "itemcollectionsizelimitexceeded",
    "item size",
    "size limit",
    "number overflow",
    "number underflow",
    "significant digits",
    "magnitude",
    "empty string value",
    "empty binary value",
];

/// Parts of DynamoDB's messages, in lower case, about a key of a secondary index.
const ABOUT_AN_INDEX: [&str; 3] = ["index key", "indexname", "secondary index"];

/// Who is at fault if DynamoDB refuses a record that was sent alone, with this message, and the view items that were
/// read show no fault.
///
/// The record, if the message is about what its data decides, or about a value that another program wrote to the view
/// item. Otherwise the deployment, if the message names an index, or if one of the view items was never updated. An
/// item with a [`ROLLUP_VERSION`] took such updates before, so this record is at fault.
#[must_use]
pub fn blame<'i>(definition: &Definition, words: &str, items: impl IntoIterator<Item = Option<&'i Item>>) -> Blame {
    if refuses_every_update(definition, words) {
        return Blame::Deployment;
    }
    if contains_any(words, &ABOUT_DATA) || index_key(words).is_some() {
        return Blame::Record;
    }
    let updated = |item: Option<&Item>| item.is_some_and(|item| item.contains_key(ROLLUP_VERSION));
    if names_an_index(words) || !items.into_iter().all(updated) {
        return Blame::Deployment;
    }
    Blame::Record
}

/// Whether a refusal is about a secondary index whose key is a measure, or an attribute that the definition sets, but
/// whose key type is not the type that is always written there. Then no record can be counted.
#[must_use]
pub fn refuses_every_update(definition: &Definition, words: &str) -> bool {
    index_key(words).is_some_and(|key| {
        let mut written = written_types(definition);
        written.any(|(attribute, written)| attribute == key.attribute && written == key.found)
    })
}

/// Whether a refusal of a marker is about a secondary index of its table. Every marker has the attributes of such an
/// index, so the deployment is at fault.
#[must_use]
pub fn names_an_index(words: &str) -> bool {
    contains_any(words, &ABOUT_AN_INDEX)
}

fn contains_any(words: &str, parts: &[&str]) -> bool {
    let words = words.to_ascii_lowercase();
    parts.iter().any(|part| words.contains(part))
}

/// The key of an index, and the type of the value that it cannot have.
struct IndexKey<'w> {
    attribute: &'w str,
    found: &'w str,
}

/// As in `Type mismatch for Index Key Likes Expected: S Actual: N IndexName: top`.
fn index_key(words: &str) -> Option<IndexKey<'_>> {
    let (_, words) = words.split_once("Index Key ")?;
    let (attribute, words) = words.split_once(" Expected: ")?;
    let (_, words) = words.split_once(" Actual: ")?;
    Some(IndexKey { attribute, found: words.split_whitespace().next()? })
}

/// The attributes that updates write, and their types.
fn written_types(definition: &Definition) -> impl Iterator<Item = (&str, &'static str)> {
    let measures = definition.measures(definition.all());
    let measures =
        measures.map(|(_, measure)| (measure.attribute.as_str(), if measure.is_grouped() { "M" } else { "N" }));
    let set = definition.set(definition.all()).map(|set| {
        let written = match &set.value {
            SetValue::Text(_) | SetValue::Constant(Constant::Text(_)) => "S",
            SetValue::Constant(Constant::Number(_)) => "N",
            SetValue::Constant(Constant::Bool(_)) => "BOOL",
        };
        (set.attribute.as_str(), written)
    });
    measures.chain(set).chain([(ROLLUP_VERSION, "N")])
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::rollup::AttributeValue;

    fn mismatch(attribute: &str, found: &str) -> String {
        format!(
            "ValidationError: One or more parameter values were invalid: Type mismatch for Index Key {attribute} Expected: B \
             Actual: {found} IndexName: top"
        )
    }

    #[test]
    fn every_refusal_has_one_at_fault() {
        let definition = Definition::points_of_maps("Point", "Map").unwrap();
        let number = |name: &str| (name.to_owned(), AttributeValue::N("1".to_owned()));
        let updated = Item::from(HashMap::from([number(ROLLUP_VERSION)]));
        let never = Item::from(HashMap::from([number("City")]));
        let (record, deployment) = (Blame::Record, Blame::Deployment);
        // By the words, on a view item that is not there, that was never updated, and that was.
        for (words, expected) in [
            ("ValidationError: no reason given", [deployment, deployment, record]),
            ("The provided key element does not match the schema", [deployment, deployment, record]),
            ("ItemCollectionSizeLimitExceeded", [record; 3]),
            ("Item size to update has exceeded the maximum allowed size", [record; 3]),
            ("Size of rangekey has exceeded the maximum size limit of 1024 bytes", [record; 3]),
            ("Number overflow. Attempting to store a number with magnitude larger than supported range", [record; 3]),
            ("Attempting to store more than 38 significant digits in a Number", [record; 3]),
            ("a secondary index key: it cannot contain an empty string value.", [record; 3]),
            ("IndexName: top", [deployment; 3]),
            ("the secondary index is of another table", [deployment; 3]),
            (&mismatch("TotalPoints", "N"), [deployment; 3]),
            (&mismatch("CategoryCounts", "M"), [deployment; 3]),
            (&mismatch(ROLLUP_VERSION, "N"), [deployment; 3]),
            // What is there was put by another: only this view item is refused.
            (&mismatch("TotalPoints", "S"), [record; 3]),
            (&mismatch("City", "N"), [record; 3]),
        ] {
            let found = [None, Some(&never), Some(&updated)].map(|item| blame(&definition, words, [item]));
            assert_eq!(found, expected, "{words}");
            assert_eq!(blame(&definition, words, [Some(&updated), None]), expected[0], "{words}: of two view items");
        }
    }
}
