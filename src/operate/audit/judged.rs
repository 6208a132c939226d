//! What is kept of a view item that was looked at, once its source items are forgotten.

use super::examine::Examined;
use crate::rollup::check::judge::{
    Difference, ItemVerdict, NotApplied, PendingRecord, StoredCounters, StoredValue, expected,
};
use crate::rollup::check::zero_groups::ZeroGroups;
use crate::rollup::model::change::Sums;
use crate::rollup::model::definition::Definition;
use crate::rollup::model::item_size;
use crate::rollup::model::measure::{Measure, MeasureId, ViewSet};
use crate::rollup::model::number::Number;

/// A view item that was looked at.
#[derive(Debug)]
pub(in crate::operate) struct JudgedItem {
    /// What was found.
    pub(super) verdict: JudgedCounters,
    /// There is no such view item: its last source item was deleted before it had any counters.
    pub(super) is_none: bool,
    /// What cannot be, by which invariant.
    pub(super) findings: Vec<(&'static str, String)>,
    /// Bytes of what is of the views.
    pub(super) bytes: usize,
    /// The views that it belongs to.
    pub(super) views: ViewSet,
    /// Groups that count nothing.
    pub(super) zero_groups: ZeroGroups,
}

/// What was found about the counters of a view item.
#[derive(Debug)]
pub(super) enum JudgedCounters {
    Exact,
    Behind { unmarked: usize, quarantined: usize },
    Drifted(Vec<DriftedCounter>),
    Unstable,
}

/// A counter that nothing explains.
#[derive(Debug, Clone)]
pub struct DriftedCounter {
    /// What it is, and what it should be.
    pub difference: Difference,
    /// What records that are not applied will add to it.
    pub pending: Number,
}

impl JudgedItem {
    /// What is kept of a view item.
    #[must_use]
    pub(super) fn of(definition: &Definition, examined: &Examined) -> Self {
        let stored = StoredCounters::read(definition, examined.views, examined.item.as_ref());
        // What records explain that are not applied, such as a deletion that came before, is no missing history.
        let negative = match stored.negative(definition) {
            _ if !examined.is_drifted() => None,
            0 => None,
            count => Some(("XO-4", format!("{count} of its counters are below zero: history is missing"))),
        };
        let inconsistent = inconsistent(definition, &stored, examined).map(|what| ("XO-5", what));
        let verdict = match &examined.verdict {
            ItemVerdict::Exact => JudgedCounters::Exact,
            ItemVerdict::Behind { unmarked, quarantined } => {
                JudgedCounters::Behind { unmarked: *unmarked, quarantined: *quarantined }
            }
            ItemVerdict::Unstable => JudgedCounters::Unstable,
            ItemVerdict::Drifted(differences) => {
                let counters = differences.iter().map(|difference| DriftedCounter {
                    pending: pending(&examined.open, difference),
                    difference: difference.clone(),
                });
                JudgedCounters::Drifted(counters.collect())
            }
        };
        let item = examined.item.as_ref();
        Self {
            verdict,
            is_none: item.is_none() && examined.truth.sources == 0 && examined.verdict == ItemVerdict::Exact,
            findings: negative.into_iter().chain(inconsistent).collect(),
            bytes: item.map_or(0, |item| item_size::bytes(item)),
            views: examined.views,
            zero_groups: item.map(|item| ZeroGroups::of(definition, examined.views, item)).unwrap_or_default(),
        }
    }

    /// Whether it stopped changing while it was examined.
    pub(super) fn is_seen(&self) -> bool {
        !matches!(self.verdict, JudgedCounters::Unstable)
    }

    /// Whether counters are wrong for no reason.
    pub(super) fn is_drifted(&self) -> bool {
        matches!(self.verdict, JudgedCounters::Drifted(_))
    }
}

/// What the open records will add to a counter.
fn pending(open: &[PendingRecord], difference: &Difference) -> Number {
    let unmarked = open.iter().filter(|open| open.waiting == NotApplied::Unmarked);
    let mut sum = Number::zero();
    unmarked.filter_map(|open| open.sums.get(&difference.counter)).for_each(|amount| sum += amount);
    sum
}

/// Whether the totals and their groups contradict each other: what is in a total and in no group are ungrouped items, and
/// how many these should be is known.
fn inconsistent(definition: &Definition, stored: &StoredCounters, examined: &Examined) -> Option<String> {
    if !examined.is_drifted() {
        return None;
    }
    let should = expected(&examined.truth.sums, &examined.open);
    let mut is = Sums::new();
    for (counter, value) in &stored.counters {
        let StoredValue::Number(value) = value else { return None };
        is.insert(counter.clone(), value.clone());
    }
    for (total, one) in definition.measures(examined.views).filter(|(_, measure)| !measure.is_grouped()) {
        let same_items = |id: MeasureId, by: &Measure| {
            let (one, by) = (&one.expression, &by.expression);
            id.view == total.view && one.kind == by.kind && one.condition == by.condition && !by.has_each()
        };
        for (grouped, by) in definition.grouped(examined.views).filter(|(id, by)| same_items(*id, by)) {
            let (is, wanted) = (ungrouped(&is, total, grouped), ungrouped(&should, total, grouped));
            if is != wanted {
                let (total, grouped) = (&one.attribute, &by.attribute);
                return Some(format!(
                    "{total} less the sum of {grouped} is {is}; the source has {wanted} without a group"
                ));
            }
        }
    }
    None
}

/// A total less the sum of its groups.
fn ungrouped(counters: &Sums, total: MeasureId, grouped: MeasureId) -> Number {
    let mut sum = Number::zero();
    for (counter, value) in counters {
        match counter.measure {
            measure if measure == total => sum += value,
            measure if measure == grouped => sum += &-value.clone(),
            _ => {}
        }
    }
    sum
}
