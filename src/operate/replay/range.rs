//! Reads the records at which a failure message points: all records of its shard from the first to the last.
//!
//! The batch of a message may be one lane of several (`ParallelizationFactor`). The records of the other lanes are
//! between its own and cannot be distinguished from them, so the number of records in the message does not say where
//! the batch ends.

use std::time::Duration;

use tokio::time::Instant;

use super::document::BatchPointer;
use crate::operate::event::EventRecord;
use crate::operate::sequence::order;
use crate::operate::stream::{Cursor, CursorAt, DynamoStream, StreamError};
use crate::operate::stream_reader::read_page;

/// How long to wait for the last record while an open shard returns empty pages. A page can be empty because the stream
/// has not reached the next record; a record that does not appear within this time is taken to be gone.
const LONGEST_SILENCE: Duration = Duration::from_secs(30);

/// The first wait after a page without a record. It doubles with each further empty page, up to a maximum.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Which of a message's records a stream still has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeContent {
    /// All of them, from the first to the last.
    Whole,
    /// The first ones are missing, or all: the stream has trimmed them.
    Trimmed,
}

/// Reads the records from a message's first to its last, in pages.
#[derive(Debug)]
pub struct RangeReader<'a> {
    stream: &'a DynamoStream,
    pointer: &'a BatchPointer,
    /// `None` after the last record.
    cursor: Option<Cursor>,
    content: RangeContent,
    has_begun: bool,
}

impl<'a> RangeReader<'a> {
    /// Finds the first record that still exists.
    ///
    /// # Errors
    /// When the shard cannot be read. Missing records, or a missing shard, are not an error.
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

    /// The next records, in order; `None` at the end.
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

    /// Which of the records the stream has, as far as they were read.
    #[must_use]
    pub fn content(&self) -> RangeContent {
        self.content
    }
}
