//! The functions: their names, their arguments, and what they give.

use std::ops::Range;

use crate::rollup::model::language::cursor::Parser;
use crate::rollup::model::language::error::SyntaxError;
use crate::rollup::model::language::parse::Operand;
use crate::rollup::model::language::syntax::{Condition, Literal, Offset, Path, TimeUnit, Value};
use crate::rollup::model::language::token::Token;
use crate::rollup::model::language::{ROUND_MAX_DECIMALS, SHARDS_MAX, SHARDS_MIN};

/// The types that `attribute_type` knows, as DynamoDB writes them.
const TYPES: [&str; 10] = ["S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS"];

const FUNCTIONS: &str = "expected a function: minute, hour, day, week, month, year, before, after, lower, concat, round, \
                         shard, or in a condition begins_with, contains, attribute_exists, attribute_not_exists, \
                         attribute_type or size; ";

/// A function with its arguments.
enum Called {
    Value(Value),
    Condition(Condition),
    /// Not a condition yet: a comparator must follow.
    Size(Path),
}

impl Parser<'_> {
    /// The arguments of a function whose name has been read: the token is its parenthesis.
    pub(super) fn function(&mut self, name: &str, range: Range<usize>) -> Result<Operand, SyntaxError> {
        let called = self.nested(|parser| {
            parser.advance()?;
            parser.arguments(name, range)
        })?;
        self.expect(")", "expected ) after the last argument")?;
        let path = match called {
            Called::Value(value) => return Ok(Operand::Value(value)),
            Called::Condition(condition) => return Ok(Operand::Condition(condition)),
            Called::Size(path) => path,
        };
        let expected = "expected a comparison with a number: size(path) > 0";
        let comparator = self.comparator().ok_or_else(|| self.unexpected(expected))?;
        self.advance()?;
        if !matches!(self.token(), Token::Number(_) | Token::Symbol("-" | "+")) {
            return Err(self.unexpected(expected));
        }
        Ok(Operand::Condition(Condition::Size(path, comparator, self.signed_number()?)))
    }

    fn arguments(&mut self, name: &str, range: Range<usize>) -> Result<Called, SyntaxError> {
        let name = name.to_ascii_lowercase();
        let value = match name.as_str() {
            "minute" => self.time(TimeUnit::Minute)?,
            "hour" => self.time(TimeUnit::Hour)?,
            "day" => self.time(TimeUnit::Day)?,
            "week" => self.time(TimeUnit::Week)?,
            "month" => self.time(TimeUnit::Month)?,
            "year" => self.time(TimeUnit::Year)?,
            "before" => {
                let (value, mark) = self.value_and_mark("before(SK, '#')")?;
                Value::Before(value, mark)
            }
            "after" => {
                let (value, mark) = self.value_and_mark("after(SK, '#')")?;
                Value::After(value, mark)
            }
            "lower" => Value::Lower(self.argument()?),
            "concat" => {
                let mut parts = vec![self.value()?];
                while self.take_symbol(",")? {
                    parts.push(self.value()?);
                }
                Value::Concat(parts)
            }
            "round" => {
                let value = self.argument()?;
                self.comma("the decimals: round(Price, 2)")?;
                let expected = format!("expected the decimals, a whole number from 0 to {ROUND_MAX_DECIMALS}");
                Value::Round(value, self.whole(&expected, 0..=ROUND_MAX_DECIMALS)?)
            }
            "shard" => {
                let value = self.argument()?;
                self.comma("the number of shards: shard(Id, 10)")?;
                let expected =
                    format!("expected the number of shards, a whole number from {SHARDS_MIN} to {SHARDS_MAX}");
                Value::Shard(value, self.whole(&expected, SHARDS_MIN..=SHARDS_MAX)?)
            }
            _ => return self.arguments_of_condition(&name, range),
        };
        Ok(Called::Value(value))
    }

    fn arguments_of_condition(&mut self, name: &str, range: Range<usize>) -> Result<Called, SyntaxError> {
        Ok(Called::Condition(match name {
            "begins_with" => {
                let value = self.value()?;
                self.comma("the beginning: begins_with(SK, 'ORDER#')")?;
                Condition::BeginsWith(value, self.text("expected the beginning as a text: begins_with(SK, 'ORDER#')")?)
            }
            "contains" => {
                let path = self.path()?;
                self.comma("a literal: contains(Tags, 'new')")?;
                Condition::Contains(path, self.literal()?)
            }
            "attribute_exists" => Condition::Exists(self.path()?),
            "attribute_not_exists" => Condition::NotExists(self.path()?),
            "attribute_type" => {
                let path = self.path()?;
                let expected = format!("expected a type: one of {TYPES:?}").replace('"', "'").replace(['[', ']'], "");
                self.comma("the type: attribute_type(Tags, 'SS')")?;
                let range = self.range();
                let found = self.text(&expected)?;
                let found = TYPES.into_iter().find(|kind| *kind == found);
                Condition::Type(path, found.ok_or_else(|| self.refuse(range, expected))?)
            }
            "size" => return Ok(Called::Size(self.path()?)),
            _ => {
                let hint = match name {
                    "count" => "count is written without parentheses",
                    "each" => "each is written without parentheses: each Tags",
                    "upper" => "there is no upper; use lower(value)",
                    "substring" | "substr" | "split" => {
                        "a part of a text is before(value, 'mark') or after(value, 'mark')"
                    }
                    _ => "an attribute is written without parentheses",
                };
                return Err(self.refuse(range, format!("{FUNCTIONS}{hint}")));
            }
        }))
    }

    fn argument(&mut self) -> Result<Box<Value>, SyntaxError> {
        self.value().map(Box::new)
    }

    fn comma(&mut self, what: &str) -> Result<(), SyntaxError> {
        self.expect(",", &format!("expected , and {what}"))
    }

    /// A text in quotes.
    fn text(&mut self, expected: &str) -> Result<String, SyntaxError> {
        if !matches!(self.token(), Token::Text(_)) {
            return Err(self.unexpected(expected));
        }
        match self.literal()? {
            Literal::Text(text) => Ok(text),
            Literal::Number(_) | Literal::Bool(_) => Err(self.unexpected(expected)),
        }
    }

    fn value_and_mark(&mut self, example: &str) -> Result<(Box<Value>, String), SyntaxError> {
        let value = self.argument()?;
        self.comma(&format!("the mark: {example}"))?;
        let expected = format!("expected the mark, a text that is not empty: {example}");
        let range = self.range();
        let mark = self.text(&expected)?;
        if mark.is_empty() { Err(self.refuse(range, expected)) } else { Ok((value, mark)) }
    }

    fn time(&mut self, unit: TimeUnit) -> Result<Value, SyntaxError> {
        let time = self.argument()?;
        let mut offset = Offset::default();
        if self.take_symbol(",")? {
            let expected = "expected how far the local time is ahead of UTC, such as '+01:00' or '-05:30'";
            let range = self.range();
            let text = self.text(expected)?;
            offset = Offset::of_text(&text).ok_or_else(|| self.refuse(range, expected))?;
        }
        Ok(Value::Time { unit, time, offset })
    }
}

