//! What is kept about what: a view is a definition, not code.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde::Deserialize;

use crate::rollup::model::language::{
    self, Condition, Datum, Group, MeasureKind, OutOfBounds, Path, SyntaxError, Value,
};
use crate::rollup::model::limits;
use crate::rollup::model::view_key::key_value;
pub use crate::rollup::model::view_key::{KeyError, KeyPart, KeyType, MissingKey, ViewKey};
use crate::rollup::{AttributeValue, Item};

/// The attribute of a view item that counts its transactions: one higher with every one that touches the item.
pub const ROLLUP_VERSION: &str = "RollupVersion";

/// What a view is called whose definition gives it no name.
pub const DEFAULT_NAME: &str = "default";

/// A definition: the items of the view table summarise the items of the source table.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::struct_field_names, reason = "the view's table is the view table")]
pub struct View {
    name: String,
    source_table: String,
    view_table: String,
    condition: Option<Condition>,
    key: Vec<KeyPart>,
    measures: Vec<Measure>,
}

/// One thing that a view item tells about its source items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measure {
    /// The attribute of the view item: a number, or a map from group to number.
    pub attribute: String,
    /// What one source item adds.
    pub expression: language::MeasureExpression,
}

impl Measure {
    /// A measure in words, such as `count by Category`.
    ///
    /// # Errors
    /// When the words are no measure.
    pub fn parse(attribute: impl Into<String>, words: &str) -> Result<Self, SyntaxError> {
        Ok(Self { attribute: attribute.into(), expression: language::MeasureExpression::parse(words)? })
    }

    /// Whether the measure is a map from group to number, and not one number.
    #[must_use]
    pub fn is_grouped(&self) -> bool {
        self.expression.is_grouped()
    }
}

/// What is done about a source item whose view item is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnMissingViewItem {
    /// It is created, with the counters alone.
    #[default]
    Create,
    /// The record is marked and not counted.
    Skip,
}

impl OnMissingViewItem {
    /// The setting's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Skip => "skip",
        }
    }
}

/// A definition that cannot be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    /// A table has one or two key attributes.
    #[error("the view has {0} key attributes; a table has one or two")]
    KeyParts(usize),
    /// Nothing is measured.
    #[error("the view has no measure; name at least one")]
    NoMeasure,
    /// Two things of the view item would share an attribute.
    #[error(
        "the attribute {0:?} of the view item is used twice; give each key, each measure and {ROLLUP_VERSION} a name of its own"
    )]
    Attribute(String),
    /// One image could have more counters than an update can hold.
    #[error(
        "the view has {0} measures; at most {most} fit into one update of a view item: split it into several views",
        most = limits::IMAGE_COUNTERS
    )]
    TooManyMeasures(usize),
    /// An empty name.
    #[error("a name in the view is empty: {0}")]
    EmptyName(&'static str),
}

impl View {
    /// A view of `source_table`, kept on the items of `view_table`.
    ///
    /// # Errors
    /// When the definition contradicts itself; the message names what.
    pub fn new(
        source_table: impl Into<String>,
        view_table: impl Into<String>,
        condition: Option<Condition>,
        key: Vec<KeyPart>,
        measures: Vec<Measure>,
    ) -> Result<Self, ViewError> {
        let view = Self {
            name: DEFAULT_NAME.to_owned(),
            source_table: source_table.into(),
            view_table: view_table.into(),
            condition,
            key,
            measures,
        };
        if !(1..=2).contains(&view.key.len()) {
            return Err(ViewError::KeyParts(view.key.len()));
        }
        if view.measures.is_empty() {
            return Err(ViewError::NoMeasure);
        }
        if view.measures.len() > limits::IMAGE_COUNTERS {
            return Err(ViewError::TooManyMeasures(view.measures.len()));
        }
        if view.source_table.is_empty() || view.view_table.is_empty() {
            return Err(ViewError::EmptyName("a table"));
        }
        let mut taken = HashSet::from([ROLLUP_VERSION]);
        let keys = view.key.iter().map(|part| part.view_attribute.as_str());
        let measures = view.measures.iter().map(|measure| measure.attribute.as_str());
        for attribute in keys.chain(measures) {
            if attribute.is_empty() {
                return Err(ViewError::EmptyName("an attribute of the view item"));
            }
            if !taken.insert(attribute) {
                return Err(ViewError::Attribute(attribute.to_owned()));
            }
        }
        Ok(view)
    }

