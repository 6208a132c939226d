//! `ddb-rollup deploy-check`: checks that a deployment has the properties on which the roll-up relies.

pub mod check;
mod filtering;
pub mod mapping;
mod settings;

use std::fmt::{self, Display};
use std::io;

use aws_sdk_dynamodb::operation::describe_table::DescribeTableError;
use aws_sdk_dynamodb::types::{TableDescription, TimeToLiveDescription};
use aws_sdk_lambda::types::EventSourceMappingConfiguration;
use serde_json::{Value, json};

use self::check::Check;
use super::CommandOutcome;
use super::agreement::announced;
use super::args::Shared;
use super::commands::Commands;
use super::error::{TableError, failure_text};
use super::printable::counted;
use crate::config::{Config, ConfigError};

/// Check that the tables, the stream, the event source mapping and the function are what the roll-up relies on
///
/// It changes nothing. Exit code 1 means that a check failed.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Function that reads the stream, by its name or ARN; needed if several functions read it
    #[arg(long, value_name = "NAME")]
    function: Option<String>,

    /// Check only the tables and the stream, without calls to Lambda
    #[arg(long, conflicts_with = "function")]
    tables_only: bool,
}

/// Why the deployment could not be checked.
#[derive(Debug, thiserror::Error)]
pub enum DeployCheckError {
    /// A setting is missing or invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// DynamoDB did not answer, or refused.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Lambda did not answer, or refused.
    #[error("cannot {action}: {cause}; to check only the tables and the stream, add --tables-only")]
    Lambda {
        /// The attempted action.
        action: String,
        /// The service's message.
        cause: String,
    },
    /// Several functions read the stream, and none was chosen.
    #[error("the stream is read by several functions: {}; name one with --function", .0.join(", "))]
    Several(Vec<String>),
    /// Output failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The checks of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeploymentReport(Vec<Check>);

impl DeploymentReport {
    /// Whether every check passed.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.wrong() == 0
    }

    fn wrong(&self) -> usize {
        self.0.iter().filter(|check| !check.is_right()).count()
    }

    /// The report as a JSON object.
    #[must_use]
    pub fn json(&self) -> Value {
        let checks = self.0.iter().map(|check| {
            let Check { subject, what, found, needed, why } = check;
            json!({
                "subject": subject, "what": what, "found": found, "needed": needed, "why": why, "ok": check.is_right(),
            })
        });
        json!({ "wrong": self.wrong(), "checks": checks.collect::<Vec<_>>() })
    }
}

impl Display for DeploymentReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.0 {
            let Check { subject, what, found, needed, why } = check;
            if check.is_right() {
                writeln!(f, "ok     {subject}: {what} is {found}")?;
            } else {
                writeln!(f, "wrong  {subject}: {what} is {found}; expected {needed}: {why}")?;
            }
        }
        match self.wrong() {
            0 => writeln!(f, "all {} passed", counted(self.0.len(), "check", "checks")),
            wrong => writeln!(f, "{wrong} of {} failed", counted(self.0.len(), "check", "checks")),
        }
    }
}

/// Checks the deployment and reports what is wrong.
///
/// # Errors
/// When the tables cannot be read or, without `--tables-only`, the function cannot be read.
pub async fn run(shared: &Shared, args: &Args) -> Result<CommandOutcome, DeployCheckError> {
    let config = shared.config()?;
    let commands = Commands::of(shared);
    let sdk = shared.sdk().await;
    let tables = aws_sdk_dynamodb::Client::new(&sdk);

    let source = describe(&tables, config.definition.source_table()).await?;
    let mut checks = check::source(&config.definition, source.as_ref(), &commands);
    for table in config.definition.tables() {
        checks.extend(check::view(table, describe(&tables, &table.name).await?.as_ref()));
    }
    let markers = describe(&tables, &config.idempotency_table).await?;
    let expiry = match &markers {
        Some(_) => time_to_live(&tables, &config.idempotency_table).await?,
        None => None,
    };
    checks.extend(check::idempotency(&config.idempotency_table, markers.as_ref(), expiry.as_ref(), &commands));

    let stream = source.as_ref().and_then(TableDescription::latest_stream_arn);
    if let Some(stream) = stream.filter(|_| markers.is_some())
        && let Some(found) = announced(&tables, &config.idempotency_table, stream).await?
    {
        checks.extend(check::definition(&config, &found, args.function.as_deref()));
    }

    if let Some(source) = source.as_ref().filter(|_| !args.tables_only)
        && let Some(stream) = source.latest_stream_arn()
    {
        let lambda = aws_sdk_lambda::Client::new(&sdk);
        checks.extend(function(&lambda, &config, source, stream, args.function.as_deref(), &commands).await?);
    }

    let report = DeploymentReport(checks);
    shared.write(&report.json(), &report)?;
    Ok(CommandOutcome::found_unless(report.is_clean()))
}

