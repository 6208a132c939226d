//! The options that every subcommand has, those of every subcommand that reads whole tables, and how values are read.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::{self, PathBuf};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::printable::printable_lines;
use super::terminal;
use crate::config::{
    Config, ConfigError, IDEMPOTENCY_TABLE, SOURCE_TABLE, Tables, VIEW_DEFINITION, VIEW_TABLE, endpoint,
};

/// Where the tables are, what they are called, and for whom the results are.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Shared {
    /// Endpoint of DynamoDB and its streams, instead of the one of the Region
    #[arg(long, global = true, value_name = "URL", value_parser = endpoint)]
    pub endpoint_url: Option<String>,

    /// Region of the tables, instead of the one of the AWS settings
    #[arg(long, global = true, value_name = "REGION", value_parser = region)]
    pub region: Option<String>,

    /// Profile of the AWS settings
    #[arg(long, global = true, value_name = "NAME")]
    pub profile: Option<String>,

    /// Source table: its items are counted [default: Point]
    #[arg(long, global = true, value_name = "NAME", env = SOURCE_TABLE)]
    pub source_table: Option<String>,

    /// Table whose items carry the counters [default: Map]
    #[arg(long, global = true, value_name = "NAME", env = VIEW_TABLE)]
    pub view_table: Option<String>,

    /// Table of the markers [default: Idempotency]
    #[arg(long, global = true, value_name = "NAME", env = IDEMPOTENCY_TABLE)]
    pub idempotency_table: Option<String>,

    /// File with the definition of the view, instead of the one of the environment
    #[arg(long, global = true, value_name = "FILE")]
    pub definition: Option<PathBuf>,

    /// Results as JSON on standard output
    #[arg(long, global = true)]
    pub json: bool,
}

impl Shared {
    /// The tables, those that were not named by their defaults.
    #[must_use]
    pub fn tables(&self) -> Tables {
        let defaults = Tables::default();
        Tables {
            source: self.source_table.clone().unwrap_or(defaults.source),
            view: self.view_table.clone().unwrap_or(defaults.view),
            idempotency: self.idempotency_table.clone().unwrap_or(defaults.idempotency),
        }
    }

    /// Whether a definition is given, by the option or the variable.
    #[must_use]
    pub fn gives_definition(&self) -> bool {
        self.definition.is_some() || std::env::var(VIEW_DEFINITION).is_ok_and(|text| !text.trim().is_empty())
    }

    /// The function's settings: the environment's, with what the options say instead.
    ///
    /// # Errors
    /// When a setting cannot be used.
    pub fn config(&self) -> Result<Config, ConfigError> {
        let Tables { source, view, idempotency } = self.tables();
        let definition = self.definition.as_ref().map(|file| path::absolute(file).unwrap_or_else(|_| file.clone()));
        let config = Config::read(|name| match name {
            VIEW_DEFINITION if definition.is_some() => definition.as_ref().map(|file| format!("@{}", file.display())),
            SOURCE_TABLE => Some(source.clone()),
            VIEW_TABLE => Some(view.clone()),
            IDEMPOTENCY_TABLE => Some(idempotency.clone()),
            other => std::env::var(other).ok(),
        });
        config.map_err(|error| {
            let option = [
                (SOURCE_TABLE, "--source-table"),
                (VIEW_TABLE, "--view-table"),
                (IDEMPOTENCY_TABLE, "--idempotency-table"),
                (VIEW_DEFINITION, "--definition"),
            ];
            match option.into_iter().find(|(variable, _)| *variable == error.name) {
                Some((variable, option)) => ConfigError { name: format!("{option} (or {variable})"), ..error },
                None => error,
            }
        })
    }

    /// Writes results on standard output, in the form that is asked for. What a terminal would obey is shown instead, and
    /// lines for people are broken where a terminal is too narrow for them.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn write(&self, object: &Value, text: &impl Display) -> io::Result<()> {
        let mut out = io::stdout();
        if self.json {
            return writeln!(out, "{object}");
        }
        let text = terminal::wrapped(&printable_lines(text), terminal::columns(&out));
        write!(out, "{text}")
    }

    /// The template's parameters for the tables that were named.
    #[must_use]
    pub fn parameters(&self) -> BTreeMap<String, String> {
        let named = [
            ("SourceTableName", &self.source_table),
            ("ViewTableName", &self.view_table),
            ("IdempotencyTableName", &self.idempotency_table),
        ];
        named.into_iter().filter_map(|(name, table)| Some((name.to_owned(), table.clone()?))).collect()
    }

    /// The AWS settings of the environment and the profile, with what the options say instead.
    pub async fn sdk(&self) -> SdkConfig {
        let http =
            aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(http);
        if let Some(url) = &self.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(profile) = &self.profile {
            loader = loader.profile_name(profile);
        }
        loader.load().await
    }
}

/// How fast tables are read, and how long the stream is waited for.
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

    /// Read capacity units that may be consumed a second, in all tables; without it as many as there are
    #[arg(long, value_name = "UNITS", value_parser = units)]
    pub max_read_units: Option<f64>,
}

impl Default for Pace {
    /// As the command reads when nothing else is said.
    fn default() -> Self {
        Self { settle: Duration::from_secs(5), concurrency: 8, lag: Duration::from_mins(15), max_read_units: None }
    }
}

fn concurrency(text: &str) -> Result<u16, String> {
    whole(text, 1, 256)
}

/// A number of seconds of at most an hour; else the text says so.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().map_err(|_| "not a number".to_owned())?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|seconds| *seconds <= Duration::from_hours(1))
        .ok_or_else(|| "expected 0 to 3600, fractions included".to_owned())
}

fn units(text: &str) -> Result<f64, String> {
    let units = text.parse::<f64>().map_err(|_| "not a number".to_owned())?;
    if units >= 1.0 && units.is_finite() { Ok(units) } else { Err("expected 1 or more".to_owned()) }
}

/// A day and a time with their zone; else the text says so.
pub(super) fn time(text: &str) -> Result<DateTime<Utc>, String> {
    text.parse().map_err(|_| "expected a day and a time with their zone, such as 2026-01-31T12:00:00Z".to_owned())
}

/// The URL of a queue; else the text says where to find it.
pub(super) fn queue(text: &str) -> Result<String, String> {
    endpoint(text).map_err(|_| "expected the queue's URL, as the stack's output FailureQueueUrl has it".to_owned())
}

/// A whole number within bounds; else the text says what they are.
pub(super) fn whole(text: &str, least: u16, most: u16) -> Result<u16, String> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("expected a whole number from {least} to {most}"))
}

/// The SDK makes it a part of a host's name.
fn region(text: &str) -> Result<String, String> {
    let usable = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    usable.then(|| text.to_owned()).ok_or_else(|| "expected the name of a Region, as eu-west-1".to_owned())
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

    #[test]
    fn what_is_named_reaches_the_tables_and_the_template() {
        let shared = Shared { view_table: Some("Region".into()), ..Shared::default() };
        let expected = Tables { view: "Region".into(), ..Tables::default() };
        assert_eq!(shared.tables(), expected);
        assert_eq!(shared.parameters(), BTreeMap::from([("ViewTableName".into(), "Region".into())]));
    }
}
