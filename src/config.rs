//! The environment, read once. A value that is not valid stops the start.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use crate::rollup::model::arn::table_name;
use crate::rollup::model::definition::{self, Defaults, Definition, DefinitionError};
use crate::rollup::model::limits::{MARKER_RETENTION_MAX_DAYS, MAX_IN_FLIGHT};
use crate::rollup::model::marker::Guard;
use crate::rollup::model::view::{OnMissingViewItem, View};

/// The table whose stream is read; `Point` by default.
pub const SOURCE_TABLE: &str = "ROLLUP_SOURCE_TABLE";
/// The table whose items carry the counters; `Map` by default.
pub const VIEW_TABLE: &str = "ROLLUP_VIEW_TABLE";
/// The table of the markers; `Idempotency` by default.
pub const IDEMPOTENCY_TABLE: &str = "ROLLUP_IDEMPOTENCY_TABLE";
/// What is counted, as [`definition`] reads it. If it is absent or empty, the example's view.
pub const VIEW_DEFINITION: &str = "ROLLUP_VIEW_DEFINITION";
/// Days that a marker is kept; 14 by default.
pub const MARKER_RETENTION_DAYS: &str = "ROLLUP_MARKER_RETENTION_DAYS";
/// Days that a record is kept in quarantine. By default it is kept until an operator ends the quarantine.
pub const QUARANTINE_RETENTION_DAYS: &str = "ROLLUP_QUARANTINE_RETENTION_DAYS";
/// What to do if a view item does not exist: `create` (the default) or `skip`.
pub const ON_MISSING_VIEW_ITEM: &str = "ROLLUP_ON_MISSING_VIEW_ITEM";
/// Transactions in flight at once; 8 by default.
pub const IN_FLIGHT: &str = "ROLLUP_MAX_IN_FLIGHT";

/// What the names of all settings of the roll-up begin with.
const PREFIX: &str = "ROLLUP_";

/// Every setting of the function's own.
pub const SETTINGS: [&str; 8] = [
    SOURCE_TABLE,
    VIEW_TABLE,
    IDEMPOTENCY_TABLE,
    VIEW_DEFINITION,
    MARKER_RETENTION_DAYS,
    QUARANTINE_RETENTION_DAYS,
    ON_MISSING_VIEW_ITEM,
    IN_FLIGHT,
];

/// Variables whose names begin like a setting but are not one. The name is probably mistyped, so the intended setting
/// has its default.
pub fn unknown(names: impl IntoIterator<Item = String>, settings: &[&str]) -> impl Iterator<Item = String> {
    names.into_iter().filter(|name| name.starts_with(PREFIX) && !settings.contains(&name.as_str()))
}

/// The endpoint of every service, and that of DynamoDB alone; the Region's own by default. The SDK reads them too, but
/// with an unusable one it would fail at every request instead of at the start.
pub const ENDPOINTS: [&str; 2] = ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"];

/// The names of the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables {
    /// The table whose stream is read.
    pub source: String,
    /// The table whose items carry the counters.
    pub view: String,
    /// The table of the markers.
    pub idempotency: String,
}

impl Default for Tables {
    fn default() -> Self {
        Self { source: "Point".to_owned(), view: "Map".to_owned(), idempotency: "Idempotency".to_owned() }
    }
}

/// The variable in which Lambda gives the function's name.
pub const FUNCTION_NAME: &str = "AWS_LAMBDA_FUNCTION_NAME";

/// Where Lambda unpacks a function's code.
const TASK_ROOT: &str = "LAMBDA_TASK_ROOT";

/// The settings of the function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What is counted, and on which tables.
    pub definition: Definition,
    /// The table of the markers.
    pub idempotency_table: String,
    /// Days that a marker is kept.
    pub marker_retention_days: u32,
    /// Days that a record is kept in quarantine, at least as many as a marker. `None`: until an operator ends the
    /// quarantine.
    pub quarantine_retention_days: Option<u32>,
    /// Transactions in flight at once.
    pub max_in_flight: usize,
    /// Which markers an applied record may replace: none, except in an operator's replay.
    pub guard: Guard,
}

/// A setting whose value is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {value:?}; expected {accepted}")]
pub struct ConfigError {
    /// The variable.
    pub name: String,
    pub value: String,
    /// Which values are accepted.
    pub accepted: String,
    /// What is wrong with it, if it is a definition.
    pub definition: Option<Box<DefinitionError>>,
}

