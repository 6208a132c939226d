//! What an existing marker means for the record that meets it.

use crate::rollup::model::digest::same_item;
use crate::rollup::model::marker::{
    DIGEST, EVENT_ID, FINGERPRINT, OUTCOME, PARTS, RECORD, SOURCE_KEY, holds_record, is_quarantined,
};
use crate::rollup::model::record::RecordHead;
use crate::rollup::{AttributeValue, Item};

/// The attributes by which [`existing`], [`is_surely_of`] and
/// [`is_of_another_definition`](crate::rollup::model::marker::is_of_another_definition) judge a marker, beside its key.
pub const JUDGED_BY: [&str; 7] = [EVENT_ID, DIGEST, SOURCE_KEY, OUTCOME, RECORD, PARTS, FINGERPRINT];

/// What an existing marker means for the record whose condition it made fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExistingMarker {
    /// The record counted before, or was discarded.
    Duplicate,
    /// It is in quarantine, whole.
    Quarantined,
    /// Only its keys are in quarantine: it must be reported to Lambda again.
    NotKept,
    /// The marker is of another event or another item: it says nothing about this record.
    Collision,
}

/// Compares an existing marker with the record that met it, by the source item and the digest. The identifier of an
/// event is only used without digests, because it differs between ways of delivery. A marker that lacks these
/// attributes counts as the record's own.
#[must_use]
pub fn existing(marker: Option<&Item>, head: &RecordHead) -> ExistingMarker {
    let Some(marker) = marker else { return ExistingMarker::Duplicate };
    let other_content = match (text(marker, DIGEST), head.digest) {
        (Some(found), Some(digest)) => found != digest.to_string(),
        (None, None) => text(marker, EVENT_ID).is_some_and(|found| found != head.event_id),
        _ => false,
    };
    if other_content || is_of_another_item(marker, head) {
        return ExistingMarker::Collision;
    }
    match is_quarantined(marker) {
        true if holds_record(marker) => ExistingMarker::Quarantined,
        true => ExistingMarker::NotKept,
        false => ExistingMarker::Duplicate,
    }
}

/// Whether a marker is certainly this record's and not that of another record with its number: both have the same
/// digest, or both have none and the same event identifier.
#[must_use]
pub fn is_surely_of(marker: &Item, head: &RecordHead) -> bool {
    let same_content = match (text(marker, DIGEST), head.digest) {
        (Some(found), Some(digest)) => found == digest.to_string(),
        (None, None) => text(marker, EVENT_ID) == Some(&head.event_id),
        _ => false,
    };
    same_content && !is_of_another_item(marker, head)
}

fn is_of_another_item(marker: &Item, head: &RecordHead) -> bool {
    matches!(
        marker.get(SOURCE_KEY), Some(AttributeValue::M(found)) if !found.is_empty() && !head.source_key.is_empty()
            && !same_item(&Item::from(found.clone()), &head.source_key)
    )
}

fn text<'m>(marker: &'m Item, name: &str) -> Option<&'m str> {
    match marker.get(name) {
        Some(AttributeValue::S(text)) => Some(text.as_str()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::rollup::model::digest::ContentDigest;

    fn item<const N: usize>(attributes: [(&str, AttributeValue); N]) -> Item {
        Item::from(HashMap::from(attributes.map(|(name, value)| (name.to_owned(), value))))
    }

    fn s(text: &str) -> AttributeValue {
        AttributeValue::S(text.to_owned())
    }

    #[test]
    fn a_marker_that_was_there_has_one_meaning() {
        let key = |number: &str| item([("Id", AttributeValue::N(number.to_owned()))]);
        let source_key = |number: &str| (SOURCE_KEY, AttributeValue::M(key(number).into()));
        let no_key = (SOURCE_KEY, AttributeValue::M(HashMap::new()));
        let quarantined = (OUTCOME, s("QUARANTINED"));
        let digest = |value: &str| {
            let image = item([("A", s(value))]);
            ContentDigest::of(None, Some(&image))
        };
        let head = RecordHead { source_key: key("1"), digest: Some(digest("this")), ..RecordHead::default() };
        let told = |value: &str| (DIGEST, s(&digest(value).to_string()));
        for (marker, expected) in [
            (item([]), ExistingMarker::Duplicate),
            (item([(EVENT_ID, s("event")), source_key("1"), (OUTCOME, s("APPLIED"))]), ExistingMarker::Duplicate),
            (item([(EVENT_ID, s("event")), source_key("1.0"), (OUTCOME, s("DISCARDED"))]), ExistingMarker::Duplicate),
            (item([(EVENT_ID, s("event")), no_key, (OUTCOME, s("APPLIED"))]), ExistingMarker::Duplicate),
            (item([(EVENT_ID, s("other")), source_key("1")]), ExistingMarker::Duplicate),
            (item([told("this"), source_key("1"), (OUTCOME, s("APPLIED"))]), ExistingMarker::Duplicate),
            (item([told("another"), source_key("1"), (OUTCOME, s("APPLIED"))]), ExistingMarker::Collision),
            (item([told("this"), source_key("2")]), ExistingMarker::Collision),
            (item([(EVENT_ID, s("event")), source_key("2")]), ExistingMarker::Collision),
            (item([told("another"), quarantined.clone(), (RECORD, s("{}"))]), ExistingMarker::Collision),
            (item([quarantined.clone(), (RECORD, s("{}"))]), ExistingMarker::Quarantined),
            (item([quarantined.clone(), (PARTS, AttributeValue::N("2".to_owned()))]), ExistingMarker::Quarantined),
            (item([quarantined]), ExistingMarker::NotKept),
        ] {
            assert_eq!(existing(Some(&marker), &head), expected, "{marker:?}");
        }
        assert_eq!(existing(None, &head), ExistingMarker::Duplicate);
    }

    #[test]
    fn a_marker_is_surely_of_a_record_only_where_both_tell_the_same() {
        let digest = |value: &str| ContentDigest::of(None, Some(&item([("A", s(value))])));
        let readable =
            RecordHead { event_id: "event".to_owned(), digest: Some(digest("this")), ..RecordHead::default() };
        let unreadable = RecordHead { digest: None, ..readable.clone() };
        let told = |value: &str| (DIGEST, s(&digest(value).to_string()));
        for (marker, expected) in [
            (item([told("this"), (EVENT_ID, s("another"))]), [true, false]),
            (item([told("another"), (EVENT_ID, s("event"))]), [false, false]),
            (item([(EVENT_ID, s("event"))]), [false, true]),
            (item([(EVENT_ID, s("another"))]), [false, false]),
        ] {
            assert_eq!([&readable, &unreadable].map(|head| is_surely_of(&marker, head)), expected, "{marker:?}");
        }
    }
}
