//! What identifies a stream record, and what it says.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};

use crate::rollup::Item;
use crate::rollup::model::digest::{ContentDigest, same_item};

/// The stream of a quarantined record that does not name its own.
pub const UNKNOWN_STREAM: &str = "unknown";

/// Identifies a record: a sequence number is only unique within its stream.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RecordId {
    /// The sequence number, verbatim: a text of digits. Its order is not used.
    pub sequence_number: String,
    /// The record's `eventSourceARN`, verbatim.
    pub stream: String,
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.sequence_number, self.stream)
    }
}

/// What identifies a record, whether it is parsed, a change, or in quarantine.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RecordHead {
    /// The record's sequence number and stream.
    pub id: RecordId,
    /// The stream's identifier of the event; empty when the record has none.
    pub event_id: String,
    /// `INSERT`, `MODIFY` or `REMOVE`, or whatever the record has; empty if it has nothing. It is only for people to
    /// read: the images decide what the record does.
    pub event_name: String,
    /// The source item's key, as far as the record shows it.
    pub source_key: Item,
    /// The digest of its images; `None` if they cannot be read, or were not requested.
    pub digest: Option<ContentDigest>,
}

impl RecordHead {
    /// Whether two records of one batch are the same event: they have the same source item and the same digest. If only
    /// one of them can be read, they are two events. If neither can, the event identifier decides.
    #[must_use]
    pub fn same_event(&self, other: &Self) -> bool {
        let other_content = self.digest != other.digest || self.digest.is_none() && self.event_id != other.event_id;
        let other_item = !self.source_key.is_empty()
            && !other.source_key.is_empty()
            && !same_item(&self.source_key, &other.source_key);
        !other_content && !other_item
    }
}

/// One change of one source item.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamRecord<'a> {
    /// What identifies the record.
    pub head: RecordHead,
    /// When the write was made, to the second or less; `None` counts as now.
    pub created_at: Option<DateTime<Utc>>,
    /// What the item was and what it is.
    pub images: Images,
    /// The attributes of the images that cannot be read, each with what is wrong. The images lack them. A caller that
    /// needs one of them cannot use the record.
    pub unreadable: BTreeMap<String, String>,
    /// The record as it came.
    pub raw: &'a str,
}

/// What a source item was before a write and what it is after it.
#[derive(Debug, Clone, PartialEq)]
pub enum Images {
    /// It was not there before.
    Inserted(Item),
    /// It was there and is there.
    Modified {
        /// Before.
        old: Item,
        /// After.
        new: Item,
    },
    /// It is not there any more.
    Removed(Item),
}

impl Images {
    /// What the item was before the write, and what it is after it.
    #[must_use]
    pub fn both(&self) -> (Option<&Item>, Option<&Item>) {
        match self {
            Self::Inserted(new) => (None, Some(new)),
            Self::Modified { old, new } => (Some(old), Some(new)),
            Self::Removed(old) => (Some(old), None),
        }
    }
}
