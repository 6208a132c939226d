//! A user's own tables on this machine: their schemas, and the items that they begin with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aws_sdk_dynamodb::types::{KeyType as Role, ScalarAttributeType, StreamViewType};
use serde::Deserialize;

use super::stack_definition::{KeyAttribute, StackDefinition, TableDefinition};
use crate::config::Config;
use crate::rollup::model::definition::{Definition, ViewTable};
use crate::rollup::model::view::{KeyType, table_name};
use crate::rollup::{AttributeValue, Item};

/// Why a user's own tables cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum OwnTablesError {
    /// A file that cannot be read.
    #[error("cannot read {file}: {cause}")]
    File {
        /// The file.
        file: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// A file that is no schema of a table.
    #[error("{file} is not the JSON of a create-table request: {cause}")]
    Schema {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// Nothing says what the source table's key is.
    #[error(
        "nothing tells the key of the source table {0}; give its schema, the JSON of its create-table request, by \
         --table-schema FILE, or name the source table by --source-table"
    )]
    NoSourceSchema(String),
    /// A schema whose table is not one of the definition's.
    #[error("{file} is the schema of the table {table}, which is none of the tables at work: {tables}")]
    Unused {
        /// The file.
        file: PathBuf,
        /// Its table.
        table: String,
        /// The tables of the definition.
        tables: String,
    },
    /// A line that is no item of the source table.
    #[error("line {line} of {file} is no item of the table {table}: {cause}; nothing was loaded")]
    Line {
        /// The line, from 1.
        line: usize,
        /// The file.
        file: PathBuf,
        /// The source table.
        table: String,
        /// What is wrong with it.
        cause: String,
    },
}

/// What of a create-table request is kept.
#[derive(Deserialize)]
struct Schema {
    #[serde(rename = "TableName")]
    name: String,
    #[serde(rename = "KeySchema")]
    key: Vec<KeyElement>,
    #[serde(rename = "AttributeDefinitions")]
    attributes: Vec<AttributeType>,
    #[serde(rename = "StreamSpecification")]
    stream: Option<StreamOfSchema>,
}

#[derive(Deserialize)]
struct KeyElement {
    #[serde(rename = "AttributeName")]
    attribute: String,
    #[serde(rename = "KeyType")]
    role: String,
}

#[derive(Deserialize)]
struct AttributeType {
    #[serde(rename = "AttributeName")]
    name: String,
    #[serde(rename = "AttributeType")]
    kind: String,
}

#[derive(Deserialize)]
struct StreamOfSchema {
    #[serde(rename = "StreamEnabled")]
    enabled: Option<bool>,
    #[serde(rename = "StreamViewType")]
    view_type: Option<String>,
}

/// The schemas of tables, each with the file that it is from.
pub(super) type Schemas = Vec<(PathBuf, TableDefinition)>;

fn text_of(file: &Path) -> Result<String, OwnTablesError> {
    std::fs::read_to_string(file).map_err(|cause| OwnTablesError::File { file: file.to_owned(), cause })
}

/// Reads the schemas.
///
/// # Errors
/// When a file cannot be read, or is no schema of a table.
pub(super) fn schemas(files: &[PathBuf]) -> Result<Schemas, OwnTablesError> {
    let schema = |file: &PathBuf| {
        let wrong = |cause: String| OwnTablesError::Schema { file: file.clone(), cause };
        let value: serde_json::Value =
            serde_json::from_str(&text_of(file)?).map_err(|error| wrong(error.to_string()))?;
        let schema = match value.get("Table") {
            Some(table) => serde_json::from_value::<Schema>(table.clone()),
            None => serde_json::from_value(value),
        };
        let table = table(schema.map_err(|error| wrong(error.to_string()))?).map_err(wrong)?;
        Ok((file.clone(), table))
    };
    files.iter().map(schema).collect()
}

fn table(schema: Schema) -> Result<TableDefinition, String> {
    let kind_of = |name: &str| {
        let found = schema.attributes.iter().find(|one| one.name == name);
        let found = found.ok_or_else(|| format!("{name} is not among the AttributeDefinitions"))?;
        let kind = ScalarAttributeType::try_parse(&found.kind);
        kind.map_err(|_| format!("the AttributeType of {name} must be S, N or B"))
    };
    let key = schema.key.iter().map(|part| {
        let role = Role::try_parse(&part.role);
        let role = role.map_err(|_| format!("the KeyType of {} must be HASH or RANGE", part.attribute))?;
        Ok(KeyAttribute { name: part.attribute.clone(), kind: kind_of(&part.attribute)?, role })
    });
    let mut key = key.collect::<Result<Vec<_>, String>>()?;
    key.sort_by_key(|part| part.role != Role::Hash);
    if key.first().is_none_or(|part| part.role != Role::Hash) || key.len() > 2 {
        return Err("the KeySchema must have a HASH key, and may have a RANGE key".to_owned());
    }
    let on = schema.stream.filter(|stream| stream.enabled != Some(false));
    let stream = on.map(|stream| StreamViewType::from(stream.view_type.unwrap_or_default().as_str()));
    Ok(TableDefinition { name: schema.name, key, indexes: Vec::new(), stream, time_to_live: None })
}

