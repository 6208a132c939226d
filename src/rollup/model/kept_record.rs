//! How a record in quarantine is kept whole: in its marker, or in parts beside it.
//!
//! A marker is one item, and an item has a maximum size. A record that does not fit is compressed and cut into parts.
//! Each part is an item of the idempotency table. The parts are written in the transaction of the marker, so that
//! either all of them exist or none.

use std::collections::HashMap;
use std::io::Write;

use crate::rollup::model::definition::Definition;
use crate::rollup::model::item_size;
use crate::rollup::model::limits;
use crate::rollup::model::marker::{
    self, EXPIRES_AT, MarkerOutcome, OUTCOME, PARTS, REASON, RECORD, SEQUENCE_NUMBER, STREAM, Stamp, marker_key,
};
use crate::rollup::model::poison::Poison;
use crate::rollup::model::quarantine_index::{IN_QUARANTINE, partition};
use crate::rollup::model::record::RecordId;
use crate::rollup::{AttributeValue, Item};

/// What separates the sequence number of a marker from the number of a part, in the key of that part.
pub const PART: &str = "#part-";

/// The marker of a record in quarantine, and where the record is.
#[derive(Debug, Clone, PartialEq)]
pub struct QuarantinedMarker {
    /// The marker. If it has neither [`RECORD`] nor [`PARTS`], the record is not kept: then Lambda must be told that it
    /// failed, so that the failure destination gets it.
    pub marker: Item,
    /// The record's parts; empty if it is in the marker or is not kept.
    pub parts: Vec<Item>,
}

/// The marker of a record in quarantine, with the record if that fits into an item, and otherwise with as many parts as
/// it needs.
///
/// A record is not kept when its parts are too large for one transaction, or when its sequence number leaves no room for
/// the number of a part.
#[must_use]
pub fn quarantined(definition: &Definition, poison: &Poison<'_>, stamp: &Stamp) -> QuarantinedMarker {
    let mut item: Item =
        marker::base::<AttributeValue>(definition, &poison.head, MarkerOutcome::Quarantined, stamp).into();
    let id = poison.marker_id();
    item.insert(REASON.to_owned(), AttributeValue::S(poison.reason.to_string()));
    item.extend(expiry(stamp));
    item.insert(IN_QUARANTINE.to_owned(), AttributeValue::S(partition(&id.sequence_number)));
    item.insert(SEQUENCE_NUMBER.to_owned(), AttributeValue::S(id.sequence_number.clone()));
    let room = (limits::ITEM_BYTES - limits::ITEM_MARGIN_BYTES).saturating_sub(item_size::bytes(&item));
    let record = record_value(poison.raw);
    if RECORD.len() + item_size::value_bytes(&record) <= room {
        item.insert(RECORD.to_owned(), record);
        return QuarantinedMarker { marker: item, parts: Vec::new() };
    }
    let parts = parts(&id, &record, stamp).unwrap_or_default();
    if !parts.is_empty() {
        item.insert(PARTS.to_owned(), AttributeValue::N(parts.len().to_string()));
    }
    QuarantinedMarker { marker: item, parts }
}

