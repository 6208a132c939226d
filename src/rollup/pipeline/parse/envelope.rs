//! What a raw record says, field by field, so that a field that nothing needs cannot make the record unreadable.

use std::collections::{BTreeMap, HashMap};

use aws_lambda_events::event::dynamodb::{StreamRecord, StreamViewType};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::shortened;
use crate::rollup::{AttributeValue, Item};

/// Seconds since the epoch are less than this, and milliseconds are more: the rule of the views' time functions.
const SECONDS_END: f64 = 100_000_000_000.0;

/// The beginning of 2012, in seconds since the epoch. DynamoDB started in that year, so no stream record is older.
const STREAMS_BEGIN: f64 = 1_325_376_000.0;

/// How many of a unit are a second: seconds, milliseconds, microseconds, nanoseconds.
const UNITS: [f64; 4] = [1.0, 1e3, 1e6, 1e9];

/// The fields of a record that decide something.
pub(super) struct Envelope {
    pub(super) event_id: String,
    pub(super) event_name: String,
    pub(super) stream: Option<String>,
    pub(super) sequence_number: Option<String>,
    pub(super) view_type: Option<StreamViewType>,
    pub(super) created_at: Option<DateTime<Utc>>,
    pub(super) keys: Item,
    pub(super) old: Option<Item>,
    pub(super) new: Option<Item>,
    /// The attributes of the images that cannot be read, each with the parser's message.
    pub(super) unreadable: BTreeMap<String, String>,
}

/// The fields of a record that are read as a whole; the others are skipped.
#[derive(Deserialize)]
#[serde(expecting = "a stream record")]
pub(super) struct Record {
    #[serde(rename = "eventID", default)]
    event_id: Option<String>,
    #[serde(rename = "eventName", default)]
    event_name: Option<String>,
    #[serde(rename = "eventSourceARN", default)]
    stream: Option<String>,
    dynamodb: StreamRecord,
}

impl Envelope {
    /// Reads a record: as a whole, which is fast, or else field by field.
    ///
    /// # Errors
    /// When the record is not an object with a `dynamodb` object, or its keys or an image are not items; the error is
    /// that of the record as a whole.
    pub(super) fn read(raw: &str) -> Result<Self, serde_json::Error> {
        match serde_json::from_str::<Record>(raw) {
            Ok(record) => Ok(Self::of(record, raw)),
            Err(error) => Self::apart(raw).ok_or(error),
        }
    }

    /// The envelope of a record that was read as a whole; `raw` is its text.
    pub(super) fn of(record: Record, raw: &str) -> Self {
        let change = record.dynamodb;
        let present = |image: Item| (!image.is_empty()).then_some(image);
        // The library takes any number for seconds, and a missing field for the epoch.
        let time = change.approximate_creation_date_time;
        let created_at = if plausible(time) { Some(time) } else { created_at(raw) };
        Self {
            event_id: record.event_id.unwrap_or_default(),
            event_name: record.event_name.unwrap_or_default(),
            stream: record.stream,
            sequence_number: change.sequence_number,
            view_type: change.stream_view_type,
            created_at,
            keys: change.keys,
            old: present(change.old_image),
            new: present(change.new_image),
            unreadable: BTreeMap::new(),
        }
    }

    fn apart(raw: &str) -> Option<Self> {
        let record: Fields<'_> = serde_json::from_str(raw).ok()?;
        let change: Fields<'_> = field(&record, "dynamodb")?;
        let mut unreadable = BTreeMap::new();
        let mut image = |name| match nullable::<Fields<'_>>(&change, name).ok()? {
            None => Some(None),
            Some(attributes) => Some(item(&attributes, &mut unreadable)),
        };
        let (old, new) = (image("OldImage")?, image("NewImage")?);
        let view_type = nullable(&change, "StreamViewType").ok()?;
        Some(Self {
            event_id: field(&record, "eventID").unwrap_or_default(),
            event_name: field(&record, "eventName").unwrap_or_default(),
            stream: field(&record, "eventSourceARN"),
            sequence_number: field(&change, "SequenceNumber"),
            view_type,
            created_at: creation_time(&change),
            keys: nullable(&change, "Keys").ok()?.unwrap_or_default(),
            old,
            new,
            unreadable,
        })
    }
}

/// The fields of a JSON object, not parsed yet. If a field is there twice, the last one counts, as for records that are
/// read as a whole.
pub(super) type Fields<'a> = HashMap<String, &'a RawValue>;