impl ConfigError {
    /// A setting with a value that is not accepted.
    pub fn new(name: &str, value: impl Into<String>, accepted: impl Display) -> Self {
        Self { name: name.to_owned(), value: value.into(), accepted: accepted.to_string(), definition: None }
    }
}

/// The text of a definition: the value itself, or the content of the file that it names after an `@`. All variables of
/// a function have 4 KB together, which is too little for some definitions. The path is relative to where Lambda
/// unpacks the code.
fn definition_text(value: &str, variable: impl Fn(&str) -> Option<String>) -> Result<String, ConfigError> {
    let Some(name) = value.trim().strip_prefix('@') else { return Ok(value.to_owned()) };
    let path = variable(TASK_ROOT).map_or_else(|| PathBuf::from(name), |root| Path::new(&root).join(name));
    std::fs::read_to_string(&path).map_err(|error| {
        ConfigError::new(
            VIEW_DEFINITION,
            value,
            format!("a definition, or @ and a file that can be read; {}: {error}", path.display()),
        )
    })
}

impl Config {
    /// The default of [`MARKER_RETENTION_DAYS`]. The stream holds a record for one day, so this gives an operator about
    /// two weeks to replay what Lambda gave up on.
    pub const DEFAULT_RETENTION_DAYS: u32 = 14;

    /// The default of [`IN_FLIGHT`].
    pub const DEFAULT_IN_FLIGHT: usize = 8;

    /// Reads the settings from the process's environment, or from any other source. A variable that is not set has its
    /// default.
    ///
    /// # Errors
    /// When a value is not valid; the error names the variable, the value and what is accepted.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let defaults = Tables::default();
        let table = |name: &str, default: String| match variable(name) {
            None => Ok(default),
            Some(value) if is_table(&value) => Ok(value),
            Some(value) => Err(ConfigError::new(name, value, TABLE_NAMES)),
        };
        let tables = Tables {
            source: table(SOURCE_TABLE, defaults.source)?,
            view: table(VIEW_TABLE, defaults.view)?,
            idempotency: table(IDEMPOTENCY_TABLE, defaults.idempotency)?,
        };
        let on_missing = match variable(ON_MISSING_VIEW_ITEM).as_deref() {
            None | Some("create") => OnMissingViewItem::Create,
            Some("skip") => OnMissingViewItem::Skip,
            Some(value) => return Err(ConfigError::new(ON_MISSING_VIEW_ITEM, value, "\"create\" or \"skip\"")),
        };
        let mut config = match variable(VIEW_DEFINITION).filter(|definition| !definition.trim().is_empty()) {
            None => Self::example(tables, on_missing)?,
            Some(value) => {
                let text = definition_text(&value, &variable)?;
                let defaults = Defaults { source_table: &tables.source, view_table: &tables.view, on_missing };
                let definition = definition::read(&text, &defaults).map_err(|error| ConfigError {
                    definition: Some(Box::new(error.clone())),
                    ..ConfigError::new(VIEW_DEFINITION, value, format_args!("a definition, but {error}"))
                });
                Self::with(definition?, tables.idempotency)?
            }
        };
        config.marker_retention_days =
            number(&variable, MARKER_RETENTION_DAYS, Self::DEFAULT_RETENTION_DAYS, 1..=MARKER_RETENTION_MAX_DAYS)?;
        config.quarantine_retention_days = quarantine_retention(&variable, config.marker_retention_days)?;
        config.max_in_flight = number(&variable, IN_FLIGHT, Self::DEFAULT_IN_FLIGHT, 1..=MAX_IN_FLIGHT)?;
        for name in ENDPOINTS {
            if let Some(value) = variable(name).filter(|value| !is_endpoint(value)) {
                return Err(ConfigError::new(name, value, ENDPOINT));
            }
        }
        Ok(config)
    }

    /// The default settings and the example's view, on these tables.
    ///
    /// # Errors
    /// When one table would be used for two purposes.
    pub fn of(tables: Tables) -> Result<Self, ConfigError> {
        Self::example(tables, OnMissingViewItem::default())
    }

    fn example(tables: Tables, on_missing: OnMissingViewItem) -> Result<Self, ConfigError> {
        if table_name(&tables.view) == table_name(&tables.source) {
            return Err(ConfigError::new(VIEW_TABLE, tables.view, format!("another table than {SOURCE_TABLE}'s")));
        }
        let view = View::points_of_maps(&tables.source, &tables.view);
        let view = view.map_err(|error| ConfigError::new(VIEW_TABLE, &tables.view, error))?;
        let definition = Definition::new(vec![view.with_missing(on_missing)]);
        Self::with(definition.map_err(|error| ConfigError::new(VIEW_TABLE, tables.view, error))?, tables.idempotency)
    }

    /// The default settings for a definition.
    fn with(definition: Definition, idempotency: String) -> Result<Self, ConfigError> {
        let tables = definition.tables().iter().map(|table| (table.name.as_str(), VIEW_TABLE));
        for (table, of) in [(definition.source_table(), SOURCE_TABLE)].into_iter().chain(tables) {
            if table_name(&idempotency) == table_name(table) {
                let accepted = format!("another table than {of}'s");
                return Err(ConfigError::new(IDEMPOTENCY_TABLE, idempotency, accepted));
            }
        }
        Ok(Self {
            definition,
            idempotency_table: idempotency,
            marker_retention_days: Self::DEFAULT_RETENTION_DAYS,
            quarantine_retention_days: None,
            max_in_flight: Self::DEFAULT_IN_FLIGHT,
            guard: Guard::default(),
        })
    }
}

