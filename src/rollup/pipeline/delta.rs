//! What one record does to which view items.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::rollup::model::change::{Amounts, Change, Deltas, UncountableImage};
use crate::rollup::model::definition::Definition;
use crate::rollup::model::digest::ContentDigest;
use crate::rollup::model::number::Number;
use crate::rollup::model::poison::{Image, Poison, Reason};
use crate::rollup::model::record::{Images, RecordHead, StreamRecord};
use crate::rollup::model::set_attribute::SetTexts;
use crate::rollup::model::view::ViewKey;
use crate::rollup::pipeline::contribution::{Contribution, ViewContribution, contribution};
use crate::rollup::pipeline::parse::shortened;

/// What to do about a record.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect<'a> {
    /// Nothing: no view item changes, so there is no marker either.
    None {
        /// How often a view could not count an image that is in it.
        uncountable: usize,
    },
    /// Add its deltas.
    Apply(Arc<Change<'a>>),
    /// It cannot be applied.
    Quarantine(Box<Poison<'a>>),
}

/// How long markers are kept, and the time for which a record is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Days that a marker is kept.
    pub days: u32,
    /// When the invocation must have ended. The marker of a record that is not expired exists at least until then.
    pub until: DateTime<Utc>,
}

impl Retention {
    /// For records whose markers are known to exist: none of them is expired.
    pub const KNOWN_MARKERS: Self = Self { days: u32::MAX, until: DateTime::UNIX_EPOCH };

    /// Whether the marker of a record with this creation time may have been deleted. A marker is kept from the time it
    /// is written, which is not before the record was created.
    #[must_use]
    pub fn expired(&self, created_at: DateTime<Utc>) -> bool {
        self.until.signed_duration_since(created_at) >= chrono::TimeDelta::days(i64::from(self.days))
    }
}

/// What a record does to the views. Its images decide, never its name.
#[must_use]
pub fn effect<'a>(definition: &Definition, record: StreamRecord<'a>, retention: &Retention) -> Effect<'a> {
    let head = |record: &mut StreamRecord<'a>| {
        let (old, new) = record.images.both();
        let digest = Some(ContentDigest::of(old, new));
        RecordHead { digest, ..std::mem::take(&mut record.head) }
    };
    let poison = |mut record: StreamRecord<'a>, reason| {
        Effect::Quarantine(Box::new(Poison { head: head(&mut record), reason, raw: record.raw }))
    };
    if let Some(reason) = unreadable(definition, &record) {
        return poison(record, reason);
    }
    let of = |image, item| contribution(definition, image, item);
    let contributions = match &record.images {
        Images::Inserted(new) => of(Image::New, new).map(|new| (Contribution::default(), new)),
        Images::Removed(old) => of(Image::Old, old).map(|old| (old, Contribution::default())),
        Images::Modified { old, new } => of(Image::Old, old).and_then(|old| Ok((old, of(Image::New, new)?))),
    };
    let (old, new) = match contributions {
        Ok(both) => both,
        Err(reason) => return poison(record, reason),
    };
    let ungrouped = old.ungrouped + new.ungrouped;
    let uncountable: Vec<UncountableImage> =
        old.uncountable_as(Image::Old).chain(new.uncountable_as(Image::New)).collect();
    let (deltas, texts) = difference(old, new);
    if deltas.is_empty() {
        return Effect::None { uncountable: uncountable.len() };
    }
    if let Some(created_at) = record.created_at.filter(|created_at| retention.expired(*created_at)) {
        return poison(record, Reason::Expired { created_at, retention_days: retention.days });
    }
    let mut record = record;
    let head = head(&mut record);
    Effect::Apply(Arc::new(Change { head, deltas, texts, uncountable, ungrouped, raw: record.raw }))
}

/// Why a record is unreadable for these views: an attribute that one of them reads, or a key, cannot be read.
#[must_use]
pub fn unreadable(definition: &Definition, record: &StreamRecord<'_>) -> Option<Reason> {
    if record.unreadable.is_empty() {
        return None;
    }
    let read = definition.reads();
    let needed = |name: &str| read.contains(name) || record.head.source_key.contains_key(name);
    let (name, words) = record.unreadable.iter().find(|(name, _)| needed(name))?;
    Some(Reason::Unreadable(shortened(&format!("the attribute {name:?}: {words}"))))
}

/// What a change of an item adds to which view items: the new contribution less the old one, without zeros. Also the
/// texts that it sets there.
#[must_use]
pub fn difference(old: Contribution, new: Contribution) -> (Deltas, BTreeMap<ViewKey, SetTexts>) {
    let mut deltas = Deltas::new();
    let mut texts: BTreeMap<ViewKey, SetTexts> = BTreeMap::new();
    let old = old.parts.into_iter().map(|mut old| {
        old.amounts.values_mut().for_each(|amount| *amount = -std::mem::take(amount));
        old
    });
    for ViewContribution { mut items, amounts, .. } in old.chain(new.parts) {
        let last = items.pop();
        for (item, set) in items {
            add(&mut deltas, &mut texts, item, set, Cow::Borrowed(&amounts));
        }
        if let Some((item, set)) = last {
            add(&mut deltas, &mut texts, item, set, Cow::Owned(amounts));
        }
    }
    deltas.values_mut().for_each(|amounts| amounts.retain(|_, amount| !amount.is_zero()));
    deltas.retain(|_, amounts| !amounts.is_empty());
    texts.retain(|item, _| deltas.contains_key(item));
    (deltas, texts)
}

/// Adds what one view contributes to one of its items.
fn add(
    deltas: &mut Deltas,
    texts: &mut BTreeMap<ViewKey, SetTexts>,
    item: ViewKey,
    set: SetTexts,
    amounts: Cow<'_, Amounts>,
) {
    if !set.is_empty() {
        texts.entry(item.clone()).or_default().extend(set);
    }
    let sum = deltas.or_insert_with(item, Amounts::new);
    if sum.is_empty() {
        *sum = amounts.into_owned();
        return;
    }
    for (counter, amount) in amounts.iter() {
        *sum.or_insert_with(counter.clone(), Number::zero) += amount;
    }
}
