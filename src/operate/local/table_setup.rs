//! Creates the tables that the template declares, or checks that existing tables match.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::operation::describe_table::DescribeTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, Projection, StreamSpecification,
    StreamViewType, TableDescription, TableStatus, TimeToLiveSpecification, TimeToLiveStatus,
};
use tokio::time::{Instant, sleep};

use super::stack_definition::{IndexDefinition, KeyAttribute, TableDefinition};

use crate::operate::error::{TableError, failure_text};

/// How long a new table may take to become active.
const CREATION_TIMEOUT: Duration = Duration::from_secs(30);

/// A table could not be created, or does not match.
#[derive(Debug, thiserror::Error)]
pub enum TableSetupError {
    /// A request failed.
    #[error(transparent)]
    Request(#[from] TableError),
    /// The table exists, but does not match.
    #[error(
        "the table {table} exists, but has {found}; the template declares {declared}. Delete the table, or name another one"
    )]
    Different {
        table: String,
        /// The declared property.
        declared: String,
        /// The property of the existing table.
        found: String,
    },
    /// The table does not become active.
    #[error("the table {table} is not active {CREATION_TIMEOUT:?} after its creation; run the command again")]
    Late { table: String },
}

/// Creates a table unless it exists, and returns the ARN of its stream, if it has one.
pub(super) async fn ensure(client: &Client, table: &TableDefinition) -> Result<Option<String>, TableSetupError> {
    let description = match describe(client, table).await? {
        Some(description) => description,
        None => create(client, table).await?,
    };
    compare(table, "the key", &declared_key(table), &key(&description))?;
    for index in &table.indexes {
        let found = description.global_secondary_indexes().iter().any(|found| found.index_name() == Some(&index.name));
        compare(table, "the index", &index.name, if found { &index.name } else { "NONE" })?;
    }
    let found = description.stream_specification().filter(|stream| stream.stream_enabled());
    let found = found.and_then(|stream| stream.stream_view_type().cloned());
    compare(table, "the stream", &stream_name(table.stream.as_ref()), &stream_name(found.as_ref()))?;
    switch_on_expiry(client, table).await?;
    Ok(found.and(description.latest_stream_arn))
}

async fn describe(client: &Client, table: &TableDefinition) -> Result<Option<TableDescription>, TableSetupError> {
    match client.describe_table().table_name(&table.name).send().await {
        Ok(answer) => Ok(answer.table),
        Err(error) if matches!(error.as_service_error(), Some(DescribeTableError::ResourceNotFoundException(_))) => {
            Ok(None)
        }
        Err(error) => Err(TableError::new("describe", &table.name, failure_text(&error)).into()),
    }
}

async fn create(client: &Client, table: &TableDefinition) -> Result<TableDescription, TableSetupError> {
    let incomplete = |error: BuildError| TableError::new("describe", &table.name, error);
    let mut creation = client.create_table().table_name(&table.name).billing_mode(BillingMode::PayPerRequest);
    let of_indexes = table.indexes.iter().flat_map(|index| &index.key);
    let kinds: BTreeMap<_, _> = table.key.iter().chain(of_indexes).map(|part| (&part.name, &part.kind)).collect();
    for (name, kind) in kinds {
        let definition = AttributeDefinition::builder().attribute_name(name).attribute_type(kind.clone());
        creation = creation.attribute_definitions(definition.build().map_err(incomplete)?);
    }
    let elements = |key: &[KeyAttribute]| {
        let element = |part: &KeyAttribute| {
            KeySchemaElement::builder().attribute_name(&part.name).key_type(part.role.clone()).build()
        };
        key.iter().map(element).collect::<Result<Vec<_>, _>>()
    };
    creation = creation.set_key_schema(Some(elements(&table.key).map_err(incomplete)?));
    for IndexDefinition { name, key, projection, included } in &table.indexes {
        let included = Some(included.clone()).filter(|included| !included.is_empty());
        let projection = Projection::builder().projection_type(projection.clone()).set_non_key_attributes(included);
        let index = GlobalSecondaryIndex::builder().index_name(name).projection(projection.build());
        let index = index.set_key_schema(Some(elements(key).map_err(incomplete)?));
        creation = creation.global_secondary_indexes(index.build().map_err(incomplete)?);
    }
    if let Some(kind) = &table.stream {
        let stream = StreamSpecification::builder().stream_enabled(true).stream_view_type(kind.clone());
        creation = creation.stream_specification(stream.build().map_err(incomplete)?);
    }
    creation.send().await.map_err(|error| TableError::new("create", &table.name, failure_text(&error)))?;
    wait_until_active(client, table).await
}

async fn wait_until_active(client: &Client, table: &TableDefinition) -> Result<TableDescription, TableSetupError> {
    let began = Instant::now();
    loop {
        match describe(client, table).await? {
            Some(description) if description.table_status() == Some(&TableStatus::Active) => return Ok(description),
            _ if began.elapsed() > CREATION_TIMEOUT => return Err(TableSetupError::Late { table: table.name.clone() }),
            _ => sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Switches expiry on if it is declared and still off.
async fn switch_on_expiry(client: &Client, table: &TableDefinition) -> Result<(), TableSetupError> {
    let Some(attribute) = &table.time_to_live else { return Ok(()) };
    let error = |action, cause| TableError::new(action, &table.name, cause);
    let answer = client.describe_time_to_live().table_name(&table.name).send().await;
    let found = answer.map_err(|e| error("read the time to live of", failure_text(&e)))?.time_to_live_description;
    let found = found.filter(|found| {
        matches!(found.time_to_live_status(), Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling))
    });
    if let Some(found) = found {
        let found = found.attribute_name.unwrap_or_default();
        return compare(table, "items that expire by", attribute, &found);
    }
    let expiry = TimeToLiveSpecification::builder().enabled(true).attribute_name(attribute);
    let expiry = expiry.build().map_err(|e| error("describe", e.to_string()))?;
    let answer = client.update_time_to_live().table_name(&table.name).time_to_live_specification(expiry).send().await;
    answer.map_err(|e| error("switch on the expiry of", failure_text(&e)))?;
    Ok(())
}

fn declared_key(table: &TableDefinition) -> String {
    let parts = table.key.iter().map(|key| format!("{} {} ({})", key.role, key.name, key.kind));
    parts.collect::<Vec<_>>().join(", ")
}

fn key(description: &TableDescription) -> String {
    let kind = |name: &str| {
        let definition = description.attribute_definitions().iter().find(|one| one.attribute_name() == name);
        definition.map_or("of no type", |definition| definition.attribute_type().as_str())
    };
    let parts = description
        .key_schema()
        .iter()
        .map(|part| format!("{} {} ({})", part.key_type(), part.attribute_name(), kind(part.attribute_name())));
    parts.collect::<Vec<_>>().join(", ")
}

fn stream_name(kind: Option<&StreamViewType>) -> String {
    kind.map_or_else(|| "NONE".to_owned(), |kind| kind.as_str().to_owned())
}

fn compare(table: &TableDefinition, what: &str, declared: &str, found: &str) -> Result<(), TableSetupError> {
    if declared == found {
        return Ok(());
    }
    let (declared, found) = (format!("{what} {declared}"), format!("{what} {found}"));
    Err(TableSetupError::Different { table: table.name.clone(), declared, found })
}
