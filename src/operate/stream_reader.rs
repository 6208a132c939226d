//! Reads a stream from where the last reading ended up to its newest record. Shards are read in parallel, parents
//! before their children, and the records of a shard in order.
//!
//! The service returns empty pages where it finds no record in the part of a shard that it searched. So no number of
//! empty pages proves the end of an open shard. `ShardReading` describes what counts as the end.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until};

use super::event::EventRecord;
use super::stream::{Cursor, DynamoStream, Page, Shard, Stream, StreamError};

mod shard_end;
mod shard_reading;

use shard_reading::{ATTEMPTS, Place, ReadPage, ShardReading, Until};

/// The shortest time without a record after which an open shard is assumed to be read to its end.
const QUIET_MIN: Duration = Duration::from_secs(1);

/// The wait after a page without a record is 1/16 of the waits before it. So there are many pages at first, and later
/// few enough that the function keeps its share of the shard's requests.
const PAUSE_SHARE: u32 = 16;

/// The shortest wait after a page without a record, before the silence is long enough.
const PAUSE_MIN: Duration = Duration::from_millis(4);

/// The longest wait after a page without a record.
const PAUSE_MAX: Duration = Duration::from_millis(200);

/// Pages without a record that are enough for any silence. Shorter ones need one for each [`PAUSE_MIN`].
const PAGES_ENOUGH: u128 = 64;

/// How long a shard that was read to its end needs only a short silence to count as read to its end again.
const AT_END_FOR: Duration = Duration::from_secs(30);

/// The silence that is enough for such a shard, and after which the rest of any reading is most likely only a wait.
const AT_END_QUIET: Duration = Duration::from_millis(50);

/// Maximum concurrent reads of shards.
const SHARDS_AT_ONCE: usize = 16;

/// How far a reading goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// To the end of all shards, including new ones. One empty page is not an end.
    Thorough,
    /// Without looking for new shards unless a shard has ended. For a shard that was just read to its end, one empty
    /// page is the end again. It is for the short look at an item that is written all the time.
    Quick,
    /// One page of each shard.
    Page,
}

/// Records of one shard, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShardRecords {
    /// The records.
    pub records: Vec<EventRecord>,
    /// How many of the first records may have existed when the reading began. The others were written later.
    pub before: usize,
}

/// How long an open shard must have no record to be assumed read to its end. `settle` is how long a write may take to
/// appear.
#[must_use]
pub fn quiet(settle: Duration) -> Duration {
    settle.max(QUIET_MIN)
}

/// A stream, with the position up to which it was read.
#[derive(Debug)]
pub struct StreamReader {
    stream: DynamoStream,
    quiet: Duration,
    shards: Vec<Shard>,
    progress: HashMap<String, ShardProgress>,
    /// Shards that were assumed to be read to their end because no record came for some time.
    taken_as_read: HashSet<String>,
    /// How far to read each shard; a shard that is missing is not read. `None` to read everything.
    past: Option<HashMap<String, Until>>,
}

/// How far earlier readings have read a shard.
#[derive(Debug, Clone, Default)]
struct ShardProgress {
    cursor: Cursor,
    at_end: Option<Instant>,
    ended: bool,
}

/// A reading in progress.
pub struct ReadToEnd {
    reach: Reach,
    begun: HashSet<String>,
    pages: FuturesUnordered<BoxFuture<'static, Result<ReadPage, StreamError>>>,
    /// A shard ended since the shards were listed, so it may have children by now.
    list_again: bool,
    /// A shard was read to its end since the last check of which shards can begin.
    look_at_shards: bool,
    /// Shards without a record for [`AT_END_QUIET`].
    silent: HashSet<String>,
}

/// The result of one step of a reading.
#[derive(Debug)]
pub enum Step {
    /// Records of one shard, possibly none.
    Page(ShardRecords),
    /// The end of the reading.
    End,
}

impl StreamReader {
    /// A reader from the oldest record of a stream on. An open shard that has no record for `quiet` is assumed to be
    /// read to its end.
    #[must_use]
    pub fn new(stream: DynamoStream, quiet: Duration) -> Self {
        Self { stream, quiet, shards: Vec::new(), progress: HashMap::new(), taken_as_read: HashSet::new(), past: None }
    }

    /// Number of shards that were assumed to be read to their end only because no record came for some time.
    #[must_use]
    pub fn taken_as_read(&self) -> usize {
        self.taken_as_read.len()
    }

    /// A new reader of what this one has read: from the oldest record on, but no further.
    #[must_use]
    pub fn past(&self) -> Self {
        let read = |(id, progress): (&String, &ShardProgress)| match (progress.ended, progress.cursor.last()) {
            (true, _) => Some((id.clone(), Until::Closed)),
            (false, last) => Some((id.clone(), Until::Record(last?.to_owned()))),
        };
        let past = Some(self.progress.iter().filter_map(read).collect());
        Self { shards: self.shards.clone(), past, ..Self::new(self.stream.clone(), self.quiet) }
    }

