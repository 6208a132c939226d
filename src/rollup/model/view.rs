//! What is kept about what: a view is a definition, not code.

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::Deserialize;

use crate::rollup::model::attribute_type::type_name;
use crate::rollup::model::expression_size::update_fits;
use crate::rollup::model::limits;
use crate::rollup::model::number::Number;
use crate::rollup::{AttributeValue, Item};

/// The attribute of a view item that counts its transactions: one higher with every one that touches the item.
pub const ROLLUP_VERSION: &str = "RollupVersion";

/// A definition: the items of the view table summarise the items of the source table.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::struct_field_names, reason = "the view's table is the view table")]
pub struct View {
    source_table: String,
    view_table: String,
    key: Vec<KeyPart>,
    measures: Vec<Measure>,
}

/// One key attribute of the view table, and where its value is in an image of a source item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPart {
    /// The key attribute of the view table.
    pub view_attribute: String,
    /// The attribute of the source item that holds the value.
    pub source_attribute: String,
    /// The type of both.
    pub key_type: KeyType,
}

/// The types that a key attribute can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum KeyType {
    /// A string.
    S,
    /// A number.
    N,
    /// Bytes.
    B,
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::S => "S",
            Self::N => "N",
            Self::B => "B",
        })
    }
}

/// One thing that a view item tells about its source items.
///
/// `count` is [`Amount::One`] without a group; `sum ATTRIBUTE` is [`Amount::Of`]; with `by` the measure is kept for
/// each group. Minimum, maximum and distinct are not here: a delta cannot undo them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measure {
    /// The attribute of the view item: a number, or with `by` a map from group to number.
    pub attribute: String,
    /// What one source item adds.
    pub amount: Amount,
    /// The attribute of the source item whose value is the group.
    pub by: Option<String>,
}

/// What one source item adds to a measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Amount {
    /// One: the measure counts items.
    One,
    /// The value of a numeric attribute: the measure is a sum. An item without the attribute, or with one that is not
    /// a number, adds nothing.
    Of(String),
}

/// What is done about a source item whose view item is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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
    /// One record could touch more counters than an update can hold.
    #[error(
        "the view has {0} measures, which is more than one update of a view item can hold; split it into several views"
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
        key: Vec<KeyPart>,
        measures: Vec<Measure>,
    ) -> Result<Self, ViewError> {
        let view = Self { source_table: source_table.into(), view_table: view_table.into(), key, measures };
        if !(1..=2).contains(&view.key.len()) {
            return Err(ViewError::KeyParts(view.key.len()));
        }
        if view.measures.is_empty() {
            return Err(ViewError::NoMeasure);
        }
        if !update_fits(view.measures.len(), 2 * view.measures.len()) {
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
        Self::new(
            source_table,
            view_table,
            vec![KeyPart { view_attribute: "MapId".into(), source_attribute: "MapId".into(), key_type: KeyType::S }],
            vec![
                Measure { attribute: "TotalPoints".into(), amount: Amount::One, by: None },
                Measure { attribute: "CategoryCounts".into(), amount: Amount::One, by: Some("Category".into()) },
            ],
        )
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
        self.measures.iter().enumerate().filter(|(_, measure)| measure.by.is_some())
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

    /// The view item that an image belongs to.
    ///
    /// # Errors
    /// When the image does not carry a usable key; the error names the attribute.
    pub fn key_of(&self, image: &Item) -> Result<ViewKey, KeyError> {
        self.key_by(image, |part| &part.source_attribute)
    }

    /// The key of an item of the view table.
    ///
    /// # Errors
    /// When the item does not carry a usable key: the table has another one than the view.
    pub fn own_key(&self, item: &Item) -> Result<ViewKey, KeyError> {
        self.key_by(item, |part| &part.view_attribute)
    }

    fn key_by(&self, image: &Item, name: impl Fn(&KeyPart) -> &String) -> Result<ViewKey, KeyError> {
        let value = |(place, part): (usize, &KeyPart)| {
            let attribute = || name(part).clone();
            let value = image.get(name(part)).ok_or_else(|| KeyError::Missing { attribute: attribute() })?;
            let key = match (part.key_type, value) {
                (KeyType::S, AttributeValue::S(text)) => KeyValue::S(text.clone()),
                (KeyType::N, AttributeValue::N(text)) => {
                    KeyValue::N(text.parse().map_err(|_| KeyError::Number { attribute: attribute() })?)
                }
                (KeyType::B, AttributeValue::B(bytes)) => KeyValue::B(bytes.clone()),
                (wanted, found) => {
                    return Err(KeyError::Type { attribute: attribute(), found: type_name(found), wanted });
                }
            };
            let limit = if place == 0 { limits::PARTITION_KEY_BYTES } else { limits::SORT_KEY_BYTES };
            match key.bytes() {
                0 => Err(KeyError::Empty { attribute: attribute() }),
                bytes if bytes > limit => Err(KeyError::TooLong { attribute: attribute(), bytes, limit }),
                _ => Ok(key),
            }
        };
        self.key.iter().enumerate().map(value).collect::<Result<_, _>>().map(ViewKey)
    }
}

/// The key of one view item: the values of the view's key attributes, in their order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ViewKey(Vec<KeyValue>);

impl fmt::Display for ViewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, value) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            match value {
                KeyValue::S(text) => write!(f, "{comma}{text}")?,
                KeyValue::N(number) => write!(f, "{comma}{number}")?,
                KeyValue::B(bytes) => write!(f, "{comma}{bytes:02x?}")?,
            }
        }
        Ok(())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum KeyValue {
    S(String),
    N(Number),
    B(Vec<u8>),
}

