//! What one record does to which view items.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::rollup::Item;
use crate::rollup::model::change::{self, Change, Counter, Sums};
use crate::rollup::model::language::UncountableAmount;
use crate::rollup::model::limits;
use crate::rollup::model::number::Number;
use crate::rollup::model::poison::{Image, Poison, Reason};
use crate::rollup::model::record::{Images, StreamRecord};
use crate::rollup::model::view::{KeyError, MissingKey, View, ViewKey};

/// What is to be done about a record.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect<'a> {
    /// Nothing: no view item changes, so there is nothing to mark either.
    None,
    /// Add its deltas.
    Apply(Change<'a>),
    /// It cannot be applied.
    Quarantine(Poison<'a>),
}

/// How long markers are kept, and the moment a record is judged for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Days that a marker is kept.
    pub days: u32,
    /// When the invocation must have ended: until then the marker of a record that is not expired is there.
    pub until: DateTime<Utc>,
}

impl Retention {
    /// Whether the marker of a record created at that time may have been deleted. It is kept from the time it is
    /// written, which is not before the record was created.
    #[must_use]
    pub fn expired(&self, created_at: DateTime<Utc>) -> bool {
        self.until.signed_duration_since(created_at) >= chrono::TimeDelta::days(i64::from(self.days))
    }
}

/// What a record does to a view: taken from its images, never from its name.
#[must_use]
pub fn effect<'a>(view: &View, record: StreamRecord<'a>, retention: &Retention) -> Effect<'a> {
    let poison =
        |record: StreamRecord<'a>, reason| Effect::Quarantine(Poison { head: record.head, reason, raw: record.raw });
    let contributions = match &record.images {
        Images::Inserted(new) => contribution(view, Image::New, new).map(|new| (None, Some(new))),
        Images::Removed(old) => contribution(view, Image::Old, old).map(|old| (Some(old), None)),
        Images::Modified { old, new } => contribution(view, Image::Old, old)
            .and_then(|old| contribution(view, Image::New, new).map(|new| (Some(old), Some(new)))),
    };
    let (old, new) = match contributions {
        Ok(both) => both,
        Err(reason) => return poison(record, reason),
    };
    let ungrouped = old.as_ref().map_or(0, |old| old.ungrouped) + new.as_ref().map_or(0, |new| new.ungrouped);
    let deltas = difference(old, new);
    if deltas.is_empty() {
        return Effect::None;
    }
    if let Some(created_at) = record.created_at.filter(|created_at| retention.expired(*created_at)) {
        return poison(record, Reason::Expired { created_at, retention_days: retention.days });
    }
    Effect::Apply(Change { head: record.head, deltas, ungrouped, raw: record.raw })
}

/// What one image adds, and to which view items.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Contribution {
    /// The view items, each once; none if the image is not in the view, or cannot be counted.
    pub items: Vec<ViewKey>,
    /// What it adds to which counter of each of them, zeros included.
    pub amounts: BTreeMap<Counter, Number>,
    /// How many values could not name a group of a measure.
    pub ungrouped: usize,
    /// Why the image contributes nothing although the view is about it, if it does.
    pub uncountable: Option<Uncountable>,
}

impl Contribution {
    /// Whether the image counts for this view item.
    #[must_use]
    pub fn is_of(&self, item: &ViewKey) -> bool {
        self.items.contains(item)
    }
}

/// Why an image that is in a view contributes nothing to it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Uncountable {
    /// Its view item cannot be told.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// It has an amount that is out of bounds.
    #[error("the measure {attribute:?}: {error}")]
    Amount {
        /// The measure's attribute.
        attribute: String,
        /// What the bounds are.
        error: UncountableAmount,
    },
    /// It would add to too much at once.
    #[error(
        "it adds to {counters} counters of {items} view items in {bytes} bytes; at most {} counters, {} view items and {} bytes can be kept",
        limits::IMAGE_COUNTERS,
        limits::IMAGE_VIEW_ITEMS,
        limits::IMAGE_BYTES
    )]
    TooLarge {
        /// Counters of each view item.
        counters: usize,
        /// View items.
        items: usize,
        /// Bytes of the keys, measures and groups.
        bytes: usize,
    },
}

/// What a source item contributes to the view, as one of its images shows it.
///
/// # Errors
/// When the definition wants a record in quarantine whose image does not tell its view item.
pub fn contribution(view: &View, image: Image, item: &Item) -> Result<Contribution, Reason> {
    if !view.selects(item) {
        return Ok(Contribution::default());
    }
    let uncountable = |why: Uncountable| Ok(Contribution { uncountable: Some(why), ..Contribution::default() });
    let items = match view.keys_of(item) {
        Ok(items) => items,
        Err((MissingKey::Quarantine, error)) => return Err(Reason::Key { image, error }),
        Err((MissingKey::Sparse, error)) => return uncountable(error.into()),
    };
    let mut contribution = Contribution { items, ..Contribution::default() };
    if contribution.items.is_empty() {
        return Ok(contribution);
    }
    for (measure, definition) in view.measures().iter().enumerate() {
        let found = match definition.expression.of(item) {
            Ok(found) => found,
            Err(error) => return uncountable(Uncountable::Amount { attribute: definition.attribute.clone(), error }),
        };
        contribution.ungrouped += found.ungrouped;
        let amounts = found.amounts.into_iter().map(|(group, amount)| (Counter { measure, group }, amount));
        contribution.amounts.extend(amounts);
    }
    match too_large(view, &contribution) {
        Some(why) => uncountable(why),
        None => Ok(contribution),
    }
}

/// Whether what an image adds to would not fit into a transaction beside what another image adds to.
fn too_large(view: &View, contribution: &Contribution) -> Option<Uncountable> {
    let (counters, items) = (contribution.amounts.len(), contribution.items.len());
    let counter_bytes = |counter: &Counter| {
        view.measures()[counter.measure].attribute.len() + counter.group.as_ref().map_or(0, String::len)
    };
    let of_each = contribution.amounts.keys().map(counter_bytes).sum::<usize>();
    let bytes = contribution.items.iter().map(|key| key.bytes() + of_each).sum();
    let fits = counters <= limits::IMAGE_COUNTERS && items <= limits::IMAGE_VIEW_ITEMS && bytes <= limits::IMAGE_BYTES;
    (!fits).then_some(Uncountable::TooLarge { counters, items, bytes })
}

/// What a change of an item adds to which view items: what it contributes now less what it contributed before. Never holds a
/// zero.
#[must_use]
pub fn difference(old: Option<Contribution>, new: Option<Contribution>) -> BTreeMap<ViewKey, Sums> {
    let mut deltas: BTreeMap<ViewKey, Sums> = BTreeMap::new();
    let old = old.into_iter().map(|mut old| {
        old.amounts.values_mut().for_each(|amount| *amount = -std::mem::take(amount));
        old
    });
    for contribution in old.chain(new) {
        for item in contribution.items {
            let sums = deltas.entry(item).or_default();
            for (counter, amount) in &contribution.amounts {
                change::add(sums, counter, amount);
            }
        }
    }
    deltas.retain(|_, sums| !sums.is_empty());
    deltas
}
