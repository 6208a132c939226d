//! Every limit of a service that the code respects, with its source, and this project's own limits.
//!
//! Sources are the DynamoDB Developer Guide ("Quotas in Amazon DynamoDB", "DynamoDB transactions", "Constraints")
//! and the Lambda Developer Guide ("Lambda quotas").

/// Actions in one `TransactWriteItems` ("Quotas", transactions).
pub const TRANSACTION_ACTIONS: usize = 100;

/// Bytes of all items of one `TransactWriteItems` ("Quotas", transactions).
pub const TRANSACTION_BYTES: usize = 4 * 1024 * 1024;

/// Keys in one `BatchGetItem` ("Quotas", API limits).
pub const BATCH_GET_KEYS: usize = 100;

/// Bytes of one item, names and values ("Quotas", items).
pub const ITEM_BYTES: usize = 400 * 1024;

/// Bytes of one expression ("Quotas", expression parameters).
pub const EXPRESSION_BYTES: usize = 4 * 1024;

/// Operators and functions in one update expression ("Quotas", expression parameters).
pub const EXPRESSION_OPERATORS: usize = 300;

/// Bytes of a partition key's value ("Quotas", partition and sort keys).
pub const PARTITION_KEY_BYTES: usize = 2_048;

/// Bytes of a sort key's value ("Quotas", partition and sort keys).
pub const SORT_KEY_BYTES: usize = 1_024;

/// Significant digits of a number ("Supported data types", number).
pub const NUMBER_DIGITS: u64 = 38;

/// The largest power of ten of a number's leading digit ("Supported data types", number: up to 9.99e125).
pub const NUMBER_MAX_EXPONENT: i64 = 125;

/// The smallest power of ten of a number's leading digit ("Supported data types", number: from 1e-130).
pub const NUMBER_MIN_EXPONENT: i64 = -130;

/// The longest text of a number that is read, in bytes. The longest plain text of a number within the limits above is
/// its sign, "0.", 130 zeros and 38 digits; the rest is room for leading zeros and an exponent.
pub const NUMBER_TEXT_BYTES: usize = 512;

/// Bytes of a group's name; a longer one is ungrouped. This project's own limit: the name is stored in the view item
/// and in the marker of each record that touches it.
pub const GROUP_NAME_BYTES: usize = 1_024;

/// Counters of one view item that one image may add to. This project's own limit: what two images add to fits into one
/// update.
pub const IMAGE_COUNTERS: usize = 50;

/// Views of one definition. This project's own limit.
pub const VIEWS: usize = 20;

/// Attributes that may be set on one view item beside its measures. This project's own limit: they fit into an update
/// beside the most counters.
pub const ITEM_SET_ATTRIBUTES: usize = 16;

/// Bytes of a text that is set on a view item: the limit of an index's sort key, [`SORT_KEY_BYTES`].
pub const SET_TEXT_BYTES: usize = SORT_KEY_BYTES;

/// View items that one image may add to. This project's own limit: those of two images, and the marker, fit into one
/// transaction.
pub const IMAGE_VIEW_ITEMS: usize = 49;

/// Bytes of the keys, measures and groups that one image may add to. This project's own limit: those of two images fit
/// into a marker.
pub const IMAGE_BYTES: usize = 150 * 1024;

/// Bytes of an item that are kept free, because an estimate of its size is not exact.
pub const ITEM_MARGIN_BYTES: usize = 2 * 1024;

/// How far an estimate of an item's size may be from what DynamoDB counts, in bytes.
pub const ITEM_ESTIMATE_BYTES: usize = 512;

/// Bytes of quarantined records in one transaction. This project's own limit: the records are compressed when they are
/// sent, and a slow processor must not miss the deadline over one transaction.
pub const QUARANTINE_TRANSACTION_BYTES: usize = 1024 * 1024;

/// The longest part of a parser's message that a reason holds, in bytes: the message may repeat what is in the record.
pub const REASON_BYTES: usize = 512;

/// The longest raw record that a quarantined marker holds as plain text; a longer one is compressed. This project's
/// own limit: a write costs by the started KB.
pub const RAW_RECORD_PLAIN_BYTES: usize = 16 * 1024;

/// Bytes of a record that one part holds. This project's own limit: with the longest key, the part fits into an item.
pub const RECORD_PART_BYTES: usize = 384 * 1024;

/// Parts of one record. This project's own limit: with the marker, they fit into one transaction.
pub const RECORD_PARTS: usize = 9;

/// The largest number of days a marker may be kept: ten years. This project's own limit.
pub const MARKER_RETENTION_MAX_DAYS: u32 = 3_650;

/// Maximum transactions in flight. This project's own limit: more would only conflict or wait for a processor.
pub const MAX_IN_FLIGHT: usize = 100;

/// Filters of an event source mapping ("Filter criteria, filters per event source", Lambda event filtering).
pub const FILTER_PATTERNS: usize = 5;

/// Characters of the pattern of a filter (`Filter`, Lambda API reference).
pub const FILTER_PATTERN_CHARACTERS: usize = 4_096;

/// Hashes in each of the two generations of view items that a function remembers as complete. This project's own limit:
/// both together take about 2 MB.
pub const COMPLETE_VIEW_ITEMS: usize = 50_000;

/// Bytes of a look-up's answer; a longer one is not read. This project's own limit: reading takes about ten times as
/// much memory.
pub const LOOK_UP_BYTES: u64 = 1024 * 1024;

/// How many times as many actions as the probe a batch must have, for one of its transactions to be the probe: a probe
/// that fails is paid for nothing. This project's own limit.
pub const PROBE_SHARE: usize = 20;

const _: () = assert!(TRANSACTION_ACTIONS >= 2, "a marker and a view item need two actions");
const _: () = assert!(2 * IMAGE_VIEW_ITEMS + 1 < TRANSACTION_ACTIONS && 2 * IMAGE_BYTES < ITEM_BYTES);
const _: () = assert!(GROUP_NAME_BYTES < EXPRESSION_BYTES && RAW_RECORD_PLAIN_BYTES < ITEM_BYTES);
const _: () = assert!(RECORD_PART_BYTES + PARTITION_KEY_BYTES + SORT_KEY_BYTES + ITEM_MARGIN_BYTES < ITEM_BYTES);
const _: () = assert!((RECORD_PARTS + 1) * ITEM_BYTES <= TRANSACTION_BYTES && RECORD_PARTS < 10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_in_bytes_are_those_of_the_service() {
        for (limit, bytes) in [
            (TRANSACTION_BYTES, 4_194_304),
            (ITEM_BYTES, 409_600),
            (EXPRESSION_BYTES, 4_096),
            (QUARANTINE_TRANSACTION_BYTES, 1_048_576),
            (RAW_RECORD_PLAIN_BYTES, 16_384),
            (ITEM_MARGIN_BYTES, 2_048),
            (LOOK_UP_BYTES.try_into().unwrap(), 1_048_576),
        ] {
            assert_eq!(limit, bytes);
        }
    }
}
