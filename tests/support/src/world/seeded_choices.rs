//! The seeded choices: everything in a run that could be otherwise is drawn from one seed.

use std::sync::Mutex;
use std::time::Duration;

use ddb_rollup::commit::Randomness;
use fastrand::Rng;
use uuid::Uuid;

/// Draws from one seed.
pub struct SeededChoices(Rng);

impl SeededChoices {
    /// The draws of a seed.
    pub fn new(seed: u64) -> Self {
        Self(Rng::with_seed(seed))
    }

    /// A number below a limit.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0.usize(..limit)
    }

    /// A number from `least` to `most`.
    pub fn between(&mut self, least: usize, most: usize) -> usize {
        least + self.below(most - least + 1)
    }

    /// So many milliseconds.
    pub fn milliseconds(&mut self, least: usize, most: usize) -> Duration {
        Duration::from_millis(self.between(least, most) as u64)
    }

    /// True so many times in a thousand.
    pub fn in_a_thousand(&mut self, times: usize) -> bool {
        self.below(1_000) < times
    }

    /// One of some.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// The place of one of some weights, the heavier the likelier.
    pub fn weighted(&mut self, weights: impl Iterator<Item = usize> + Clone) -> usize {
        let mut drawn = self.below(weights.clone().sum());
        for (place, weight) in weights.enumerate() {
            if drawn < weight {
                return place;
            }
            drawn -= weight;
        }
        unreachable!("what is drawn is below the sum")
    }

    /// A source of draws of its own.
    pub fn fork(&mut self) -> Self {
        Self(self.0.fork())
    }
}

/// The randomness of one function instance.
pub struct Dice(Mutex<SeededChoices>);

impl Dice {
    pub fn new(choices: SeededChoices) -> Self {
        Self(Mutex::new(choices))
    }
}

impl Randomness for Dice {
    fn token(&self) -> Uuid {
        let mut choices = self.0.lock().unwrap();
        Uuid::from_u64_pair(choices.below(usize::MAX) as u64, choices.below(usize::MAX) as u64)
    }

    fn up_to(&self, limit: Duration) -> Duration {
        let limit = usize::try_from(limit.as_micros()).unwrap();
        Duration::from_micros(self.0.lock().unwrap().between(0, limit) as u64)
    }
}
