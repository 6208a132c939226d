//! Exact arithmetic that cannot grow without bounds.

use crate::rollup::Item;
use crate::rollup::model::language::ARITHMETIC_DIGITS;
use crate::rollup::model::language::datum::Datum;
use crate::rollup::model::language::syntax::Value;
use crate::rollup::model::number::Number;

/// A number in arithmetic, within bounds or not.
pub(super) enum Quantity {
    Number(Number),
    OutOfBounds,
}

impl Quantity {
    pub(super) fn of(value: &Value, item: &Item) -> Option<Self> {
        match value.of(item)? {
            Datum::Number(number) => Some(Self::Number(number)),
            Datum::OutOfBounds => Some(Self::OutOfBounds),
            _ => None,
        }
    }

    pub(super) fn map(self, step: impl FnOnce(Number) -> Number) -> Self {
        match self {
            Self::Number(number) => Self::Number(step(number)),
            Self::OutOfBounds => Self::OutOfBounds,
        }
    }

    /// One step of arithmetic. Each result is looked at, so that none grows from step to step.
    pub(super) fn with(self, other: Self, step: impl FnOnce(&Number, &Number) -> Number) -> Self {
        let (Self::Number(one), Self::Number(other)) = (self, other) else { return Self::OutOfBounds };
        let result = step(&one, &other);
        let bounded = result.whole_digits() <= ARITHMETIC_DIGITS && result.decimals() <= ARITHMETIC_DIGITS;
        if bounded { Self::Number(result) } else { Self::OutOfBounds }
    }

    pub(super) fn into_datum<'a>(self) -> Datum<'a> {
        match self {
            Self::Number(number) => Datum::Number(number),
            Self::OutOfBounds => Datum::OutOfBounds,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_result_stays_within_its_digits() {
        let product = |name: &str, times: usize| vec![name; times].join(" * ");
        let item: Item =
            serde_json::from_value(json!({"Max": {"N": "9e125"}, "Min": {"N": "1e-130"}, "Zero": {"N": "0"}})).unwrap();
        let (large, small) = (product("Max", 16), product("Min", 15));
        for (text, bounded) in [
            (large.clone(), true),
            (format!("{large} * Max"), false),
            (format!("{large} * Max * Zero"), false),
            (small.clone(), true),
            (format!("{small} * Min"), false),
            (format!("({large}) * ({large})"), false),
            (format!("{large} + {small}"), true),
            (product("Max", 500), false),
            (vec!["Max * Max * Min"; 200].join(" - "), true),
        ] {
            let value = Value::parse(&text).unwrap();
            assert_eq!(matches!(value.of(&item), Some(Datum::Number(_))), bounded, "{text}");
            assert_eq!(value.of(&item) == Some(Datum::OutOfBounds), !bounded, "{text}");
        }
    }
}