/// Table names as DynamoDB has them, or the table's ARN ("Constraints", naming rules; an ARN stands for a name in every
/// request).
const TABLE_NAMES: &str = "a table's name (3 to 255 of a-z, A-Z, 0-9, '_', '-', '.') or its ARN";

fn is_table(value: &str) -> bool {
    let name = match value.strip_prefix("arn:") {
        Some(arn) => arn.rsplit_once(":table/").map(|(_, name)| name),
        None => Some(value),
    };
    let letter = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    name.is_some_and(|name| (3..=255).contains(&name.len()) && name.chars().all(letter))
}

/// What an endpoint may be.
const ENDPOINT: &str = "a URL of http or https with a host, such as http://127.0.0.1:8000";

/// Checks an endpoint that was given as an option of a command.
///
/// # Errors
/// When the SDK cannot use it; the text says what is accepted.
pub fn endpoint(value: &str) -> Result<String, String> {
    if is_endpoint(value) { Ok(value.to_owned()) } else { Err(format!("expected {ENDPOINT}")) }
}

fn is_endpoint(value: &str) -> bool {
    let url = value.parse::<http::Uri>().ok();
    url.is_some_and(|url| {
        matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some_and(|host| !host.is_empty())
    })
}

pub(crate) fn number<T: std::str::FromStr + PartialOrd + Display>(
    variable: impl Fn(&str) -> Option<String>,
    name: &str,
    default: T,
    accepted: RangeInclusive<T>,
) -> Result<T, ConfigError> {
    let Some(value) = variable(name) else { return Ok(default) };
    match value.parse() {
        Ok(number) if accepted.contains(&number) => Ok(number),
        _ => Err(ConfigError::new(
            name,
            value,
            format!("a whole number from {} to {}", accepted.start(), accepted.end()),
        )),
    }
}

