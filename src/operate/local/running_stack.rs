//! What the template declares, at work on an engine of this machine.

use std::collections::BTreeMap;
use std::fmt;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use dynoxide::Database;

use super::engine::{Engine, EngineError};
use super::stack_definition::{StackDefinition, TEMPLATE};
use super::table_setup::{self, TableSetupError};
use super::template::{Template, TemplateError};
use crate::config::{Config, ConfigError};
use crate::operate::stream::DynamoStream;

/// An engine with the template's tables.
pub struct RunningStack {
    /// What the template declares.
    pub definition: StackDefinition,
    /// The function's settings, from the template's environment variables.
    pub config: Config,
    /// The engine.
    pub engine: Engine,
    /// The engine's data.
    pub database: Database,
    /// How to reach it.
    pub sdk: SdkConfig,
    stream_arn: String,
}

/// Why there is no such engine.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// The template, or a value for it.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The function's settings.
    #[error("the function's settings in the template: {0}")]
    Config(#[from] ConfigError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A table.
    #[error(transparent)]
    Table(#[from] TableSetupError),
    /// The source table's stream is not there.
    #[error("the engine gives the table {0} no stream")]
    NoStream(String),
}

impl fmt::Debug for RunningStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningStack")
            .field("definition", &self.definition)
            .field("engine", &self.engine)
            .finish_non_exhaustive()
    }
}

impl RunningStack {
    /// Starts an engine on this database, with the template's tables.
    ///
    /// # Errors
    /// When the template is not as it should be, the port cannot be had, or a table is there that is another.
    pub async fn start(
        database: Database,
        port: u16,
        region: Option<&str>,
        parameters: &BTreeMap<String, String>,
    ) -> Result<Self, StackError> {
        let definition = StackDefinition::read(Template::new(TEMPLATE, parameters)?)?;
        let config = Config::read(|name| definition.environment.get(name).cloned())?;
        let engine = Engine::serve(database.clone(), port).await?;
        let sdk = engine.sdk(region);
        let client = Client::new(&sdk);
        let stream_arn = table_setup::ensure(&client, &definition.source).await?;
        table_setup::ensure(&client, &definition.view).await?;
        table_setup::ensure(&client, &definition.idempotency).await?;
        let stream_arn = stream_arn.ok_or_else(|| StackError::NoStream(definition.source.name.clone()))?;
        Ok(Self { definition, config, engine, database, sdk, stream_arn })
    }

    /// The source table's stream.
    #[must_use]
    pub fn stream(&self) -> DynamoStream {
        DynamoStream::new(aws_sdk_dynamodbstreams::Client::new(&self.sdk), &self.stream_arn)
    }
}
