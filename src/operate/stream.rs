//! Reads a stream: its shards, and the records of a shard in order.

use std::future::Future;

use aws_sdk_dynamodbstreams::Client;
use aws_sdk_dynamodbstreams::error::SdkError;
use aws_sdk_dynamodbstreams::operation::describe_stream::DescribeStreamError;
use aws_sdk_dynamodbstreams::operation::get_records::GetRecordsError;
use aws_sdk_dynamodbstreams::operation::get_shard_iterator::GetShardIteratorError;
use aws_sdk_dynamodbstreams::types::ShardIteratorType;

use super::error::failure_text;
use super::event::EventRecord;

/// A part of a stream. Only the records within a shard have an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// The shard's id.
    pub id: String,
    /// The id of the shard that it continues, whose records come first.
    pub parent: Option<String>,
}

/// The position in a shard up to which it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cursor {
    /// The position from which to continue if there is no iterator.
    place: Place,
    /// The service's iterator from which to continue, if there is one.
    iterator: Option<String>,
    trimmed: bool,
}

/// A position between two records of a shard.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
enum Place {
    /// Before the oldest record that the stream has.
    #[default]
    Oldest,
    /// Before this record.
    At(String),
    /// After this record.
    After(String),
}

impl Cursor {
    /// Whether the stream reported that it no longer has the records at this position. Reading then continues at the
    /// oldest record.
    #[must_use]
    pub fn was_trimmed(&self) -> bool {
        self.trimmed
    }

    /// The sequence number of the last record that was read.
    #[must_use]
    pub fn last(&self) -> Option<&str> {
        match &self.place {
            Place::After(record) => Some(record),
            Place::Oldest | Place::At(_) => None,
        }
    }

    /// Moves to the oldest record, because the records at this position are gone.
    fn trim(&mut self) {
        *self = Self { trimmed: true, ..Self::default() };
    }
}

/// The answer to a request for a cursor at a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CursorAt {
    Record(Cursor),
    /// The record is trimmed: the shard has only newer records, if any.
    Trimmed,
    /// The shard no longer exists.
    ShardGone,
}

/// The result of one read of a shard.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The records, in order. Often there are none.
    pub records: Vec<EventRecord>,
    /// Whether the shard is closed and read to its end.
    pub ended: bool,
}

/// A request to a stream failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot {action} of the stream {stream}: {cause}")]
pub struct StreamError {
    /// The attempted action.
    pub action: &'static str,
    /// The stream's ARN.
    pub stream: String,
    /// The service's message.
    pub cause: String,
}

/// The stream operations that the poller needs.
pub trait Stream: Sync {
    /// The stream's ARN, which is the `eventSourceARN` of its records.
    fn arn(&self) -> &str;

    /// The current shards of the stream.
    fn shards(&self) -> impl Future<Output = Result<Vec<Shard>, StreamError>> + Send;

    /// Reads the next records of a shard, as many as the service returns at once, and moves the cursor after them.
    fn read(&self, shard: &str, cursor: &mut Cursor) -> impl Future<Output = Result<Page, StreamError>> + Send;
}

/// A DynamoDB stream.
#[derive(Debug, Clone)]
pub struct DynamoStream {
    client: Client,
    arn: String,
}

impl DynamoStream {
    /// The stream with this ARN.
    #[must_use]
    pub fn new(client: Client, arn: impl Into<String>) -> Self {
        Self { client, arn: arn.into() }
    }

    fn error(&self, action: &'static str, cause: String) -> StreamError {
        StreamError { action, stream: self.arn.clone(), cause }
    }

    /// Whether the stream exists. A stream that was switched off is deleted after 24 hours.
    ///
    /// # Errors
    /// When the stream cannot be described.
    pub async fn is_there(&self) -> Result<bool, StreamError> {
        match self.client.describe_stream().stream_arn(&self.arn).limit(1).send().await {
            Ok(_) => Ok(true),
            Err(error) if matches!(service(&error), Some(DescribeStreamError::ResourceNotFoundException(_))) => {
                Ok(false)
            }
            Err(error) => Err(self.error("find out about the state", failure_text(&error))),
        }
    }

    /// A cursor before the record with this sequence number.
    ///
    /// # Errors
    /// When the shard cannot be read.
    pub async fn cursor_at(&self, shard: &str, sequence_number: &str) -> Result<CursorAt, StreamError> {
        let mut cursor = Cursor { place: Place::At(sequence_number.to_owned()), ..Cursor::default() };
        match self.shard_iterator(shard, &cursor.place).await {
            Ok(iterator) => {
                cursor.iterator = iterator;
                Ok(CursorAt::Record(cursor))
            }
            Err(error) => match service(&error) {
                Some(GetShardIteratorError::TrimmedDataAccessException(_)) => Ok(CursorAt::Trimmed),
                Some(GetShardIteratorError::ResourceNotFoundException(_)) => Ok(CursorAt::ShardGone),
                _ => Err(self.error("find the place in a shard", failure_text(&error))),
            },
        }
    }

