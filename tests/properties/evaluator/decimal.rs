//! Decimal numbers of any length: digits and a power of ten.

use std::cmp::Ordering;
use std::fmt;

use bigdecimal::num_bigint::{BigInt, Sign};

/// `digits / 10^scale`, without zeros at the end, so that equal numbers are equal values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decimal {
    digits: BigInt,
    scale: i64,
}

fn power_of_ten(exponent: i64) -> BigInt {
    BigInt::from(10).pow(u32::try_from(exponent).unwrap())
}

impl Decimal {
    fn new(digits: impl Into<BigInt>, scale: i64) -> Self {
        let text = digits.into().to_string();
        let kept = text.trim_end_matches('0');
        if kept.is_empty() {
            return Self { digits: BigInt::ZERO, scale: 0 };
        }
        let zeros = i64::try_from(text.len() - kept.len()).unwrap();
        Self { digits: kept.parse().unwrap(), scale: scale - zeros }
    }

    pub fn one() -> Self {
        Self::new(1, 0)
    }

    /// Reads digits with a sign, a point and an exponent, or without.
    pub fn read(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (text, 0),
        };
        let (negative, unsigned) = match mantissa.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
        };
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let all = format!("{whole}{fraction}");
        if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let digits: BigInt = all.parse().ok()?;
        let scale = i64::try_from(fraction.len()).ok()? - exponent;
        Some(Self::new(if negative { -digits } else { digits }, scale))
    }

    /// Both as whole numbers of one power of ten.
    fn aligned(&self, other: &Self) -> (BigInt, BigInt, i64) {
        let scale = self.scale.max(other.scale);
        let widened = |number: &Self| &number.digits * power_of_ten(scale - number.scale);
        (widened(self), widened(other), scale)
    }

    pub fn plus(&self, other: &Self) -> Self {
        let (left, right, scale) = self.aligned(other);
        Self::new(left + right, scale)
    }

    pub fn minus(&self, other: &Self) -> Self {
        self.plus(&other.negated())
    }

    pub fn times(&self, other: &Self) -> Self {
        Self::new(&self.digits * &other.digits, self.scale + other.scale)
    }

    pub fn negated(&self) -> Self {
        Self::new(-&self.digits, self.scale)
    }

    /// Rounded to so many decimals; a tie goes to the even digit.
    pub fn rounded(&self, decimals: i64) -> Self {
        if self.scale <= decimals {
            return self.clone();
        }
        let unit = power_of_ten(self.scale - decimals);
        let magnitude = BigInt::from(self.digits.magnitude().clone());
        let (quotient, rest) = (&magnitude / &unit, &magnitude % &unit);
        let up = match (BigInt::from(2) * rest).cmp(&unit) {
            Ordering::Less => false,
            Ordering::Equal => &quotient % BigInt::from(2) == BigInt::from(1),
            Ordering::Greater => true,
        };
        let rounded = if up { quotient + BigInt::from(1) } else { quotient };
        Self::new(if self.digits.sign() == Sign::Minus { -rounded } else { rounded }, decimals)
    }

    /// The whole number that is not greater.
    pub fn floor(&self) -> BigInt {
        if self.scale <= 0 {
            return &self.digits * power_of_ten(-self.scale);
        }
        let unit = power_of_ten(self.scale);
        let (quotient, rest) = (&self.digits / &unit, &self.digits % &unit);
        if rest.sign() == Sign::Minus { quotient - BigInt::from(1) } else { quotient }
    }

    /// Digits before the point; none of a number between -1 and 1.
    pub fn whole_digits(&self) -> i64 {
        let digits = self.digits.magnitude().to_string().len();
        if self.is_zero() { 0 } else { (i64::try_from(digits).unwrap() - self.scale).max(0) }
    }

    pub fn is_zero(&self) -> bool {
        self.digits == BigInt::ZERO
    }

    /// Whether DynamoDB can hold it: 38 digits, and a magnitude from 1E-130 to 9.9E+125.
    pub fn fits_into_dynamodb(&self) -> bool {
        let digits = i64::try_from(self.digits.magnitude().to_string().len()).unwrap();
        let exponent = digits - 1 - self.scale;
        self.is_zero() || (digits <= 38 && (-130..=125).contains(&exponent))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let (left, right, _) = self.aligned(other);
        left.cmp(&right)
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The canonical text: no exponent, no zeros that say nothing.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.digits.sign() == Sign::Minus { "-" } else { "" };
        let digits = self.digits.magnitude().to_string();
        if self.scale <= 0 {
            return write!(f, "{sign}{digits}{}", "0".repeat(usize::try_from(-self.scale).unwrap()));
        }
        let scale = usize::try_from(self.scale).unwrap();
        let padded = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = padded.split_at(padded.len() - scale);
        write!(f, "{sign}{whole}.{fraction}")
    }
}

#[test]
fn decimals_are_those_of_paper() {
    let number = |text: &str| Decimal::read(text).unwrap();
    for (text, canonical) in [
        ("007", "7"),
        ("-0.0", "0"),
        ("1E3", "1000"),
        ("2.50", "2.5"),
        ("-1.5e-3", "-0.0015"),
        (".5", "0.5"),
        ("5.", "5"),
        ("+3", "3"),
    ] {
        assert_eq!(number(text).to_string(), canonical, "{text}");
    }
    assert_eq!(["", ".", "-", "1_0", "e1", "1e", "NaN"].map(Decimal::read), [const { None }; 7]);
    for (text, decimals, rounded) in [
        ("0.5", 0, "0"),
        ("1.5", 0, "2"),
        ("-2.5", 0, "-2"),
        ("2.51", 0, "3"),
        ("-0.125", 2, "-0.12"),
        ("15", -1, "20"),
    ] {
        assert_eq!(number(text).rounded(decimals), number(rounded), "{text} to {decimals}");
    }
    assert_eq!(number("-1.5").floor(), BigInt::from(-2));
    assert_eq!(["0.9", "1", "-99.9", "1e12", "0"].map(|text| number(text).whole_digits()), [0, 1, 2, 13, 0]);
    assert_eq!(
        ["1e125", "9.9e125", "1e126", "1e-130", "1e-131", "1.1e-130"].map(|text| number(text).fits_into_dynamodb()),
        [true, true, false, true, false, true]
    );
    assert!(number("-1") < number("0.5") && number("1e2") > number("99"));
}
