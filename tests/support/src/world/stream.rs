//! The streams of the source table: shards that split and follow each other, numbers, and 24 hours.

use super::seeded_choices::SeededChoices;
use super::source::Record;

/// How long a stream holds a record, in seconds.
pub const HELD_SECONDS: i64 = 24 * 3_600;

/// The most streams that the table has, one after another.
pub const STREAMS: usize = 3;

/// Items are spread over so many ranges; a shard has at least one of them.
const RANGES: usize = 4;

/// One shard.
pub struct Shard {
    /// The shard that must be dealt with before it.
    pub parent: Option<usize>,
    ranges: Vec<usize>,
    /// Its records, in their order, by their places in the source's list.
    pub records: Vec<usize>,
    /// How many of them the stream does not hold any more.
    pub trimmed: usize,
    /// Whether nothing more is written to it.
    pub closed: bool,
}

/// Every stream that the table has had; the last one is written to.
pub struct Streams {
    pub shards: Vec<Shard>,
    /// How many streams there have been.
    opened: usize,
    numbers: Numbers,
    first: (u64, u128),
}

/// Sequence numbers: they grow, by little and by much, so that their order as text is another one.
struct Numbers {
    last: u128,
    strides: SeededChoices,
}

impl Numbers {
    fn next(&mut self) -> String {
        let leap = self.strides.below(12) == 0 && self.last < 10_u128.pow(36);
        self.last += if leap { self.last * 9 } else { self.strides.between(1, 900) as u128 };
        self.last.to_string()
    }
}

impl Streams {
    pub fn new(choices: &mut SeededChoices) -> Self {
        // Close below a power of ten, so that the numbers soon have one digit more.
        let first = (choices.below(usize::MAX) as u64, 10_u128.pow(21) - choices.between(1, 5_000) as u128);
        let mut streams = Self { shards: Vec::new(), opened: 0, numbers: Self::numbers(first), first };
        streams.open();
        streams
    }

    fn numbers((seed, last): (u64, u128)) -> Numbers {
        Numbers { last, strides: SeededChoices::new(seed) }
    }

    fn open(&mut self) {
        self.opened += 1;
        // Every stream has the same numbers: they mean nothing outside their stream.
        self.numbers = Self::numbers(self.first);
        let ranges = (0..RANGES).collect();
        self.add(None, ranges);
    }

    fn add(&mut self, parent: Option<usize>, ranges: Vec<usize>) {
        self.shards.push(Shard { parent, ranges, records: Vec::new(), trimmed: 0, closed: false });
    }

    /// The name of a stream.
    pub fn name(stream: usize) -> String {
        format!("arn:aws:dynamodb:eu-west-1:123456789012:table/Point/stream/2026-11-22T00:00:00.00{stream}")
    }

    /// The stream of the next record, and its number.
    pub fn next(&mut self) -> (String, String) {
        (Self::name(self.opened - 1), self.numbers.next())
    }

    /// Appends a record of an item.
    pub fn append(&mut self, point: usize, record: usize) {
        let range = point % RANGES;
        let open = self.shards.iter_mut().find(|shard| !shard.closed && shard.ranges.contains(&range));
        open.unwrap().records.push(record);
    }

    /// Ends an open shard; its children share its items.
    pub fn split(&mut self, choices: &mut SeededChoices) -> String {
        let open: Vec<usize> = (0..self.shards.len()).filter(|&shard| !self.shards[shard].closed).collect();
        let parent = *choices.pick(&open);
        self.shards[parent].closed = true;
        let mut ranges = self.shards[parent].ranges.clone();
        let second = ranges.split_off(ranges.len() / 2);
        for ranges in [ranges, second].into_iter().filter(|ranges| !ranges.is_empty()) {
            self.add(Some(parent), ranges);
        }
        format!("shard {parent} ends, {} shards", self.shards.len())
    }

    /// The stream is switched off and on: another one begins.
    pub fn switch(&mut self) -> String {
        for shard in &mut self.shards {
            shard.closed = true;
        }
        self.open();
        format!("stream {} begins", self.opened - 1)
    }

    /// How many streams there have been.
    pub fn count(&self) -> usize {
        self.opened
    }

    /// Lets go of what is too old; gives how many records that were.
    pub fn trim(&mut self, now: i64, records: &[std::rc::Rc<Record>]) -> usize {
        let mut gone = 0;
        for shard in &mut self.shards {
            while let Some(&record) = shard.records.get(shard.trimmed)
                && now - records[record].created_at >= HELD_SECONDS
            {
                shard.trimmed += 1;
                gone += 1;
            }
        }
        gone
    }
}
