//! What happened, step by step: the last lines for whoever reads a failure, and a hash of all for whoever compares runs.

use std::collections::{BTreeMap, VecDeque};

/// How many lines are kept.
const KEPT: usize = 40;

/// FNV-1a, 64 bits.
const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// A run's journal.
pub struct Journal {
    /// A hash of every line so far: two runs with the same one did the same.
    pub trace: u64,
    /// How often each kind of thing happened.
    pub happened: BTreeMap<&'static str, usize>,
    /// The last lines, the oldest first.
    pub last: VecDeque<String>,
    /// Whether every line is printed, too.
    verbose: bool,
}

impl Journal {
    pub fn new(verbose: bool) -> Self {
        Self { trace: OFFSET, happened: BTreeMap::new(), last: VecDeque::new(), verbose }
    }

    /// Writes down that something happened.
    pub fn write(&mut self, kind: &'static str, line: String) {
        *self.happened.entry(kind).or_default() += 1;
        for byte in line.bytes().chain([b'\n']) {
            self.trace = (self.trace ^ u64::from(byte)).wrapping_mul(PRIME);
        }
        if self.verbose {
            println!("{line}");
        }
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }
}
