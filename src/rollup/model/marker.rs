//! Markers: what is written for each record.
//!
//! A marker is an item of the idempotency table. Audits and users read it, so the names of its attributes are part of
//! the product's interface.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use crate::rollup::model::change::{Change, Counter};
use crate::rollup::model::definition::Definition;
use crate::rollup::model::number::Number;
use crate::rollup::model::record::{RecordHead, RecordId};
use crate::rollup::model::view::ViewKey;
use crate::rollup::{AttributeValue, Item};

/// The partition key: the record's sequence number.
pub const SEQUENCE_NUMBER: &str = "SequenceNumber";
/// The sort key: the record's `eventSourceARN`.
pub const STREAM: &str = "Stream";
/// The stream's identifier of the event.
pub const EVENT_ID: &str = "EventId";
/// The [digest](crate::rollup::model::digest::ContentDigest) of the record's images. Absent if they cannot be read, and
/// in markers of releases that had no digest.
pub const DIGEST: &str = "Digest";
/// `INSERT`, `MODIFY` or `REMOVE`.
pub const EVENT_NAME: &str = "EventName";
/// The source item's key, a map.
pub const SOURCE_KEY: &str = "SourceKey";
/// What became of the record: see [`MarkerOutcome`].
pub const OUTCOME: &str = "Outcome";
/// What the record added: a list of maps of [`VIEW`], [`ITEM`] and [`MEASURES`].
pub const DELTAS: &str = "Deltas";
/// The name of a view.
pub const VIEW: &str = "View";
/// The key of a view item, a map.
pub const ITEM: &str = "Item";
/// A map of attribute to amount, or to a map from group to amount.
pub const MEASURES: &str = "Measures";
/// The views that could not count an image of the record: a list of maps of [`VIEW`], [`IMAGE`] and [`REASON`]. Absent
/// if there are none.
pub const UNCOUNTABLE: &str = "Uncountable";
/// `old` or `new`.
pub const IMAGE: &str = "Image";
/// The [fingerprint](crate::rollup::model::definition::Fingerprint) of the definition that the function used for the
/// record.
pub const FINGERPRINT: &str = "Fingerprint";
/// When the marker was written: RFC 3339, UTC, milliseconds.
pub const RECORDED_AT: &str = "RecordedAt";
/// The invocation that wrote it.
pub const REQUEST_ID: &str = "RequestId";
/// When it may be deleted, in seconds since the epoch: the table's TTL attribute. Absent while the record is in
/// quarantine, unless quarantine has a retention.
pub const EXPIRES_AT: &str = "ExpiresAt";
/// A quarantined record as it came: text, or gzip in a binary value when it is long. In a
/// [part](crate::rollup::model::kept_record), a piece of the gzip.
pub const RECORD: &str = "Record";
/// How many parts hold a quarantined record that is too large for its marker, which then has no [`RECORD`].
pub const PARTS: &str = "Parts";
/// Why a record is in quarantine.
pub const REASON: &str = "Reason";

/// The partition key of the item that says under which definition the function counts; no stream record can have this
/// sequence number. The item's sort key is the stream's ARN.
pub const DEFINITION: &str = "definition";

/// The format of the marker, a number: [`FORMAT`] in what is written now. A marker without it has format 1.
pub const FORMAT_VERSION: &str = "FormatVersion";

/// The format of the markers that are written now.
pub const FORMAT: u32 = 1;

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkerOutcome {
    /// Its deltas are in the counters.
    Applied,
    /// It is kept until an operator replays or discards it.
    Quarantined,
    /// An operator discarded it, so it never counts; or a repair counted it.
    Discarded,
    /// The item is not of a record: a repair set counters.
    Repaired,
}

impl MarkerOutcome {
    /// As it is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "APPLIED",
            Self::Quarantined => "QUARANTINED",
            Self::Discarded => "DISCARDED",
            Self::Repaired => "REPAIRED",
        }
    }
}

/// What every marker of an invocation has in common, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    recorded_at: String,
    request_id: String,
    expires_at: String,
    /// When markers in quarantine, and the parts of their records, expire; `None` if never.
    pub(super) quarantine_expires_at: Option<String>,
}

impl Stamp {
    /// The stamp of the invocation with this request id, which began at this time. Markers of applied records are kept
    /// for `retention_days`.
    #[must_use]
    pub fn new(recorded_at: DateTime<Utc>, request_id: &str, retention_days: u32) -> Self {
        Self {
            recorded_at: recorded_at.to_rfc3339_opts(SecondsFormat::Millis, true),
            request_id: request_id.to_owned(),
            expires_at: expiry(recorded_at, retention_days),
            quarantine_expires_at: None,
        }
    }

    /// The stamp with a retention for records in quarantine, counted from the beginning of the invocation; `None` keeps
    /// them until an operator ends the quarantine.
    #[must_use]
    pub fn with_quarantine(self, recorded_at: DateTime<Utc>, retention_days: Option<u32>) -> Self {
        Self { quarantine_expires_at: retention_days.map(|days| expiry(recorded_at, days)), ..self }
    }
}

