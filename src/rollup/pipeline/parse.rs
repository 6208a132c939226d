//! The border: turns raw JSON into [`StreamRecord`]s, whose fields are optional only where a record may lack them.
//!
//! A record that cannot be read does not affect the others. What makes the whole event fail is an [`EventError`].

use aws_lambda_events::event::dynamodb::StreamViewType;

use crate::rollup::model::arn::{arn_path, table_name};
use crate::rollup::model::limits;
use crate::rollup::model::poison::{Image, Poison, Reason};
use crate::rollup::model::record::{Images, RecordHead, RecordId, StreamRecord, UNKNOWN_STREAM};

mod envelope;
mod records;

use envelope::{Envelope, Fields, field};
use records::{ListedRecord, Records};

/// The `eventSource` of every record of a DynamoDB stream.
const SOURCE: &str = "aws:dynamodb";

/// The longest part of another `eventSource` that an error repeats.
const SOURCE_CHARACTERS: usize = 64;

/// One entry of an event's `Records`.
#[derive(Debug, Clone, PartialEq)]
pub enum Parsed<'a> {
    /// A stream record.
    Record(StreamRecord<'a>),
    /// A record that cannot be applied, but that has a sequence number.
    Poison(Poison<'a>),
    /// A record without a sequence number: it can be neither marked nor reported to Lambda.
    Unnumbered {
        /// What is wrong with it.
        reason: Reason,
        /// The record as it came.
        raw: &'a str,
    },
}

/// An event that is not from a usable stream. The deployment is at fault, not the records, so nothing is quarantined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// It is not text, so it is not JSON.
    #[error("the event is not UTF-8 text: no character begins at byte {bytes}; send it as JSON")]
    NotText {
        /// How many bytes at its beginning are text.
        bytes: usize,
    },
    /// It has no `Records`.
    #[error(
        "the event is not from a DynamoDB stream: no list of Records up to line {line}, column {column}; connect the \
         function to a stream by an event source mapping"
    )]
    NotAStreamEvent {
        /// The line of the event at which reading stopped.
        line: usize,
        /// The column.
        column: usize,
    },
    /// A record of another service.
    #[error(
        "the event comes from {found}, not from a DynamoDB stream; connect the function to the source table's stream by an \
         event source mapping"
    )]
    Source {
        /// The service, as the record states it.
        found: String,
    },
    /// The stream does not carry both images.
    #[error(
        "the stream's view type is {found}, but NEW_AND_OLD_IMAGES is needed to tell what a write changed; give the source table a stream of that type (record {record})"
    )]
    StreamViewType {
        /// The type that the record states.
        found: String,
        /// The record that states it.
        record: String,
    },
}

/// Parses an event. Its records are parsed in order, each only when the iterator gets to it, because its images may take
/// much memory.
///
/// # Errors
/// When the event has no list of `Records`. From the iterator, at the first of these in the event: a stream of the wrong
/// view type, a record of another service, or text that is not JSON. Then nothing of the event may be used.
pub fn parse(event: &str) -> Result<impl Iterator<Item = Result<Parsed<'_>, EventError>>, EventError> {
    let records = Records::of(event).map_err(|error| not_a_stream_event(&error))?;
    Ok(records.map(|record| {
        let ListedRecord { raw, record } = record.map_err(|error| not_a_stream_event(&error))?;
        match record {
            Some(record) => accept(Envelope::of(record, raw), raw),
            None => parse_record(raw),
        }
    }))
}

fn not_a_stream_event(error: &serde_json::Error) -> EventError {
    EventError::NotAStreamEvent { line: error.line(), column: error.column() }
}

/// Whether a stream belongs to another table, by its ARN. A text that is not a stream's ARN, as in a test event, counts
/// as the source table's.
#[must_use]
pub fn is_of_another_table(stream: &str, source_table: &str) -> bool {
    let Some((table, label)) = arn_path(stream).and_then(|path| path.split_once('/')) else { return false };
    label.starts_with("stream/") && table != table_name(source_table)
}