    /// The example that ships, on tables of any name: the points of a map, in all and per category.
    ///
    /// # Errors
    /// When a table's name is empty.
    pub fn points_of_maps(source_table: impl Into<String>, view_table: impl Into<String>) -> Result<Self, ViewError> {
        let key = KeyPart { missing: MissingKey::Quarantine, ..KeyPart::attribute("MapId", KeyType::S) };
        let category = Group::Of(Value::Path(Path::attribute("Category")));
        let count = |attribute: &str, by| {
            let expression = language::MeasureExpression { kind: MeasureKind::Count, by, condition: None };
            Measure { attribute: attribute.to_owned(), expression }
        };
        let measures = vec![count("TotalPoints", None), count("CategoryCounts", Some(category))];
        Self::new(source_table, view_table, None, vec![key], measures)
    }

    /// The view by another name than the default one.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// What the view is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The table whose stream is read.
    #[must_use]
    pub fn source_table(&self) -> &str {
        &self.source_table
    }

    /// The table whose items carry the measures.
    #[must_use]
    pub fn view_table(&self) -> &str {
        &self.view_table
    }

    /// Whether the view table is the source table, under whatever name.
    #[must_use]
    pub fn is_on_its_source(&self) -> bool {
        table_name(&self.source_table) == table_name(&self.view_table)
    }

    /// The key attributes of the view table, the partition key first.
    #[must_use]
    pub fn key(&self) -> &[KeyPart] {
        &self.key
    }

    /// The measures, in the order of the definition.
    #[must_use]
    pub fn measures(&self) -> &[Measure] {
        &self.measures
    }

    /// The measures that are kept by group, each with its place in [`View::measures`].
    pub fn grouped(&self) -> impl Iterator<Item = (usize, &Measure)> {
        self.measures.iter().enumerate().filter(|(_, measure)| measure.is_grouped())
    }

    /// The view item's key as attributes of the view table.
    #[must_use]
    pub fn key_item(&self, key: &ViewKey) -> Item {
        Item::from(self.key_attributes(key))
    }

    /// The same, as the value of an attribute has them.
    pub(super) fn key_attributes(&self, key: &ViewKey) -> HashMap<String, AttributeValue> {
        let parts = self.key.iter().zip(&key.0);
        parts.map(|(part, value)| (part.view_attribute.clone(), value.to_attribute())).collect()
    }

    /// The attributes of a source item that the view reads, each once.
    #[must_use]
    pub fn reads(&self) -> BTreeSet<&str> {
        let condition = self.condition.iter().flat_map(Condition::reads);
        let key = self.key.iter().flat_map(|part| part.value.reads());
        let measures = self.measures.iter().flat_map(|measure| measure.expression.reads());
        condition.chain(key).chain(measures).collect()
    }

    /// Which images the view is about; all of them without one.
    #[must_use]
    pub fn condition(&self) -> Option<&Condition> {
        self.condition.as_ref()
    }

    /// Whether the view is about an image at all.
    #[must_use]
    pub fn selects(&self, image: &Item) -> bool {
        self.condition.as_ref().is_none_or(|condition| condition.holds(image))
    }

    /// The view items that an image belongs to, if the view [selects](Self::selects) it: none if a key attribute has no
    /// value, and several if one is made for each element of something.
    ///
    /// # Errors
    /// When the image has a value that cannot be a key, or none where that is an error; the error names the attribute.
    pub fn keys_of(&self, image: &Item) -> Result<Vec<ViewKey>, (MissingKey, KeyError)> {
        let mut keys = vec![Vec::with_capacity(self.key.len())];
        for (place, part) in self.key.iter().enumerate() {
            let attribute = || part.view_attribute.clone();
            let fail = |error| (part.missing, error);
            let values =
                part.value.of(image).map_err(|OutOfBounds| fail(KeyError::OutOfBounds { attribute: attribute() }))?;
            if values.is_empty() && part.missing == MissingKey::Quarantine {
                return Err(fail(KeyError::Missing { attribute: attribute() }));
            }
            let values = values.into_iter().map(|value| key_value(place, part, value).map_err(fail));
            let values = values.collect::<Result<Vec<_>, _>>()?;
            let joined = keys.iter().flat_map(|key| {
                values.iter().map(|value| key.iter().cloned().chain([value.clone()]).collect::<Vec<_>>())
            });
            keys = joined.collect();
        }
        Ok(keys.into_iter().map(ViewKey).collect())
    }

