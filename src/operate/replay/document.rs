//! Reads the contents of failure destinations: pointers into a stream, events, records.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::rollup::pipeline::parse::{Parsed, parse_record};

/// A pointer into a stream: the message that Lambda sends to a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchPointer {
    /// The stream's ARN.
    pub stream: String,
    pub shard: String,
    /// The sequence number of the first record.
    pub first: String,
    /// The sequence number of the last record.
    pub last: String,
    /// Number of records from the first to the last.
    pub size: usize,
    /// When the first record was written, as the message says.
    pub from: String,
    /// When the last record was written, as the message says.
    pub until: String,
}

/// Parses a message of a failure destination; `None` if it is another kind of message.
#[must_use]
pub fn pointer(message: &str) -> Option<BatchPointer> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Info {
        shard_id: String,
        start_sequence_number: String,
        end_sequence_number: String,
        batch_size: usize,
        stream_arn: String,
        #[serde(default)]
        approximate_arrival_of_first_record: Option<String>,
        #[serde(default)]
        approximate_arrival_of_last_record: Option<String>,
    }
    #[derive(Deserialize)]
    struct Message {
        #[serde(rename = "DDBStreamBatchInfo")]
        info: Info,
    }
    let Message { info } = serde_json::from_str(message).ok()?;
    Some(BatchPointer {
        stream: info.stream_arn,
        shard: info.shard_id,
        first: info.start_sequence_number,
        last: info.end_sequence_number,
        size: info.batch_size,
        from: info.approximate_arrival_of_first_record.unwrap_or_else(|| "an unknown time".to_owned()),
        until: info.approximate_arrival_of_last_record.unwrap_or_else(|| "an unknown time".to_owned()),
    })
}

/// Reads the raw records in a text: the object of a failure destination in S3, an event, a list of records, a single
/// record, or one of these per line.
///
/// # Errors
/// When a part of the text is none of these; the error names the line.
pub fn records(text: &str) -> Result<Vec<String>, String> {
    if let Ok(records) = part(text) {
        return Ok(records);
    }
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let parts = lines.map(|(number, line)| part(line).map_err(|cause| format!("line {}: {cause}", number + 1)));
    let parts: Vec<Vec<String>> = parts.collect::<Result<_, _>>()?;
    if parts.is_empty() {
        return Err("it is empty".to_owned());
    }
    Ok(parts.into_iter().flatten().collect())
}

/// Number of records that have no creation time, without those that cannot be applied in any case.
#[must_use]
pub fn undated(records: &[String]) -> usize {
    let undated =
        |raw: &&String| matches!(parse_record(raw), Ok(Parsed::Record(record)) if record.created_at.is_none());
    records.iter().filter(undated).count()
}

fn part(text: &str) -> Result<Vec<String>, String> {
    #[derive(Deserialize)]
    struct PayloadEvent<'a> {
        #[serde(rename = "Records", borrow)]
        records: Vec<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Payload {
        payload: String,
    }
    #[derive(Deserialize)]
    struct Record<'a> {
        #[serde(borrow, rename = "dynamodb")]
        _change: &'a RawValue,
    }
    let owned = |records: Vec<&RawValue>| records.into_iter().map(|raw| raw.get().to_owned()).collect();
    if let Ok(PayloadEvent { records }) = serde_json::from_str(text) {
        return Ok(owned(records));
    }
    if let Ok(records) = serde_json::from_str::<Vec<&RawValue>>(text) {
        return Ok(owned(records));
    }
    if let Ok(Payload { payload }) = serde_json::from_str(text) {
        let PayloadEvent { records } =
            serde_json::from_str(&payload).map_err(|error| format!("its payload is not a stream event: {error}"))?;
        return Ok(owned(records));
    }
    if serde_json::from_str::<Record<'_>>(text).is_ok() {
        return Ok(vec![text.trim().to_owned()]);
    }
    if pointer(text).is_some() {
        return Err("it points at records and does not hold them; put it into a queue for --from-queue".to_owned());
    }
    match serde_json::from_str::<&RawValue>(text) {
        Ok(_) => Err("it holds no records of a stream".to_owned()),
        Err(error) => Err(format!("it is not JSON: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_found_in_whatever_holds_them() {
        let record = r#"{"eventID":"1","dynamodb":{}}"#;
        let event = format!(r#"{{"Records":[{record},{record}]}}"#);
        let payload = serde_json::json!({ "version": "1.0", "payload": event }).to_string();
        for (text, expected) in [
            (record.to_owned(), 1),
            (event.clone(), 2),
            (format!("[{record},{record},{record}]"), 3),
            (payload.clone(), 2),
            (format!("{record}\n{event}\n\n{payload}\n"), 5),
        ] {
            let found = records(&text);
            assert_eq!(found.as_ref().map(Vec::len), Ok(expected), "{text}");
            assert!(found.unwrap().iter().all(|found| found == record));
        }
    }

    #[test]
    fn what_holds_none_is_named() {
        for (text, expected) in [
            ("", "empty"),
            ("{}", "no records"),
            ("nonsense", "not JSON"),
            (r#"{"payload":"nonsense"}"#, "payload is not a stream event"),
            ("{\"Records\":[]}\nnonsense", "line 2"),
        ] {
            let cause = records(text).unwrap_err();
            assert!(cause.contains(expected), "{text:?}: {cause}");
        }
        let pointer = r#"{"DDBStreamBatchInfo":{"shardId":"s","startSequenceNumber":"1","endSequenceNumber":"2","batchSize":2,"streamArn":"arn"}}"#;
        assert!(records(pointer).unwrap_err().contains("--from-queue"));
    }
}
