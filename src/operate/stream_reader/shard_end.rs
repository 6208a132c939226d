//! The end that a shard had a moment ago. While writers never pause, a shard has no empty page. It counts as read up to
//! now once the reading has passed the position that was its end.

use crate::operate::event::EventRecord;
use crate::operate::sequence::order;
use crate::operate::stream::{Cursor, DynamoStream, Page, Stream, StreamError};

/// The end of a shard when it was first requested.
#[derive(Debug, Default)]
pub(super) struct ShardEnd {
    /// After the newest record at that time.
    end: Option<Cursor>,
    /// The first record after it.
    next: Option<String>,
}

impl ShardEnd {
    /// Requests the current end of the shard, unless it was requested before.
    ///
    /// # Errors
    /// When the shard cannot be looked at.
    pub(super) async fn ask(&mut self, stream: &DynamoStream, shard: &str) -> Result<(), StreamError> {
        if self.end.is_none() {
            self.end = Some(stream.newest(shard).await?);
        }
        Ok(())
    }

    /// How many of the first records may be before that end.
    pub(super) fn before(&self, records: &[EventRecord]) -> usize {
        let is_before = |record: &&EventRecord| {
            self.next.as_deref().is_none_or(|next| order(&record.sequence_number) < order(next))
        };
        records.iter().take_while(is_before).count()
    }

    /// Whether a page that was just read reaches the end that the shard had when it was first requested, by this
    /// function or by [`Self::ask`].
    ///
    /// # Errors
    /// When the shard cannot be read.
    pub(super) async fn is_in(&mut self, page: &Page, stream: &DynamoStream, shard: &str) -> Result<bool, StreamError> {
        let Some(mut end) = self.end.take() else {
            self.end = Some(stream.newest(shard).await?);
            return Ok(false);
        };
        if self.next.is_none() {
            // An expired iterator is replaced by the next call. A later end is an end too.
            let Ok(after) = stream.read(shard, &mut end).await else { return Ok(false) };
            self.next = after.records.into_iter().next().map(|record| record.sequence_number);
        }
        self.end = Some(end);
        let last = page.records.last().map(|record| record.sequence_number.as_str());
        Ok(self.next.as_deref().zip(last).is_some_and(|(next, last)| order(next) <= order(last)))
    }
}
