//! Times: which values are times, and their part down to a unit.

use chrono::{DateTime, Datelike, NaiveDate, Timelike};

use crate::rollup::model::language::syntax::{Offset, TimeUnit};
use crate::rollup::model::number::Number;

/// A number from here on is milliseconds and not seconds: as seconds it would be in the year 5138.
const MILLISECONDS_FROM: i64 = 100_000_000_000;

impl Offset {
    /// Reads `+hh:mm` or `-hh:mm`, of less than a day.
    pub(super) fn of_text(text: &str) -> Option<Self> {
        let (offset, rest) = offset(text.as_bytes())?;
        (rest.is_empty() && text.len() == "+hh:mm".len()).then_some(Self(offset))
    }
}

/// The seconds since the epoch that a number means: it is seconds, or milliseconds if it is large. They are rounded
/// down.
pub(super) fn of_number(number: &Number) -> Option<i64> {
    let whole = number.floor()?;
    Some(if whole >= MILLISECONDS_FROM { whole.div_euclid(1_000) } else { whole })
}

/// The seconds since the epoch that a text means: a date, or a date and a time, in UTC unless it has an offset.
pub(super) fn of_text(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let (year, bytes) = digits(bytes, 4)?;
    let (month, bytes) = digits(after(bytes, b'-')?, 2)?;
    let (day, bytes) = digits(after(bytes, b'-')?, 2)?;
    if year == 0 {
        return None;
    }
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
    if bytes.is_empty() {
        return Some(date.and_hms_opt(0, 0, 0)?.and_utc().timestamp());
    }
    let bytes = after(bytes, b'T').or_else(|| after(bytes, b' '))?;
    let (hour, bytes) = digits(bytes, 2)?;
    let (minute, mut bytes) = digits(after(bytes, b':')?, 2)?;
    let mut second = 0;
    if let Some(rest) = after(bytes, b':') {
        (second, bytes) = digits(rest, 2)?;
        if let Some(fraction) = after(bytes, b'.') {
            let length = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            bytes = fraction.get(length..).filter(|_| length > 0)?;
        }
    }
    let offset = match bytes {
        [] | [b'Z'] => 0,
        _ => offset(bytes).filter(|(_, rest)| rest.is_empty())?.0,
    };
    Some(date.and_hms_opt(hour, minute, second)?.and_utc().timestamp() - 60 * i64::from(offset))
}

/// The part of a time down to a unit, at an offset. Outside of the years 1 to 9999 there is none.
pub(super) fn part(unit: TimeUnit, seconds: i64, offset: Offset) -> Option<String> {
    let seconds = seconds.checked_add(60 * i64::from(offset.0))?;
    let time = DateTime::from_timestamp(seconds, 0)?.naive_utc();
    let (year, month, day, hour) = (time.year(), time.month(), time.day(), time.hour());
    if !(1..=9_999).contains(&year) {
        return None;
    }
    Some(match unit {
        TimeUnit::Minute => format!("{year:04}-{month:02}-{day:02}T{hour:02}:{:02}", time.minute()),
        TimeUnit::Hour => format!("{year:04}-{month:02}-{day:02}T{hour:02}"),
        TimeUnit::Day => format!("{year:04}-{month:02}-{day:02}"),
        TimeUnit::Week => format!("{:04}-W{:02}", time.iso_week().year(), time.iso_week().week()),
        TimeUnit::Month => format!("{year:04}-{month:02}"),
        TimeUnit::Year => format!("{year:04}"),
    })
}

/// An offset in minutes, `+hh:mm` or `+hhmm`, and what is behind it.
fn offset(bytes: &[u8]) -> Option<(i32, &[u8])> {
    let (sign, bytes) = match bytes {
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, bytes) = digits(bytes, 2)?;
    let (minutes, bytes) = digits(after(bytes, b':').unwrap_or(bytes), 2)?;
    let offset = i32::try_from(60 * hours + minutes).ok()?;
    (hours < 24 && minutes < 60).then_some((sign * offset, bytes))
}

