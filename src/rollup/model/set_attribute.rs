//! Attributes of a view item that every update also sets, for an index on the view table.

use std::collections::BTreeMap;
use std::fmt;

use crate::rollup::AttributeValue;
use crate::rollup::model::language::Template;
use crate::rollup::model::number::Number;

/// An attribute that a view sets on its items, in addition to its measures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAttribute {
    /// The attribute of the view item.
    pub attribute: String,
    /// What it is set to.
    pub value: SetValue,
}

/// What an attribute is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetValue {
    /// The same on every item.
    Constant(Constant),
    /// A text that is made from the same expressions as the item's key.
    Text(Template),
}

/// A value that is the same on every item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Constant {
    Text(String),
    Number(Number),
    /// True or false.
    Bool(bool),
}

/// The texts that an image gives to the attributes that are not constants, by attribute.
pub type SetTexts = BTreeMap<String, String>;

impl Constant {
    /// As an attribute's value.
    #[must_use]
    pub fn to_attribute(&self) -> AttributeValue {
        match self {
            Self::Text(text) => AttributeValue::S(text.clone()),
            Self::Number(number) => AttributeValue::N(number.to_string()),
            Self::Bool(value) => AttributeValue::Bool(*value),
        }
    }
}

impl SetAttribute {
    /// What it is set to on an item with these texts; `None` if there is no text for it.
    #[must_use]
    pub fn on(&self, texts: &SetTexts) -> Option<AttributeValue> {
        match &self.value {
            SetValue::Constant(constant) => Some(constant.to_attribute()),
            SetValue::Text(_) => texts.get(&self.attribute).map(|text| AttributeValue::S(text.clone())),
        }
    }
}

impl fmt::Display for SetValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(Constant::Text(text)) => write!(f, "{text:?}"),
            Self::Constant(Constant::Number(number)) => number.fmt(f),
            Self::Constant(Constant::Bool(value)) => value.fmt(f),
            Self::Text(template) => template.fmt(f),
        }
    }
}
