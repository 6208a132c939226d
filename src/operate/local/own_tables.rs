//! A user's own tables on this machine: their schemas, and their first items.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use aws_sdk_dynamodb::types::{KeyType as Role, ScalarAttributeType, StreamViewType};
use serde::Deserialize;

use super::stack_definition::{KeyAttribute, StackDefinition, TableDefinition};
use crate::config::Config;
use crate::rollup::model::arn::table_name;
use crate::rollup::model::definition::{Definition, ViewTable};
use crate::rollup::model::number::Number;
use crate::rollup::model::view::{KeyType, TableId};
use crate::rollup::{AttributeValue, Item};

/// Why a user's own tables cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum OwnTablesError {
    /// A file that cannot be read.
    #[error("cannot read {file}: {cause}")]
    File {
        file: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// A file that is not a schema of a table.
    #[error("{file} is not the JSON of a create-table request: {cause}")]
    Schema {
        file: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// No schema gives the key of the source table.
    #[error(
        "the key of the source table {0} is not known; give its create-table request as JSON with --table-schema FILE, or \
         name another source table with --source-table"
    )]
    NoSourceSchema(String),
    /// A schema is for a table that the definition does not use.
    #[error("{file} is the schema of the table {table}, which is not in use; the tables in use are {tables}")]
    Unused {
        file: PathBuf,
        table: String,
        /// The tables of the definition.
        tables: String,
    },
    /// There are two schemas for one table.
    #[error("{file} is a second schema of the table {table}; give only one")]
    Twice {
        /// The second file.
        file: PathBuf,
        table: String,
    },
    /// A table has another key than its users need.
    #[error("the table {table} has the key {found}{}, but {user} need the key {needed}; change either", in_file(.file.as_deref()))]
    Key {
        /// The file with its schema; `None` for the table that the template declares.
        file: Option<PathBuf>,
        table: String,
        /// The key of the schema.
        found: String,
        /// The views that need another key.
        user: String,
        /// The key that is needed.
        needed: String,
    },
    /// A line that is not an item of the source table.
    #[error("line {line} of {file} is not an item of the table {table}: {cause}; nothing was loaded")]
    Line {
        /// The line's number, from 1.
        line: usize,
        file: PathBuf,
        /// The source table.
        table: String,
        /// What is wrong with it.
        cause: String,
    },
}

fn in_file(file: Option<&Path>) -> String {
    file.map_or_else(String::new, |file| format!(" in {}", file.display()))
}

/// What the user did not specify for a table, and the value that is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Completed {
    /// The source table gets a stream that its schema does not have.
    Stream {
        /// The source table.
        table: String,
        /// What the stream in the schema carries; `None` if it has no stream.
        declared: Option<StreamViewType>,
    },
    /// A view table without a schema gets the key that its views name.
    ViewTable {
        /// The view table.
        table: String,
        key: String,
    },
}

impl fmt::Display for Completed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream { table, declared } => {
                match declared {
                    None => write!(f, "the schema of {table} has no stream")?,
                    Some(carries) => write!(f, "the schema of {table} has a stream of {carries}")?,
                }
                write!(f, ": a stream of NEW_AND_OLD_IMAGES is switched on here; your own table needs it too")
            }
            Self::ViewTable { table, key } => {
                write!(f, "no --table-schema gives the view table {table}: it has the key of the definition, {key}")
            }
        }
    }
}

/// The tables of a definition on this machine.
#[derive(Debug)]
pub(super) struct OwnTables {
    /// The source table, with a stream that carries both images.
    pub(super) source: TableDefinition,
    /// The tables with view items, in addition to the source table.
    pub(super) views: Vec<TableDefinition>,
    /// What differs from the user's schemas, or was added to them.
    pub(super) completed: Vec<Completed>,
}

/// The parts of a create-table request that are used.
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

/// The schemas of tables, each with its file.
pub(super) type Schemas = Vec<(PathBuf, TableDefinition)>;

fn text_of(file: &Path) -> Result<String, OwnTablesError> {
    std::fs::read_to_string(file).map_err(|cause| OwnTablesError::File { file: file.to_owned(), cause })
}

/// Reads the schemas.
///
/// # Errors
/// When a file cannot be read, or is not a schema of a table.
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

