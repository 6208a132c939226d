//! The options that every subcommand has.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::{self, PathBuf};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use serde_json::Value;

use crate::config::{
    Config, ConfigError, IDEMPOTENCY_TABLE, SOURCE_TABLE, Tables, VIEW_DEFINITION, VIEW_TABLE, endpoint,
};
use crate::operate::printable::printable_lines;
use crate::operate::terminal;

/// Where the tables are, their names, and how results are printed.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Shared {
    /// Endpoint of DynamoDB and its streams, instead of the Region's
    #[arg(long, global = true, value_name = "URL", value_parser = endpoint)]
    pub endpoint_url: Option<String>,

    /// Region of the tables, instead of the one in the AWS settings
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

    /// File with the definition of the views, instead of the one in the environment
    #[arg(long, global = true, value_name = "FILE")]
    pub definition: Option<PathBuf>,

    /// Print results as JSON on standard output
    #[arg(long, global = true)]
    pub json: bool,
}

impl Shared {
    /// The names of the tables, with the defaults for those that were not given.
    #[must_use]
    pub fn tables(&self) -> Tables {
        let defaults = Tables::default();
        Tables {
            source: self.source_table.clone().unwrap_or(defaults.source),
            view: self.view_table.clone().unwrap_or(defaults.view),
            idempotency: self.idempotency_table.clone().unwrap_or(defaults.idempotency),
        }
    }

    /// Whether a definition is given, by the option or by the environment variable.
    #[must_use]
    pub fn gives_definition(&self) -> bool {
        self.definition.is_some() || std::env::var(VIEW_DEFINITION).is_ok_and(|text| !text.trim().is_empty())
    }

    /// The function's settings: those of the environment, overridden by the options.
    ///
    /// # Errors
    /// When a setting is missing or invalid.
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

    /// Writes results to standard output, in the requested form. Control characters are made visible, because a
    /// terminal would obey them. Lines for people are wrapped to the width of the terminal.
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

    /// The template's parameters for the tables that the options name.
    #[must_use]
    pub fn parameters(&self) -> BTreeMap<String, String> {
        let named = [
            ("SourceTableName", &self.source_table),
            ("ViewTableName", &self.view_table),
            ("IdempotencyTableName", &self.idempotency_table),
        ];
        named.into_iter().filter_map(|(name, table)| Some((name.to_owned(), table.clone()?))).collect()
    }

    /// The AWS settings of the environment and the profile, overridden by the options.
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

/// Parses a Region. The SDK makes it a part of a host name, so other characters could redirect requests.
fn region(text: &str) -> Result<String, String> {
    let usable = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    usable.then(|| text.to_owned()).ok_or_else(|| "expected the name of a Region, such as eu-west-1".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_reaches_the_tables_and_the_template() {
        let shared = Shared { view_table: Some("Region".into()), ..Shared::default() };
        let expected = Tables { view: "Region".into(), ..Tables::default() };
        assert_eq!(shared.tables(), expected);
        assert_eq!(shared.parameters(), BTreeMap::from([("ViewTableName".into(), "Region".into())]));
    }
}