impl KeyValue {
    fn bytes(&self) -> usize {
        match self {
            Self::S(text) => text.len(),
            Self::N(number) => number.to_string().len(),
            Self::B(bytes) => bytes.len(),
        }
    }

    fn to_attribute(&self) -> AttributeValue {
        match self {
            Self::S(text) => AttributeValue::S(text.clone()),
            Self::N(number) => AttributeValue::N(number.to_string()),
            Self::B(bytes) => AttributeValue::B(bytes.clone()),
        }
    }
}

/// An image that does not tell which view item it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The attribute is absent.
    #[error("no attribute {attribute:?}, which names the view item")]
    Missing {
        /// The source item's attribute.
        attribute: String,
    },
    /// The attribute is of another type than the view's key.
    #[error(
        "the attribute {attribute:?}, which names the view item, is of type {found}; the view's key needs {wanted}"
    )]
    Type {
        /// The source item's attribute.
        attribute: String,
        /// Its type.
        found: &'static str,
        /// The type of the view table's key.
        wanted: KeyType,
    },
    /// The attribute says it is a number and is none.
    #[error("the attribute {attribute:?}, which names the view item, is not a number")]
    Number {
        /// The source item's attribute.
        attribute: String,
    },
    /// A key cannot be empty.
    #[error("the attribute {attribute:?}, which names the view item, is empty; a key cannot be")]
    Empty {
        /// The source item's attribute.
        attribute: String,
    },
    /// The value fits into no key.
    #[error("the attribute {attribute:?}, which names the view item, has {bytes} bytes; a key has {limit} at the most")]
    TooLong {
        /// The source item's attribute.
        attribute: String,
        /// Its length in bytes.
        bytes: usize,
        /// The longest that a key may be, in bytes.
        limit: usize,
    },
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_is_of_its_type_and_of_a_length_that_a_key_may_have() {
        let part = |name: &str, key_type| KeyPart {
            view_attribute: name.to_owned(),
            source_attribute: name.to_owned(),
            key_type,
        };
        let measure = Measure { attribute: "Count".to_owned(), amount: Amount::One, by: None };
        let view = View::new("Source", "View", vec![part("P", KeyType::S), part("R", KeyType::B)], vec![measure]);
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
    fn what_is_done_about_a_missing_view_item_has_a_name() {
        assert_eq!(
            [OnMissingViewItem::Create, OnMissingViewItem::Skip].map(OnMissingViewItem::as_str),
            ["create", "skip"]
        );
    }
}
