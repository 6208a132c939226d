//! Replays the records that a stream still has.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use aws_config::SdkConfig;

use super::Replayer;
use super::error::ReplayError;
use crate::operate::error::failure_text;
use crate::operate::repair_starts::RecordsFrom;
use crate::operate::stop::Stop;
use crate::operate::stream::{DynamoStream, StreamError};
use crate::operate::stream_reader::{Reach, StreamReader, quiet};

/// The streams at which messages point. Each is described once, because hundreds of messages may point into one.
#[derive(Debug)]
pub struct Streams {
    client: aws_sdk_dynamodbstreams::Client,
    /// `None` for a stream that does not exist any more.
    known: HashMap<String, Option<DynamoStream>>,
}

impl Streams {
    /// The streams of these AWS settings.
    #[must_use]
    pub fn new(sdk: &SdkConfig) -> Self {
        Self { client: aws_sdk_dynamodbstreams::Client::new(sdk), known: HashMap::new() }
    }

    /// The stream with this ARN; `None` if it does not exist any more.
    ///
    /// # Errors
    /// When the stream cannot be described.
    pub async fn get(&mut self, arn: &str) -> Result<Option<&DynamoStream>, StreamError> {
        let known = match self.known.entry(arn.to_owned()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                let stream = DynamoStream::new(self.client.clone(), arn);
                let is_there = stream.is_there().await?;
                unknown.insert(is_there.then_some(stream))
            }
        };
        Ok(known.as_ref())
    }
}

/// Applies everything that the stream of a table still has.
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
