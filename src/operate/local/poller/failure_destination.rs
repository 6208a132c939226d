//! Where records go that are no longer delivered.

use std::path::{Path, PathBuf};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use super::batch_delivery::GivenUp;
use crate::operate::event::{EventRecord, event};

/// The result of the last delivery of records that were given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LastInvocation {
    /// They were never delivered.
    None,
    /// The function responded, and named a record that it had not resolved.
    Responded,
    /// The function failed or timed out.
    Failed,
}

impl LastInvocation {
    /// The result of an invocation, from its response or the message of its error.
    pub(super) fn of(response: &Result<String, String>) -> Self {
        if response.is_ok() { Self::Responded } else { Self::Failed }
    }
}

/// Records that were given up, as Lambda describes them to a failure destination.
#[derive(Debug)]
pub(super) struct InvocationRecord<'a> {
    /// The name of the function.
    pub(super) function: &'a str,
    /// The stream's ARN.
    pub(super) stream: &'a str,
    /// The shard of the records.
    pub(super) shard: &'a str,
    /// Their indexes in the batch, and why they were given up.
    pub(super) given_up: &'a GivenUp,
    /// The records, never empty.
    pub(super) records: &'a [EventRecord],
    /// The result of the last delivery.
    pub(super) last_invocation: LastInvocation,
    /// When they were given up.
    pub(super) at: DateTime<Utc>,
}

impl InvocationRecord<'_> {
    /// The message that Lambda sends to a queue, with the event in `payload` as for a bucket.
    fn document(&self) -> Value {
        let first = self.records.first();
        let last = self.records.last();
        let number = |record: Option<&EventRecord>| record.map(|record| record.sequence_number.clone());
        let arrival = |record: Option<&EventRecord>| record.and_then(|record| record.created_at).map(time);
        let condition = self.given_up.condition.name();
        let call = format!("{} {:?} {condition} {}", self.stream, number(first), self.at);
        let response = match self.last_invocation {
            LastInvocation::None => Value::Null,
            LastInvocation::Responded => json!({ "statusCode": 200, "executedVersion": "$LATEST" }),
            LastInvocation::Failed => {
                json!({ "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled" })
            }
        };
        json!({
            "requestContext": {
                "requestId": Uuid::new_v5(&Uuid::NAMESPACE_OID, call.as_bytes()).to_string(),
                "functionArn": self.function,
                "condition": condition,
                "approximateInvokeCount": self.given_up.part.deliveries,
            },
            "responseContext": response,
            "version": "1.0",
            "timestamp": time(self.at),
            "DDBStreamBatchInfo": {
                "shardId": self.shard,
                "startSequenceNumber": number(first),
                "endSequenceNumber": number(last),
                "approximateArrivalOfFirstRecord": arrival(first),
                "approximateArrivalOfLastRecord": arrival(last),
                "batchSize": self.records.len(),
                "streamArn": self.stream,
            },
            "payload": event(self.records),
        })
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A local place for records that were given up. It is created for the first of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FailureDestination {
    /// A folder with one file per failure.
    Folder(PathBuf),
    /// A file with one line per failure.
    Lines(PathBuf),
}

/// Records could not be written to the failure destination.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to {path}, the failure destination: {cause}")]
pub(super) struct FailureDestinationError {
    path: String,
    cause: std::io::Error,
}

impl FailureDestination {
    /// A file of lines if the name ends in `.jsonl`, otherwise a folder.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            Self::Lines(path)
        } else {
            Self::Folder(path)
        }
    }

    /// The path of the folder or file.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Folder(path) | Self::Lines(path) => path,
        }
    }

    /// Writes records. When this returns, they are on disk.
    pub(super) async fn keep(&self, record: &InvocationRecord<'_>) -> Result<(), FailureDestinationError> {
        let document = record.document();
        let kept = match self {
            Self::Folder(folder) => write_file(folder, &file_name(record), &document).await,
            Self::Lines(file) => append_line(file, &document).await,
        };
        kept.map_err(|cause| FailureDestinationError { path: self.path().display().to_string(), cause })
    }
}

/// A file name that sorts by time and is unique to these records.
fn file_name(record: &InvocationRecord<'_>) -> String {
    let number = record.records.first().map_or("none", |first| first.sequence_number.as_str());
    format!("{}-{number}.json", record.at.format("%Y-%m-%dT%H.%M.%S"))
}