fn expiry(recorded_at: DateTime<Utc>, retention_days: u32) -> String {
    (recorded_at + TimeDelta::days(i64::from(retention_days))).timestamp().to_string()
}

/// A marker to write.
#[derive(Debug, Clone, PartialEq)]
pub enum Marker<'a> {
    /// The marker of a record whose deltas are added. It becomes an item only when it is sent, so that no map of a
    /// dozen texts is kept or copied.
    Applied {
        /// What the record does.
        change: Arc<Change<'a>>,
        /// View items that its transaction does not update.
        left_alone: Arc<BTreeSet<ViewKey>>,
        definition: &'a Definition,
        /// What it has in common with the other markers of the invocation.
        stamp: &'a Stamp,
    },
    /// As it is stored.
    Item(Item),
}

/// A value of an attribute, in the form that a store needs. A marker is built once, in that form.
pub trait StoredValue: From<AttributeValue> {
    /// A map.
    fn map(attributes: HashMap<String, Self>) -> Self;

    /// A list.
    fn list(values: Vec<Self>) -> Self;
}

impl StoredValue for AttributeValue {
    fn map(attributes: HashMap<String, Self>) -> Self {
        Self::M(attributes)
    }

    fn list(values: Vec<Self>) -> Self {
        Self::L(values)
    }
}

impl Marker<'_> {
    /// As it is stored.
    #[must_use]
    pub fn item(&self) -> Cow<'_, Item> {
        match self {
            Self::Applied { .. } => Cow::Owned(self.attributes::<AttributeValue>().into()),
            Self::Item(item) => Cow::Borrowed(item),
        }
    }

    /// The marker as it is stored, in the form of values that the store needs.
    #[must_use]
    pub fn attributes<V: StoredValue>(&self) -> HashMap<String, V> {
        match self {
            Self::Applied { change, left_alone, definition, stamp } => {
                applied(definition, change, |key| !left_alone.contains(key), stamp)
            }
            Self::Item(item) => item.clone().into(),
        }
    }
}

/// The marker of a record whose deltas are added. It leaves out view items that were not updated, so that the ledger
/// says what the record did and not what it would have done.
fn applied<V: StoredValue>(
    definition: &Definition,
    change: &Change<'_>,
    counted: impl Fn(&ViewKey) -> bool,
    stamp: &Stamp,
) -> HashMap<String, V> {
    let mut item = base(definition, &change.head, MarkerOutcome::Applied, stamp);
    let deltas = change.deltas.iter().filter(|(key, _)| counted(key));
    let deltas = deltas.flat_map(|(key, sums)| {
        let by_view = sums.as_slice().chunk_by(|(one, _), (next, _)| one.measure.view == next.measure.view);
        by_view.map(|of_view| {
            V::map(HashMap::from([
                (VIEW.to_owned(), text(definition[of_view[0].0.measure.view].name())),
                (ITEM.to_owned(), V::map(definition.key_attributes(key))),
                (MEASURES.to_owned(), V::map(ledger(definition, of_view))),
            ]))
        })
    });
    item.insert(DELTAS.to_owned(), V::list(deltas.collect()));
    item.insert(EXPIRES_AT.to_owned(), number(&stamp.expires_at));
    if !change.uncountable.is_empty() {
        let uncountable = change.uncountable.iter().map(|one| {
            V::map(HashMap::from([
                (VIEW.to_owned(), text(definition[one.view].name())),
                (IMAGE.to_owned(), text(one.image.to_string())),
                (REASON.to_owned(), text(&one.reason)),
            ]))
        });
        item.insert(UNCOUNTABLE.to_owned(), V::list(uncountable.collect()));
    }
    item
}

/// The amounts of one view by measure, those of a measure with groups as a map.
fn ledger<V: StoredValue>(definition: &Definition, of_view: &[(Counter, Number)]) -> HashMap<String, V> {
    let measures = of_view.chunk_by(|(one, _), (next, _)| one.measure == next.measure).map(|of_measure| {
        let groups = of_measure
            .iter()
            .filter_map(|(counter, amount)| Some((counter.group.clone()?, number(amount.to_string()))));
        let value = match of_measure {
            [(Counter { group: None, .. }, amount)] => number(amount.to_string()),
            _ => V::map(groups.collect()),
        };
        (definition[of_measure[0].0.measure].attribute.clone(), value)
    });
    measures.collect()
}

fn text<V: StoredValue>(value: impl Into<String>) -> V {
    AttributeValue::S(value.into()).into()
}

fn number<V: StoredValue>(value: impl Into<String>) -> V {
    AttributeValue::N(value.into()).into()
}

/// The most attributes of a marker that does not hold its record.
const ATTRIBUTES: usize = 14;