fn record_value(raw: &str) -> AttributeValue {
    if raw.len() <= limits::RAW_RECORD_PLAIN_BYTES {
        return AttributeValue::S(raw.to_owned());
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    match encoder.write_all(raw.as_bytes()).and_then(|()| encoder.finish()) {
        Ok(compressed) => AttributeValue::B(compressed),
        Err(_) => AttributeValue::S(raw.to_owned()),
    }
}

/// A part expires with its marker.
fn expiry(stamp: &Stamp) -> Option<(String, AttributeValue)> {
    let expires_at = stamp.quarantine_expires_at.clone();
    expires_at.map(|expires_at| (EXPIRES_AT.to_owned(), AttributeValue::N(expires_at)))
}

fn parts(id: &RecordId, record: &AttributeValue, stamp: &Stamp) -> Option<Vec<Item>> {
    let AttributeValue::B(compressed) = record else { return None };
    let pieces = compressed.chunks(limits::RECORD_PART_BYTES);
    if pieces.len() > limits::RECORD_PARTS || !has_room_for_parts(id) {
        return None;
    }
    let part = |(id, piece): (RecordId, &[u8])| {
        let attributes = [
            (SEQUENCE_NUMBER.to_owned(), AttributeValue::S(id.sequence_number)),
            (STREAM.to_owned(), AttributeValue::S(id.stream)),
            (RECORD.to_owned(), AttributeValue::B(piece.to_vec())),
        ];
        Item::from(attributes.into_iter().chain(expiry(stamp)).collect::<HashMap<_, _>>())
    };
    Some(part_ids(id, pieces.len()).zip(pieces).map(part).collect())
}

fn part_id(id: &RecordId, number: usize) -> RecordId {
    RecordId { sequence_number: format!("{}{PART}{number}", id.sequence_number), stream: id.stream.clone() }
}

/// The keys of the first `count` parts of a record whose marker has this key.
pub fn part_ids(id: &RecordId, count: usize) -> impl Iterator<Item = RecordId> {
    (1..=count.min(limits::RECORD_PARTS)).map(|number| part_id(id, number))
}

/// The most parts in which a raw record may be kept. The record is compressed only when it is stored, so the exact
/// number is not known before.
#[must_use]
pub fn most_parts(raw: &str) -> usize {
    if raw.len() <= limits::ITEM_BYTES / 2 {
        return 0;
    }
    raw.len().div_ceil(limits::RECORD_PART_BYTES).min(limits::RECORD_PARTS)
}

/// The keys of the parts that a raw record may have been kept in.
#[must_use]
pub fn possible_parts(id: &RecordId, raw: &str) -> Vec<Item> {
    if !has_room_for_parts(id) {
        return Vec::new();
    }
    part_ids(id, most_parts(raw)).map(|part| marker_key(&part)).collect()
}

/// Whether the number of a part fits into the key.
fn has_room_for_parts(id: &RecordId) -> bool {
    part_id(id, limits::RECORD_PARTS).sequence_number.len() <= limits::PARTITION_KEY_BYTES
}

/// How many parts a marker has; zero when it holds its record itself.
#[must_use]
pub fn part_count(marker: &Item) -> usize {
    match marker.get(PARTS) {
        Some(AttributeValue::N(count)) => count.parse().unwrap_or_default(),
        _ => 0,
    }
}

/// Whether an item of the idempotency table is a part of a record and not a marker.
#[must_use]
pub fn is_part(item: &Item) -> bool {
    let named = matches!(item.get(SEQUENCE_NUMBER), Some(AttributeValue::S(number)) if number.contains(PART));
    named && !item.contains_key(OUTCOME)
}

/// The raw record that a quarantined marker and its parts hold; `None` if only its keys are kept, if a part is missing,
/// or if it is not readable. The parts must be in the order of [`part_ids`].
#[must_use]
pub fn kept_record(marker: &Item, parts: &[Item]) -> Option<String> {
    let whole = match marker.get(RECORD) {
        Some(AttributeValue::S(text)) => return Some(text.clone()),
        Some(AttributeValue::B(compressed)) => return unzipped(compressed),
        Some(_) => return None,
        None => part_count(marker),
    };
    let pieces: Vec<&[u8]> = parts
        .iter()
        .filter_map(|part| match part.get(RECORD) {
            Some(AttributeValue::B(piece)) => Some(piece.as_slice()),
            _ => None,
        })
        .collect();
    (whole > 0 && pieces.len() == whole).then(|| unzipped(&pieces.concat())).flatten()
}

fn unzipped(compressed: &[u8]) -> Option<String> {
    std::io::read_to_string(flate2::read::GzDecoder::new(compressed)).ok()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::rollup::model::poison::Reason;
    use crate::rollup::model::record::RecordHead;

    fn item<const N: usize>(attributes: [(&str, AttributeValue); N]) -> Item {
        Item::from(HashMap::from(attributes.map(|(name, value)| (name.to_owned(), value))))
    }

    /// Text that can be compressed by a quarter.
    fn text(bytes: usize) -> String {
        let mut random = fastrand::Rng::with_seed(1);
        (0..bytes).map(|_| char::from(b'0' + random.u8(..64))).collect()
    }

    fn kept(raw: &str, sequence_number: &str) -> QuarantinedMarker {
        let stamp = Stamp::new(DateTime::default(), "request", 14);
        let definition = Definition::points_of_maps("Point", "Map").unwrap();
        let id = RecordId { sequence_number: sequence_number.to_owned(), stream: "stream".to_owned() };
        let head = RecordHead { id, ..RecordHead::default() };
        quarantined(&definition, &Poison { head, reason: Reason::NoImage, raw }, &stamp)
    }

    #[test]
    fn a_record_is_kept_as_text_up_to_its_limit_and_compressed_beyond() {
        for (bytes, plain) in [(1, true), (16_384, true), (16_385, false), (1_000_000, false)] {
            let raw = "x".repeat(bytes);
            let value = record_value(&raw);
            assert_eq!(matches!(value, AttributeValue::S(_)), plain, "{bytes}");
            assert_eq!(kept_record(&item([(RECORD, value)]), &[]), Some(raw), "{bytes}");
        }
        assert_eq!(kept_record(&item([]), &[]), None);
        assert_eq!(kept_record(&item([(RECORD, AttributeValue::B(vec![1, 2, 3]))]), &[]), None);
    }

    #[test]
    fn a_record_is_in_its_marker_exactly_as_long_as_it_fits_into_an_item() {
        let text = text(550_000);
        let (most, mut kept_inside) = (limits::ITEM_BYTES - limits::ITEM_MARGIN_BYTES, Vec::new());
        for length in [300_000].into_iter().chain((536_000..550_000).step_by(2_000)) {
            let raw = &text[..length];
            let QuarantinedMarker { mut marker, parts } = kept(raw, "1");
            assert_eq!(kept_record(&marker, &parts).as_deref(), Some(raw), "{length}");
            kept_inside.push(marker.contains_key(RECORD));
            marker.insert(RECORD.to_owned(), record_value(raw));
            let fits = item_size::bytes(&marker) <= most;
            // What an attribute costs besides its name and value is in the margin.
            assert!(
                kept_inside.last() == Some(&fits) || item_size::bytes(&marker).abs_diff(most) < 16,
                "{length}: {}",
                item_size::bytes(&marker)
            );
        }
        assert!(kept_inside.contains(&true) && kept_inside.contains(&false));
    }

    #[test]
    fn a_larger_record_is_kept_in_parts_and_needs_every_one_of_them() {
        let raw = text(1_600_000);
        let QuarantinedMarker { marker, parts } = kept(&raw, "1");
        assert!(parts.len() > 2 && !marker.contains_key(RECORD));
        assert_eq!(marker[PARTS], AttributeValue::N(parts.len().to_string()));
        for (part, number) in parts.iter().zip(1..) {
            assert_eq!(part[SEQUENCE_NUMBER], AttributeValue::S(format!("1#part-{number}")));
            assert_eq!(part[STREAM], AttributeValue::S("stream".to_owned()));
            assert!(is_part(part) && part.len() == 3 && item_size::bytes(part) < limits::ITEM_BYTES);
        }
        assert!(!is_part(&marker) && !is_part(&kept("small", "1#part-1").marker));
        assert_eq!(kept_record(&marker, &parts), Some(raw));
        assert_eq!(kept_record(&marker, &parts[1..]), None);
        assert_eq!(kept_record(&marker, &[]), None);
    }

    #[test]
    fn a_marker_in_quarantine_and_its_parts_expire_together_or_never() {
        let definition = Definition::points_of_maps("Point", "Map").unwrap();
        let (raw, at) = (text(700_000), DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        for (days, expected) in [(None, None), (Some(30), Some(AttributeValue::N("1802592000".to_owned())))] {
            let stamp = Stamp::new(at, "request", 14).with_quarantine(at, days);
            let poison = Poison { head: RecordHead::default(), reason: Reason::NoImage, raw: &raw };
            let QuarantinedMarker { marker, parts } = quarantined(&definition, &poison, &stamp);
            assert_eq!(parts.len(), 2);
            assert!(parts.iter().chain([&marker]).all(|item| item.get(EXPIRES_AT) == expected.as_ref()), "{days:?}");
            assert!(parts.iter().all(is_part) && kept_record(&marker, &parts).is_some());
        }
    }

    #[test]
    fn a_record_is_kept_up_to_what_a_transaction_holds() {
        for (raw_bytes, whole) in [(4_500_000, true), (6_000_000, false)] {
            let QuarantinedMarker { marker, parts } = kept(&text(raw_bytes), "1");
            assert_eq!(marker::holds_record(&marker), whole, "{raw_bytes}");
            let bytes = parts.iter().chain([&marker]).map(|item| item_size::bytes(item)).sum::<usize>();
            assert!(bytes < limits::TRANSACTION_BYTES && (parts.len() > 7) == whole, "{bytes} in {}", parts.len());
        }
    }

    #[test]
    fn a_sequence_number_leaves_room_for_the_number_of_a_part() {
        let raw = text(700_000);
        for (bytes, whole) in [(2_041, true), (2_042, false)] {
            let QuarantinedMarker { marker, parts } = kept(&raw, &"1".repeat(bytes));
            assert_eq!((marker::holds_record(&marker), parts.is_empty()), (whole, !whole), "{bytes}");
        }
    }
}
