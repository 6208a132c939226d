//! How many digits an amount may have.

use crate::rollup::model::language::syntax::Value;
use crate::rollup::model::language::{AMOUNT_DECIMALS, AMOUNT_DIGITS};
use crate::rollup::model::number::Number;

/// The item has an amount that the view cannot count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the amount is out of bounds: rounded to {decimals} decimals it may have {whole_digits} digits before the point"
)]
pub struct UncountableAmount {
    /// The decimals that an amount of this measure is rounded to.
    pub decimals: u32,
    /// The digits before the point that it may have.
    pub whole_digits: u32,
}

/// How many digits an amount may have on each side of the point.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    decimals: u32,
}

impl Window {
    pub(super) const USUAL: Self = Self { decimals: AMOUNT_DECIMALS };

    /// The default window, or that of `round` if the whole amount is rounded.
    pub(super) fn of(value: &Value) -> Self {
        if let Value::Round(_, decimals) = value { Self { decimals: *decimals } } else { Self::USUAL }
    }

    /// Rounds an exact number to an amount.
    pub(super) fn amount(self, number: &Number) -> Result<Number, UncountableAmount> {
        let amount = number.rounded(self.decimals);
        let fits = amount.whole_digits() <= u64::from(self.whole_digits());
        if fits { Ok(amount) } else { Err(self.exceeded()) }
    }

    pub(super) fn exceeded(self) -> UncountableAmount {
        UncountableAmount { decimals: self.decimals, whole_digits: self.whole_digits() }
    }

    fn whole_digits(self) -> u32 {
        AMOUNT_DIGITS - self.decimals
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rollup::Item;
    use crate::rollup::model::language::{Amounts, MeasureExpression};

    #[test]
    fn an_amount_is_rounded_and_has_bounds() {
        let item: Item = serde_json::from_value(json!({
            "Plan": {"S": "pro"}, "Bad": {"N": "1e999"}, "NoNumber": {"N": "1_000"}, "L": {"L": []}, "Tiny": {"N": "1e-130"},
            "E12": {"N": "9999999999999"}, "E13": {"N": "10000000000000"},
            "Nines": {"N": "9999999999999.99999999999999999"}, "Over": {"N": "9999999999999.999999999999999999"}
        }))
        .unwrap();
        for (text, expected) in [
            ("sum E12", "9999999999999"),
            ("sum -E12", "-9999999999999"),
            ("sum E13", "uncountable 13.17"),
            ("sum -E13", "uncountable 13.17"),
            ("sum E13 - E13", "0"),
            ("sum Nines", "9999999999999.99999999999999999"),
            ("sum Over", "uncountable 13.17"),
            ("sum Tiny", "0"),
            ("sum 0.000000000000000005", "0"),
            ("sum 0.000000000000000015", "0.00000000000000002"),
            ("sum 0.000000000000000025", "0.00000000000000002"),
            ("sum 0.0000000000000000251", "0.00000000000000003"),
            ("sum round(E13, 2)", "10000000000000"),
            ("sum round(0.125, 2)", "0.12"),
            ("sum round(1e27 * 9, 2)", "9000000000000000000000000000"),
            ("sum round(1e28, 2)", "uncountable 28.2"),
            ("sum round(9999999999999999999999999999.994, 2)", "9999999999999999999999999999.99"),
            ("sum round(9999999999999999999999999999.995, 2)", "uncountable 28.2"),
            ("sum round(1e29, 0)", "100000000000000000000000000000"),
            ("sum round(1e30, 0)", "uncountable 30.0"),
            ("sum round(Tiny, 30)", "0"),
            ("sum round(1.5, 18)", "1.5"),
            ("sum round(0.1234567890123456785, 18)", "0.123456789012345678"),
            ("sum round(0.5, 30)", "0.5"),
            ("sum round(1, 30)", "uncountable 0.30"),
            ("sum round(E13, 2) * 1", "uncountable 13.17"),
            ("sum -round(E13, 2)", "uncountable 13.17"),
            ("sum E13 by Absent", "uncountable 13.17"),
            ("sum E13 by each L", "uncountable 13.17"),
            ("sum E13 where Plan = 'free'", ""),
            ("sum Bad", "uncountable 13.17"),
            ("sum NoNumber", ""),
            ("sum round(Bad, 2)", "uncountable 28.2"),
            ("sum Bad * Absent", ""),
        ] {
            let measure = MeasureExpression::parse(text).unwrap();
            let found = match measure.of(&item) {
                Err(UncountableAmount { decimals, whole_digits }) => format!("uncountable {whole_digits}.{decimals}"),
                Ok(Amounts { amounts, .. }) => {
                    amounts.first().map(|(_, amount)| amount.to_string()).unwrap_or_default()
                }
            };
            assert_eq!(found, expected, "{text}");
        }
    }
}
