//! What is kept of an examined view item after its source items are dropped from memory.

use super::examine::Examined;
use crate::rollup::Item;
use crate::rollup::check::judge::{
    Difference, ItemVerdict, NotApplied, PendingRecord, StoredCounters, StoredValue, expected,
};
use crate::rollup::check::zero_groups::ZeroGroups;
use crate::rollup::model::change::Sums;
use crate::rollup::model::definition::Definition;
use crate::rollup::model::item_size;
use crate::rollup::model::measure::{Measure, MeasureId, ViewSet};
use crate::rollup::model::number::Number;

/// An examined view item.
#[derive(Debug)]
pub(in crate::operate) struct JudgedItem {
    /// The verdict on its counters.
    pub(super) verdict: JudgedCounters,
    /// The item does not exist and should not: its last source item was deleted before it had any counters.
    pub(super) is_none: bool,
    /// Violated invariants: the identifier, and what contradicts it.
    pub(super) findings: Vec<(&'static str, String)>,
    /// Size in bytes of its key and of the attributes of the views.
    pub(super) bytes: usize,
    /// The views to which it belongs.
    pub(super) views: ViewSet,
    /// The groups that count nothing.
    pub(super) zero_groups: ZeroGroups,
}

/// The verdict on the counters of a view item.
#[derive(Debug)]
pub(super) enum JudgedCounters {
    Exact,
    Behind { unmarked: usize, quarantined: usize },
    Drifted(Vec<DriftedCounter>),
    Unstable,
}

/// A counter that differs from what the recount and the open records explain.
#[derive(Debug, Clone)]
pub struct DriftedCounter {
    /// The counter, its stored value and its expected value.
    pub difference: Difference,
    /// What records that are not applied yet will add to it.
    pub pending: Number,
}

impl JudgedItem {
    /// Keeps the verdict and the sizes of an examined item.
    #[must_use]
    pub(super) fn of(definition: &Definition, examined: &Examined) -> Self {
        // A negative counter that open records explain, such as a deletion that came first, is not a missing history.
        let findings = if examined.is_drifted() { findings(definition, examined) } else { Vec::new() };
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
            findings,
            bytes: item.map_or(0, |item| item_size::bytes(item)),
            views: examined.views,
            zero_groups: item.map(|item| ZeroGroups::of(definition, examined.views, item)).unwrap_or_default(),
        }
    }

    /// What is kept of a view item whose counters in these views are exact.
    #[must_use]
    pub(super) fn exact(definition: &Definition, views: ViewSet, item: &Item) -> Self {
        Self {
            verdict: JudgedCounters::Exact,
            is_none: false,
            findings: Vec::new(),
            bytes: item_size::bytes(item),
            views,
            zero_groups: ZeroGroups::of(definition, views, item),
        }
    }

    /// Whether its counters could be judged, so that it is not unstable.
    pub(super) fn is_seen(&self) -> bool {
        !matches!(self.verdict, JudgedCounters::Unstable)
    }

    /// Whether its counters differ from what the recount and the open records explain.
    pub(super) fn is_drifted(&self) -> bool {
        matches!(self.verdict, JudgedCounters::Drifted(_))
    }
}

/// Violated invariants of a view item that has drifted.
fn findings(definition: &Definition, examined: &Examined) -> Vec<(&'static str, String)> {
    let stored = StoredCounters::read(definition, examined.views, examined.item.as_ref());
    let negative = match stored.negative(definition) {
        0 => None,
        count => Some(("XO-4", format!("{count} of its counters are below zero: history is missing"))),
    };
    let inconsistent = inconsistent(definition, &stored, examined).map(|what| ("XO-5", what));
    negative.into_iter().chain(inconsistent).collect()
}

/// What the open records will add to a counter.
fn pending(open: &[PendingRecord], difference: &Difference) -> Number {
    let unmarked = open.iter().filter(|open| open.waiting == NotApplied::Unmarked);
    let mut sum = Number::zero();
    unmarked.filter_map(|open| open.sums.get(&difference.counter)).for_each(|amount| sum += amount);
    sum
}

/// Compares totals with their groups. What is in a total and in no group are ungrouped source items, whose share is
/// known.
fn inconsistent(definition: &Definition, stored: &StoredCounters, examined: &Examined) -> Option<String> {
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

/// A total less the sum of its groups: what ungrouped source items add to the total.
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