pub(super) fn base<V: StoredValue>(
    definition: &Definition,
    head: &RecordHead,
    outcome: MarkerOutcome,
    stamp: &Stamp,
) -> HashMap<String, V> {
    let RecordHead { id, event_id, event_name, source_key, digest } = head;
    let mut item = HashMap::with_capacity(ATTRIBUTES);
    item.extend([
        (SEQUENCE_NUMBER.to_owned(), text(&id.sequence_number)),
        (STREAM.to_owned(), text(&id.stream)),
        (EVENT_ID.to_owned(), text(event_id)),
        (EVENT_NAME.to_owned(), text(event_name)),
        (SOURCE_KEY.to_owned(), V::map(storable(source_key))),
        (OUTCOME.to_owned(), text(outcome.as_str())),
        (RECORDED_AT.to_owned(), text(&stamp.recorded_at)),
        (REQUEST_ID.to_owned(), text(&stamp.request_id)),
        (FORMAT_VERSION.to_owned(), number(FORMAT.to_string())),
        (FINGERPRINT.to_owned(), text(definition.fingerprint().as_str())),
    ]);
    item.extend(digest.map(|digest| (DIGEST.to_owned(), text(digest.to_string()))));
    item
}

/// The name of the function that counts under a definition.
pub const FUNCTION: &str = "Function";
/// When its execution environment started, as RFC 3339 in UTC with milliseconds. As texts, these values sort by time.
pub const STARTED_AT: &str = "StartedAt";

/// An execution environment of the function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// The function's name.
    pub function: String,
    /// When it started.
    pub started_at: DateTime<Utc>,
}

/// The item that says under which definition a function counts the records of a stream. A command with another
/// definition must not judge the counters.
#[must_use]
pub fn definition_item(definition: &Definition, stream: &str, environment: &Environment, stamp: &Stamp) -> Item {
    let text = |value: &str| AttributeValue::S(value.to_owned());
    Item::from(HashMap::from([
        (SEQUENCE_NUMBER.to_owned(), text(DEFINITION)),
        (STREAM.to_owned(), text(stream)),
        (FINGERPRINT.to_owned(), text(definition.fingerprint().as_str())),
        (FUNCTION.to_owned(), text(&environment.function)),
        (STARTED_AT.to_owned(), text(&environment.started_at.to_rfc3339_opts(SecondsFormat::Millis, true))),
        (RECORDED_AT.to_owned(), text(&stamp.recorded_at)),
        (REQUEST_ID.to_owned(), text(&stamp.request_id)),
    ]))
}

/// Whether a marker was written under another definition; one without a fingerprint counts as the same.
#[must_use]
pub fn is_of_another_definition(marker: &Item, definition: &Definition) -> bool {
    matches!(marker.get(FINGERPRINT), Some(AttributeValue::S(found)) if found != definition.fingerprint().as_str())
}

/// A source item's key without what an item cannot hold, such as a number of 41 digits, so that DynamoDB never refuses
/// a marker for what a record says.
fn storable<V: StoredValue>(source_key: &Item) -> HashMap<String, V> {
    let holds = |value: &AttributeValue| match value {
        AttributeValue::S(_) | AttributeValue::B(_) => true,
        AttributeValue::N(text) => text.parse::<Number>().is_ok_and(|number| number.is_storable()),
        _ => false,
    };
    let mut stored = HashMap::with_capacity(source_key.len());
    let held = source_key.inner().iter().filter(|(_, value)| holds(value));
    stored.extend(held.map(|(name, value)| (name.clone(), value.clone().into())));
    stored
}

/// The key of a record's marker.
#[must_use]
pub fn marker_key(id: &RecordId) -> Item {
    let key = [(SEQUENCE_NUMBER, &id.sequence_number), (STREAM, &id.stream)];
    Item::from(
        key.map(|(name, value)| (name.to_owned(), AttributeValue::S(value.clone())))
            .into_iter()
            .collect::<HashMap<_, _>>(),
    )
}

/// The record that a marker is of.
#[must_use]
pub fn record_id(marker: &Item) -> Option<RecordId> {
    let text = |name: &str| match marker.get(name) {
        Some(AttributeValue::S(value)) => Some(value.clone()),
        _ => None,
    };
    Some(RecordId { sequence_number: text(SEQUENCE_NUMBER)?, stream: text(STREAM)? })
}

/// Which existing marker a new one may replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Guard {
    /// None: a record counts once. The function uses this.
    #[default]
    Absent,
    /// The marker of a record in quarantine, if there is one: an operator's replay, which ends the quarantine in the
    /// same transaction. Not the marker of a record that was quarantined as
    /// [expired](crate::rollup::model::poison::EXPIRED).
    AbsentOrQuarantined,
    /// There must be a marker of a record in quarantine, and not as expired: a replay from quarantine. That marker
    /// proves that the record was never counted, however old it is.
    Quarantined,
}

/// Whether the record of a quarantined marker is kept, in the marker or in its parts.
#[must_use]
pub fn holds_record(marker: &Item) -> bool {
    marker.contains_key(RECORD) || marker.contains_key(PARTS)
}

/// Whether a marker is of a record in quarantine.
#[must_use]
pub fn is_quarantined(marker: &Item) -> bool {
    matches!(marker.get(OUTCOME), Some(AttributeValue::S(outcome)) if outcome == MarkerOutcome::Quarantined.as_str())
}
