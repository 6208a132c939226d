//! A view: which source items are counted on which view items, and how. It is a definition, not code.

use std::collections::{BTreeSet, HashSet};

use serde::Deserialize;

use crate::rollup::Item;
use crate::rollup::model::arn::table_name;
use crate::rollup::model::language::{self, Condition, Group, MeasureKind, OutOfBounds, Path, Template, Value};
use crate::rollup::model::limits;
pub use crate::rollup::model::measure::Measure;
use crate::rollup::model::set_attribute::{SetAttribute, SetTexts, SetValue};
pub use crate::rollup::model::view_key::{KeyError, KeyPart, KeyType, MissingKey, TableId, ViewKey};
use crate::rollup::model::view_key::{KeyValue, key_part_values};

/// The attribute of a view item that counts its transactions: each one that touches the item raises it by one.
pub const ROLLUP_VERSION: &str = "RollupVersion";

/// The attribute that a view item has while a repair corrects it under writes: see
/// [`correction`](crate::rollup::check::correction).
pub const REPAIR_CLAIM: &str = "RollupRepair";

/// The name of a view whose definition has none.
pub const DEFAULT_NAME: &str = "default";

/// A view: the items of the view table summarise the items of the source table.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::struct_field_names, reason = "the view's table is the view table")]
pub struct View {
    name: String,
    source_table: String,
    view_table: String,
    pub(super) table: TableId,
    condition: Option<Condition>,
    key: Vec<KeyPart>,
    measures: Vec<Measure>,
    set: Vec<SetAttribute>,
    on_missing: OnMissingViewItem,
}

/// What to do with a record whose view item does not exist.
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

/// Why a view is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    /// A table has one or two key attributes.
    #[error("the view has {0} key attributes; a table has one or two")]
    KeyParts(usize),
    /// Nothing is measured.
    #[error("the view has no measure; name at least one")]
    NoMeasure,
    /// Two keys, measures or set attributes have the same attribute.
    #[error(
        "the attribute {0:?} of the view item is used twice; keys and measures need different names, and cannot be named {ROLLUP_VERSION} or {REPAIR_CLAIM}"
    )]
    Attribute(String),
    /// One image could have more counters than an update can hold.
    #[error(
        "the view has {0} measures; at most {most} fit into one update of a view item: split it into several views",
        most = limits::IMAGE_COUNTERS
    )]
    TooManyMeasures(usize),
    /// More attributes are set than an update has room for.
    #[error("the view sets {0} attributes; at most {most} fit into one update of a view item", most = limits::ITEM_SET_ATTRIBUTES)]
    TooManySetAttributes(usize),
    /// An empty name.
    #[error("a name in the view is empty: {0}")]
    EmptyName(&'static str),
}

