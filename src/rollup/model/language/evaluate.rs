//! The value that an expression has of one item.

use std::borrow::Cow;

use crate::rollup::model::language::syntax::{Literal, Path, Sign, Step, Value};
use crate::rollup::model::language::{ARITHMETIC_DIGITS, COMPUTED_TEXT_BYTES, shard, time};
use crate::rollup::model::number::Number;
use crate::rollup::{AttributeValue, Item};

/// The value of an expression, borrowed where it stands in the item or in the expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Datum<'a> {
    /// A text.
    Text(Cow<'a, str>),
    /// A number. The result of arithmetic may have more digits than DynamoDB can hold: [`Number::is_storable`].
    Number(Number),
    /// True or false.
    Bool(bool),
    /// Bytes.
    Bytes(&'a [u8]),
    /// NULL: a type of its own for conditions, and as good as absent elsewhere.
    Null,
    /// A list, a map or a set.
    Document(&'a AttributeValue),
    /// A number that DynamoDB cannot hold, a result of arithmetic of more than [`ARITHMETIC_DIGITS`] digits on a side of
    /// the point, a text that was computed and is longer than [`COMPUTED_TEXT_BYTES`]; and what is computed from one of
    /// these. It is equal to nothing.
    OutOfBounds,
}

impl<'a> Datum<'a> {
    /// The value of an attribute as it is.
    #[must_use]
    pub fn of_attribute(value: &'a AttributeValue) -> Self {
        match value {
            AttributeValue::S(text) => Self::Text(Cow::Borrowed(text)),
            AttributeValue::N(text) => text.parse().map_or(Self::OutOfBounds, Self::Number),
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

    /// The value as a text, where it is a text, a number (its canonical decimal text), a boolean or out of bounds.
    /// Anything else has none.
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

/// A value as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextDatum<'a> {
    /// The text.
    Text(Cow<'a, str>),
    /// It is out of bounds.
    OutOfBounds,
}

impl Path {
    /// What is at the path in an item.
    #[must_use]
    pub fn of<'a>(&self, item: &'a Item) -> Option<&'a AttributeValue> {
        self.steps.iter().try_fold(item.get(&self.attribute)?, |value, step| match (step, value) {
            (Step::Name(name), AttributeValue::M(map)) => map.get(name),
            (Step::Index(index), AttributeValue::L(list)) => list.get(usize::try_from(*index).ok()?),
            _ => None,
        })
    }
}

impl Literal {
    /// The literal as a value.
    #[must_use]
    pub fn datum(&self) -> Datum<'_> {
        match self {
            Self::Text(text) => Datum::Text(Cow::Borrowed(text)),
            Self::Number(number) => Datum::Number(number.clone()),
            Self::Bool(value) => Datum::Bool(*value),
        }
    }
}

impl Value {
    /// The value of the expression of one item, if it has one.
    #[must_use]
    pub fn of<'a>(&'a self, item: &'a Item) -> Option<Datum<'a>> {
        match self {
            Self::Path(path) => path.of(item).map(Datum::of_attribute),
            Self::Literal(literal) => Some(literal.datum()),
            Self::Sum(first, rest) => {
                let first = Operand::of(first, item)?;
                let sum = rest.iter().try_fold(first, |sum, (sign, value)| {
                    let operand = Operand::of(value, item)?;
                    Some(sum.with(operand, |sum, operand| match sign {
                        Sign::Plus => sum + operand,
                        Sign::Minus => sum - operand,
                    }))
                });
                sum.map(Operand::into_datum)
            }
            Self::Product(factors) => {
                let mut factors = factors.iter().map(|factor| Operand::of(factor, item));
                let first = factors.next()??;
                let product = factors.try_fold(first, |product, factor| Some(product.with(factor?, |a, b| a * b)));
                product.map(Operand::into_datum)
            }
            Self::Negative(value) => Operand::of(value, item).map(|operand| operand.map(|number| -number).into_datum()),
            Self::Round(value, decimals) => {
                Operand::of(value, item).map(|operand| operand.map(|number| number.rounded(*decimals)).into_datum())
            }
            Self::Time { unit, time, offset } => {
                let seconds = match time.of(item)? {
                    Datum::Text(text) => time::of_text(&text),
                    Datum::Number(number) => time::of_number(&number),
                    _ => None,
                };
                time::part(*unit, seconds?, *offset).map(|part| Datum::Text(part.into()))
            }
            Self::Before(value, mark) => {
                text_part(value.of(item)?, |text| text.split_once(mark.as_str()).map(|(before, _)| before))
            }
            Self::After(value, mark) => {
                text_part(value.of(item)?, |text| text.split_once(mark.as_str()).map(|(_, after)| after))
            }
            Self::Lower(value) => match value.of(item)? {
                Datum::Text(text) => Some(computed(text.to_lowercase())),
                Datum::OutOfBounds => Some(Datum::OutOfBounds),
                _ => None,
            },
            Self::Concat(parts) => concat(parts.iter().map(|part| part.of(item))),
            Self::Shard(value, shards) => Some(match value.of(item)?.into_text()? {
                TextDatum::Text(text) => Datum::Text(shard::shard(&text, *shards).to_string().into()),
                TextDatum::OutOfBounds => Datum::OutOfBounds,
            }),
        }
    }
}

/// A number in arithmetic, within bounds or not.
enum Operand {
    Number(Number),
    OutOfBounds,
}

impl Operand {
    fn of(value: &Value, item: &Item) -> Option<Self> {
        match value.of(item)? {
            Datum::Number(number) => Some(Self::Number(number)),
            Datum::OutOfBounds => Some(Self::OutOfBounds),
            _ => None,
        }
    }

    fn map(self, step: impl FnOnce(Number) -> Number) -> Self {
        match self {
            Self::Number(number) => Self::Number(step(number)),
            Self::OutOfBounds => Self::OutOfBounds,
        }
    }

    /// One step of arithmetic. Each result is looked at, so that none grows from step to step.
    fn with(self, other: Self, step: impl FnOnce(&Number, &Number) -> Number) -> Self {
        let (Self::Number(one), Self::Number(other)) = (self, other) else { return Self::OutOfBounds };
        let result = step(&one, &other);
        let bounded = result.whole_digits() <= ARITHMETIC_DIGITS && result.decimals() <= ARITHMETIC_DIGITS;
        if bounded { Self::Number(result) } else { Self::OutOfBounds }
    }

    fn into_datum<'a>(self) -> Datum<'a> {
        match self {
            Self::Number(number) => Datum::Number(number),
            Self::OutOfBounds => Datum::OutOfBounds,
        }
    }
}

/// A part of a text, borrowed where the text is.
fn text_part(datum: Datum<'_>, part: impl Fn(&str) -> Option<&str>) -> Option<Datum<'_>> {
    match datum {
        Datum::Text(Cow::Borrowed(text)) => part(text).map(|part| Datum::Text(Cow::Borrowed(part))),
        Datum::Text(Cow::Owned(text)) => part(&text).map(|part| Datum::Text(part.to_owned().into())),
        Datum::OutOfBounds => Some(Datum::OutOfBounds),
        _ => None,
    }
}

fn computed<'a>(text: String) -> Datum<'a> {
    if text.len() > COMPUTED_TEXT_BYTES { Datum::OutOfBounds } else { Datum::Text(text.into()) }
}

/// Values as one text. It has no value if one part has none; that is known only when all have been looked at, so a text
/// that is out of bounds already is no longer added to.
pub(super) fn concat<'a, 'b>(parts: impl Iterator<Item = Option<Datum<'b>>>) -> Option<Datum<'a>> {
    let mut whole = Some(String::new());
    for part in parts {
        whole = match (whole, part?.into_text()?) {
            (Some(whole), TextDatum::Text(text)) if whole.len() + text.len() <= COMPUTED_TEXT_BYTES => {
                Some(whole + &text)
            }
            _ => None,
        };
    }
    Some(whole.map_or(Datum::OutOfBounds, |text| Datum::Text(text.into())))
}
