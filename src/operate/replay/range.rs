//! The records that a failure message points at: all of its shard from the first to the last.
//!
//! A message's batch may be one lane of several (`ParallelizationFactor`). The records of the other lanes lie between its
//! own and cannot be distinguished from them, so the number of its records does not say where it ends.

use std::time::Duration;

use tokio::time::Instant;

use super::document::BatchPointer;
use crate::operate::event::EventRecord;
use crate::operate::sequence::order;
use crate::operate::stream::{Cursor, CursorAt, DynamoStream, StreamError};
use crate::operate::stream_reader::read_page;

/// How long an open shard may show nothing, although the last record is still to come. A page may be empty because the
/// stream has not got further; what does not come within this time is not there.
const LONGEST_SILENCE: Duration = Duration::from_secs(30);

/// How long to wait after the first of several pages without a record; after each further one it is twice as long, up to the
/// longest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// What a stream has of a message's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeContent {
    /// All of them, from the first to the last.
    Whole,
    /// Not the first ones, or none at all: they were trimmed.
    Trimmed,
}

/// Reads the records from a pointer's first to its last, page by page.
#[derive(Debug)]
pub struct RangeReader<'a> {
    stream: &'a DynamoStream,
    pointer: &'a BatchPointer,
    /// None behind the last record.
    cursor: Option<Cursor>,
    content: RangeContent,
    has_begun: bool,
}

impl<'a> RangeReader<'a> {
    /// Finds the first of the records that are still there.
    ///
    /// # Errors
    /// When the shard cannot be looked at; records or a shard that are gone are no error.
    pub async fn open(stream: &'a DynamoStream, pointer: &'a BatchPointer) -> Result<RangeReader<'a>, StreamError> {
        let BatchPointer { shard, first, last, .. } = pointer;
        let (cursor, content) = match stream.cursor_at(shard, first).await? {
            CursorAt::Record(cursor) => (Some(cursor), RangeContent::Whole),
            CursorAt::ShardGone => (None, RangeContent::Trimmed),
            CursorAt::Trimmed => match stream.cursor_at(shard, last).await? {
                CursorAt::Record(_) => (Some(Cursor::default()), RangeContent::Trimmed),
                CursorAt::Trimmed | CursorAt::ShardGone => (None, RangeContent::Trimmed),
            },
        };
        Ok(Self { stream, pointer, cursor, content, has_begun: false })
    }

    /// The next records, in their order; none at the end.
    ///
    /// # Errors
    /// When the shard cannot be read.
    pub async fn next(&mut self) -> Result<Option<Vec<EventRecord>>, StreamError> {
        let (first, last) = (order(&self.pointer.first), order(&self.pointer.last));
        let silent_since = Instant::now();
        let mut pause = SHORTEST_PAUSE;
        while let Some(cursor) = &mut self.cursor {
            let page = read_page(self.stream, &self.pointer.shard, cursor).await?;
            let mut records = page.records;
            let (oldest, newest) = (records.first(), records.last());
            let begins_late = !self.has_begun && oldest.is_some_and(|record| order(&record.sequence_number) > first);
            if begins_late || cursor.was_trimmed() {
                self.content = RangeContent::Trimmed;
            }
            self.has_begun |= oldest.is_some();

            if newest.is_some_and(|record| order(&record.sequence_number) >= last) {
                self.cursor = None;
            } else if page.ended || (records.is_empty() && silent_since.elapsed() >= LONGEST_SILENCE) {
                self.cursor = None;
                self.content = RangeContent::Trimmed;
            }
            records.retain(|record| order(&record.sequence_number) <= last);
            if !records.is_empty() {
                return Ok(Some(records));
            }
            if self.cursor.is_some() {
                tokio::time::sleep(pause).await;
                pause = LONGEST_PAUSE.min(pause * 2);
            }
        }
        Ok(None)
    }

    /// What the stream has of the records, as far as they were read.
    #[must_use]
    pub fn content(&self) -> RangeContent {
        self.content
    }
}