/// The tables of a definition.
///
/// # Errors
/// When the key of the source table is unknown, or a schema is for an unused table or has another key than its table
/// needs.
pub(super) fn tables(
    config: &Config,
    schemas: Schemas,
    shipped: &StackDefinition,
) -> Result<OwnTables, OwnTablesError> {
    let definition = &config.definition;
    let mut known = by_table(config, schemas)?;
    if let Some((file, schema)) = known.get(table_name(&config.idempotency_table)) {
        has_key(&schema.name, Some(file), &schema.key, "the markers", &shipped.idempotency.key)?;
    }
    let name = table_name(definition.source_table());
    let mut completed = Vec::new();
    let (file, source) = match known.remove(name) {
        Some((file, schema)) => {
            let carries_both = Some(StreamViewType::NewAndOldImages);
            if schema.stream != carries_both {
                completed.push(Completed::Stream { table: schema.name.clone(), declared: schema.stream });
            }
            (Some(file), TableDefinition { stream: carries_both, ..schema })
        }
        None if shipped.source.name == name && is_example(definition, shipped) => (None, shipped.source.clone()),
        None => return Err(OwnTablesError::NoSourceSchema(name.to_owned())),
    };
    let mut views = Vec::new();
    for (id, table) in definition.table_ids() {
        let wanted = of_definition(table);
        let user = users(definition, id);
        match known.remove(&wanted.name) {
            _ if definition.is_source(id) => has_key(name, file.as_ref(), &source.key, &user, &wanted.key)?,
            Some((file, schema)) => {
                has_key(&schema.name, Some(&file), &schema.key, &user, &wanted.key)?;
                views.push(schema);
            }
            None => {
                completed.push(Completed::ViewTable { table: wanted.name.clone(), key: key_text(&wanted.key) });
                views.push(wanted);
            }
        }
    }
    Ok(OwnTables { source, views, completed })
}

/// The schemas by table name. Refuses a schema of an unused table, and a second schema of a table.
fn by_table(config: &Config, schemas: Schemas) -> Result<BTreeMap<String, (PathBuf, TableDefinition)>, OwnTablesError> {
    let definition = &config.definition;
    let mut at_work = vec![table_name(definition.source_table())];
    let others = definition.tables().iter().map(|table| table.name.as_str()).chain([config.idempotency_table.as_str()]);
    for table in others.map(table_name) {
        if !at_work.contains(&table) {
            at_work.push(table);
        }
    }
    let mut known = BTreeMap::new();
    for (file, schema) in schemas {
        let table = schema.name.clone();
        if !at_work.contains(&table.as_str()) {
            return Err(OwnTablesError::Unused { file, table, tables: at_work.join(", ") });
        }
        if known.contains_key(&table) {
            return Err(OwnTablesError::Twice { file, table });
        }
        known.insert(table, (file, schema));
    }
    Ok(known)
}

fn users(definition: &Definition, table: TableId) -> String {
    let views: Vec<_> = definition.of_table(table).iter().map(|view| definition[view].name()).collect();
    format!("the items of the views {}", views.join(", "))
}

fn has_key(
    table: &str,
    file: Option<&PathBuf>,
    found: &[KeyAttribute],
    user: &str,
    needed: &[KeyAttribute],
) -> Result<(), OwnTablesError> {
    if found == needed {
        return Ok(());
    }
    Err(OwnTablesError::Key {
        file: file.cloned(),
        table: table.to_owned(),
        found: key_text(found),
        user: user.to_owned(),
        needed: key_text(needed),
    })
}

fn key_text(key: &[KeyAttribute]) -> String {
    let parts = key.iter().map(|part| format!("{} ({}, {})", part.name, part.kind, part.role));
    parts.collect::<Vec<_>>().join(", ")
}

/// Whether the views read the partition key of the table that the template declares, so that this table may be meant.
fn is_example(definition: &Definition, shipped: &StackDefinition) -> bool {
    let reads = definition.reads();
    shipped.source.key.first().is_some_and(|part| reads.contains(part.name.as_str()))
}

/// A view table with the key that its views name.
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

/// Reads the items of a file, one per line.
///
/// # Errors
/// When the file cannot be read, or a line is not an item of the table; the error names the line.
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
    let value = item.get(&part.name);
    let is_empty = match value {
        Some(AttributeValue::S(text)) => text.is_empty(),
        Some(AttributeValue::B(bytes)) => bytes.is_empty(),
        _ => false,
    };
    if let Some(AttributeValue::N(text)) = value
        && !text.parse::<Number>().is_ok_and(|number| number.is_storable())
    {
        return Some(format!("its key attribute {} is not a number that DynamoDB can hold", part.name));
    }
    if is_empty {
        return Some(format!("its key attribute {} is empty", part.name));
    }
    let kind = match value {
        Some(AttributeValue::S(_)) => ScalarAttributeType::S,
        Some(AttributeValue::N(_)) => ScalarAttributeType::N,
        Some(AttributeValue::B(_)) => ScalarAttributeType::B,
        Some(_) => return Some(format!("its key attribute {} must be of type {}", part.name, part.kind)),
        None => return Some(format!("it has no key attribute {}", part.name)),
    };
    (kind != part.kind).then(|| format!("its key attribute {} is of type {kind}, not {}", part.name, part.kind))
}
