//! Builds the event that Lambda passes to a function, from the records of a stream.

use std::collections::HashMap;

use aws_sdk_dynamodbstreams::types::{AttributeValue, Identity, Record};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use crate::rollup::Item;

/// The maximum size of an event, in bytes: 6 MB for synchronous invocation (Lambda Developer Guide, "Lambda quotas").
pub const EVENT_BYTES: usize = 6 * 1024 * 1024;

/// The text around the records of an event.
const PREFIX: &str = r#"{"Records":["#;
const SUFFIX: &str = "]}";

/// A stream record as JSON, ready to be put into an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRecord {
    /// The record's sequence number: its position in its shard, as a text of digits.
    pub sequence_number: String,
    /// When the record was written; `None` if the stream does not say.
    pub created_at: Option<DateTime<Utc>>,
    /// The record as JSON.
    pub json: String,
}

impl EventRecord {
    /// Builds the record as Lambda writes it. Fields that the stream does not return are absent, as in Lambda's events.
    #[must_use]
    pub fn new(record: Record, stream_arn: &str) -> Self {
        let change = record.dynamodb;
        let created_at = change.as_ref().and_then(|change| change.approximate_creation_date_time);
        let sequence_number = change.as_ref().and_then(|change| change.sequence_number.clone()).unwrap_or_default();
        let mut fields = Map::new();
        put(&mut fields, "eventID", record.event_id);
        put(&mut fields, "eventName", record.event_name.map(|name| name.as_str().to_owned()));
        put(&mut fields, "eventVersion", record.event_version);
        put(&mut fields, "eventSource", record.event_source);
        put(&mut fields, "awsRegion", record.aws_region);
        if let Some(change) = change {
            let mut inner = Map::new();
            put(&mut inner, "ApproximateCreationDateTime", created_at.map(|at| seconds(at.secs(), at.as_secs_f64())));
            put(&mut inner, "Keys", change.keys.map(image));
            put(&mut inner, "NewImage", change.new_image.map(image));
            put(&mut inner, "OldImage", change.old_image.map(image));
            put(&mut inner, "SequenceNumber", change.sequence_number);
            put(&mut inner, "SizeBytes", change.size_bytes);
            put(&mut inner, "StreamViewType", change.stream_view_type.map(|kind| kind.as_str().to_owned()));
            fields.insert("dynamodb".to_owned(), Value::Object(inner));
        }
        put(&mut fields, "userIdentity", record.user_identity.as_ref().map(identity));
        fields.insert("eventSourceARN".to_owned(), json!(stream_arn));
        Self {
            sequence_number,
            created_at: created_at.and_then(|at| DateTime::from_timestamp(at.secs(), at.subsec_nanos())),
            json: Value::Object(fields).to_string(),
        }
    }
}

/// Builds an event with these records.
#[must_use]
pub fn event(records: &[EventRecord]) -> String {
    let records: Vec<_> = records.iter().map(|record| record.json.as_str()).collect();
    [PREFIX, &records.join(","), SUFFIX].concat()
}

/// How many of the first records fit into one event, at most `most`. A single record always fits, so the result is at
/// least 1 unless there are no records.
pub fn fitting<'a>(records: impl Iterator<Item = &'a EventRecord>, most: usize) -> usize {
    let mut bytes = PREFIX.len() + SUFFIX.len();
    let fits = |record: &&EventRecord| {
        bytes += record.json.len() + 1;
        bytes <= EVENT_BYTES
    };
    let mut records = records.take(most).peekable();
    let any = usize::from(records.peek().is_some());
    records.take_while(fits).count().max(any)
}

fn put(fields: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        fields.insert(name.to_owned(), value.into());
    }
}

/// A time in seconds: whole seconds without a fraction, as DynamoDB's streams have them.
fn seconds(whole: i64, exact: f64) -> Value {
    if exact.fract() == 0.0 { json!(whole) } else { json!(exact) }
}

fn image(attributes: HashMap<String, AttributeValue>) -> Value {
    // An item has string keys and no floats, so it can always be written as JSON.
    serde_json::to_value(Item::from(attributes)).unwrap_or_default()
}

