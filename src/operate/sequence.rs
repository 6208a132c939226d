//! The order of sequence numbers.

/// A key by which sequence numbers of one shard can be sorted. They are decimal numbers with more digits than an
/// integer type holds, so their length is compared first, then their text.
#[must_use]
pub fn order(sequence_number: &str) -> (usize, &str) {
    let digits = sequence_number.trim_start_matches('0');
    (digits.len(), digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_in_order_and_not_their_texts() {
        assert!(order("9") < order("10"));
        assert!(order("000000000000000000009") < order("10"));
        assert!(order("000000000000000000010") > order("9"));
        assert!(order("400000000000000000000000000000000001") < order("400000000000000000000000000000000002"));
        assert!(
            order("100000000000000000000000000000000000001") > order("99999999999999999999999999999999999999"),
            "more digits than an integer has"
        );
        assert_eq!(order("007"), order("7"));
        assert_eq!(order("0010"), order("10"));
    }
}