impl View {
    /// A view of `source_table` on the items of `view_table`.
    ///
    /// # Errors
    /// When the definition contradicts itself; the message says how.
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
            table: TableId::default(),
            condition,
            key,
            measures,
            set: Vec::new(),
            on_missing: OnMissingViewItem::default(),
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
        view.names_each_attribute_once()?;
        Ok(view)
    }

    fn names_each_attribute_once(&self) -> Result<(), ViewError> {
        let mut taken = HashSet::from([ROLLUP_VERSION, REPAIR_CLAIM]);
        let keys = self.key.iter().map(|part| part.view_attribute.as_str());
        for attribute in keys.chain(self.defined_attributes()) {
            if attribute.is_empty() {
                return Err(ViewError::EmptyName("an attribute of the view item"));
            }
            if !taken.insert(attribute) {
                return Err(ViewError::Attribute(attribute.to_owned()));
            }
        }
        Ok(())
    }

    /// The default view, on tables of any name: the points of a map, in total and per category.
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

    /// The view with this name instead of the default one.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The view with attributes that each of its updates also sets.
    ///
    /// # Errors
    /// When the attribute of one of them is used already, or there are too many.
    pub fn with_set(mut self, set: Vec<SetAttribute>) -> Result<Self, ViewError> {
        if set.len() > limits::ITEM_SET_ATTRIBUTES {
            return Err(ViewError::TooManySetAttributes(set.len()));
        }
        self.set = set;
        self.names_each_attribute_once()?;
        Ok(self)
    }

    /// The view with this setting for missing view items instead of the default one.
    #[must_use]
    pub fn with_missing(mut self, on_missing: OnMissingViewItem) -> Self {
        self.on_missing = on_missing;
        self
    }

    /// The view's name.
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

    /// The id of the view table in the view's definition.
    #[must_use]
    pub fn table(&self) -> TableId {
        self.table
    }

    /// Whether the view table is the source table, given by name or by ARN.
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

    /// The measures that have groups, each with its index in [`View::measures`].
    pub fn grouped(&self) -> impl Iterator<Item = (usize, &Measure)> {
        self.measures.iter().enumerate().filter(|(_, measure)| measure.is_grouped())
    }

    /// The attributes that every update also sets, in the order of the definition.
    #[must_use]
    pub fn set(&self) -> &[SetAttribute] {
        &self.set
    }

    /// What to do if a view item does not exist.
    #[must_use]
    pub fn on_missing(&self) -> OnMissingViewItem {
        self.on_missing
    }

    /// The attributes of a view item that the definition names, without its key: measures and set attributes.
    pub fn defined_attributes(&self) -> impl Iterator<Item = &str> {
        let measures = self.measures.iter().map(|measure| measure.attribute.as_str());
        measures.chain(self.set.iter().map(|set| set.attribute.as_str()))
    }

    /// The attributes of a view item that an update writes, without its key.
    pub fn writes(&self) -> impl Iterator<Item = &str> {
        self.defined_attributes().chain([ROLLUP_VERSION])
    }

    /// Whether the view has an `each`, by which one image can have several view items or several groups of a measure.
    #[must_use]
    pub fn has_each(&self) -> bool {
        let of_key = self.key.iter().any(|part| part.value.has_each());
        of_key || self.measures.iter().any(|measure| measure.expression.has_each())
    }

    /// The attributes of a source item that the view reads, each once.
    #[must_use]
    pub fn reads(&self) -> BTreeSet<&str> {
        let condition = self.condition.iter().flat_map(Condition::reads);
        let key = self.key.iter().flat_map(|part| part.value.reads());
        let measures = self.measures.iter().flat_map(|measure| measure.expression.reads());
        condition.chain(key).chain(measures).collect()
    }

    /// Whether this view and another one, of any definition, may share an item. They cannot if their tables differ, or
    /// if the texts that their keys begin with differ in one attribute.
    #[must_use]
    pub fn may_share_items_with(&self, other: &Self) -> bool {
        let may_be_equal = |(one, two): (&KeyPart, &KeyPart)| {
            let (one, two) = (one.value.literal_prefix(), two.value.literal_prefix());
            one.starts_with(two) || two.starts_with(one)
        };
        table_name(&self.view_table) == table_name(&other.view_table)
            && self.key.iter().zip(&other.key).all(may_be_equal)
    }

    /// The condition that selects the view's images; `None` selects all.
    #[must_use]
    pub fn condition(&self) -> Option<&Condition> {
        self.condition.as_ref()
    }

    /// Whether the view's condition selects an image.
    #[must_use]
    pub fn selects(&self, image: &Item) -> bool {
        self.condition.as_ref().is_none_or(|condition| condition.holds(image))
    }

    /// The view items that an image belongs to, if the view [selects](Self::selects) it, each with the texts that it
    /// sets there. There are none if a key attribute has no value, and several if the key has an `each`.
    ///
    /// # Errors
    /// When a value of the image cannot be a key or a text to set, or when the key is missing and the definition does
    /// not allow that. The error names the attribute.
    pub fn items_of(&self, image: &Item) -> Result<Vec<(ViewKey, SetTexts)>, (MissingKey, KeyError)> {
        let parts = self.key.iter().enumerate().map(|(place, part)| key_part_values(place, part, image));
        let parts: Vec<Result<Vec<KeyValue>, KeyError>> = parts.collect();
        // A record that is to be kept for one key attribute is kept whatever the other one is.
        for (part, values) in self.key.iter().zip(&parts).filter(|(part, _)| part.missing == MissingKey::Quarantine) {
            let missing = || KeyError::Missing { attribute: part.view_attribute.clone() };
            match values {
                Ok(values) if values.is_empty() => return Err((part.missing, missing())),
                Err(error) => return Err((part.missing, error.clone())),
                Ok(_) => {}
            }
        }
        if parts.iter().any(|values| values.as_ref().is_ok_and(Vec::is_empty)) {
            return Ok(Vec::new());
        }
        let mut keys = vec![Vec::with_capacity(self.key.len())];
        for values in parts {
            let values = values.map_err(|error| (MissingKey::Sparse, error))?;
            keys = with_each(keys, values);
        }
        let keys = keys.into_iter().map(|values| ViewKey { table: self.table, values });
        if self.set.iter().all(|set| matches!(set.value, SetValue::Constant(_))) {
            return Ok(keys.map(|key| (key, SetTexts::new())).collect());
        }
        // A key is made for each element in their order, and one key has an `each` at the most.
        let elements = self.key.iter().map(|part| &part.value).find(|value| value.has_each());
        let elements = elements.map_or_else(|| vec![String::new()], |value| value.elements(image));
        let with_texts = keys.zip(elements).map(|(key, element)| Ok((key, self.texts(image, &element)?)));
        with_texts.collect::<Result<_, KeyError>>().map_err(|error| (MissingKey::Sparse, error))
    }

    fn texts(&self, image: &Item, element: &str) -> Result<SetTexts, KeyError> {
        let templates = self.set.iter().filter_map(|set| match &set.value {
            SetValue::Text(template) => Some((&set.attribute, template)),
            SetValue::Constant(_) => None,
        });
        let text = |(attribute, template): (&String, &Template)| {
            let refuse =
                |bytes| KeyError::SetText { attribute: attribute.clone(), bytes, limit: limits::SET_TEXT_BYTES };
            match template.text_of(image, element) {
                Ok(Some(text)) if (1..=limits::SET_TEXT_BYTES).contains(&text.len()) => Ok((attribute.clone(), text)),
                Ok(text) => Err(refuse(text.map_or(0, |text| text.len()))),
                Err(OutOfBounds) => Err(KeyError::OutOfBounds { attribute: attribute.clone() }),
            }
        };
        templates.map(text).collect()
    }
}

/// Keys with each of these values as their next one.
fn with_each(mut keys: Vec<Vec<KeyValue>>, mut values: Vec<KeyValue>) -> Vec<Vec<KeyValue>> {
    // Nearly every image has one view item.
    if let ([key], 1) = (keys.as_mut_slice(), values.len()) {
        key.append(&mut values);
        return keys;
    }
    let with = |key: &Vec<KeyValue>, value: &KeyValue| key.iter().chain([value]).cloned().collect();
    keys.iter().flat_map(|key| values.iter().map(move |value| with(key, value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_the_same_by_its_name_and_by_its_arn() {
        let arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/Orders";
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
