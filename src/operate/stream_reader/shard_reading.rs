//! Reads one shard page by page until its end.

use std::time::Duration;

use tokio::time::Instant;

use super::Silence;
use super::shard_end::ShardEnd;
use crate::operate::clock::pause;
use crate::operate::event::EventRecord;
use crate::operate::sequence::order;
use crate::operate::stream::{Cursor, DynamoStream, Page, Stream, StreamError};

/// How many times a page that cannot be read is requested. One failure may be an expired iterator.
pub(super) const ATTEMPTS: usize = 3;

/// The longest wait for a record that is certain to come.
const MUST_COME_WITHIN: Duration = Duration::from_mins(2);

/// A shard in a reading. It counts as read to its end when
///
/// - the service says that it is closed and has no more records,
/// - a record was read that is newer than the newest one at the beginning, see [`ShardEnd`],
/// - it was read to its end a moment ago, and the next pages are empty, or
/// - it is open, and had no record for the requested time, which proves nothing.
#[derive(Debug)]
pub(super) struct ShardReading {
    pub(super) id: String,
    pub(super) cursor: Cursor,
    /// When it was read to its end before.
    pub(super) at_end: Option<Instant>,
    quiet: Duration,
    until: Until,
    silence: Silence,
    end: ShardEnd,
}

/// How far to read a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Until {
    /// To the current end of an open shard. `at_end` says that it was read to its end a moment ago.
    Now { at_end: bool },
    /// The same, but the end is requested together with the first page, which is as early as possible.
    NowAtOnce { at_end: bool },
    /// One page only.
    Page,
    /// To the end of a closed shard, which only the service's answer shows.
    Closed,
    /// To this record, which was read before.
    Record(String),
}

/// The position of a page in its shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// There may be more records; the next page is requested from this time on.
    More { from: Instant },
    /// At the current end of an open shard.
    End { proved: bool },
    /// At the end of a closed shard.
    Closed,
    /// After the requested page.
    Page,
}

/// A page that was read, and the reading that continues after it.
#[derive(Debug)]
pub(super) struct ReadPage {
    pub(super) shard: ShardReading,
    pub(super) records: Vec<EventRecord>,
    /// How many of the first records may have existed before the reading began.
    pub(super) before: usize,
    pub(super) place: Place,
}

impl ShardReading {
    pub(super) fn new(id: String, cursor: Cursor, at_end: Option<Instant>, quiet: Duration, until: Until) -> Self {
        Self { id, cursor, at_end, quiet, until, silence: Silence::default(), end: ShardEnd::default() }
    }

    /// How long the shard has had no record.
    pub(super) fn silent_for(&self) -> Duration {
        self.silence.lasted
    }

    /// Reads the next page.
    pub(super) async fn next(mut self, stream: &DynamoStream) -> Result<ReadPage, StreamError> {
        let requested = Instant::now();
        let mut page = self.first_or_next(stream).await?;
        let place = self.place(&page, requested, stream).await?;
        if let Until::Record(until) = &self.until {
            page.records.retain(|record| order(&record.sequence_number) <= order(until));
        }
        let before = self.end.before(&page.records);
        Ok(ReadPage { shard: self, records: page.records, before, place })
    }

    async fn first_or_next(&mut self, stream: &DynamoStream) -> Result<Page, StreamError> {
        let Until::NowAtOnce { .. } = self.until else { return self.read(stream).await };
        let (mut end, id) = (std::mem::take(&mut self.end), self.id.clone());
        let (page, asked) = tokio::join!(self.read(stream), end.ask(stream, &id));
        self.end = end;
        asked?;
        page
    }

    async fn read(&mut self, stream: &DynamoStream) -> Result<Page, StreamError> {
        let was_begun = self.cursor.last().is_some();
        let mut attempt = 1;
        loop {
            match stream.read(&self.id, &mut self.cursor).await {
                Ok(page) => return Ok(page),
                // The records between that position and the oldest one left are gone without having been read, so this
                // is an error.
                Err(error) if attempt == ATTEMPTS || was_begun && self.cursor.last().is_none() => return Err(error),
                Err(_) => attempt += 1,
            }
            pause().await;
        }
    }

    async fn place(&mut self, page: &Page, requested: Instant, stream: &DynamoStream) -> Result<Place, StreamError> {
        if page.ended {
            return Ok(Place::Closed);
        }
        if self.until == Until::Page {
            return Ok(Place::Page);
        }
        if let Some(last) = page.records.last() {
            self.silence = Silence::default();
            let at_end = match &self.until {
                // While writers never pause, there is always one more record, so an empty page never comes.
                Until::Now { .. } | Until::NowAtOnce { .. } => self.end.is_in(page, stream, &self.id).await?,
                Until::Closed | Until::Page => false,
                Until::Record(until) => order(&last.sequence_number) >= order(until),
            };
            return Ok(if at_end { Place::End { proved: true } } else { Place::More { from: requested } });
        }
        let quiet = match self.until {
            Until::Now { .. } | Until::NowAtOnce { .. } | Until::Page => self.quiet,
            Until::Closed | Until::Record(_) => MUST_COME_WITHIN,
        };
        match (self.silence.goes_on(requested, quiet), &self.until) {
            (Some(from), _) => Ok(Place::More { from }),
            (None, Until::Now { at_end } | Until::NowAtOnce { at_end }) => Ok(Place::End { proved: *at_end }),
            (None, Until::Page) => Ok(Place::Page),
            (None, Until::Closed | Until::Record(_)) => {
                let cause = format!("the end of {} was not reached; run the command again", self.id);
                Err(StreamError { action: "read a shard", stream: stream.arn().to_owned(), cause })
            }
        }
    }
}
