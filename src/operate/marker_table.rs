//! The idempotency table as the commands use it: the keys of its items, and the update that discards a record.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue as SdkValue, IndexStatus, KeySchemaElement, TableDescription};
use chrono::{DateTime, Utc};

pub use crate::rollup::model::marker::{marker_key, record_id};

use crate::rollup::check::repair::REPAIRED_BY;
use crate::rollup::model::marker::{EXPIRES_AT, MarkerOutcome, OUTCOME};
use crate::rollup::model::quarantine_index::{IN_QUARANTINE, INDEX};
use crate::rollup::pipeline::update::Update;
use crate::rollup::{AttributeValue, Item};

/// The sequence number of the items that record applied migrations; no stream record has it.
pub const MIGRATION: &str = "migration";

/// The sequence number of the items that record finished slices; no stream record has it.
pub const SLICES_DONE: &str = "slices";

/// The prefix of the sequence numbers of the auditor's own items; no stream record's sequence number begins so.
pub const AUDIT: &str = "audit";

/// Whether an item belongs to a command or to the auditor, and so is not a marker.
#[must_use]
pub fn is_of_commands(sequence_number: &str) -> bool {
    [MIGRATION, SLICES_DONE].contains(&sequence_number) || sequence_number.starts_with(AUDIT)
}

/// The value of a string attribute; `None` if it is missing or not a string.
#[must_use]
pub fn attribute_text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    match item.get(name) {
        Some(AttributeValue::S(value)) => Some(value),
        _ => None,
    }
}

/// The text of [`quarantine_index`] for an index that the commands can use.
pub const QUARANTINE_INDEX_USABLE: &str = "on InQuarantine, RecordedAt; ACTIVE";

/// A description of the table's quarantine index: its key and its status.
#[must_use]
pub fn quarantine_index(table: &TableDescription) -> String {
    let index = table.global_secondary_indexes().iter().find(|index| index.index_name() == Some(INDEX));
    let Some(index) = index else { return "absent".to_owned() };
    let key: Vec<_> = index.key_schema().iter().map(KeySchemaElement::attribute_name).collect();
    let status = match index.index_status() {
        // An index can be read and written while it is updated.
        Some(IndexStatus::Active | IndexStatus::Updating) => "ACTIVE",
        status => status.map_or("of no status", IndexStatus::as_str),
    };
    format!("on {}; {status}", key.join(", "))
}

/// The update that discards a record in quarantine. Afterwards the record never counts, and its marker expires. The
/// update fails if the record is no longer in quarantine.
#[must_use]
pub fn discard(expires_at: DateTime<Utc>, repaired_by: Option<&str>) -> Update {
    let mut expression = "SET #outcome = :discarded, #expires = :expires".to_owned();
    let mut names = HashMap::from([
        ("#outcome".to_owned(), OUTCOME.to_owned()),
        ("#expires".into(), EXPIRES_AT.into()),
        ("#in".into(), IN_QUARANTINE.into()),
    ]);
    let mut values = HashMap::from([
        (":discarded".to_owned(), text(MarkerOutcome::Discarded.as_str())),
        (":quarantined".to_owned(), text(MarkerOutcome::Quarantined.as_str())),
        (":expires".to_owned(), AttributeValue::N(expires_at.timestamp().to_string())),
    ]);
    if let Some(repair) = repaired_by {
        expression.push_str(", #by = :by");
        names.insert("#by".to_owned(), REPAIRED_BY.to_owned());
        values.insert(":by".to_owned(), text(repair));
    }
    expression.push_str(" REMOVE #in");
    Update { expression, condition: Some("#outcome = :quarantined".to_owned()), names, values }
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

/// A string in the form of the SDK.
pub(super) fn sdk_text(value: &str) -> SdkValue {
    SdkValue::S(value.to_owned())
}