    /// The key of an item of the view table.
    ///
    /// # Errors
    /// When the item does not carry a usable key: the table has another one than the view.
    pub fn own_key(&self, item: &Item) -> Result<ViewKey, KeyError> {
        let value = |(place, part): (usize, &KeyPart)| {
            let missing = || KeyError::Missing { attribute: part.view_attribute.clone() };
            let value = item.get(&part.view_attribute).ok_or_else(missing)?;
            key_value(place, part, Datum::of_attribute(value))
        };
        self.key.iter().enumerate().map(value).collect::<Result<_, _>>().map(ViewKey)
    }
}

/// The name of a table that is given by its name or its ARN.
#[must_use]
pub fn table_name(table: &str) -> &str {
    let name = table.split_once(":table/").map_or(table, |(_, name)| name);
    name.split('/').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_is_of_its_type_and_of_a_length_that_a_key_may_have() {
        let measure = Measure::parse("Count", "count").unwrap();
        let key = vec![KeyPart::attribute("P", KeyType::S), KeyPart::attribute("R", KeyType::B)];
        let view = View::new("Source", "View", None, key, vec![measure]);
        let view = view.unwrap();
        let of = |partition: usize, sort: usize| {
            let item = [
                ("P".to_owned(), AttributeValue::S("p".repeat(partition))),
                ("R".to_owned(), AttributeValue::B(vec![7; sort])),
            ];
            view.own_key(&Item::from(HashMap::from(item)))
        };
        let too_long =
            |attribute: &str, bytes, limit| KeyError::TooLong { attribute: attribute.to_owned(), bytes, limit };
        assert_eq!(of(2_048, 1_024).map(|key| key.to_string().len() > 2_048), Ok(true));
        assert_eq!(of(2_049, 1), Err(too_long("P", 2_049, 2_048)));
        assert_eq!(of(1, 1_025), Err(too_long("R", 1_025, 1_024)));
        assert_eq!(of(0, 1), Err(KeyError::Empty { attribute: "P".to_owned() }));
        assert_eq!(of(1, 0), Err(KeyError::Empty { attribute: "R".to_owned() }));
        assert_eq!(of(1, 2).map(|key| key.to_string()), Ok("p, [07, 07]".to_owned()));
        for (found, kind) in [(json!({"N": "1"}), "N"), (json!({"BOOL": true}), "BOOL"), (json!({"L": []}), "L")] {
            let item: Item = serde_json::from_value(json!({"P": found, "R": {"S": "r"}})).unwrap();
            let error = view.own_key(&item).unwrap_err();
            let wanted = KeyType::S;
            assert_eq!(error, KeyError::Type { attribute: "P".to_owned(), found: kind, wanted });
            assert!(error.to_string().contains(&format!("of type {kind}; the view's key needs S")), "{error}");
        }
        assert_eq!([KeyType::S, KeyType::N, KeyType::B].map(|key_type| key_type.to_string()), ["S", "N", "B"]);
    }

    #[test]
    fn a_table_is_the_same_by_its_name_and_by_its_arn() {
        let arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/Orders";
        for (table, expected) in [("Orders", "Orders"), (arn, "Orders"), (&format!("{arn}/stream/now"), "Orders")] {
            assert_eq!(table_name(table), expected);
        }
        let view = |table| {
            View::new(
                table,
                "Orders",
                None,
                vec![KeyPart::attribute("Id", KeyType::S)],
                vec![Measure::parse("N", "count").unwrap()],
            )
        };
        assert!(view(arn).unwrap().is_on_its_source() && !view("Order").unwrap().is_on_its_source());
    }

    #[test]
    fn what_is_done_about_a_missing_view_item_has_a_name() {
        assert_eq!(
            [OnMissingViewItem::Create, OnMissingViewItem::Skip].map(OnMissingViewItem::as_str),
            ["create", "skip"]
        );
    }
}