    /// A cursor after the newest record of a shard.
    ///
    /// # Errors
    /// When the shard cannot be read.
    pub async fn newest(&self, shard: &str) -> Result<Cursor, StreamError> {
        let request = self.client.get_shard_iterator().stream_arn(&self.arn).shard_id(shard);
        let answer = request.shard_iterator_type(ShardIteratorType::Latest).send().await;
        let answer = answer.map_err(|e| self.error("find the end of a shard", failure_text(&e)))?;
        Ok(Cursor { iterator: answer.shard_iterator, ..Cursor::default() })
    }

    async fn iterator(&self, shard: &str, cursor: &mut Cursor) -> Result<Option<String>, StreamError> {
        if let Some(iterator) = cursor.iterator.take() {
            return Ok(Some(iterator));
        }
        match self.shard_iterator(shard, &cursor.place).await {
            Ok(iterator) => Ok(iterator),
            Err(error) => {
                if matches!(service(&error), Some(GetShardIteratorError::TrimmedDataAccessException(_))) {
                    cursor.trim();
                }
                Err(self.error("find the place in a shard", failure_text(&error)))
            }
        }
    }

    async fn shard_iterator(
        &self,
        shard: &str,
        place: &Place,
    ) -> Result<Option<String>, SdkError<GetShardIteratorError>> {
        let (kind, record) = match place {
            Place::Oldest => (ShardIteratorType::TrimHorizon, None),
            Place::At(record) => (ShardIteratorType::AtSequenceNumber, Some(record.clone())),
            Place::After(record) => (ShardIteratorType::AfterSequenceNumber, Some(record.clone())),
        };
        let request = self.client.get_shard_iterator().stream_arn(&self.arn).shard_id(shard).shard_iterator_type(kind);
        Ok(request.set_sequence_number(record).send().await?.shard_iterator)
    }
}

impl Stream for DynamoStream {
    fn arn(&self) -> &str {
        &self.arn
    }

    async fn shards(&self) -> Result<Vec<Shard>, StreamError> {
        let mut shards = Vec::new();
        let mut after = None;
        loop {
            let request = self.client.describe_stream().stream_arn(&self.arn).set_exclusive_start_shard_id(after);
            let answer = request.send().await;
            let answer = answer.map_err(|e| self.error("list the shards", failure_text(&e)))?;
            let Some(description) = answer.stream_description else { return Ok(shards) };
            for shard in description.shards.unwrap_or_default() {
                if let Some(id) = shard.shard_id {
                    shards.push(Shard { id, parent: shard.parent_shard_id });
                }
            }
            after = description.last_evaluated_shard_id;
            if after.is_none() {
                return Ok(shards);
            }
        }
    }

    /// An iterator expires after 15 minutes (DynamoDB API Reference, `GetShardIterator`), and a record is trimmed after
    /// 24 hours (DynamoDB Developer Guide, "Change data capture for DynamoDB Streams"). When either has happened, the
    /// next read continues after the last record that was read, or at the oldest record that is left.
    async fn read(&self, shard: &str, cursor: &mut Cursor) -> Result<Page, StreamError> {
        let Some(iterator) = self.iterator(shard, cursor).await? else {
            return Ok(Page { ended: true, ..Page::default() });
        };
        let answer = match self.client.get_records().shard_iterator(iterator).send().await {
            Ok(answer) => answer,
            Err(error) => {
                if matches!(service(&error), Some(GetRecordsError::TrimmedDataAccessException(_))) {
                    cursor.trim();
                }
                return Err(self.error("read the records of a shard", failure_text(&error)));
            }
        };
        let records = answer.records.unwrap_or_default().into_iter();
        let records: Vec<_> = records.map(|record| EventRecord::new(record, &self.arn)).collect();
        if let Some(record) = records.last() {
            cursor.place = Place::After(record.sequence_number.clone());
        }
        cursor.iterator = answer.next_shard_iterator;
        Ok(Page { records, ended: cursor.iterator.is_none() })
    }
}

fn service<E>(error: &SdkError<E>) -> Option<&E> {
    match error {
        SdkError::ServiceError(error) => Some(error.err()),
        _ => None,
    }
}