/// Writes under a temporary name first, so that a program that watches the folder never sees an incomplete file.
async fn write_file(folder: &Path, name: &str, document: &Value) -> std::io::Result<()> {
    tokio::fs::create_dir_all(folder).await?;
    let unfinished = folder.join(format!(".{name}"));
    let mut file = tokio::fs::File::create(&unfinished).await?;
    file.write_all(format!("{document:#}\n").as_bytes()).await?;
    file.sync_all().await?;
    tokio::fs::rename(unfinished, folder.join(name)).await
}

async fn append_line(path: &Path, document: &Value) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        tokio::fs::create_dir_all(folder).await?;
    }
    let mut file = tokio::fs::OpenOptions::new().create(true).append(true).open(path).await?;
    file.write_all(format!("{document}\n").as_bytes()).await?;
    file.sync_all().await
}

#[cfg(test)]
mod tests {
    use super::super::batch_delivery::{BatchPart, GiveUpCondition};
    use super::*;

    fn record(number: &str) -> EventRecord {
        EventRecord {
            sequence_number: number.to_owned(),
            created_at: DateTime::from_timestamp(1_700_000_000, 0),
            json: format!(r#"{{"n":{number}}}"#),
        }
    }

    fn given_up() -> GivenUp {
        GivenUp { part: BatchPart { places: 3..5, deliveries: 4 }, condition: GiveUpCondition::RetryAttemptsExhausted }
    }

    fn invocation_record<'a>(given_up: &'a GivenUp, records: &'a [EventRecord]) -> InvocationRecord<'a> {
        InvocationRecord {
            function: "Function",
            stream: "arn:stream",
            shard: "shard-1",
            given_up,
            records,
            last_invocation: LastInvocation::Failed,
            at: DateTime::from_timestamp(1_700_000_060, 5_000_000).unwrap(),
        }
    }

    #[test]
    fn the_document_is_the_one_that_lambda_sends() {
        let records = [record("7"), record("8")];
        let mut document = invocation_record(&given_up(), &records).document();
        let id = document["requestContext"]["requestId"].take();
        assert!(Uuid::parse_str(id.as_str().unwrap()).is_ok());
        assert_eq!(
            document,
            json!({
                "requestContext": {
                    "requestId": null,
                    "functionArn": "Function",
                    "condition": "RetryAttemptsExhausted",
                    "approximateInvokeCount": 4,
                },
                "responseContext": { "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled" },
                "version": "1.0",
                "timestamp": "2023-11-14T22:14:20.005Z",
                "DDBStreamBatchInfo": {
                    "shardId": "shard-1",
                    "startSequenceNumber": "7",
                    "endSequenceNumber": "8",
                    "approximateArrivalOfFirstRecord": "2023-11-14T22:13:20.000Z",
                    "approximateArrivalOfLastRecord": "2023-11-14T22:13:20.000Z",
                    "batchSize": 2,
                    "streamArn": "arn:stream",
                },
                "payload": r#"{"Records":[{"n":7},{"n":8}]}"#,
            })
        );
    }

    #[tokio::test]
    async fn a_folder_has_a_file_and_a_file_has_a_line_a_failure() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = ([record("7")], [record("8")]);
        let destination = FailureDestination::at(folder.path().join("deep/failures"));
        destination.keep(&invocation_record(&given_up(), &first)).await.unwrap();
        destination.keep(&invocation_record(&given_up(), &second)).await.unwrap();
        let mut names: Vec<_> =
            std::fs::read_dir(destination.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["2023-11-14T22.14.20-7.json", "2023-11-14T22.14.20-8.json"]);

        let destination = FailureDestination::at(folder.path().join("failures.jsonl"));
        destination.keep(&invocation_record(&given_up(), &first)).await.unwrap();
        destination.keep(&invocation_record(&given_up(), &second)).await.unwrap();
        let lines = std::fs::read_to_string(destination.path()).unwrap();
        let numbers: Vec<_> = lines
            .lines()
            .map(|line| {
                let document: Value = serde_json::from_str(line).unwrap();
                document["DDBStreamBatchInfo"]["startSequenceNumber"].clone()
            })
            .collect();
        assert_eq!(numbers, ["7", "8"]);
    }

    #[tokio::test]
    async fn a_place_that_cannot_be_written_is_an_error_that_names_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let records = [record("7")];
        let destination = FailureDestination::at(file.path().join("inside-a-file"));
        let error = destination.keep(&invocation_record(&given_up(), &records)).await.unwrap_err();
        assert!(error.to_string().contains("inside-a-file"), "{error}");
    }
}
