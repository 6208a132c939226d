//! Exact decimals of up to 38 digits.

use ddb_rollup::rollup::model::number::Number;
use proptest::prelude::*;

use crate::cases;

/// A number's sign, its significant digits, and the power of ten of the last of them.
#[derive(Debug, Clone)]
struct Made {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Made {
    /// As DynamoDB may write it: plain or with an exponent, with zeros that mean nothing.
    fn texts(&self) -> Vec<String> {
        let Self { negative, digits, exponent } = self;
        let sign = if *negative { "-" } else { "" };
        let (first, rest) = digits.split_at(1);
        let scientific = exponent + i64::try_from(rest.len()).unwrap();
        vec![
            format!("{sign}{digits}e{exponent}"),
            format!("{sign}{digits}E{exponent:+}"),
            format!("{sign}{first}.{rest}0e{scientific}"),
            format!("{sign}000{digits}.000e{exponent}"),
            format!("{sign}0.{digits}e{}", scientific + 1),
            self.plain(),
        ]
    }

    /// Plain digits, without a zero that means nothing.
    fn plain(&self) -> String {
        let digits = self.digits.trim_start_matches('0');
        let significant = digits.trim_end_matches('0');
        if significant.is_empty() {
            return "0".to_owned();
        }
        let exponent = self.exponent + i64::try_from(digits.len() - significant.len()).unwrap();
        let text = if let Ok(zeros) = usize::try_from(exponent) {
            format!("{significant}{}", "0".repeat(zeros))
        } else {
            let places = usize::try_from(-exponent).unwrap();
            let padded = format!("{significant:0>width$}", width = places + 1);
            let (whole, fraction) = padded.split_at(padded.len() - places);
            format!("{whole}.{fraction}")
        };
        format!("{}{text}", if self.negative { "-" } else { "" })
    }
}

/// Any number that DynamoDB can hold.
fn made() -> impl Strategy<Value = Made> {
    (any::<bool>(), "[0-9]{1,38}", -130..=125_i64).prop_map(|(negative, digits, leading)| {
        // The exponent is that of the leading digit that is not zero.
        let significant = i64::try_from(digits.trim_start_matches('0').len().max(1)).unwrap();
        Made { negative, digits, exponent: leading - significant + 1 }
    })
}

/// A number of up to 19 digits and two decimals, as an integer of hundredths.
fn hundredths(hundredths: i64) -> Number {
    format!("{hundredths}e-2").parse().unwrap()
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn one_value_has_one_text_however_it_is_written(made in made()) {
        for text in made.texts() {
            let number: Number = text.parse().unwrap();
            prop_assert_eq!(number.to_string(), made.plain(), "{}", text);
            prop_assert_eq!(&number.to_string().parse::<Number>().unwrap(), &number, "the text is read as the number");
            prop_assert_eq!(number.is_zero(), made.plain() == "0");
        }
    }

    #[test]
    fn one_digit_more_or_a_size_out_of_bounds_is_refused(made in made(), last in 1..=9_u8, out in 1..400_i64) {
        let digits = format!("1{:0<37}{last}", made.digits.chars().take(37).collect::<String>());
        prop_assert_eq!(digits.len(), 39);
        prop_assert!(digits.parse::<Number>().is_err(), "39 digits");
        let (large, small) = (format!("{last}e{}", 125 + out), format!("{last}e{}", -130 - out));
        prop_assert!(large.parse::<Number>().is_err() && small.parse::<Number>().is_err());
        let is_zero = format!("0e{out}").parse::<Number>().unwrap().is_zero();
        prop_assert!(is_zero, "a zero has no size");
    }

    #[test]
    fn sums_are_exact_and_come_to_the_same_in_any_order(amounts in prop::collection::vec(-1_000_000_000_000..1_000_000_000_000_i64, 0..20)) {
        let sum = |amounts: &mut dyn Iterator<Item = &i64>| {
            let mut sum = Number::zero();
            for amount in amounts {
                sum += &hundredths(*amount);
            }
            sum
        };
        let there = sum(&mut amounts.iter());
        prop_assert_eq!(&there, &hundredths(amounts.iter().sum()));
        prop_assert_eq!(&there, &sum(&mut amounts.iter().rev()));
        prop_assert_eq!(there.to_string(), hundredths(amounts.iter().sum()).to_string(), "a sum is canonical, too");
    }

    #[test]
    fn a_number_less_itself_is_nothing(made in made(), other in made()) {
        let (number, other): (Number, Number) = (made.plain().parse().unwrap(), other.plain().parse().unwrap());
        let mut sum = number.clone();
        sum += &other;
        sum += &-other;
        prop_assert_eq!(&sum, &number);
        sum += &-number.clone();
        prop_assert!(sum.is_zero());
        prop_assert_eq!(sum.to_string(), "0");
        prop_assert_eq!(-(-number.clone()), number);
    }

    #[test]
    fn no_text_makes_it_panic(text in any::<String>(), odd in "[-+0-9.eE_ xnaif]{0,60}") {
        for text in [text, odd] {
            if let Ok(number) = text.parse::<Number>() {
                prop_assert_eq!(number.to_string().parse::<Number>(), Ok(number));
            }
        }
    }
}
