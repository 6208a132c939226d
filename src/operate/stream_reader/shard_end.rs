//! Where a shard ended a moment ago. Where writers never pause, no reading of a shard comes to an empty page; it is read up
//! to now when it has passed the place that was its end.

use crate::operate::event::EventRecord;
use crate::operate::sequence::order;
use crate::operate::stream::{Cursor, DynamoStream, Page, Stream, StreamError};

/// The end that a shard had when it was first asked for.
#[derive(Debug, Default)]
pub(super) struct ShardEnd {
    /// Behind the newest record there was.
    end: Option<Cursor>,
    /// The first record that came after it.
    next: Option<String>,
}

impl ShardEnd {
    /// The end that the shard has now, if it was not asked for before.
    ///
    /// # Errors
    /// When the shard cannot be looked at.
    pub(super) async fn ask(&mut self, stream: &DynamoStream, shard: &str) -> Result<(), StreamError> {
        if self.end.is_none() {
            self.end = Some(stream.newest(shard).await?);
        }
        Ok(())
    }

    /// How many of these records, from the first on, may have been before that end.
    pub(super) fn before(&self, records: &[EventRecord]) -> usize {
        let is_before = |record: &&EventRecord| {
            self.next.as_deref().is_none_or(|next| order(&record.sequence_number) < order(next))
        };
        records.iter().take_while(is_before).count()
    }

    /// Whether a page that was just read reaches the end that the shard had when it was first asked for, by this or by
    /// [`Self::ask`].
    ///
    /// # Errors
    /// When the shard cannot be read.
    pub(super) async fn is_in(&mut self, page: &Page, stream: &DynamoStream, shard: &str) -> Result<bool, StreamError> {
        let Some(mut end) = self.end.take() else {
            self.end = Some(stream.newest(shard).await?);
            return Ok(false);
        };
        if self.next.is_none() {
            // An iterator that has expired is taken anew by the next call: a later end is an end too.
            let Ok(after) = stream.read(shard, &mut end).await else { return Ok(false) };
            self.next = after.records.into_iter().next().map(|record| record.sequence_number);
        }
        self.end = Some(end);
        let last = page.records.last().map(|record| record.sequence_number.as_str());
        Ok(self.next.as_deref().zip(last).is_some_and(|(next, last)| order(next) <= order(last)))
    }
}