/// The tables of a definition: the source table first, with a stream that carries both images.
///
/// # Errors
/// When nothing tells the key of the source table, or a schema is of none of the tables.
pub(super) fn tables(
    config: &Config,
    schemas: Schemas,
    shipped: &StackDefinition,
) -> Result<Vec<TableDefinition>, OwnTablesError> {
    let definition = &config.definition;
    let mut wanted = vec![table_name(definition.source_table())];
    wanted.extend(definition.tables().iter().map(|table| table_name(&table.name)));
    wanted.dedup();
    let mut known: BTreeMap<String, TableDefinition> = BTreeMap::new();
    for (file, schema) in schemas {
        if !wanted.contains(&schema.name.as_str()) && schema.name != config.idempotency_table {
            let (table, tables) = (schema.name, wanted.join(", "));
            return Err(OwnTablesError::Unused { file, table, tables });
        }
        known.insert(schema.name.clone(), schema);
    }
    let source = match known.remove(wanted[0]) {
        Some(schema) => TableDefinition { stream: Some(StreamViewType::NewAndOldImages), ..schema },
        None if shipped.source.name == wanted[0] && is_example(definition, shipped) => shipped.source.clone(),
        None => return Err(OwnTablesError::NoSourceSchema(wanted[0].to_owned())),
    };
    let views = definition.tables().iter().filter(|table| table_name(&table.name) != source.name);
    let views = views.map(|table| known.remove(table_name(&table.name)).unwrap_or_else(|| of_definition(table)));
    let mut tables: Vec<TableDefinition> = views.collect();
    tables.insert(0, source);
    Ok(tables)
}

/// Whether what the views read includes the key of the table that the template declares: then it can be meant.
fn is_example(definition: &Definition, shipped: &StackDefinition) -> bool {
    let reads = definition.reads();
    shipped.source.key.first().is_some_and(|part| reads.contains(part.name.as_str()))
}

/// A view table as its views name its key.
fn of_definition(table: &ViewTable) -> TableDefinition {
    let roles = [Role::Hash, Role::Range];
    let key = table.key.iter().zip(roles).map(|((name, kind), role)| {
        let kind = match kind {
            KeyType::S => ScalarAttributeType::S,
            KeyType::N => ScalarAttributeType::N,
            KeyType::B => ScalarAttributeType::B,
        };
        KeyAttribute { name: name.clone(), kind, role }
    });
    TableDefinition {
        name: table_name(&table.name).to_owned(),
        key: key.collect(),
        indexes: Vec::new(),
        stream: None,
        time_to_live: None,
    }
}

/// Reads the items of a file, a line each.
///
/// # Errors
/// When the file cannot be read, or a line is no item of the table; the error names the line.
pub(super) fn items(file: &Path, table: &TableDefinition) -> Result<Vec<Item>, OwnTablesError> {
    let text = text_of(file)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let item = |(place, line): (usize, &str)| {
        let cause = match serde_json::from_str::<Item>(line) {
            Ok(item) => match table.key.iter().find_map(|part| unusable(part, &item)) {
                None => return Ok(item),
                Some(cause) => cause,
            },
            Err(error) => error.to_string(),
        };
        let (file, table) = (file.to_owned(), table.name.clone());
        Err(OwnTablesError::Line { line: place + 1, file, table, cause })
    };
    lines.map(item).collect()
}

fn unusable(part: &KeyAttribute, item: &Item) -> Option<String> {
    let kind = match item.get(&part.name) {
        Some(AttributeValue::S(_)) => ScalarAttributeType::S,
        Some(AttributeValue::N(_)) => ScalarAttributeType::N,
        Some(AttributeValue::B(_)) => ScalarAttributeType::B,
        Some(_) => return Some(format!("its key attribute {} must be of type {}", part.name, part.kind)),
        None => return Some(format!("it has no key attribute {}", part.name)),
    };
    (kind != part.kind).then(|| format!("its key attribute {} is of type {kind}, not {}", part.name, part.kind))
}
