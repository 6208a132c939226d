//! Randomness of the operating system.

use std::time::Duration;

use uuid::Uuid;

use crate::commit::Randomness;

/// Randomness of the operating system: two processes started at the same moment do not share it.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsRandomness;

impl Randomness for OsRandomness {
    #[allow(clippy::disallowed_methods, reason = "here is where randomness comes in")]
    fn token(&self) -> Uuid {
        Uuid::new_v4()
    }

    fn up_to(&self, limit: Duration) -> Duration {
        let limit = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX - 1);
        // The first half of a version 4 UUID holds its version; of the second, all but the two highest bits are random.
        let random = self.token().as_u64_pair().1 & (u64::MAX >> 2);
        Duration::from_nanos(random % (limit + 1))
    }
}