    /// Begins a reading. It ends after every record that had reached the stream before this call.
    ///
    /// # Errors
    /// When the shards cannot be listed.
    pub async fn begin(&mut self, reach: Reach) -> Result<ReadToEnd, StreamError> {
        if self.past.is_none() && (reach == Reach::Thorough || self.shards.is_empty()) {
            self.shards = self.stream.shards().await?;
        }
        Ok(ReadToEnd {
            reach,
            begun: HashSet::new(),
            pages: FuturesUnordered::new(),
            list_again: false,
            look_at_shards: true,
            silent: HashSet::new(),
        })
    }

    /// Whether all remaining shards have had no record for a moment, so that the rest of the reading is most likely a
    /// wait.
    #[must_use]
    pub fn is_silent(&self, reading: &ReadToEnd) -> bool {
        let is_read = |shard: &Shard| {
            self.progress.get(&shard.id).is_some_and(|progress| progress.ended) || reading.begun.contains(&shard.id)
        };
        reading.silent.len() == reading.pages.len() && !reading.list_again && self.shards.iter().all(is_read)
    }

    /// The next records of one shard, in order; `None` at the end.
    ///
    /// # Errors
    /// When a shard cannot be read.
    pub async fn next(&mut self, reading: &mut ReadToEnd) -> Result<Option<Vec<EventRecord>>, StreamError> {
        Ok(self.next_of_shard(reading).await?.map(|page| page.records))
    }

    /// The same, with the number of records that may have existed when the reading began.
    ///
    /// # Errors
    /// When a shard cannot be read.
    pub async fn next_of_shard(&mut self, reading: &mut ReadToEnd) -> Result<Option<ShardRecords>, StreamError> {
        loop {
            match self.step(reading).await? {
                Step::Page(page) if page.records.is_empty() => {}
                Step::Page(page) => return Ok(Some(page)),
                Step::End => return Ok(None),
            }
        }
    }

    /// Reads one page of any shard.
    ///
    /// # Errors
    /// When the shard cannot be read.
    pub async fn step(&mut self, reading: &mut ReadToEnd) -> Result<Step, StreamError> {
        if std::mem::take(&mut reading.look_at_shards) {
            self.begin_shards(reading);
        }
        let Some(page) = reading.pages.next().await else {
            if !std::mem::take(&mut reading.list_again) || self.past.is_some() {
                return Ok(Step::End);
            }
            self.shards = self.stream.shards().await?;
            reading.look_at_shards = true;
            return Ok(Step::Page(ShardRecords::default()));
        };
        let ReadPage { shard, records, before, place } = page?;
        reading.look_at_shards = !matches!(place, Place::More { .. });
        if matches!(place, Place::More { .. }) && shard.silent_for() >= AT_END_QUIET {
            reading.silent.insert(shard.id.clone());
        } else {
            reading.silent.remove(&shard.id);
        }
        match place {
            Place::More { from } => reading.pages.push(self.page(shard, from)),
            Place::End { proved } => {
                if !proved {
                    self.taken_as_read.insert(shard.id.clone());
                }
                let progress = ShardProgress { cursor: shard.cursor, at_end: Some(Instant::now()), ended: false };
                self.progress.insert(shard.id, progress);
            }
            Place::Closed => {
                reading.list_again = true;
                self.taken_as_read.remove(&shard.id);
                self.progress.insert(shard.id, ShardProgress { ended: true, ..ShardProgress::default() });
            }
            Place::Page => {
                let progress = ShardProgress { cursor: shard.cursor, at_end: shard.at_end, ended: false };
                self.progress.insert(shard.id, progress);
            }
        }
        Ok(Step::Page(ShardRecords { records, before }))
    }

    /// Begins with the shards whose parents are read to their end.
    fn begin_shards(&mut self, reading: &mut ReadToEnd) {
        let ended = |id: &String| self.progress.get(id).is_some_and(|progress| progress.ended);
        let listed: HashSet<&String> = self.shards.iter().map(|shard| &shard.id).collect();
        let too_early =
            |shard: &Shard| shard.parent.as_ref().is_some_and(|parent| listed.contains(parent) && !ended(parent));
        let wanted = |id: &String| self.past.as_ref().is_none_or(|past| past.contains_key(id));
        let free = self.shards.iter().filter(|shard| {
            wanted(&shard.id) && !reading.begun.contains(&shard.id) && !ended(&shard.id) && !too_early(shard)
        });
        let room = SHARDS_AT_ONCE.saturating_sub(reading.pages.len());
        let begin: Vec<String> = free.take(room).map(|shard| shard.id.clone()).collect();
        for id in begin {
            let ShardProgress { cursor, at_end: since, .. } = self.progress.remove(&id).unwrap_or_default();
            let at_end = since.is_some_and(|since| since.elapsed() < AT_END_FOR);
            let has_children = self.shards.iter().any(|shard| shard.parent.as_ref() == Some(&id));
            let until = match self.past.as_ref().and_then(|past| past.get(&id)) {
                Some(until) => until.clone(),
                None if reading.reach == Reach::Page => Until::Page,
                None if has_children => Until::Closed,
                None if reading.reach == Reach::Quick => Until::NowAtOnce { at_end },
                None => Until::Now { at_end },
            };
            reading.begun.insert(id.clone());
            let quiet = match (&until, reading.reach) {
                (Until::NowAtOnce { at_end: true }, _) => Duration::ZERO,
                (Until::Now { at_end: true }, _) => AT_END_QUIET,
                _ => self.quiet,
            };
            let shard = ShardReading::new(id, cursor, since, quiet, until);
            reading.pages.push(self.page(shard, Instant::now()));
        }
    }

