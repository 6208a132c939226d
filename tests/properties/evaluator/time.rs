//! Times by the calendar's own rules, without a library.

use bigdecimal::num_bigint::BigInt;

use super::datum::Datum;
use super::syntax::Unit;

const DAY: i64 = 86_400;
/// From this number on, a number is milliseconds.
const FIRST_MILLISECONDS: i64 = 100_000_000_000;

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn days_of_year(year: i64) -> i64 {
    365 + i64::from(is_leap(year))
}

/// Days before the first of January of the year, counted from the first of January of the year 1.
fn days_before_year(year: i64) -> i64 {
    let years = year - 1;
    years * 365 + years.div_euclid(4) - years.div_euclid(100) + years.div_euclid(400)
}

/// Seconds of the epoch of Unix, counted from the first of January of the year 1.
fn epoch() -> i64 {
    days_before_year(1970) * DAY
}

/// A text of exactly so many digits.
fn digits(text: &str, count: usize) -> Option<i64> {
    let all = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if all { text.parse().ok() } else { None }
}

/// `+hh:mm` as minutes.
pub fn offset_minutes(text: &str) -> Option<i64> {
    let sign = match text.get(..1)? {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let (hours, minutes) = text[1..].split_once(':')?;
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
    if hours < 24 && minutes < 60 { Some(sign * (hours * 60 + minutes)) } else { None }
}

/// The offset that a time ends with: `Z`, `+hh:mm`, `+hhmm` or nothing.
fn zone_minutes(text: &str) -> Option<i64> {
    match text {
        "" | "Z" => Some(0),
        _ if text.contains(':') => offset_minutes(text),
        _ if text.len() == 5 && text.is_ascii() => offset_minutes(&format!("{}:{}", &text[..3], &text[3..])),
        _ => None,
    }
}

/// Seconds since the first of January of the year 1 that a text names.
fn seconds_of_text(text: &str) -> Option<i64> {
    let (year, month, day) = (digits(text.get(..4)?, 4)?, digits(text.get(5..7)?, 2)?, digits(text.get(8..10)?, 2)?);
    let separated = text.get(4..5)? == "-" && text.get(7..8)? == "-";
    if !separated || year < 1 || !(1..=12).contains(&month) || day < 1 || day > days_of_month(year, month) {
        return None;
    }
    let months: i64 = (1..month).map(|month| days_of_month(year, month)).sum();
    let midnight = (days_before_year(year) + months + day - 1) * DAY;
    let Some(clock) = text.get(10..).filter(|rest| !rest.is_empty()) else { return Some(midnight) };
    let clock = clock.strip_prefix(['T', ' '])?;
    let (hour, minute) = (digits(clock.get(..2)?, 2)?, digits(clock.get(3..5)?, 2)?);
    let mut rest = clock.get(5..)?;
    let mut second = 0;
    if let Some(after) = rest.strip_prefix(':') {
        second = digits(after.get(..2)?, 2)?;
        rest = &after[2..];
        if let Some(fraction) = rest.strip_prefix('.') {
            rest = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            if rest.len() == fraction.len() {
                return None;
            }
        }
    }
    if clock.get(2..3)? != ":" || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some(midnight + hour * 3_600 + minute * 60 + second - zone_minutes(rest)? * 60)
}

fn seconds(time: &Datum) -> Option<i64> {
    match time {
        Datum::Text(text) => seconds_of_text(text),
        Datum::Number(number) => {
            let milliseconds = number.floor() >= BigInt::from(FIRST_MILLISECONDS);
            let floor = i64::try_from(number.floor()).ok()?;
            Some(epoch().checked_add(if milliseconds { floor.div_euclid(1_000) } else { floor })?)
        }
        _ => None,
    }
}

/// The part of a time that a unit keeps, if it is a time: its year has four digits at the offset.
pub fn part(unit: &Unit, time: &Datum, offset_minutes: i64) -> Option<String> {
    let local = seconds(time)?.checked_add(offset_minutes * 60)?;
    if !(0..days_before_year(10_000) * DAY).contains(&local) {
        return None;
    }
    let (days, clock) = (local / DAY, local % DAY);
    let mut year = days / 366 + 1;
    while days_before_year(year + 1) <= days {
        year += 1;
    }
    let day_of_year = days - days_before_year(year);
    let (mut month, mut day) = (1, day_of_year);
    while day >= days_of_month(year, month) {
        day -= days_of_month(year, month);
        month += 1;
    }
    let (day, hour, minute) = (day + 1, clock / 3_600, clock / 60 % 60);
    Some(match unit {
        Unit::Minute => format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}"),
        Unit::Hour => format!("{year:04}-{month:02}-{day:02}T{hour:02}"),
        Unit::Day => format!("{year:04}-{month:02}-{day:02}"),
        Unit::Month => format!("{year:04}-{month:02}"),
        Unit::Year => format!("{year:04}"),
        Unit::Week => week(days, year, day_of_year),
    })
}

/// The ISO week: it belongs to the year of its Thursday.
fn week(days: i64, year: i64, day_of_year: i64) -> String {
    // The first of January of the year 1 was a Monday.
    let thursday = day_of_year - days % 7 + 3;
    let (year, thursday) = if thursday < 0 {
        (year - 1, thursday + days_of_year(year - 1))
    } else if thursday >= days_of_year(year) {
        (year + 1, thursday - days_of_year(year))
    } else {
        (year, thursday)
    };
    format!("{year:04}-W{:02}", thursday / 7 + 1)
}

#[test]
fn parts_of_times_are_those_of_the_calendar() {
    let text = |text: &str| Datum::Text(text.to_owned());
    let number = |text: &str| Datum::Number(super::decimal::Decimal::read(text).unwrap());
    for (time, offset, minute, week) in [
        (text("2026-03-05T23:07:00Z"), 0, "2026-03-05T23:07", "2026-W10"),
        (text("2026-03-05 23:07"), 60, "2026-03-06T00:07", "2026-W10"),
        (text("2024-02-29T10:00:59.999-0130"), 0, "2024-02-29T11:30", "2024-W09"),
        (text("2027-01-01"), 0, "2027-01-01T00:00", "2026-W53"),
        (text("2024-12-30"), 0, "2024-12-30T00:00", "2025-W01"),
        (text("0001-01-01"), 0, "0001-01-01T00:00", "0001-W01"),
        (text("9999-12-31T23:59"), 0, "9999-12-31T23:59", "9999-W52"),
        (number("1772752020"), 0, "2026-03-05T23:07", "2026-W10"),
        (number("1772752020123.9"), 0, "2026-03-05T23:07", "2026-W10"),
        (number("-0.5"), 0, "1969-12-31T23:59", "1970-W01"),
        (number("99999999999.5"), 0, "5138-11-16T09:46", "5138-W46"),
    ] {
        assert_eq!(part(&Unit::Minute, &time, offset).as_deref(), Some(minute), "{time:?}");
        assert_eq!(part(&Unit::Week, &time, offset).as_deref(), Some(week), "{time:?}");
    }
    for none in
        ["2026-02-29", "2026-3-05", "0000-01-01", "2026-03-05Z", "2026-03-05T24:00", "2026-03-05T10", "1772752020"]
    {
        assert_eq!(part(&Unit::Day, &text(none), 0), None, "{none}");
    }
    assert_eq!(part(&Unit::Day, &text("9999-12-31T23:00"), 120), None);
}
