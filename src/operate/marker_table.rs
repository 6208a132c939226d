//! The idempotency table as the commands see it: the keys of its items, and giving a record up.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue as SdkValue;
use chrono::{DateTime, Utc};

use crate::rollup::AttributeValue;
use crate::rollup::check::repair::REPAIRED_BY;
use crate::rollup::model::marker::{EXPIRES_AT, MarkerOutcome, OUTCOME};
pub use crate::rollup::model::marker::{marker_key, record_id};
use crate::rollup::pipeline::update::Update;

/// The sequence number of the items that say which migrations were applied; no stream record can have it.
pub const MIGRATION: &str = "migration";

/// The update that gives a record in quarantine up: from then on it never counts, and its marker expires. It fails when
/// the record is no longer in quarantine.
#[must_use]
pub fn discard(expires_at: DateTime<Utc>, repaired_by: Option<&str>) -> Update {
    let mut expression = "SET #outcome = :discarded, #expires = :expires".to_owned();
    let mut names =
        HashMap::from([("#outcome".to_owned(), OUTCOME.to_owned()), ("#expires".into(), EXPIRES_AT.into())]);
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
    Update { expression, condition: Some("#outcome = :quarantined".to_owned()), names, values }
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

/// A text as the SDK takes it.
pub(super) fn sdk_text(value: &str) -> SdkValue {
    SdkValue::S(value.to_owned())
}
