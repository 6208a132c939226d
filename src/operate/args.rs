//! Options that several subcommands share, and the parsing of their values.

use std::time::Duration;

#[cfg(feature = "cli")]
use chrono::{DateTime, Utc};

#[cfg(feature = "cli")]
use super::shell_option::option;
#[cfg(feature = "cli")]
use crate::config::endpoint;

#[cfg(feature = "cli")]
mod shared;

#[cfg(feature = "cli")]
pub use shared::Shared;

/// How fast tables are read, and how long to wait for the stream.
#[derive(Debug, Clone, clap::Args)]
pub struct Pace {
    /// How long to wait for a write to reach the stream
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub settle: Duration,

    /// Maximum concurrent requests
    #[arg(long, value_name = "NUMBER", default_value_t = 8, value_parser = concurrency)]
    pub concurrency: u16,

    /// Longest time from a write to its marker; markers of older records are looked up only where a view item differs
    #[arg(long, value_name = "SECONDS", default_value = "900", value_parser = seconds)]
    pub lag: Duration,

    /// Maximum read capacity units per second, over all tables; without it there is no limit
    #[arg(long, value_name = "UNITS", value_parser = units)]
    pub max_read_units: Option<f64>,
}

impl Pace {
    /// The options that differ from their defaults, each with a space before it.
    #[cfg(feature = "cli")]
    #[must_use]
    pub fn options(&self) -> String {
        let Self { settle, concurrency, lag, max_read_units } = self;
        let default = Self::default();
        let given = |is: bool, name, value: String| if is { option(name, &value) } else { String::new() };
        [
            given(*settle != default.settle, "--settle", settle.as_secs_f64().to_string()),
            given(*concurrency != default.concurrency, "--concurrency", concurrency.to_string()),
            given(*lag != default.lag, "--lag", lag.as_secs_f64().to_string()),
            given(max_read_units.is_some(), "--max-read-units", max_read_units.unwrap_or_default().to_string()),
        ]
        .concat()
    }
}

impl Default for Pace {
    /// The defaults of the options.
    fn default() -> Self {
        Self { settle: Duration::from_secs(5), concurrency: 8, lag: Duration::from_mins(15), max_read_units: None }
    }
}

fn concurrency(text: &str) -> Result<u16, String> {
    whole(text, 1, 256)
}

/// Parses a number of seconds, at most one hour.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().map_err(|_| "not a number".to_owned())?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|seconds| *seconds <= Duration::from_hours(1))
        .ok_or_else(|| "expected a number from 0 to 3600, fractions allowed".to_owned())
}

fn units(text: &str) -> Result<f64, String> {
    let units = text.parse::<f64>().map_err(|_| "not a number".to_owned())?;
    if units >= 1.0 && units.is_finite() { Ok(units) } else { Err("expected 1 or more".to_owned()) }
}

/// Parses a date and a time with a time zone.
#[cfg(feature = "cli")]
pub(super) fn time(text: &str) -> Result<DateTime<Utc>, String> {
    text.parse().map_err(|_| "expected a day and a time with their zone, such as 2026-01-31T12:00:00Z".to_owned())
}

/// Parses the URL of a queue. The error says where to find it.
#[cfg(feature = "cli")]
pub(super) fn queue(text: &str) -> Result<String, String> {
    endpoint(text).map_err(|_| "expected the queue's URL, as the stack's output FailureQueueUrl has it".to_owned())
}

/// Parses a whole number within bounds. The error names the bounds.
pub(super) fn whole(text: &str, least: u16, most: u16) -> Result<u16, String> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("expected a whole number from {least} to {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settling_and_capacity_are_numbers_within_reason() {
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        assert_eq!(seconds("0"), Ok(Duration::ZERO));
        for text in ["", "-1", "NaN", "inf", "5s", "3601"] {
            assert!(seconds(text).is_err(), "{text}");
        }
        assert_eq!(units("100"), Ok(100.0));
        for text in ["0", "-5", "NaN", "inf", "many"] {
            assert!(units(text).is_err(), "{text}");
        }
    }
}
