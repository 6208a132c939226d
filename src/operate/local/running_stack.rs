//! What the template declares, at work on an engine of this machine.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use dynoxide::Database;

use super::engine::Engine;
use super::error::LocalError;
use super::stack_definition::{StackDefinition, TEMPLATE};
use super::table_setup;
use super::template::StackTemplate;
use crate::config::Config;
use crate::operate::stream::DynamoStream;

/// An engine with the template's tables.
pub(super) struct RunningStack {
    pub(super) definition: StackDefinition,
    /// The function's settings, from the template's environment variables.
    pub(super) config: Config,
    pub(super) engine: Engine,
    /// The engine's data.
    pub(super) database: Database,
    /// How to reach it.
    pub(super) sdk: SdkConfig,
    stream_arn: String,
}

impl RunningStack {
    /// Starts an engine on this database, with the template's tables.
    pub(super) async fn start(
        database: Database,
        port: u16,
        region: Option<&str>,
        parameters: &BTreeMap<String, String>,
    ) -> Result<Self, LocalError> {
        let definition = StackDefinition::read(StackTemplate::new(TEMPLATE, parameters)?)?;
        let config = Config::read(|name| definition.environment.get(name).cloned())?;
        let engine = Engine::serve(database.clone(), port).await?;
        let sdk = engine.sdk(region);
        let client = Client::new(&sdk);
        let stream_arn = table_setup::ensure(&client, &definition.source).await?;
        table_setup::ensure(&client, &definition.view).await?;
        table_setup::ensure(&client, &definition.idempotency).await?;
        let stream_arn = stream_arn.ok_or_else(|| LocalError::NoStream(definition.source.name.clone()))?;
        Ok(Self { definition, config, engine, database, sdk, stream_arn })
    }

    /// The source table's stream.
    pub(super) fn stream(&self) -> DynamoStream {
        DynamoStream::new(aws_sdk_dynamodbstreams::Client::new(&self.sdk), &self.stream_arn)
    }
}