async fn describe(
    client: &aws_sdk_dynamodb::Client,
    table: &str,
) -> Result<Option<TableDescription>, DeployCheckError> {
    match client.describe_table().table_name(table).send().await {
        Ok(answer) => Ok(answer.table),
        Err(error) if matches!(error.as_service_error(), Some(DescribeTableError::ResourceNotFoundException(_))) => {
            Ok(None)
        }
        Err(error) => Err(TableError::new("describe", table, failure_text(&error)).into()),
    }
}

async fn time_to_live(
    client: &aws_sdk_dynamodb::Client,
    table: &str,
) -> Result<Option<TimeToLiveDescription>, DeployCheckError> {
    let answer = client.describe_time_to_live().table_name(table).send().await;
    let answer = answer.map_err(|e| TableError::new("read the time to live of", table, failure_text(&e)))?;
    Ok(answer.time_to_live_description)
}

/// The checks of the function, and of the event source mapping that connects it to the stream.
async fn function(
    client: &aws_sdk_lambda::Client,
    config: &Config,
    source: &TableDescription,
    stream: &str,
    name: Option<&str>,
    commands: &Commands,
) -> Result<Vec<Check>, DeployCheckError> {
    // For a named function every mapping is listed, because it may read a stream that was switched off.
    let mut mappings = list_mappings(client, name, name.is_none().then_some(stream)).await?;
    if mappings.is_empty() && name.is_none() {
        mappings = list_mappings(client, None, None).await?;
        mappings.retain(|mapping| mapping.event_source_arn().is_some_and(|arn| mapping::are_of_one_table(arn, stream)));
    }
    let mut functions: Vec<&str> = mappings.iter().filter_map(|mapping| mapping.function_arn()).collect();
    functions.sort_unstable();
    functions.dedup();
    if name.is_none() && functions.len() > 1 {
        return Err(DeployCheckError::Several(functions.into_iter().map(str::to_owned).collect()));
    }
    // A list leaves out the filters that are encrypted with a customer managed key, so these mappings are read one by
    // one.
    for mapping in mappings.iter_mut().filter(|mapping| mapping.kms_key_arn().is_some()) {
        let found = client.get_event_source_mapping().set_uuid(mapping.uuid.clone()).send().await;
        let found = found.map_err(|error| lambda_error("read an event source mapping", failure_text(&error)))?;
        mapping.filter_criteria = found.filter_criteria;
        mapping.filter_criteria_error = found.filter_criteria_error;
    }
    let mut checks = mapping::mappings(&config.definition, source, stream, &mappings, commands);
    let reads = |mapping: &&EventSourceMappingConfiguration| mapping.event_source_arn() == Some(stream);
    if let Some(function) = mappings.iter().find(reads).and_then(|mapping| mapping.function_arn()) {
        let found = client.get_function_configuration().function_name(function).send().await;
        let found = found.map_err(|error| {
            lambda_error(&format!("read the settings of the function {function}"), failure_text(&error))
        })?;
        let variables = found.environment().and_then(|environment| environment.variables());
        checks.extend(settings::of_function(config, found.function_name().unwrap_or(function), variables));
    }
    Ok(checks)
}

async fn list_mappings(
    client: &aws_sdk_lambda::Client,
    function: Option<&str>,
    stream: Option<&str>,
) -> Result<Vec<EventSourceMappingConfiguration>, DeployCheckError> {
    let request = client.list_event_source_mappings().set_function_name(function.map(str::to_owned));
    let pages = request.set_event_source_arn(stream.map(str::to_owned)).into_paginator().items().send();
    let found = pages.try_collect().await;
    found.map_err(|error| lambda_error("list the event source mappings", failure_text(&error)))
}

fn lambda_error(action: &str, cause: String) -> DeployCheckError {
    DeployCheckError::Lambda { action: action.to_owned(), cause }
}
