//! Records that cannot be applied, and why: what quarantine keeps.

use chrono::{DateTime, Utc};

use crate::rollup::model::record::{RecordHead, RecordId};
use crate::rollup::model::view::KeyError;

/// A record that cannot be applied, with everything that is known about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Poison<'a> {
    /// What identifies the record, as far as it can be read.
    pub head: RecordHead,
    /// Why it cannot be applied.
    pub reason: Reason,
    /// The record as it came.
    pub raw: &'a str,
}

/// What separates a sequence number that another event has from the digest of this one, in the key of its marker.
pub const TAKEN: &str = "#taken-";

/// What the reason begins with if it is unknown whether the record was counted. Neither a replay nor a delivery may end
/// such a quarantine.
pub const EXPIRED: &str = "expired: ";

impl Poison<'_> {
    /// The key of its marker: its own sequence number, unless that is another event's.
    #[must_use]
    pub fn marker_id(&self) -> RecordId {
        let id = &self.head.id;
        match (&self.reason, self.head.digest) {
            (Reason::NumberTaken { .. }, digest) => {
                let digest = digest.map_or_else(
                    || uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, self.raw.as_bytes()).simple().to_string(),
                    |digest| digest.to_string(),
                );
                RecordId {
                    sequence_number: format!("{}{TAKEN}{digest}", id.sequence_number),
                    stream: id.stream.clone(),
                }
            }
            _ => id.clone(),
        }
    }
}

/// Why a record cannot be applied. The text is stored with the record, for an operator to read.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Reason {
    /// It is not a stream record.
    #[error("not a stream record: {0}")]
    Unreadable(String),
    /// It does not say from which stream it is, so its sequence number means nothing.
    #[error("no usable eventSourceARN: {0}")]
    NoStream(&'static str),
    /// It carries no image at all.
    #[error("neither an old nor a new image; the stream must carry NEW_AND_OLD_IMAGES")]
    NoImage,
    /// A `MODIFY` with one image only: what it changed is unknown.
    #[error("a MODIFY with its {0} image only; both are needed to tell what changed")]
    HalfModify(Image),
    /// It is unknown which view item an image belongs to.
    #[error("the {image} image: {error}")]
    Key {
        image: Image,
        /// What is wrong with it.
        error: KeyError,
    },
    /// Its marker may have been deleted already, so whether it was counted is unknown.
    #[error("{EXPIRED}created at {created_at}, and markers are kept for {retention_days} days; repair the view item")]
    Expired {
        /// When the record was created.
        created_at: DateTime<Utc>,
        /// How long markers are kept.
        retention_days: u32,
    },
    /// The view item cannot take the change.
    #[error("the view item {item} cannot be updated: {detail}")]
    ViewItem {
        /// The view item's key.
        item: String,
        /// What is wrong with it.
        detail: String,
    },
    /// Another event has its sequence number.
    #[error(
        "another event has the sequence number {sequence_number}; the function cannot decide which of the two is counted: repair the \
         view items of this one"
    )]
    NumberTaken { sequence_number: String },
    /// DynamoDB refuses the change, and no cause was found.
    #[error("refused by DynamoDB: {0}")]
    Refused(String),
}

impl Reason {
    /// The kind of reason. It has no value of an item, so it may be logged.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::NoStream(_) => "no stream",
            Self::NoImage => "no image",
            Self::HalfModify(_) => "half a MODIFY",
            Self::Key { .. } => "view key",
            Self::Expired { .. } => "expired",
            Self::ViewItem { .. } => "view item",
            Self::NumberTaken { .. } => "number taken",
            Self::Refused(_) => "refused",
        }
    }
}

/// What the reasons of records begin with that can be applied once their cause is fixed: the record itself is right.
const MENDABLE: [&str; 2] = ["the view item ", "refused by DynamoDB: "];

/// Whether a record with this stored reason can be applied once the cause is fixed. For all other reasons, it is
/// unknown what the record changes, or whether it was counted.
#[must_use]
pub fn can_be_applied(reason: &str) -> bool {
    MENDABLE.iter().any(|beginning| reason.starts_with(beginning))
}

/// One of the two images of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Image {
    /// The item before the write.
    Old,
    /// The item after it.
    New,
}

impl std::fmt::Display for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Old => "old",
            Self::New => "new",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_at_the_view_item_can_be_mended() {
        let at = DateTime::from_timestamp(0, 0).unwrap();
        let text = || "x".to_owned();
        for (reason, expected) in [
            (Reason::Unreadable(text()), false),
            (Reason::NoStream("x"), false),
            (Reason::NoImage, false),
            (Reason::HalfModify(Image::New), false),
            (Reason::Key { image: Image::New, error: KeyError::Empty { attribute: text() } }, false),
            (Reason::Expired { created_at: at, retention_days: 14 }, false),
            (Reason::ViewItem { item: text(), detail: text() }, true),
            (Reason::NumberTaken { sequence_number: text() }, false),
            (Reason::Refused(text()), true),
        ] {
            assert_eq!(can_be_applied(&reason.to_string()), expected, "{reason}");
        }
    }

    #[test]
    fn a_reason_names_the_image() {
        assert!(Reason::HalfModify(Image::Old).to_string().starts_with("a MODIFY with its old image only"));
        let error = KeyError::Empty { attribute: "MapId".to_owned() };
        let reason = Reason::Key { image: Image::New, error };
        assert!(reason.to_string().starts_with("the new image: "), "{reason}");
        assert_eq!(reason.kind(), "view key");
    }
}
