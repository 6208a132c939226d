//! Reading a stream from where the last reading ended up to its newest record.

use std::collections::{HashMap, HashSet, VecDeque};

use super::event::EventRecord;
use super::stream::{Cursor, DynamoStream, Page, Shard, Stream, StreamError};

mod shard_end;

use shard_end::ShardEnd;

/// Pages without a record after which an open shard is taken to be read to its end: a page may be empty because the
/// stream has not got further.
const EMPTY_PAGES: usize = 3;

/// How often a reading that fails is tried again: an iterator may have expired.
const READ_ATTEMPTS: usize = 3;

/// How thoroughly the end of a stream is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// New shards are looked for, and an empty page is not believed at once.
    Thorough,
    /// An empty page is the end: for the short look at an item that is written all the time.
    Quick,
}

/// A stream as far as it was read.
#[derive(Debug)]
pub struct StreamReader {
    stream: DynamoStream,
    shards: Vec<Shard>,
    cursors: HashMap<String, Cursor>,
    ended: HashSet<String>,
}

/// One reading that goes on.
#[derive(Debug)]
pub struct ReadToEnd {
    empty_pages_at_end: usize,
    left: VecDeque<Shard>,
    shard: Option<ShardInReading>,
}

#[derive(Debug)]
struct ShardInReading {
    id: String,
    empty_pages: usize,
    end: ShardEnd,
}

impl StreamReader {
    /// Reads a stream from its oldest record on.
    #[must_use]
    pub fn new(stream: DynamoStream) -> Self {
        Self { stream, shards: Vec::new(), cursors: HashMap::new(), ended: HashSet::new() }
    }

    /// Begins a reading: what was written before this was called, and has got there, is read at the end of it.
    ///
    /// # Errors
    /// When the shards cannot be listed.
    pub async fn begin(&mut self, reach: Reach) -> Result<ReadToEnd, StreamError> {
        if reach == Reach::Thorough || self.shards.is_empty() {
            self.shards = parents_first(self.stream.shards().await?);
        }
        let empty_pages_at_end = if reach == Reach::Thorough { EMPTY_PAGES } else { 1 };
        Ok(ReadToEnd { empty_pages_at_end, left: self.shards.clone().into(), shard: None })
    }

    /// The next records of one shard, in their order; none at the end.
    ///
    /// # Errors
    /// When a shard cannot be read.
    pub async fn next(&mut self, reading: &mut ReadToEnd) -> Result<Option<Vec<EventRecord>>, StreamError> {
        loop {
            let mut shard = match reading.shard.take() {
                Some(shard) => shard,
                None => match reading.left.pop_front() {
                    None => return Ok(None),
                    Some(shard) if !self.can_be_read(&shard) => continue,
                    Some(Shard { id, .. }) => ShardInReading { id, empty_pages: 0, end: ShardEnd::default() },
                },
            };
            let page = self.read(&shard.id).await?;
            shard.empty_pages = if page.records.is_empty() { shard.empty_pages + 1 } else { 0 };
            // Where writers never pause, there is always one more record.
            let has_records = shard.empty_pages == 0;
            let at_end = has_records && !page.ended && shard.end.is_in(&page, &self.stream, &shard.id).await?;
            if page.ended {
                self.ended.insert(shard.id);
            } else if !at_end && shard.empty_pages < reading.empty_pages_at_end {
                reading.shard = Some(shard);
            }
            if has_records {
                return Ok(Some(page.records));
            }
        }
    }

    /// Whether a shard has anything left, and its turn has come: after its parent's end.
    fn can_be_read(&self, shard: &Shard) -> bool {
        let listed = |id: &String| self.shards.iter().any(|shard| shard.id == *id);
        let too_early = shard.parent.as_ref().is_some_and(|parent| listed(parent) && !self.ended.contains(parent));
        !too_early && !self.ended.contains(&shard.id)
    }

    async fn read(&mut self, shard: &str) -> Result<Page, StreamError> {
        let cursor = self.cursors.entry(shard.to_owned()).or_default();
        read_page(&self.stream, shard, cursor).await
    }
}

/// The next records of a shard.
///
/// # Errors
/// When the shard cannot be read several times in a row.
pub async fn read_page(stream: &DynamoStream, shard: &str, cursor: &mut Cursor) -> Result<Page, StreamError> {
    let mut attempt = 1;
    loop {
        match stream.read(shard, cursor).await {
            Ok(page) => return Ok(page),
            Err(error) if attempt == READ_ATTEMPTS => return Err(error),
            Err(_) => attempt += 1,
        }
    }
}

/// Parents before their children, so that the records of an item are met in their order.
fn parents_first(mut shards: Vec<Shard>) -> Vec<Shard> {
    let mut ordered: Vec<Shard> = Vec::with_capacity(shards.len());
    while !shards.is_empty() {
        let waiting: HashSet<String> = shards.iter().map(|shard| shard.id.clone()).collect();
        let (free, rest): (Vec<_>, Vec<_>) =
            shards.into_iter().partition(|shard| shard.parent.as_ref().is_none_or(|parent| !waiting.contains(parent)));
        if free.is_empty() {
            // No stream has a circle of parents; whatever this is, it is read all the same.
            ordered.extend(rest);
            return ordered;
        }
        ordered.extend(free);
        shards = rest;
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_comes_after_its_parent_and_nothing_is_left_out() {
        let shard = |id: &str, parent: Option<&str>| Shard { id: id.into(), parent: parent.map(Into::into) };
        let shards = vec![shard("c", Some("b")), shard("b", Some("a")), shard("d", Some("trimmed")), shard("a", None)];
        let order: Vec<_> = parents_first(shards).into_iter().map(|shard| shard.id).collect();
        assert_eq!(order, ["d", "a", "b", "c"]);
        assert_eq!(parents_first(vec![shard("x", Some("y")), shard("y", Some("x"))]).len(), 2);
    }
}