/// Quarantine must not end before the marker of a counted record would expire: the record could then count as a new
/// one.
fn quarantine_retention(variable: impl Fn(&str) -> Option<String>, least: u32) -> Result<Option<u32>, ConfigError> {
    let Some(value) = variable(QUARANTINE_RETENTION_DAYS).filter(|value| !value.is_empty()) else { return Ok(None) };
    match value.parse() {
        Ok(days) if (least..=MARKER_RETENTION_MAX_DAYS).contains(&days) => Ok(Some(days)),
        _ => Err(ConfigError::new(
            QUARANTINE_RETENTION_DAYS,
            value,
            format!(
                "empty, or a whole number from {least}, the days of {MARKER_RETENTION_DAYS}, to {MARKER_RETENTION_MAX_DAYS}"
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFINITION: &str =
        r#"{ "key": [{ "attribute": "CustomerId", "type": "S" }], "measures": { "Revenue": "sum Amount" } }"#;

    fn read(settings: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::read(|name| settings.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn nothing_needs_to_be_set() {
        let config = read(&[]).unwrap();
        let view = &config.definition.views()[0];
        assert_eq!((view.source_table(), view.view_table()), ("Point", "Map"));
        assert_eq!(config.idempotency_table, "Idempotency");
        assert_eq!((config.marker_retention_days, config.max_in_flight), (14, 8));
        assert_eq!(view.on_missing(), OnMissingViewItem::Create);
    }

    #[test]
    fn every_setting_is_read() {
        let config = read(&[
            (SOURCE_TABLE, "Orders"),
            (VIEW_TABLE, "Customers"),
            (VIEW_DEFINITION, DEFINITION),
            (IDEMPOTENCY_TABLE, "arn:aws:dynamodb:eu-west-1:123456789012:table/Markers"),
            (MARKER_RETENTION_DAYS, "30"),
            (QUARANTINE_RETENTION_DAYS, "30"),
            (ON_MISSING_VIEW_ITEM, "skip"),
            (IN_FLIGHT, "1"),
            (ENDPOINTS[0], "https://dynamodb.eu-west-1.amazonaws.com"),
            (ENDPOINTS[1], "http://127.0.0.1:8000/"),
        ])
        .unwrap();
        let view = &config.definition.views()[0];
        assert_eq!((view.source_table(), view.view_table()), ("Orders", "Customers"));
        assert_eq!(view.measures()[0].attribute, "Revenue");
        assert_eq!(config.idempotency_table, "arn:aws:dynamodb:eu-west-1:123456789012:table/Markers");
        assert_eq!((config.marker_retention_days, config.max_in_flight), (30, 1));
        assert_eq!(config.quarantine_retention_days, Some(30));
        assert_eq!(view.on_missing(), OnMissingViewItem::Skip);
    }

    #[test]
    fn a_value_that_cannot_be_used_is_named_with_what_is_accepted() {
        for (name, value) in [
            (SOURCE_TABLE, ""),
            (SOURCE_TABLE, "ab"),
            (VIEW_TABLE, "a b c"),
            (IDEMPOTENCY_TABLE, "arn:aws:sqs:eu-west-1:1:queue"),
            (VIEW_DEFINITION, "count by Category"),
            (
                VIEW_DEFINITION,
                r#"{ "key": [{ "attribute": "Id", "type": "S" }], "measures": { "Latest": "max Time" } }"#,
            ),
            (MARKER_RETENTION_DAYS, "0"),
            (MARKER_RETENTION_DAYS, "3651"),
            (MARKER_RETENTION_DAYS, "14d"),
            (QUARANTINE_RETENTION_DAYS, "13"),
            (QUARANTINE_RETENTION_DAYS, "3651"),
            (QUARANTINE_RETENTION_DAYS, "for ever"),
            (ON_MISSING_VIEW_ITEM, "Create"),
            (ON_MISSING_VIEW_ITEM, ""),
            (IN_FLIGHT, "0"),
            (IN_FLIGHT, "101"),
            (IN_FLIGHT, "-1"),
            (ENDPOINTS[0], "localhost:8000"),
            (ENDPOINTS[0], "not a url"),
            (ENDPOINTS[1], "ftp://localhost"),
            (ENDPOINTS[1], "http://"),
            (ENDPOINTS[1], ""),
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            assert_eq!((error.name.as_str(), error.value.as_str()), (name, value));
            let message = error.to_string();
            assert!(
                message.contains(name) && message.contains(&format!("{value:?}")) && message.contains("expected"),
                "{message}"
            );
        }
    }

    #[test]
    fn quarantine_is_kept_for_ever_where_nothing_else_is_said() {
        for settings in [&[][..], &[(QUARANTINE_RETENTION_DAYS, "")]] {
            assert_eq!(read(settings).unwrap().quarantine_retention_days, None);
        }
        let error = read(&[(MARKER_RETENTION_DAYS, "30"), (QUARANTINE_RETENTION_DAYS, "29")]).unwrap_err();
        assert!(error.to_string().contains("from 30, the days of ROLLUP_MARKER_RETENTION_DAYS, to 3650"), "{error}");
    }

    #[test]
    fn an_empty_definition_is_the_examples() {
        assert_eq!(read(&[(VIEW_DEFINITION, " ")]).unwrap(), read(&[]).unwrap());
    }

    #[test]
    fn a_table_has_one_purpose() {
        assert_eq!(read(&[(VIEW_TABLE, "Point")]).unwrap_err().name, VIEW_TABLE);
        assert_eq!(read(&[(IDEMPOTENCY_TABLE, "Point")]).unwrap_err().name, IDEMPOTENCY_TABLE);
        assert_eq!(read(&[(IDEMPOTENCY_TABLE, "Map")]).unwrap_err().name, IDEMPOTENCY_TABLE);
    }
}
