//! Records that a stream still holds.

use std::time::Duration;

use aws_config::SdkConfig;

use super::Replayer;
use super::document::BatchPointer;
use super::error::ReplayError;
use super::report::Gone;
use crate::operate::error::failure_text;
use crate::operate::repair_starts::RecordsFrom;
use crate::operate::stop::Stop;
use crate::operate::stream::{DynamoStream, StreamError};
use crate::operate::stream_reader::{Range, Reach, StreamReader, quiet, read_range};

/// The records of a batch, as far as they are still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRecords {
    /// Those that are, as Lambda delivered them.
    pub records: Vec<String>,
    /// What is gone of the batch.
    pub gone: Option<Gone>,
}

/// Reads the records from a pointer's first to its last.
///
/// # Errors
/// When the stream cannot be read; records that are gone are no error.
pub async fn read(sdk: &SdkConfig, pointer: &BatchPointer) -> Result<FoundRecords, StreamError> {
    let stream = DynamoStream::new(aws_sdk_dynamodbstreams::Client::new(sdk), &pointer.stream);
    let BatchPointer { shard, first, last, size, .. } = pointer;
    let found = read_range(&stream, Range { shard, first, last, size: *size }).await?;
    let missing = size.saturating_sub(found.len());
    let gone = (missing > 0).then(|| Gone { pointer: pointer.clone(), records: missing });
    Ok(FoundRecords { records: found.into_iter().map(|record| record.json).collect(), gone })
}

/// Applies everything that the stream of a table still holds.
///
/// # Errors
/// When the stream cannot be read, or the tables cannot be written.
pub async fn apply_all(
    sdk: &SdkConfig,
    table: &str,
    settle: Duration,
    replayer: &mut Replayer<'_>,
    stop: &Stop,
) -> Result<(), ReplayError> {
    let refuse = |cause: String| ReplayError::NoStream { table: table.to_owned(), cause };
    let described = aws_sdk_dynamodb::Client::new(sdk).describe_table().table_name(table).send().await;
    let described = described.map_err(|error| refuse(failure_text(&error)))?;
    let arn = described.table.and_then(|table| table.latest_stream_arn);
    let arn = arn.ok_or_else(|| refuse("it has none; switch it on with NEW_AND_OLD_IMAGES".to_owned()))?;
    let stream = DynamoStream::new(aws_sdk_dynamodbstreams::Client::new(sdk), arn);
    let mut reader = StreamReader::new(stream, quiet(settle));
    let mut reading = reader.begin(Reach::Thorough).await?;
    while !stop.requested()
        && let Some(records) = reader.next(&mut reading).await?
    {
        let records: Vec<String> = records.into_iter().map(|record| record.json).collect();
        replayer.apply(records, RecordsFrom::Stream).await?;
    }
    Ok(())
}
