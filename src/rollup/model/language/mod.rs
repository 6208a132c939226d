//! The language of a definition: how a key, a group, an amount or a condition is made from an item's attributes.
//!
//! It is DynamoDB's condition syntax with literals in the text. Everything here is a pure function of one item. These
//! are the modules, in the order in which a text passes through them:
//!
//! 1. `token`, `cursor`, `parse`, `operand`, `function`: from text to expressions (`syntax`); `error` says what is
//!    wrong with a text.
//! 2. `display`: from an expression back to its canonical text, for a fingerprint.
//! 3. `evaluate`, `arithmetic`, `time`, `shard`: the value of an expression ([`Value::of`]).
//! 4. `condition`: whether a condition holds ([`Condition::holds`]); `possible`: whether it could hold for an item that
//!    is only partly known ([`Condition::could_hold`]).
//! 5. `elements`, `group`, `amount`, `measure`, `template`: what an item adds, and to which view items.
//!
//! ```text
//! value     = path | literal | function ( value, ... ) | value (* + -) value | - value | ( value )
//! path      = name { . name | [ n ] }         name: letters, digits and _, not first a digit; any other text in backquotes
//! literal   = 'text' ('' is one quote) | number, with a sign or without | true | false
//! function  = minute hour day week month year (time [, '+hh:mm'])   before after (value, 'mark')   lower (value)
//!             concat (value, ...)   round (value, n)   shard (value, n)
//! measure   = ( count | sum value | sum each path ) [ by [each] value ] [ where condition ]
//! condition = value (= <> < <= > >=) value | value IN ( literal, ... ) | value BETWEEN literal AND literal
//!             | begins_with(value, 'text') | contains(path, literal) | attribute_exists(path) | attribute_not_exists(path)
//!             | attribute_type(path, 'S') | size(path) comparator number | NOT c | c AND c | c OR c | ( c )
//! ```
//!
//! Keywords and functions are read in any case; an attribute with the name of a keyword is written in backquotes.

use crate::rollup::model::limits;

mod amount;
mod arithmetic;
mod condition;
mod cursor;
mod datum;
mod display;
mod elements;
mod error;
mod evaluate;
mod function;
mod group;
mod measure;
mod operand;
mod parse;
mod possible;
pub(super) mod shard;
mod syntax;
mod template;
mod time;
mod token;

pub use amount::UncountableAmount;
pub use datum::Datum;
pub use error::{Excerpt, SyntaxError};
pub use group::{Group, Groups};
pub use measure::{Amounts, MeasureExpression, MeasureKind};
pub use possible::Known;
pub use shard::shard;
pub use syntax::{Comparator, Condition, Literal, Offset, Path, Sign, Step, TimeUnit, Value};
pub use template::{Hole, OutOfBounds, Template};

/// Bytes of the text of one expression, measure or template: as many as DynamoDB's own expressions have.
pub const TEXT_BYTES: usize = limits::EXPRESSION_BYTES;

/// How deep parentheses, functions, `NOT` and minus signs may be nested. This project's own limit, because each level
/// takes a part of the stack. DynamoDB's own documents have 32 levels.
pub const NESTING_DEPTH: usize = 32;

/// Digits of the result of one step of arithmetic, on each side of the point. With more, the result is out of bounds.
/// This project's own limit: such a number is not an amount, its text is too long for a key or a group, and the time of
/// a step grows with the square of the digits.
pub const ARITHMETIC_DIGITS: u64 = 2_048;

/// Bytes of a computed text; a longer one is out of bounds. This is the size of an item, far more than any key or
/// group.
pub const COMPUTED_TEXT_BYTES: usize = limits::ITEM_BYTES;

/// Digits of an amount, before and after the point together. With this limit, sums of up to 10^8 amounts stay within 38
/// digits.
pub const AMOUNT_DIGITS: u32 = 30;

/// Decimals of an amount, unless it is rounded to others.
pub const AMOUNT_DECIMALS: u32 = 17;

/// The most decimals that `round` rounds to: with more, an amount would have no room before the point.
pub const ROUND_MAX_DECIMALS: u32 = AMOUNT_DIGITS;

/// The smallest number of shards.
pub const SHARDS_MIN: u32 = 2;

/// The largest number of shards.
pub const SHARDS_MAX: u32 = 1_000;

const _: () = assert!(limits::PARTITION_KEY_BYTES as u64 <= ARITHMETIC_DIGITS);
const _: () = assert!(AMOUNT_DIGITS as u64 + 8 <= limits::NUMBER_DIGITS && AMOUNT_DECIMALS < AMOUNT_DIGITS);

impl Value {
    /// Reads an expression.
    ///
    /// # Errors
    /// When the text is not a value of the language; the error names the place and what is expected there.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let mut parser = cursor::Parser::new(text, 0)?;
        let value = parser.value()?;
        parser.expect_end("expected +, -, * or the end")?;
        Ok(value)
    }
}

impl Condition {
    /// Reads a condition.
    ///
    /// # Errors
    /// When the text is not a condition of the language; the error names the place and what is expected there.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let mut parser = cursor::Parser::new(text, 0)?;
        let condition = parser.condition()?;
        parser.expect_end("expected AND, OR or the end")?;
        Ok(condition)
    }
}