/// The number that so many digits are, and what is behind them.
fn digits(bytes: &[u8], count: usize) -> Option<(u32, &[u8])> {
    let (digits, rest) = bytes.split_at_checked(count)?;
    let number = digits
        .iter()
        .try_fold(0, |number, digit| digit.is_ascii_digit().then(|| 10 * number + u32::from(digit - b'0')))?;
    Some((number, rest))
}

fn after(bytes: &[u8], mark: u8) -> Option<&[u8]> {
    bytes.split_first().filter(|(first, _)| **first == mark).map(|(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(text: &str, offset: &str) -> Option<String> {
        part(TimeUnit::Minute, of_text(text)?, Offset::of_text(offset).unwrap())
    }

    #[test]
    fn a_text_is_read_in_every_form_of_the_contract() {
        for (text, expected) in [
            ("2026-03-05", "2026-03-05T00:00"),
            ("2026-03-05T14:07", "2026-03-05T14:07"),
            ("2026-03-05 14:07", "2026-03-05T14:07"),
            ("2026-03-05T14:07Z", "2026-03-05T14:07"),
            ("2026-03-05T14:07:59", "2026-03-05T14:07"),
            ("2026-03-05T14:07:59.9", "2026-03-05T14:07"),
            ("2026-03-05 14:07:59.999999999999Z", "2026-03-05T14:07"),
            ("2026-03-05T14:07+02:00", "2026-03-05T12:07"),
            ("2026-03-05T14:07:00-0530", "2026-03-05T19:37"),
            ("2026-03-05T00:30:00.5+01:00", "2026-03-04T23:30"),
            ("0001-01-01", "0001-01-01T00:00"),
            ("9999-12-31T23:59:59Z", "9999-12-31T23:59"),
            ("2024-02-29", "2024-02-29T00:00"),
            ("2000-02-29", "2000-02-29T00:00"),
        ] {
            assert_eq!(minute(text, "+00:00").as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_has_none() {
        for text in [
            "",
            "20260305",
            "1772719620",
            "2026",
            "2026-03",
            "2026-3-5",
            "2026-03-05T",
            "2026-03-05T14",
            "2026-03-05t14:07",
            "2026-03-05T14:07z",
            "2026-03-05  14:07",
            "2026-03-05T14:07 Z",
            "2026-03-05T1407",
            "2026-03-05T14:07:5",
            "2026-03-05T14:07.5",
            "2026-03-05T14:07:00.",
            "2026-03-05T14:07:00,5",
            "2026-03-05T14:07+2",
            "2026-03-05T14:07+02",
            "2026-03-05T14:07+24:00",
            "2026-03-05T14:07+02:60",
            "2026-03-05T14:07+02:00Z",
            "2026-03-05Z",
            "2026-03-05+02:00",
            "2026-03-05T24:00",
            "2026-03-05T14:60",
            "2026-03-05T14:07:60",
            "2026-02-29",
            "1900-02-29",
            "2026-04-31",
            "2026-13-01",
            "2026-00-01",
            "2026-01-00",
            "0000-01-01",
            "10000-01-01",
            "-2026-03-05",
            " 2026-03-05",
            "2026-03-05 ",
            "\u{662}026-03-05",
            "2026\u{2010}03\u{2010}05",
        ] {
            assert_eq!(of_text(text), None, "{text}");
        }
    }

    #[test]
    fn a_number_is_seconds_or_milliseconds_rounded_down() {
        for (number, expected) in [
            ("0", "1970-01-01T00:00"),
            ("59.999", "1970-01-01T00:00"),
            ("-0.5", "1969-12-31T23:59"),
            ("-1", "1969-12-31T23:59"),
            ("1772719620", "2026-03-05T14:07"),
            ("1772719620123", "2026-03-05T14:07"),
            ("1772719679999.9", "2026-03-05T14:07"),
            ("99999999999", "5138-11-16T09:46"),
            ("99999999999.9", "5138-11-16T09:46"),
            ("100000000000", "1973-03-03T09:46"),
            ("253402300799999", "9999-12-31T23:59"),
            ("-62135596800", "0001-01-01T00:00"),
        ] {
            let seconds = of_number(&number.parse().unwrap()).unwrap();
            assert_eq!(part(TimeUnit::Minute, seconds, Offset(0)).as_deref(), Some(expected), "{number}");
        }
        for number in ["253402300800000", "-62135596801", "-62135596800.5", "1e18", "1e125", "-1e125"] {
            let part = of_number(&number.parse().unwrap()).and_then(|s| part(TimeUnit::Year, s, Offset(0)));
            assert_eq!(part, None, "{number}");
        }
    }

    #[test]
    fn every_unit_has_its_form() {
        let seconds = of_text("2026-03-05T14:07:33Z").unwrap();
        for (unit, expected) in [
            (TimeUnit::Minute, "2026-03-05T14:07"),
            (TimeUnit::Hour, "2026-03-05T14"),
            (TimeUnit::Day, "2026-03-05"),
            (TimeUnit::Week, "2026-W10"),
            (TimeUnit::Month, "2026-03"),
            (TimeUnit::Year, "2026"),
        ] {
            assert_eq!(part(unit, seconds, Offset(0)).as_deref(), Some(expected));
        }
    }

    #[test]
    fn every_day_of_a_cycle_of_the_calendar_is_counted() {
        // After 400 years, the calendar and its weeks repeat. The first day is a Saturday.
        let (mut year, mut month, mut day) = (2_000, 1, 1);
        for days in 0..146_097_i64 {
            let text = format!("{year}-{month:02}-{day:02}");
            let seconds = of_text(&text).unwrap();
            assert_eq!(seconds, 86_400 * (10_957 + days), "{text}");
            for seconds in [seconds, seconds + 86_399] {
                assert_eq!(part(TimeUnit::Day, seconds, Offset(0)).as_ref(), Some(&text));
            }
            // The week is that of its Thursday, which is counted from the first of January.
            let thursday = seconds + 86_400 * (3 - (days + 5) % 7);
            let of_year = part(TimeUnit::Year, thursday, Offset(0)).unwrap();
            let week = (thursday - of_text(&format!("{of_year}-01-01")).unwrap()) / 86_400 / 7 + 1;
            assert_eq!(part(TimeUnit::Week, seconds, Offset(0)), Some(format!("{of_year}-W{week:02}")), "{text}");
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 if leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            assert_eq!(of_text(&format!("{year}-{month:02}-{:02}", length + 1)), None);
            day = day % length + 1;
            month = if day > 1 { month } else { month % 12 + 1 };
            year += i32::from(day == 1 && month == 1);
        }
    }

    #[test]
    fn a_week_belongs_to_the_year_of_its_thursday() {
        for (text, week) in [
            ("2026-01-01", "2026-W01"),
            ("2025-12-29", "2026-W01"),
            ("2025-12-28", "2025-W52"),
            ("2021-01-03", "2020-W53"),
            ("2021-01-04", "2021-W01"),
            ("0001-01-01", "0001-W01"),
            ("9999-12-31", "9999-W52"),
        ] {
            let part = part(TimeUnit::Week, of_text(text).unwrap(), Offset(0));
            assert_eq!(part.as_deref(), Some(week), "{text}");
        }
    }

    #[test]
    fn an_offset_moves_the_time_and_years_stay_in_bounds() {
        for (text, offset, expected) in [
            ("2026-03-05T23:30", "+01:00", Some("2026-03-06T00:30")),
            ("2026-03-05T00:15", "-05:30", Some("2026-03-04T18:45")),
            ("2026-03-05T00:15", "+05:45", Some("2026-03-05T06:00")),
            ("0001-01-01", "-00:01", None),
            ("9999-12-31T23:59", "+00:01", None),
            ("0001-01-01T00:00+01:00", "+01:00", Some("0001-01-01T00:00")),
            ("0001-01-01T00:00+01:00", "+00:00", None),
        ] {
            assert_eq!(minute(text, offset).as_deref(), expected, "{text} at {offset}");
        }
        for text in ["", "1", "+1:00", "+0100", "01:00", "+24:00", "+01:60", "+01:00 ", "+01", "Z", "\u{2212}01:00"] {
            assert_eq!(Offset::of_text(text), None, "{text}");
        }
        assert_eq!(Offset::of_text("-23:59"), Some(Offset(-1_439)));
    }
}
