//! The index of the idempotency table that lists the records in quarantine, and nothing else.
//!
//! It is sparse: only a quarantined marker has [`IN_QUARANTINE`]. The write that ends a quarantine also removes the
//! attribute.

use crate::rollup::model::language::shard::shard;

/// The name of the index.
pub const INDEX: &str = "Quarantine";

/// Its partition key, one of [`partitions`]. Its sort key is [`RECORDED_AT`](super::marker::RECORDED_AT).
pub const IN_QUARANTINE: &str = "InQuarantine";

/// Partitions of the index. A single one would throttle every write to the table once it gets more writes than a
/// partition takes.
const PARTITIONS: u32 = 16;

/// Every value of [`IN_QUARANTINE`].
pub fn partitions() -> impl Iterator<Item = String> {
    (0..PARTITIONS).map(|number| number.to_string())
}

/// The partition of the marker with this sequence number. The rule must never change: a marker that changes its
/// partition would be listed twice.
#[must_use]
pub fn partition(sequence_number: &str) -> String {
    shard(sequence_number, PARTITIONS).to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_partition_of_a_number_never_changes() {
        // Computed by another program.
        for (number, expected) in [
            ("100001795858851572933", "13"),
            ("111649810000000006125634", "5"),
            ("300000000000000499659", "12"),
            ("1#taken-4a1651d00dbd5fbf", "4"),
        ] {
            assert_eq!(partition(number), expected, "{number}");
        }
    }

    #[test]
    fn sequence_numbers_that_follow_each_other_are_spread_over_all_partitions() {
        let mut sizes = BTreeMap::<String, u32>::new();
        for number in 0..16_000_u64 {
            *sizes
                .entry(partition(&(111_649_810_000_000_006_125_634 + u128::from(number)).to_string()))
                .or_default() += 1;
        }
        assert!(partitions().all(|partition| sizes.contains_key(&partition)) && sizes.len() == 16, "{sizes:?}");
        assert!(sizes.values().all(|size| (800..1_200).contains(size)), "{sizes:?}");
    }
}
