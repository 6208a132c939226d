//! The key of a view item: how its parts are made from a source item, and which values are valid.

use std::fmt;

use serde::Deserialize;

use crate::rollup::model::language::{Datum, Hole, OutOfBounds, Template, Value};
use crate::rollup::model::limits;
use crate::rollup::model::number::Number;
use crate::rollup::{AttributeValue, Item};

/// One key attribute of the view table, and how its value is made from an image of a source item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPart {
    /// The key attribute of the view table.
    pub view_attribute: String,
    pub key_type: KeyType,
    /// The template of its value.
    pub value: Template,
    /// What to do with a record whose image has no usable value for it.
    pub missing: MissingKey,
}

impl KeyPart {
    /// A key attribute whose value is the source item's attribute of that name, as in a secondary index.
    #[must_use]
    pub fn attribute(name: impl Into<String>, key_type: KeyType) -> Self {
        let name = name.into();
        let value = Template::attribute(name.clone());
        Self { view_attribute: name, key_type, value, missing: MissingKey::Sparse }
    }

    /// The source item's attribute whose value is used as it is; `None` if the value is computed.
    #[must_use]
    pub fn source_attribute(&self) -> Option<&str> {
        let mut holes = self.value.holes();
        match (self.value.is_single_hole(), holes.next()) {
            (true, Some(Hole::Of(Value::Path(path)))) if path.steps.is_empty() => Some(&path.attribute),
            _ => None,
        }
    }
}

/// What to do with a record whose image has no usable value for a key attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MissingKey {
    /// The image is not in the view, as in a sparse index. The record's other image counts.
    #[default]
    Sparse,
    /// The record is quarantined.
    Quarantine,
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

/// Turns a value into a key value, if it can be one.
pub(super) fn key_value(place: usize, name: &str, key_type: KeyType, value: Datum<'_>) -> Result<KeyValue, KeyError> {
    let attribute = || name.to_owned();
    let key = match (key_type, value) {
        (KeyType::S, Datum::Text(text)) => KeyValue::S(text.into_owned()),
        (KeyType::N, Datum::Number(number)) if number.is_storable() => KeyValue::N(number),
        (KeyType::B, Datum::Bytes(bytes)) => KeyValue::B(bytes.to_vec()),
        (_, Datum::OutOfBounds) | (KeyType::N, Datum::Number(_)) => {
            return Err(KeyError::OutOfBounds { attribute: attribute() });
        }
        (wanted, found) => {
            return Err(KeyError::Type { attribute: attribute(), found: found.type_name(), wanted });
        }
    };
    let limit = if place == 0 { limits::PARTITION_KEY_BYTES } else { limits::SORT_KEY_BYTES };
    match key.bytes() {
        0 => Err(KeyError::Empty { attribute: attribute() }),
        bytes if bytes > limit => Err(KeyError::TooLong { attribute: attribute(), bytes, limit }),
        _ => Ok(key),
    }
}

/// The values that an image gives to a key attribute; none if it has no value for it.
pub(super) fn key_part_values(place: usize, part: &KeyPart, image: &Item) -> Result<Vec<KeyValue>, KeyError> {
    let out_of_bounds = |OutOfBounds| KeyError::OutOfBounds { attribute: part.view_attribute.clone() };
    let values = part.value.of(image).map_err(out_of_bounds)?;
    values.into_iter().map(|value| key_value(place, &part.view_attribute, part.key_type, value)).collect()
}

/// A view table, by its index in [`Definition::tables`](crate::rollup::model::definition::Definition::tables).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TableId(pub usize);

/// The key of one view item: its table, and the values of the table's key attributes, in their order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ViewKey {
    /// The table that the view item is in.
    pub table: TableId,
    pub(super) values: Vec<KeyValue>,
}

impl ViewKey {
    /// The size of its values in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.values.iter().map(KeyValue::bytes).sum()
    }
}

impl fmt::Display for ViewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, value) in self.values.iter().enumerate() {
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
pub(super) enum KeyValue {
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

    /// The value, if it is a text.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::S(text) => Some(text),
            Self::N(_) | Self::B(_) => None,
        }
    }

    pub(super) fn to_attribute(&self) -> AttributeValue {
        match self {
            Self::S(text) => AttributeValue::S(text.clone()),
            Self::N(number) => AttributeValue::N(number.to_string()),
            Self::B(bytes) => AttributeValue::B(bytes.clone()),
        }
    }
}

/// An image that does not show which view item it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The attribute is absent.
    #[error("no attribute {attribute:?}, which names the view item")]
    Missing {
        /// The view item's attribute.
        attribute: String,
    },
    /// The attribute's type is not that of the view's key.
    #[error(
        "the attribute {attribute:?}, which names the view item, is of type {found}; the view's key needs {wanted}"
    )]
    Type {
        /// The view item's attribute.
        attribute: String,
        /// Its type.
        found: &'static str,
        /// The type of the view table's key.
        wanted: KeyType,
    },
    /// The value is a number that DynamoDB cannot hold, or a text that is longer than any key.
    #[error("the attribute {attribute:?}, which names the view item, is a number or a text that a key cannot hold")]
    OutOfBounds {
        /// The view item's attribute.
        attribute: String,
    },
    /// A key cannot be empty.
    #[error("the attribute {attribute:?}, which names the view item, is empty; a key cannot be empty")]
    Empty {
        /// The view item's attribute.
        attribute: String,
    },
    /// The value is longer than a key may be.
    #[error("the attribute {attribute:?}, which names the view item, has {bytes} bytes; a key has at most {limit}")]
    TooLong {
        /// The view item's attribute.
        attribute: String,
        /// Its length in bytes.
        bytes: usize,
        /// The longest that a key may be, in bytes.
        limit: usize,
    },
    /// A text that the view sets on the item is empty, or too long for an index.
    #[error("the text that the view sets as {attribute:?} has {bytes} bytes; it must have 1 to {limit}")]
    SetText {
        /// The view item's attribute.
        attribute: String,
        /// Its length in bytes.
        bytes: usize,
        /// The longest that it may be, in bytes.
        limit: usize,
    },
}
