//! Exact decimals, as DynamoDB has them: amounts that are added, and numbers that name a group.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::ops::{Add, AddAssign, Mul, Neg, Sub};
use std::str::FromStr;

use bigdecimal::num_bigint::Sign;
use bigdecimal::{BigDecimal, RoundingMode, ToPrimitive};

use crate::rollup::model::limits;

/// An exact decimal. Its text is canonical: plain digits, no exponent, no trailing zeros, never `-0`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Number(Form);

/// A number has one form: nearly every amount is a small integer, which needs no memory of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Form {
    /// Every integer of 64 bits.
    Small(i64),
    /// Any other number.
    Large(Box<BigDecimal>),
}

/// The text is not a number that DynamoDB can hold: 38 significant digits, from 1e-130 to 9.99e125.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a number of up to 38 digits between 1e-130 and 9.99e125 in size: {0:?}")]
pub struct NumberError(String);

impl Number {
    /// Zero: the number that a sum starts with.
    #[must_use]
    pub const fn zero() -> Self {
        Self(Form::Small(0))
    }

    /// Whether adding this number changes nothing.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0 == Form::Small(0)
    }

    /// The number rounded to at most so many decimals, half to even.
    #[must_use]
    pub fn rounded(&self, decimals: u32) -> Self {
        match &self.0 {
            Form::Large(value) if value.fractional_digit_count() > i64::from(decimals) => {
                value.with_scale_round(i64::from(decimals), RoundingMode::HalfEven).into()
            }
            _ => self.clone(),
        }
    }

    /// The largest whole number that is not above this one; `None` outside of 64 bits.
    #[must_use]
    pub fn floor(&self) -> Option<i64> {
        match &self.0 {
            Form::Small(value) => Some(*value),
            // The size is looked at before anything is computed.
            Form::Large(value) if self.whole_digits() <= SMALL_DIGITS => {
                value.with_scale_round(0, RoundingMode::Floor).to_i64()
            }
            Form::Large(_) => None,
        }
    }

    /// The number as an integer of 64 bits, if it is one.
    #[must_use]
    pub fn to_i64(&self) -> Option<i64> {
        match self.0 {
            Form::Small(value) => Some(value),
            Form::Large(_) => None,
        }
    }

    /// How many digits the number has before the point; 0 for a number below one.
    #[must_use]
    pub fn whole_digits(&self) -> u64 {
        match &self.0 {
            Form::Small(value) => value.unsigned_abs().checked_ilog10().map_or(0, |exponent| u64::from(exponent) + 1),
            Form::Large(value) => whole_digits(value),
        }
    }

    /// How many digits the number has after the point.
    #[must_use]
    pub fn decimals(&self) -> u64 {
        match &self.0 {
            Form::Small(_) => 0,
            Form::Large(value) => u64::try_from(value.fractional_digit_count()).unwrap_or(0),
        }
    }

    /// Whether DynamoDB can hold the number. The result of arithmetic may be too long for it.
    #[must_use]
    pub fn is_storable(&self) -> bool {
        match &self.0 {
            Form::Small(_) => true,
            Form::Large(value) => is_in_range(value) && value.normalized().digits() <= limits::NUMBER_DIGITS,
        }
    }

    /// The number as the decimal library has it.
    fn decimal(&self) -> Cow<'_, BigDecimal> {
        match &self.0 {
            Form::Small(value) => Cow::Owned(BigDecimal::from(*value)),
            Form::Large(value) => Cow::Borrowed(value),
        }
    }

    /// The result of an operation that is done on integers where it can be.
    fn combined(
        &self,
        other: &Self,
        of_small: impl Fn(i64, i64) -> Option<i64>,
        of_any: impl Fn(&BigDecimal, &BigDecimal) -> BigDecimal,
    ) -> Self {
        if let (Form::Small(one), Form::Small(other)) = (&self.0, &other.0)
            && let Some(result) = of_small(*one, *other)
        {
            return Self(Form::Small(result));
        }
        of_any(&self.decimal(), &other.decimal()).into()
    }
}

