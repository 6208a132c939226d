//! What one record does to which view items.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::rollup::model::change::{self, Change, Counter, Sums};
use crate::rollup::model::limits;
use crate::rollup::model::number::Number;
use crate::rollup::model::poison::{Image, Poison, Reason};
use crate::rollup::model::record::{Images, StreamRecord};
use crate::rollup::model::view::{Amount, View, ViewKey};
use crate::rollup::{AttributeValue, Item};

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

/// What one image adds to a view item.
#[derive(Debug, Clone, PartialEq)]
pub struct Contribution {
    /// The view item.
    pub item: ViewKey,
    /// What it adds to which counter, zeros included.
    pub amounts: BTreeMap<Counter, Number>,
    /// How many measures are kept by a group that the image has no usable value for.
    pub ungrouped: usize,
}

/// What a source item contributes to the view, as one of its images shows it.
///
/// # Errors
/// When the image does not tell its view item, or holds a number that is none.
pub fn contribution(view: &View, image: Image, item: &Item) -> Result<Contribution, Reason> {
    let key = view.key_of(item).map_err(|error| Reason::Key { image, error })?;
    let number = |attribute: &str, text: &str| {
        text.parse::<Number>().map_err(|error| Reason::Number { image, attribute: attribute.to_owned(), error })
    };
    let mut contribution = Contribution { item: key, amounts: BTreeMap::new(), ungrouped: 0 };
    for (measure, definition) in view.measures().iter().enumerate() {
        let amount = match &definition.amount {
            Amount::One => Number::from(1),
            Amount::Of(attribute) => match item.get(attribute) {
                Some(AttributeValue::N(text)) => number(attribute, text)?,
                _ => Number::zero(),
            },
        };
        let group = match &definition.by {
            None => None,
            Some(attribute) => {
                let group = match item.get(attribute) {
                    Some(AttributeValue::S(text)) => Some(text.clone()),
                    Some(AttributeValue::N(text)) => Some(number(attribute, text)?.to_string()),
                    _ => None,
                };
                let usable = group.filter(|name| (1..=limits::GROUP_NAME_BYTES).contains(&name.len()));
                let Some(name) = usable else {
                    contribution.ungrouped += 1;
                    continue;
                };
                Some(name)
            }
        };
        contribution.amounts.insert(Counter { measure, group }, amount);
    }
    Ok(contribution)
}

fn difference(old: Option<Contribution>, new: Option<Contribution>) -> BTreeMap<ViewKey, Sums> {
    let mut deltas: BTreeMap<ViewKey, Sums> = BTreeMap::new();
    let old = old.into_iter().map(|mut old| {
        old.amounts.values_mut().for_each(|amount| *amount = -std::mem::take(amount));
        old
    });
    for contribution in old.chain(new) {
        let sums = deltas.entry(contribution.item).or_default();
        for (counter, amount) in &contribution.amounts {
            change::add(sums, counter, amount);
        }
    }
    deltas.retain(|_, sums| !sums.is_empty());
    deltas
}