/// Parses one record.
///
/// # Errors
/// When its stream has the wrong view type.
pub fn parse_record(raw: &str) -> Result<Parsed<'_>, EventError> {
    match Envelope::read(raw) {
        Ok(record) => accept(record, raw),
        Err(error) => refuse(Reason::Unreadable(shortened(&error.to_string())), raw),
    }
}

fn accept(record: Envelope, raw: &str) -> Result<Parsed<'_>, EventError> {
    let Some(sequence_number) = record.sequence_number.filter(|number| usable_sequence_number(number)) else {
        return unnumbered(no_sequence_number(), raw);
    };
    if let Some(found) = record.view_type.filter(|found| *found != StreamViewType::NewAndOldImages) {
        return Err(EventError::StreamViewType { found: found.to_string(), record: sequence_number });
    }
    let (stream, usable) = match usable_stream(record.stream) {
        Ok(stream) => (stream, Ok(())),
        Err(reason) => (UNKNOWN_STREAM.to_owned(), Err(reason)),
    };
    let head = RecordHead {
        id: RecordId { sequence_number, stream },
        event_id: record.event_id,
        event_name: record.event_name,
        source_key: record.keys,
        digest: None,
    };
    let images = usable.and(match (record.old, record.new, head.event_name.as_str()) {
        (None, None, _) => Err(Reason::NoImage),
        (Some(_), None, "MODIFY") => Err(Reason::HalfModify(Image::Old)),
        (None, Some(_), "MODIFY") => Err(Reason::HalfModify(Image::New)),
        (None, Some(new), _) => Ok(Images::Inserted(new)),
        (Some(old), Some(new), _) => Ok(Images::Modified { old, new }),
        (Some(old), None, _) => Ok(Images::Removed(old)),
    });
    Ok(match images {
        Ok(images) => {
            let (created_at, unreadable) = (record.created_at, record.unreadable);
            Parsed::Record(StreamRecord { head, created_at, images, unreadable, raw })
        }
        Err(reason) => Parsed::Poison(Poison { head, reason, raw }),
    })
}

/// What can still be read of a record that does not parse.
fn refuse(reason: Reason, raw: &str) -> Result<Parsed<'_>, EventError> {
    let record: Fields<'_> = serde_json::from_str(raw).unwrap_or_default();
    let change: Fields<'_> = field(&record, "dynamodb").unwrap_or_default();
    let Some(sequence_number) =
        field::<String>(&change, "SequenceNumber").filter(|number| usable_sequence_number(number))
    else {
        return unnumbered(reason, raw);
    };
    let stream = usable_stream(field(&record, "eventSourceARN")).unwrap_or_else(|_| UNKNOWN_STREAM.to_owned());
    let head = RecordHead {
        id: RecordId { sequence_number, stream },
        event_id: field(&record, "eventID").unwrap_or_default(),
        event_name: field(&record, "eventName").unwrap_or_default(),
        source_key: field(&change, "Keys").unwrap_or_default(),
        digest: None,
    };
    Ok(Parsed::Poison(Poison { head, reason, raw }))
}

/// A record without a sequence number. If it says that another service sent it, the function is connected to the wrong
/// service: that is an error, and nothing of the record is kept.
fn unnumbered(reason: Reason, raw: &str) -> Result<Parsed<'_>, EventError> {
    let record: Fields<'_> = serde_json::from_str(raw).unwrap_or_default();
    // SNS writes its fields in another case.
    let source = field::<String>(&record, "eventSource").or_else(|| field(&record, "EventSource"));
    match source.filter(|source| source != SOURCE) {
        Some(source) => Err(EventError::Source { found: source.chars().take(SOURCE_CHARACTERS).collect() }),
        None => Ok(Parsed::Unnumbered { reason, raw }),
    }
}

/// A parser's message, shortened: it may repeat what is in the record, which may be long.
pub(super) fn shortened(words: &str) -> String {
    match words.char_indices().find(|(place, _)| *place >= limits::REASON_BYTES) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words.to_owned(),
    }
}

fn no_sequence_number() -> Reason {
    Reason::Unreadable(format!("no SequenceNumber of 1 to {} bytes", limits::PARTITION_KEY_BYTES))
}

fn usable_sequence_number(number: &str) -> bool {
    (1..=limits::PARTITION_KEY_BYTES).contains(&number.len())
}