#[cfg(test)]
mod tests {
    use crate::rollup::model::language::{Condition, Value};

    #[test]
    fn an_argument_that_a_function_does_not_take_is_refused() {
        for (text, at, message) in [
            ("day()", 4, "expected a value"),
            ("day(a", 5, "expected ) after the last argument"),
            ("day(a, 1)", 7, "'+01:00'"),
            ("day(a, b)", 7, "'+01:00'"),
            ("day(a, '+1:00')", 7, "'+01:00'"),
            ("day(a, '+24:00')", 7, "'+01:00'"),
            ("day(a, '+01:00', b)", 15, "expected ) after the last argument"),
            ("day(a = 1)", 6, "expected ) after the last argument"),
            ("before(a)", 8, "expected , and the mark"),
            ("before(a, '')", 10, "not empty"),
            ("after(a, b)", 9, "not empty"),
            ("after(a, 1)", 9, "not empty"),
            ("lower(a, b)", 7, "expected ) after the last argument"),
            ("concat()", 7, "expected a value"),
            ("concat(a,)", 9, "expected a value"),
            ("round(a)", 7, "expected , and the decimals"),
            ("round(a, b)", 9, "from 0 to 30"),
            ("round(a, -1)", 9, "from 0 to 30"),
            ("round(a, 31)", 9, "from 0 to 30"),
            ("round(a, 2.0)", 9, "from 0 to 30"),
            ("round(a, '2')", 9, "from 0 to 30"),
            ("shard(a)", 7, "expected , and the number of shards"),
            ("shard(a, 1)", 9, "from 2 to 1000"),
            ("shard(a, 1001)", 9, "from 2 to 1000"),
            ("shard(a, 99999999999)", 9, "from 2 to 1000"),
            ("shard(a, n)", 9, "from 2 to 1000"),
            ("upper(a)", 0, "lower(value)"),
            ("a + substring(b, 1, 2)", 4, "before(value, 'mark')"),
            ("Name(a)", 0, "an attribute is written without parentheses"),
            ("size(a)", 7, "expected a comparison with a number"),
            ("contains(a, 'x')", 0, "expected a value, not a condition"),
        ] {
            let error = Value::parse(text).unwrap_err();
            assert_eq!(error.at(), at, "{text}: {error}");
            assert!(error.message().contains(message), "{text}: {error}");
        }
        for text in ["round(a, 0)", "round(a, 30)", "shard(a, 2)", "shard(a, 1000)", "day(a, '-23:59')", "year (a)"] {
            assert!(Value::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn an_argument_that_a_condition_does_not_take_is_refused() {
        for (text, at, message) in [
            ("begins_with(a)", 13, "expected , and the beginning"),
            ("begins_with(a, b)", 15, "expected the beginning as a text"),
            ("begins_with(a, 1)", 15, "expected the beginning as a text"),
            ("contains('x', 'y')", 9, "expected a path"),
            ("contains(lower(a), 'x')", 14, "expected , and a literal"),
            ("contains(a, b)", 12, "expected a literal"),
            ("attribute_exists('a')", 17, "expected a path"),
            ("attribute_exists(a, b)", 18, "expected )"),
            ("attribute_not_exists(1)", 21, "expected a path"),
            ("attribute_type(a)", 16, "expected , and the type"),
            ("attribute_type(a, 's')", 18, "one of 'S', 'N', 'B', 'BOOL', 'NULL', 'M', 'L', 'SS', 'NS', 'BS'"),
            ("attribute_type(a, S)", 18, "expected a type"),
            ("size(a)", 7, "expected a comparison with a number"),
            ("size(a) > b", 10, "expected a comparison with a number"),
            ("size(a) > '1'", 10, "expected a comparison with a number"),
            ("size(a) BETWEEN 1 AND 2", 8, "expected a comparison with a number"),
            ("size(lower(a)) > 1", 10, "expected )"),
            ("size('a') > 1", 5, "expected a path"),
            ("1 < size(a)", 11, "expected a comparison with a number"),
            ("lower(a)", 8, "expected =, <>"),
            ("begins_with(a, 'x') = true", 0, "expected a value, not a condition"),
            ("exists(a)", 0, "expected a function"),
        ] {
            let error = Condition::parse(text).unwrap_err();
            assert_eq!(error.at(), at, "{text}: {error}");
            assert!(error.message().contains(message), "{text}: {error}");
        }
    }
}