/// The identity that deleted the item. A stream names an identity only for a delete by TTL. An engine that names the
/// fields in another way than the service leaves them empty here.
fn identity(identity: &Identity) -> Value {
    json!({
        "type": identity.r#type.as_deref().unwrap_or("Service"),
        "principalId": identity.principal_id.as_deref().unwrap_or("dynamodb.amazonaws.com"),
    })
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodbstreams::primitives::{Blob, DateTime as SdkTime};
    use aws_sdk_dynamodbstreams::types::{OperationType, StreamRecord, StreamViewType};

    use super::*;

    fn of(name: &str, value: AttributeValue) -> HashMap<String, AttributeValue> {
        HashMap::from([(name.to_owned(), value)])
    }

    #[test]
    fn a_record_is_what_lambda_makes_of_it() {
        let record = Record::builder()
            .event_id("e1")
            .event_name(OperationType::Remove)
            .event_version("1.1")
            .event_source("aws:dynamodb")
            .aws_region("eu-west-1")
            .dynamodb(
                StreamRecord::builder()
                    .approximate_creation_date_time(SdkTime::from_secs(1_700_000_000))
                    .set_keys(Some(of("MapId", AttributeValue::S("m".into()))))
                    .set_old_image(Some(of(
                        "All",
                        AttributeValue::L(vec![
                            AttributeValue::N("1.50".into()),
                            AttributeValue::Bool(true),
                            AttributeValue::Null(true),
                            AttributeValue::B(Blob::new([0, 255])),
                            AttributeValue::Ss(vec!["a".into()]),
                            AttributeValue::Ns(vec!["2".into()]),
                            AttributeValue::Bs(vec![Blob::new([1])]),
                            AttributeValue::M(of("x", AttributeValue::S(String::new()))),
                        ]),
                    )))
                    .sequence_number("100000000000000000001")
                    .size_bytes(12)
                    .stream_view_type(StreamViewType::NewAndOldImages)
                    .build(),
            )
            .user_identity(Identity::builder().build())
            .build();
        let record = EventRecord::new(record, "arn:stream");
        assert_eq!(record.sequence_number, "100000000000000000001");
        assert_eq!(record.created_at, DateTime::from_timestamp(1_700_000_000, 0));
        assert_eq!(
            serde_json::from_str::<Value>(&event(&[record])).unwrap(),
            json!({"Records": [{
                "eventID": "e1",
                "eventName": "REMOVE",
                "eventVersion": "1.1",
                "eventSource": "aws:dynamodb",
                "awsRegion": "eu-west-1",
                "dynamodb": {
                    "ApproximateCreationDateTime": 1_700_000_000,
                    "Keys": {"MapId": {"S": "m"}},
                    "OldImage": {"All": {"L": [
                        {"N": "1.50"},
                        {"BOOL": true},
                        {"NULL": true},
                        {"B": "AP8="},
                        {"SS": ["a"]},
                        {"NS": ["2"]},
                        {"BS": ["AQ=="]},
                        {"M": {"x": {"S": ""}}},
                    ]}},
                    "SequenceNumber": "100000000000000000001",
                    "SizeBytes": 12,
                    "StreamViewType": "NEW_AND_OLD_IMAGES",
                },
                "userIdentity": {"type": "Service", "principalId": "dynamodb.amazonaws.com"},
                "eventSourceARN": "arn:stream",
            }]})
        );
    }

    #[test]
    fn what_the_stream_does_not_tell_is_absent() {
        let change = StreamRecord::builder().sequence_number("1").build();
        let record = EventRecord::new(Record::builder().dynamodb(change).build(), "arn");
        assert_eq!(record.json, r#"{"dynamodb":{"SequenceNumber":"1"},"eventSourceARN":"arn"}"#);
        assert_eq!(record.created_at, None);
        let at = StreamRecord::builder().approximate_creation_date_time(SdkTime::from_secs_f64(1.5)).build();
        let record = EventRecord::new(Record::builder().dynamodb(at).build(), "arn");
        assert!(record.json.contains(r#""ApproximateCreationDateTime":1.5"#), "{}", record.json);
    }

    #[test]
    fn an_event_stays_within_the_payload_limit() {
        let record = |bytes| EventRecord { sequence_number: "1".into(), created_at: None, json: "x".repeat(bytes) };
        let megabyte: Vec<_> = std::iter::repeat_n(record(1024 * 1024), 8).collect();
        assert_eq!(fitting(megabyte.iter(), 100), 5);
        assert!(event(&megabyte[..5]).len() <= EVENT_BYTES && event(&megabyte[..6]).len() > EVENT_BYTES);
        assert_eq!(fitting(megabyte.iter(), 3), 3);
        assert_eq!(fitting([].iter(), 3), 0);
        assert_eq!(fitting([record(7 * 1024 * 1024)].iter(), 3), 1, "one too large still goes, alone");
        assert_eq!(event(&[]), r#"{"Records":[]}"#);
    }
}