/// A field that can be read.
pub(super) fn field<'a, T: Deserialize<'a>>(fields: &Fields<'a>, name: &str) -> Option<T> {
    fields.get(name).and_then(|raw| serde_json::from_str(raw.get()).ok())
}

/// A field that may be absent or null, but must not be anything else than it should be.
fn nullable<'a, T: Deserialize<'a>>(fields: &Fields<'a>, name: &str) -> serde_json::Result<Option<T>> {
    fields.get(name).map_or(Ok(None), |raw| serde_json::from_str(raw.get()))
}

/// An image without the attributes that cannot be read; `None` if it has no attribute at all.
fn item(attributes: &Fields<'_>, unreadable: &mut BTreeMap<String, String>) -> Option<Item> {
    let mut item = HashMap::with_capacity(attributes.len());
    for (name, raw) in attributes {
        match serde_json::from_str::<AttributeValue>(raw.get()) {
            Ok(value) => {
                item.insert(name.clone(), value);
            }
            Err(error) => {
                unreadable.entry(name.clone()).or_insert_with(|| shortened(&error.to_string()));
            }
        }
    }
    (!attributes.is_empty()).then(|| item.into())
}

/// When a record was created, by its raw text.
fn created_at(raw: &str) -> Option<DateTime<Utc>> {
    let record: Fields<'_> = serde_json::from_str(raw).ok()?;
    creation_time(&field(&record, "dynamodb")?)
}

/// When a record was created: a number of seconds since the epoch. A larger number is of a smaller unit, if that gives
/// a time at which there were streams. Anything else is treated as absent.
fn creation_time(change: &Fields<'_>) -> Option<DateTime<Utc>> {
    let number: f64 = field(change, "ApproximateCreationDateTime")?;
    let mut of_unit = UNITS.into_iter().map(|unit| (unit, number / unit));
    let (unit, seconds) = of_unit.find(|(_, seconds)| *seconds < SECONDS_END)?;
    if seconds == 0.0 || (unit > 1.0 && seconds < STREAMS_BEGIN) {
        return None;
    }
    #[allow(clippy::cast_possible_truncation, reason = "what is out of range is no time")]
    DateTime::from_timestamp_millis((seconds * 1e3) as i64)
}

/// Whether a time that the library read can be that of the record. The library reads a missing time as the epoch, and a
/// number of any unit as seconds.
fn plausible(time: DateTime<Utc>) -> bool {
    #[allow(clippy::cast_precision_loss, reason = "it is compared with a round number")]
    let seconds = time.timestamp() as f64;
    time != DateTime::UNIX_EPOCH && seconds < SECONDS_END
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The creation time of a record with this one, to the second.
    fn time(text: &str) -> Option<i64> {
        let raw = format!(
            r#"{{"awsRegion":"","eventID":"","eventName":"","dynamodb":{{"SizeBytes":1,"ApproximateCreationDateTime":{text}}}}}"#
        );
        let envelope = Envelope::read(&raw).unwrap_or_else(|error| panic!("{text}: {error}"));
        envelope.created_at.map(|at| at.timestamp())
    }

    #[test]
    fn a_creation_time_is_of_the_unit_that_its_size_tells() {
        for (text, expected) in [
            ("1", 1),
            ("-1", -1),
            ("1795000000", 1_795_000_000),
            ("1795000000.5", 1_795_000_000),
            ("1.795e9", 1_795_000_000),
            ("99999999999", 99_999_999_999),
            ("1795000000500", 1_795_000_000),
            ("1325376000000", 1_325_376_000),
            ("99999999999999", 99_999_999_999),
            ("1795000000500000", 1_795_000_000),
            ("1795000000500000000", 1_795_000_000),
        ] {
            assert_eq!(time(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_creation_time_is_as_good_as_none() {
        for text in [
            "null",
            "0",
            "-0.0",
            "100000000000",
            "253402300799",
            "1325375999999",
            "1000000000000000000",
            "-1e300",
            "1e300",
            "1e999",
            "1e20",
            "true",
            "[]",
            "{}",
            r#""""#,
            r#""1795000000""#,
            r#""2026-03-05T14:07:00Z""#,
            r#""nonsense""#,
        ] {
            assert_eq!(time(text), None, "{text}");
        }
    }
}
