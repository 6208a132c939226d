//! The idempotency table as the commands see it: the keys of its items, and giving a record up.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue as SdkValue, IndexStatus, KeySchemaElement, TableDescription};
use chrono::{DateTime, Utc};

pub use crate::rollup::model::marker::{marker_key, record_id};

use crate::rollup::check::repair::REPAIRED_BY;
use crate::rollup::model::marker::{EXPIRES_AT, MarkerOutcome, OUTCOME};
use crate::rollup::model::quarantine_index::{IN_QUARANTINE, INDEX};
use crate::rollup::pipeline::update::Update;
use crate::rollup::{AttributeValue, Item};

/// The sequence number of the items that say which migrations were applied; no stream record can have it.
pub const MIGRATION: &str = "migration";

/// The sequence number of the items that say which slices are done; no stream record can have it.
pub const SLICES_DONE: &str = "slices";

/// What the sequence numbers of the auditor's own items begin with; no stream record can have such a one.
pub const AUDIT: &str = "audit";

/// Whether an item is what a command or the auditor keeps for itself, and no marker.
#[must_use]
pub fn is_of_commands(sequence_number: &str) -> bool {
    [MIGRATION, SLICES_DONE].contains(&sequence_number) || sequence_number.starts_with(AUDIT)
}

/// An attribute that is a text.
#[must_use]
pub fn attribute_text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    match item.get(name) {
        Some(AttributeValue::S(value)) => Some(value),
        _ => None,
    }
}

/// What [`quarantine_index`] says of an index that the commands can use.
pub const QUARANTINE_INDEX_USABLE: &str = "on InQuarantine, RecordedAt; ACTIVE";

/// The table's index of what is in quarantine: its key and its status.
#[must_use]
pub fn quarantine_index(table: &TableDescription) -> String {
    let index = table.global_secondary_indexes().iter().find(|index| index.index_name() == Some(INDEX));
    let Some(index) = index else { return "absent".to_owned() };
    let key: Vec<_> = index.key_schema().iter().map(KeySchemaElement::attribute_name).collect();
    let status = match index.index_status() {
        // It is read and written while its capacity is changed, too.
        Some(IndexStatus::Active | IndexStatus::Updating) => "ACTIVE",
        status => status.map_or("of no status", IndexStatus::as_str),
    };
    format!("on {}; {status}", key.join(", "))
}

/// The update that discards a record in quarantine: from then on it never counts, and its marker expires. It fails when
/// the record is no longer in quarantine.
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

/// A text as the SDK takes it.
pub(super) fn sdk_text(value: &str) -> SdkValue {
    SdkValue::S(value.to_owned())
}
