//! Exact decimals, as DynamoDB has them: amounts that are added, and numbers that name a group.

use std::fmt;
use std::ops::{AddAssign, Neg};
use std::str::FromStr;

use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::Sign;

use crate::rollup::model::limits;

/// An exact decimal. Its text is canonical: plain digits, no exponent, no trailing zeros, never `-0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Number(BigDecimal);

/// The text is not a number that DynamoDB can hold: 38 significant digits, from 1e-130 to 9.99e125.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a number of up to 38 digits between 1e-130 and 9.99e125 in size: {0:?}")]
pub struct NumberError(String);

impl Number {
    /// Nothing: the number that a sum starts with.
    #[must_use]
    pub fn zero() -> Self {
        Self::default()
    }

    /// Whether adding this number changes nothing.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0.sign() == Sign::NoSign
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self(BigDecimal::from(value))
    }
}

impl FromStr for Number {
    type Err = NumberError;

    fn from_str(text: &str) -> Result<Self, NumberError> {
        let refuse = || NumberError(text.chars().take(64).collect());
        if text.len() > limits::NUMBER_TEXT_BYTES {
            return Err(refuse());
        }
        let value = BigDecimal::from_str(text).map_err(|_| refuse())?;
        // The exponent is looked at before anything is computed: an absurd one would cost memory by its size.
        let digits = i64::try_from(value.digits()).map_err(|_| refuse())?;
        let (_, scale) = value.as_bigint_and_exponent();
        let leading = digits.checked_sub(1).and_then(|d| d.checked_sub(scale)).ok_or_else(refuse)?;
        let zero = value.sign() == Sign::NoSign;
        if zero {
            return Ok(Self::zero());
        }
        if !(limits::NUMBER_MIN_EXPONENT..=limits::NUMBER_MAX_EXPONENT).contains(&leading) {
            return Err(refuse());
        }
        let value = value.normalized();
        if value.digits() > limits::NUMBER_DIGITS {
            return Err(refuse());
        }
        Ok(Self(value))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_plain_string())
    }
}

impl AddAssign<&Number> for Number {
    fn add_assign(&mut self, other: &Number) {
        self.0 += &other.0;
        // A whole number has one text as it is; to normalise it costs more than to add it.
        if self.0.fractional_digit_count() != 0 {
            self.0 = self.0.normalized();
        }
    }
}

impl Neg for Number {
    type Output = Number;

    fn neg(self) -> Number {
        Number(-self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        text.parse::<Number>().map_or_else(|e| e.to_string(), |n| n.to_string())
    }

    #[test]
    fn one_number_has_one_text() {
        for (text, expected) in [
            ("1", "1"),
            ("1.0", "1"),
            ("001", "1"),
            ("+1", "1"),
            ("-0", "0"),
            ("0.00", "0"),
            ("1e3", "1000"),
            ("1.50E1", "15"),
            ("-2.50", "-2.5"),
            ("0.001", "0.001"),
            ("12345678901234567890123456789012345678", "12345678901234567890123456789012345678"),
        ] {
            assert_eq!(canonical(text), expected, "{text}");
        }
        assert_eq!(canonical("1e125").len(), 126);
        assert_eq!(canonical("1e-130").len(), 132);
    }

    #[test]
    fn what_dynamodb_cannot_hold_is_refused() {
        let nines = "9".repeat(39);
        let long = "1".repeat(100_000);
        for text in [
            "",
            "abc",
            "NaN",
            "inf",
            "1e126",
            "1e-131",
            "1e999999999",
            "1e-999999999",
            "1e99999999999999999999",
            "0x1",
            "1 ",
            &nines,
            &long,
        ] {
            assert!(text.parse::<Number>().is_err(), "{text:.40}");
        }
    }

    #[test]
    fn a_text_is_read_up_to_its_limit() {
        let of = |bytes: usize| format!("{}1", "0".repeat(bytes - 1)).parse::<Number>();
        assert_eq!(of(512), Ok(Number::from(1)));
        assert!(of(513).is_err());
    }

    #[test]
    fn a_sum_has_the_text_of_its_number() {
        for (one, other, sum) in [
            ("999", "1", "1000"),
            ("0.5", "0.5", "1"),
            ("1.25", "0.25", "1.5"),
            ("1e20", "1", "100000000000000000001"),
            ("1e20", "-1e20", "0"),
            ("0.5", "-0.5", "0"),
            ("-10", "-90", "-100"),
        ] {
            let mut found: Number = one.parse().unwrap();
            found += &other.parse().unwrap();
            assert_eq!((found.to_string().as_str(), &found), (sum, &sum.parse().unwrap()), "{one} + {other}");
        }
        assert_eq!(Number::from(100), "1e2".parse().unwrap());
    }

    #[test]
    fn sums_are_exact() {
        let mut sum = Number::zero();
        for text in
            ["0.1", "0.2", "-0.3", "12345678901234567890123456789012345678", "-12345678901234567890123456789012345678"]
        {
            sum += &text.parse().unwrap_or_default();
        }
        assert!(sum.is_zero());
        assert_eq!((-Number::from(5)).to_string(), "-5");
    }
}
