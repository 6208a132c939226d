//! The resources that the template declares, running on an engine of this machine.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use dynoxide::Database;

use super::engine::Engine;
use super::error::LocalError;
use super::own_tables::{self, Completed, OwnTables, Schemas};
use super::stack_definition::{StackDefinition, TEMPLATE};
use super::table_setup;
use super::template::StackTemplate;
use crate::config::Config;
use crate::operate::error::{TableError, failure_text};
use crate::operate::stream::DynamoStream;
use crate::rollup::Item;
use crate::rollup::model::arn::table_name;
use crate::rollup::model::view::TableId;

/// An engine with the template's tables.
pub(super) struct RunningStack {
    pub(super) definition: StackDefinition,
    /// The function's settings, from the template's environment variables.
    pub(super) config: Config,
    pub(super) engine: Engine,
    /// The engine's database.
    pub(super) database: Database,
    /// How to reach it.
    pub(super) sdk: SdkConfig,
    stream_arn: String,
}

/// A user's definition and table schemas, used instead of the template's.
pub(super) struct Own {
    pub(super) config: Config,
    pub(super) schemas: Schemas,
}

/// What is to be started. It is read and checked before anything is started.
pub(super) struct Declared {
    pub(super) definition: StackDefinition,
    /// The function's settings, from the template's environment variables or a user's own.
    pub(super) config: Config,
    /// What differs from the user's schemas, or was added to them.
    pub(super) completed: Vec<Completed>,
}

impl Declared {
    /// Reads what the template declares with these parameters. A user's own tables replace the declared ones.
    pub(super) fn read(parameters: &BTreeMap<String, String>, own: Option<Own>) -> Result<Self, LocalError> {
        let mut definition = StackDefinition::read(StackTemplate::new(TEMPLATE, parameters)?)?;
        let Some(Own { config, schemas }) = own else {
            let config = Config::read(|name| definition.environment.get(name).cloned())?;
            return Ok(Self { definition, config, completed: Vec::new() });
        };
        let OwnTables { source, views, completed } = own_tables::tables(&config, schemas, &definition)?;
        (definition.source, definition.views) = (source, views);
        table_name(&config.idempotency_table).clone_into(&mut definition.idempotency.name);
        Ok(Self { definition, config, completed })
    }
}

impl RunningStack {
    /// Puts items into the source table.
    pub(super) async fn load(&self, items: Vec<Item>) -> Result<(), TableError> {
        let (client, table) = (Client::new(&self.sdk), &self.definition.source.name);
        for item in items {
            let put = client.put_item().table_name(table).set_item(Some(item.into())).send().await;
            put.map_err(|error| TableError::new("write", table, failure_text(&error)))?;
        }
        Ok(())
    }

    /// Reads the items of the view tables.
    pub(super) async fn view_items(&self) -> Result<Vec<(TableId, Item)>, TableError> {
        let client = Client::new(&self.sdk);
        let mut items = Vec::new();
        for (table, view_table) in self.config.definition.table_ids() {
            let name = table_name(&view_table.name);
            let mut found = client.scan().table_name(name).consistent_read(true).into_paginator().items().send();
            while let Some(item) = found.next().await {
                let item = item.map_err(|error| TableError::new("read", name, failure_text(&error)))?;
                items.push((table, item.into()));
            }
        }
        Ok(items)
    }

    /// Starts an engine on this database, and creates the declared tables.
    pub(super) async fn start(
        database: Database,
        port: u16,
        region: Option<&str>,
        declared: Declared,
    ) -> Result<Self, LocalError> {
        let Declared { definition, config, .. } = declared;
        let engine = Engine::serve(database.clone(), port).await?;
        let sdk = engine.sdk(region);
        let client = Client::new(&sdk);
        let stream_arn = table_setup::ensure(&client, &definition.source).await?;
        for view in &definition.views {
            table_setup::ensure(&client, view).await?;
        }
        table_setup::ensure(&client, &definition.idempotency).await?;
        let stream_arn = stream_arn.ok_or_else(|| LocalError::NoStream(definition.source.name.clone()))?;
        Ok(Self { definition, config, engine, database, sdk, stream_arn })
    }

    /// The source table's stream.
    pub(super) fn stream(&self) -> DynamoStream {
        DynamoStream::new(aws_sdk_dynamodbstreams::Client::new(&self.sdk), &self.stream_arn)
    }
}