/// The most digits of an integer of 64 bits.
const SMALL_DIGITS: u64 = 19;

/// The power of ten of the first digit.
fn leading_exponent(value: &BigDecimal) -> Option<i64> {
    let digits = i64::try_from(value.digits()).ok()?;
    digits.checked_sub(1)?.checked_sub(value.fractional_digit_count())
}

/// How many digits a number that is not zero has before the point.
fn whole_digits(value: &BigDecimal) -> u64 {
    leading_exponent(value).and_then(|exponent| u64::try_from(exponent.saturating_add(1)).ok()).unwrap_or(0)
}

fn is_in_range(value: &BigDecimal) -> bool {
    let range = limits::NUMBER_MIN_EXPONENT..=limits::NUMBER_MAX_EXPONENT;
    leading_exponent(value).is_some_and(|exponent| range.contains(&exponent))
}

/// Whether a text is a number as DynamoDB writes one: a sign, digits with a point among them, and an exponent. The
/// decimal library reads more, such as `1_000`.
#[must_use]
pub fn is_decimal(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (number, exponent) = text.split_once(['e', 'E']).map_or((text, None), |(number, e)| (number, Some(e)));
    let (significand, exponent) = (without_sign(number), exponent.map(without_sign));
    let (whole, fraction) = significand.split_once('.').unwrap_or((significand, ""));
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}

fn without_sign(text: &str) -> &str {
    text.strip_prefix(['+', '-']).unwrap_or(text)
}

impl Default for Number {
    fn default() -> Self {
        Self::zero()
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self(Form::Small(value))
    }
}

impl From<BigDecimal> for Number {
    fn from(value: BigDecimal) -> Self {
        let value = value.normalized();
        // The size is looked at before anything is computed.
        let small =
            (value.fractional_digit_count() <= 0 && whole_digits(&value) <= SMALL_DIGITS).then(|| value.to_i64());
        Self(small.flatten().map_or_else(|| Form::Large(Box::new(value)), Form::Small))
    }
}

impl FromStr for Number {
    type Err = NumberError;

    fn from_str(text: &str) -> Result<Self, NumberError> {
        let refuse = || NumberError(text.chars().take(64).collect());
        if text.len() > limits::NUMBER_TEXT_BYTES || !is_decimal(text) {
            return Err(refuse());
        }
        if let Ok(small) = text.parse() {
            return Ok(Self(Form::Small(small)));
        }
        let value = BigDecimal::from_str(text).map_err(|_| refuse())?;
        if value.sign() == Sign::NoSign {
            return Ok(Self::zero());
        }
        // The exponent is looked at before anything is computed: an absurd one would cost memory by its size.
        if !is_in_range(&value) {
            return Err(refuse());
        }
        let value = value.normalized();
        if value.digits() > limits::NUMBER_DIGITS {
            return Err(refuse());
        }
        Ok(value.into())
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Small(value) => fmt::Display::fmt(value, f),
            Form::Large(value) => f.write_str(&value.to_plain_string()),
        }
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Form::Small(one), Form::Small(other)) => one.cmp(other),
            _ => self.decimal().cmp(&other.decimal()),
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl AddAssign<&Number> for Number {
    fn add_assign(&mut self, other: &Number) {
        *self = &*self + other;
    }
}

impl Add for &Number {
    type Output = Number;

    fn add(self, other: &Number) -> Number {
        self.combined(other, i64::checked_add, |one, other| one + other)
    }
}

impl Sub for &Number {
    type Output = Number;

    fn sub(self, other: &Number) -> Number {
        self.combined(other, i64::checked_sub, |one, other| one - other)
    }
}

impl Mul for &Number {
    type Output = Number;

    fn mul(self, other: &Number) -> Number {
        self.combined(other, i64::checked_mul, |one, other| one * other)
    }
}

impl Neg for Number {
    type Output = Number;

    fn neg(self) -> Number {
        &Number::zero() - &self
    }
}

#[cfg(test)]
mod tests;