fn usable_stream(arn: Option<String>) -> Result<String, Reason> {
    match arn {
        None => Err(Reason::NoStream("it is missing")),
        Some(arn) if arn.is_empty() => Err(Reason::NoStream("it is empty")),
        Some(arn) if arn.len() > limits::SORT_KEY_BYTES => Err(Reason::NoStream("it is longer than a key may be")),
        Some(arn) => Ok(arn),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_a_record_is_usable_up_to_the_size_of_a_key() {
        for (bytes, usable) in [(0, false), (1, true), (2_048, true), (2_049, false)] {
            assert_eq!(usable_sequence_number(&"1".repeat(bytes)), usable, "{bytes}");
        }
        let stream = |bytes: usize| usable_stream(Some("a".repeat(bytes)));
        assert_eq!(usable_stream(None), Err(Reason::NoStream("it is missing")));
        assert_eq!(stream(0), Err(Reason::NoStream("it is empty")));
        assert_eq!(stream(1_024), Ok("a".repeat(1_024)));
        assert_eq!(stream(1_025), Err(Reason::NoStream("it is longer than a key may be")));
    }

    #[test]
    fn what_a_record_lacks_costs_it_nothing_that_it_has() {
        let created = |created: &str, other: &str| {
            let raw = format!(
                r#"{{"eventSourceARN": "a", "dynamodb": {{"SequenceNumber": "1", "NewImage": {{"A": {{"S": "x"}}}},
                "Keys": {{"A": {{"S": "x"}}}}{created}{other}}}}}"#
            );
            let Ok(Parsed::Record(record)) = parse_record(&raw) else { panic!("{raw}") };
            record.created_at.map(|at| at.timestamp())
        };
        let told = r#", "ApproximateCreationDateTime": 1795000000"#;
        for (of, expected) in
            [(told, Some(1_795_000_000)), (r#", "ApproximateCreationDateTime": null"#, None), ("", None)]
        {
            for other in ["", r#", "SizeBytes": null"#, r#", "SizeBytes": 3"#, r#", "OldImage": null"#] {
                assert_eq!(created(of, other), expected, "{of}{other}");
            }
        }
    }

    #[test]
    fn only_the_arn_of_a_stream_can_be_that_of_another_table() {
        let arn = "arn:aws-cn:dynamodb:cn-north-1:123456789012:table/Point";
        let stream = format!("{arn}/stream/2026-01-01T00:00:00.000");
        for (source_table, of_another) in [("Point", false), (arn, false), ("Points", true), ("Map", true)] {
            assert_eq!(is_of_another_table(&stream, source_table), of_another, "{source_table}");
        }
        for stream in
            [arn, "stream", "", "arn", "arn:::::", "arn:a:b:c:d:table/Point", "x:a:b:c:d:table/Point/stream/e"]
        {
            assert!(!is_of_another_table(stream, "Other"), "{stream}");
        }
    }

    #[test]
    fn a_long_word_of_the_parser_is_cut() {
        let long = "é".repeat(600);
        let raw = format!(r#"{{"eventSourceARN":"arn","dynamodb":{{"SequenceNumber":"1","NewImage":"{long}"}}}}"#);
        let Ok(Parsed::Poison(poison)) = parse_record(&raw) else { panic!("{raw}") };
        let reason = poison.reason.to_string();
        assert!((500..560).contains(&reason.len()) && reason.ends_with('…'), "{reason}");
    }

    #[test]
    fn an_event_of_another_service_is_told_by_its_name() {
        for (raw, found) in [
            (r#"{"eventSource": "aws:sqs"}"#, Some("aws:sqs")),
            (r#"{"EventSource": "aws:sns"}"#, Some("aws:sns")),
            (r#"{"eventSource": "aws:dynamodb"}"#, None),
            (r#"{"eventSource": "aws:kinesis", "dynamodb": {"SequenceNumber": "1"}}"#, None),
            ("{}", None),
        ] {
            let found = found.map(|found: &str| EventError::Source { found: found.to_owned() });
            assert_eq!(parse_record(raw).err(), found, "{raw}");
        }
    }
}
