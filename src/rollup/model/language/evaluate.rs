//! The value of an expression for one item.

use std::borrow::Cow;

use crate::rollup::model::language::arithmetic::Quantity;
use crate::rollup::model::language::datum::{Datum, TextDatum};
use crate::rollup::model::language::syntax::{Literal, Path, Sign, Step, Value};
use crate::rollup::model::language::{COMPUTED_TEXT_BYTES, shard, time};
use crate::rollup::{AttributeValue, Item};

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
    /// The value of the expression for one item, if it has one.
    #[must_use]
    pub fn of<'a>(&'a self, item: &'a Item) -> Option<Datum<'a>> {
        match self {
            Self::Path(path) => path.of(item).map(Datum::of_attribute),
            Self::Literal(literal) => Some(literal.datum()),
            Self::Sum(first, rest) => {
                let first = Quantity::of(first, item)?;
                let sum = rest.iter().try_fold(first, |sum, (sign, value)| {
                    let operand = Quantity::of(value, item)?;
                    Some(sum.with(operand, |sum, operand| match sign {
                        Sign::Plus => sum + operand,
                        Sign::Minus => sum - operand,
                    }))
                });
                sum.map(Quantity::into_datum)
            }
            Self::Product(factors) => {
                let mut factors = factors.iter().map(|factor| Quantity::of(factor, item));
                let first = factors.next()??;
                let product = factors.try_fold(first, |product, factor| Some(product.with(factor?, |a, b| a * b)));
                product.map(Quantity::into_datum)
            }
            Self::Negative(value) => {
                Quantity::of(value, item).map(|operand| operand.map(|number| -number).into_datum())
            }
            Self::Round(value, decimals) => {
                Quantity::of(value, item).map(|operand| operand.map(|number| number.rounded(*decimals)).into_datum())
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

/// Joins values into one text. If one part has no value, the text has none. That is only known when all parts have been
/// evaluated, so nothing more is added to a text that is already out of bounds.
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn item() -> Item {
        serde_json::from_value(json!({
            "SK": {"S": "ORDER#2026#7"}, "Name": {"S": "\u{c4}pfel STRASSE"}, "Empty": {"S": ""},
            "Price": {"N": "2.50"}, "Quantity": {"N": "3"}, "Zero": {"N": "-0.0"}, "Large": {"N": "1e3"},
            "Max": {"N": "9e125"}, "Min": {"N": "1e-130"}, "Bad": {"N": "1e999"}, "NoNumber": {"N": "1_000"},
            "Yes": {"BOOL": true}, "No": {"BOOL": false}, "Nothing": {"NULL": true},
            "B": {"B": "AQID"}, "L": {"L": [{"N": "4"}, {"S": "x"}]}, "M": {"M": {"a b": {"L": [{"N": "1"}]}}},
            "At": {"S": "2026-03-05T23:07:00Z"}, "Epoch": {"N": "1772752020"}, "Long": {"S": "x".repeat(300_000)}
        }))
        .unwrap()
    }

    /// The value as a text of a test, by which its type can be told.
    fn shown(value: Option<Datum<'_>>) -> String {
        match value {
            None => "none".to_owned(),
            Some(Datum::Text(text)) => format!("'{text}'"),
            Some(Datum::Number(number)) => number.to_string(),
            Some(Datum::Bool(value)) => value.to_string(),
            Some(Datum::Bytes(bytes)) => format!("{bytes:?}"),
            Some(Datum::Null) => "NULL".to_owned(),
            Some(Datum::Document(_)) => "document".to_owned(),
            Some(Datum::OutOfBounds) => "out of bounds".to_owned(),
        }
    }

    fn give(table: &[(&str, &str)]) {
        let item = item();
        for (text, expected) in table {
            let value = Value::parse(text).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(shown(value.of(&item)), *expected, "{text}");
            assert_eq!(Value::parse(&value.to_string()).as_ref(), Ok(&value), "{text}");
        }
    }

    #[test]
    fn a_path_or_a_literal_is_a_value_of_its_type() {
        give(&[
            ("SK", "'ORDER#2026#7'"),
            ("Price", "2.5"),
            ("Zero", "0"),
            ("Large", "1000"),
            ("Bad", "out of bounds"),
            ("NoNumber", "NULL"),
            ("Yes", "true"),
            ("Nothing", "NULL"),
            ("B", "[1, 2, 3]"),
            ("L", "document"),
            ("L[0]", "4"),
            ("L [ 1 ]", "'x'"),
            ("L[2]", "none"),
            ("M.`a b`[0]", "1"),
            ("M[0]", "none"),
            ("M.in.where", "none"),
            ("L.x", "none"),
            ("SK.x", "none"),
            ("Absent", "none"),
            ("'it''s'", "'it's'"),
            ("-5.50", "-5.5"),
            ("+1e3", "1000"),
            ("TRUE", "true"),
            ("False", "false"),
        ]);
    }

    #[test]
    fn arithmetic_is_exact_and_of_numbers_alone() {
        give(&[
            ("Price * Quantity", "7.5"),
            ("Price * Quantity - 0.1 + .2", "7.6"),
            ("1 - 2 - 3", "-4"),
            ("1 - (2 - 3)", "2"),
            ("2 * (3 + 4) * 5", "70"),
            ("2 + 3 * 4", "14"),
            ("-Price", "-2.5"),
            ("- -5", "5"),
            ("-(5)", "-5"),
            ("--Price", "2.5"),
            ("-2 * -3", "6"),
            ("1 -1", "0"),
            ("Max + Min - Max - Min", "0"),
            ("Max + 1 - Max", "1"),
            ("Price + Absent", "none"),
            ("Price * Nothing", "none"),
            ("Price * SK", "none"),
            ("Price + '1'", "none"),
            ("-Yes", "none"),
            ("L + 1", "none"),
            ("Bad + 1", "out of bounds"),
            ("Bad * Absent", "none"),
            ("Absent * Bad", "none"),
            ("-Bad", "out of bounds"),
            ("round(Price, 0)", "2"),
            ("round(Price + 1, 0)", "4"),
            ("round(-Price, 0)", "-2"),
            ("round(1.23456, 3)", "1.235"),
            ("round(SK, 2)", "none"),
            ("round(Bad, 2)", "out of bounds"),
            ("round(Min, 30)", "0"),
        ]);
    }

    #[test]
    fn functions_of_texts() {
        give(&[
            ("before(SK, '#')", "'ORDER'"),
            ("after(SK, '#')", "'2026#7'"),
            ("AFTER(after(SK, '#'), '#')", "'7'"),
            ("before(SK, '|')", "none"),
            ("after(SK, '#7')", "''"),
            ("before(SK, 'ORDER')", "''"),
            ("before(lower(SK), '#')", "'order'"),
            ("before(lower(SK), 'R')", "none"),
            ("before(Price, '.')", "none"),
            ("after(Nothing, 'x')", "none"),
            ("after(Bad, 'x')", "out of bounds"),
            ("lower(Name)", "'\u{e4}pfel strasse'"),
            ("lower(Yes)", "none"),
            ("lower(Absent)", "none"),
            ("lower(Bad)", "out of bounds"),
            ("concat(SK)", "'ORDER#2026#7'"),
            ("concat(before(SK, '#'), ':', Large, ':', Yes, Empty)", "'ORDER:1000:true'"),
            ("concat(SK, Absent)", "none"),
            ("concat(SK, Nothing)", "none"),
            ("concat(SK, B)", "none"),
            ("concat(SK, L)", "none"),
            ("concat(Bad, SK)", "out of bounds"),
            ("concat(Bad, Absent)", "none"),
            ("concat(Long, Long)", "out of bounds"),
            ("concat(Long, Long, Absent)", "none"),
            ("before(concat(Long, Long), 'x')", "out of bounds"),
        ]);
    }

    #[test]
    fn a_time_has_a_part_and_what_is_none_has_not() {
        give(&[
            ("minute(At)", "'2026-03-05T23:07'"),
            ("Hour(At)", "'2026-03-05T23'"),
            ("DAY(At)", "'2026-03-05'"),
            ("day(At, '+01:00')", "'2026-03-06'"),
            ("day(At, '-00:00')", "'2026-03-05'"),
            ("day(Epoch)", "'2026-03-05'"),
            ("day(Epoch * 1000)", "'2026-03-05'"),
            ("week(At)", "'2026-W10'"),
            ("month(At)", "'2026-03'"),
            ("year(At)", "'2026'"),
            ("year(after(concat('x#', At), '#'))", "'2026'"),
            ("year('2020-01-01')", "'2020'"),
            ("year(SK)", "none"),
            ("year(Absent)", "none"),
            ("year(Yes)", "none"),
            ("year(Nothing)", "none"),
            ("year(Max)", "none"),
            ("year(Bad)", "none"),
        ]);
    }

    #[test]
    fn a_shard_is_of_the_text_of_a_value() {
        give(&[
            ("shard('USER#1', 10)", "'9'"),
            ("shard(Large, 1000)", "'77'"),
            ("shard('1000', 1000)", "'77'"),
            ("shard(Yes, 10)", "'9'"),
            ("shard('', 2)", "'0'"),
            ("shard(Absent, 2)", "none"),
            ("shard(L, 2)", "none"),
            ("shard(B, 2)", "none"),
            ("shard(Bad, 2)", "out of bounds"),
        ]);
    }

    #[test]
    fn what_stands_in_the_item_is_not_copied() {
        let item = item();
        for text in ["SK", "before(SK, '#')", "after(after(SK, '#'), '#')"] {
            let value = Value::parse(text).unwrap();
            assert!(matches!(value.of(&item), Some(Datum::Text(Cow::Borrowed(_)))), "{text}");
        }
    }

    #[test]
    fn an_expression_tells_what_it_reads() {
        let value = Value::parse("concat(B.x, lower(A), day(C[0]), 'D', shard(round(-A * (B + 1), 2), 2))").unwrap();
        let paths: Vec<String> = value.paths().into_iter().map(ToString::to_string).collect();
        assert_eq!(paths, ["B.x", "A", "C[0]", "A", "B"]);
        assert_eq!(value.reads().into_iter().collect::<Vec<_>>(), ["A", "B", "C"]);
    }
}