    fn page(&self, shard: ShardReading, from: Instant) -> BoxFuture<'static, Result<ReadPage, StreamError>> {
        let stream = self.stream.clone();
        Box::pin(async move {
            sleep_until(from).await;
            shard.next(&stream).await
        })
    }
}

/// The next page of a shard.
///
/// # Errors
/// When the shard cannot be read several times in a row.
pub async fn read_page(stream: &DynamoStream, shard: &str, cursor: &mut Cursor) -> Result<Page, StreamError> {
    let mut attempt = 1;
    loop {
        match stream.read(shard, cursor).await {
            Ok(page) => return Ok(page),
            Err(error) if attempt == ATTEMPTS => return Err(error),
            Err(_) => attempt += 1,
        }
    }
}

/// How long a shard has had no record: from the request for the first page without one to the request for the last. The
/// time that answers take is in it, so there is also a least number of pages.
#[derive(Debug, Default)]
struct Silence {
    begun: Option<Instant>,
    pages: u32,
    lasted: Duration,
}

impl Silence {
    /// Adds one more page without a record, which was requested at this time. Returns when to request the next page, or
    /// `None` when the silence was long enough.
    fn goes_on(&mut self, requested: Instant, quiet: Duration) -> Option<Instant> {
        self.lasted = requested - *self.begun.get_or_insert(requested);
        let enough = (quiet.as_millis() / PAUSE_MIN.as_millis()).min(PAGES_ENOUGH);
        let is_long = self.lasted >= quiet;
        if is_long && u128::from(self.pages) >= enough {
            return None;
        }
        self.pages += 1;
        // The time is over, and only pages are missing: at most [`PAGES_ENOUGH`], so nothing is gained by waits.
        let pause = if is_long { Duration::ZERO } else { (self.lasted / PAUSE_SHARE).clamp(PAUSE_MIN, PAUSE_MAX) };
        Some(requested + pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The times between the requests of a silence in which each answer takes so long.
    fn pauses(quiet: Duration, answer: Duration) -> Vec<Duration> {
        let (mut silence, begun) = (Silence::default(), Instant::now());
        let next = |requested: &Instant| Some(silence.goes_on(*requested, quiet)?.max(*requested + answer));
        let requests: Vec<Instant> = std::iter::successors(Some(begun), next).collect();
        assert!(requests[requests.len() - 1] - begun >= quiet);
        requests.windows(2).map(|of| of[1] - of[0]).collect()
    }

    #[test]
    fn silence_is_a_time_of_many_pages_at_first_and_few_later() {
        let pages = |quiet| pauses(quiet, Duration::ZERO);
        assert!(pages(Duration::ZERO).is_empty());
        assert!(pages(QUIET_MIN).len() > 50, "{}", pages(QUIET_MIN).len());
        let long = pages(Duration::from_mins(1));
        assert_eq!(long.last(), Some(&PAUSE_MAX));
        assert_eq!(quiet(Duration::ZERO), QUIET_MIN);
    }

    #[test]
    fn pages_that_slow_answers_left_to_read_need_no_waits() {
        let mut silence = Silence::default();
        let begun = Instant::now();
        let requests = [0, 300, 600, 900, 1_200].map(|at| begun + Duration::from_millis(at));
        let next: Vec<_> = requests.iter().filter_map(|requested| silence.goes_on(*requested, QUIET_MIN)).collect();
        assert!(next[3] > requests[3] && next[4] == requests[4], "{next:?}");
        let mut requested = next[4];
        while let Some(next) = silence.goes_on(requested, QUIET_MIN) {
            requested = next;
        }
        assert_eq!(requested, requests[4]);
        assert_eq!(u128::from(silence.pages), PAGES_ENOUGH);
    }

    #[test]
    fn slow_answers_do_not_make_the_pages_of_a_silence_fewer() {
        for answer in [30, 300, 3_000].map(Duration::from_millis) {
            assert!(pauses(QUIET_MIN, answer).len() > 50, "{answer:?}");
            assert!(pauses(AT_END_QUIET, answer).len() > 10, "{answer:?}");
        }
    }
}
