//! The value of an expression for one item.

use std::borrow::Cow;

use crate::rollup::AttributeValue;
use crate::rollup::model::attribute_type::type_name;
use crate::rollup::model::number::{Number, is_decimal};

/// The value of an expression, borrowed from the item or from the expression if possible.
#[derive(Debug, Clone, PartialEq)]
pub enum Datum<'a> {
    Text(Cow<'a, str>),
    /// A number. The result of arithmetic may have more digits than DynamoDB can hold: [`Number::is_storable`].
    Number(Number),
    /// True or false.
    Bool(bool),
    Bytes(&'a [u8]),
    /// NULL: a type of its own for conditions, and treated as absent elsewhere.
    Null,
    /// A list, a map or a set.
    Document(&'a AttributeValue),
    /// A number that DynamoDB cannot hold; a result of arithmetic with more than
    /// [`ARITHMETIC_DIGITS`](super::ARITHMETIC_DIGITS) digits on a side of the point; a computed text longer than
    /// [`COMPUTED_TEXT_BYTES`](super::COMPUTED_TEXT_BYTES); or a result that is computed from one of these. It is equal
    /// to nothing.
    OutOfBounds,
}

impl<'a> Datum<'a> {
    /// The value of an attribute as it is.
    #[must_use]
    pub fn of_attribute(value: &'a AttributeValue) -> Self {
        match value {
            AttributeValue::S(text) => Self::Text(Cow::Borrowed(text)),
            AttributeValue::N(text) => match text.parse() {
                Ok(number) => Self::Number(number),
                Err(_) if is_decimal(text) => Self::OutOfBounds,
                // A text that is not a number is treated as absent.
                Err(_) => Self::Null,
            },
            AttributeValue::Bool(value) => Self::Bool(*value),
            AttributeValue::B(bytes) => Self::Bytes(bytes),
            AttributeValue::Null(_) => Self::Null,
            AttributeValue::M(_)
            | AttributeValue::L(_)
            | AttributeValue::Ss(_)
            | AttributeValue::Ns(_)
            | AttributeValue::Bs(_) => Self::Document(value),
        }
    }

    /// The value as text, if it is a text, a number (its canonical decimal text), a boolean or out of bounds. Anything
    /// else has no text.
    #[must_use]
    pub fn into_text(self) -> Option<TextDatum<'a>> {
        match self {
            Self::Text(text) => Some(TextDatum::Text(text)),
            Self::Number(number) => Some(TextDatum::Text(number.to_string().into())),
            Self::Bool(value) => Some(TextDatum::Text(if value { "true" } else { "false" }.into())),
            Self::OutOfBounds => Some(TextDatum::OutOfBounds),
            Self::Bytes(_) | Self::Null | Self::Document(_) => None,
        }
    }
}

impl Datum<'_> {
    /// The value's type, as DynamoDB writes it; of a value that is out of bounds, what it is instead.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "S",
            Self::Number(_) => "N",
            Self::Bool(_) => "BOOL",
            Self::Bytes(_) => "B",
            Self::Null => "NULL",
            Self::Document(value) => type_name(value),
            Self::OutOfBounds => "out of bounds",
        }
    }
}

/// A value as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextDatum<'a> {
    Text(Cow<'a, str>),
    /// It is out of bounds.
    OutOfBounds,
}
