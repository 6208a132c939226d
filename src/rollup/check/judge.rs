//! What an audit concludes from what it read. It is pure, so that tests can list every case in a table.
//!
//! The recount of a view item is the sum of what its source items contribute. At any moment, the counters should be the
//! recount less the deltas of the records that are not applied yet. A counter of zero equals an absent one.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::rollup::model::attribute_type::type_name;
use crate::rollup::model::change::{self, Counter, Sums};
use crate::rollup::model::definition::Definition;
use crate::rollup::model::measure::{MeasureId, ViewSet};
use crate::rollup::model::number::Number;
use crate::rollup::model::record::RecordId;
use crate::rollup::model::view::{ROLLUP_VERSION, ViewKey};
use crate::rollup::{AttributeValue, Item};

/// The value of an attribute that should be a counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredValue {
    Number(Number),
    /// Something else, with its DynamoDB type.
    Other(&'static str),
}

impl StoredValue {
    /// Classifies an attribute's value.
    #[must_use]
    pub fn of(value: &AttributeValue) -> Self {
        match value {
            AttributeValue::N(text) => text.parse().map_or(Self::Other("N"), Self::Number),
            other => Self::Other(type_name(other)),
        }
    }

    /// Whether it is a number that equals an absent counter.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        matches!(self, Self::Number(number) if number.is_zero())
    }
}

/// The counters of a stored view item.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredCounters {
    /// The counters that are not zero.
    pub counters: BTreeMap<Counter, StoredValue>,
    /// Measures by group whose attribute is not a map, with its DynamoDB type.
    pub no_maps: BTreeMap<MeasureId, &'static str>,
    /// Whether the item has any attribute of the views.
    pub has_counters: bool,
}

impl StoredCounters {
    /// Reads the counters of these views from a view item; `None` is a missing item.
    #[must_use]
    pub fn read(definition: &Definition, views: ViewSet, item: Option<&Item>) -> Self {
        let mut stored = Self::default();
        let Some(item) = item else { return stored };
        stored.has_counters = item.contains_key(ROLLUP_VERSION);
        for (measure, of_view) in definition.measures(views) {
            let Some(value) = item.get(&of_view.attribute) else { continue };
            stored.has_counters = true;
            match (value, of_view.is_grouped()) {
                (value, false) => stored.put(Counter { measure, group: None }, value),
                (AttributeValue::M(groups), true) => {
                    for (group, value) in groups {
                        stored.put(Counter { measure, group: Some(group.clone()) }, value);
                    }
                }
                (other, true) => {
                    stored.no_maps.insert(measure, type_name(other));
                }
            }
        }
        stored
    }

    fn put(&mut self, counter: Counter, value: &AttributeValue) {
        let value = StoredValue::of(value);
        if !value.is_zero() {
            self.counters.insert(counter, value);
        }
    }

    /// Where the counters differ from the expected ones.
    #[must_use]
    pub fn differences(&self, expected: &Sums) -> Vec<Difference> {
        let absent = expected.keys().filter(|counter| !self.counters.contains_key(counter));
        let found = self.counters.keys().chain(absent).filter_map(|counter| {
            let expected = expected.get(counter).cloned().unwrap_or_default();
            let stored = match (self.no_maps.get(&counter.measure), self.counters.get(counter)) {
                (Some(kind), _) => StoredValue::Other(kind),
                (None, Some(reading)) => reading.clone(),
                (None, None) => StoredValue::Number(Number::zero()),
            };
            let differs = !matches!(&stored, StoredValue::Number(stored) if *stored == expected);
            differs.then(|| Difference { counter: counter.clone(), stored, expected })
        });
        let mut found: Vec<_> = found.collect();
        found.sort_by(|one, other| one.counter.cmp(&other.counter));
        for (measure, kind) in &self.no_maps {
            // Report the wrong type even if nothing is expected in it: the next record could not be added.
            if !found.iter().any(|difference| difference.counter.measure == *measure) {
                let counter = Counter { measure: *measure, group: None };
                found.push(Difference { counter, stored: StoredValue::Other(kind), expected: Number::zero() });
            }
        }
        found
    }

    /// Number of counters that are negative and cannot be. Sums can be negative.
    #[must_use]
    pub fn negative(&self, definition: &Definition) -> usize {
        let zero = Number::zero();
        let is_negative = |(counter, value): &(&Counter, &StoredValue)| {
            definition[counter.measure].is_count() && matches!(value, StoredValue::Number(number) if *number < zero)
        };
        self.counters.iter().filter(is_negative).count()
    }
}

/// A counter that differs from its expected value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The counter.
    pub counter: Counter,
    /// The stored value.
    pub stored: StoredValue,
    /// The expected value: the recount, less the deltas of records that are not applied yet.
    pub expected: Number,
}

/// Why a record is not in the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotApplied {
    /// It has no marker: the function has not processed it yet.
    Unmarked,
    /// It is in quarantine.
    Quarantined,
}

/// A record that is not in the counters of a view item, and may be added later.
#[derive(Debug, Clone, PartialEq)]
pub struct PendingRecord {
    pub id: RecordId,
    /// Why it is not in the counters.
    pub waiting: NotApplied,
    /// Its delta; empty if it is unknown or can never be applied.
    pub sums: Sums,
}

/// The audit's verdict on a view item.
#[derive(Debug, Clone, PartialEq)]
pub enum ItemVerdict {
    /// The counters equal the recount.
    Exact,
    /// The counters will equal the recount once these records are applied.
    Behind {
        /// Number of records without a marker.
        unmarked: usize,
        /// Number of records in quarantine.
        quarantined: usize,
    },
    /// The counters differ by more than the open records explain.
    Drifted(Vec<Difference>),
    /// The item kept changing while it was read.
    Unstable,
}

/// What the counters should be while these records are not applied: the recount in `truth`, less their deltas.
#[must_use]
pub fn expected<'t, 'a>(truth: &'t Sums, open: impl IntoIterator<Item = &'a PendingRecord>) -> Cow<'t, Sums> {
    let mut expected = Cow::Borrowed(truth);
    for record in open {
        for (counter, amount) in &record.sums {
            change::add(expected.to_mut(), counter, &-amount.clone());
        }
    }
    expected
}

/// Compares the counters of these views with their expected values.
#[must_use]
pub fn judge(stored: &StoredCounters, truth: &Sums, open: &[PendingRecord], views: ViewSet) -> ItemVerdict {
    let differences = stored.differences(&change::of_views(expected(truth, open), views));
    if !differences.is_empty() {
        return ItemVerdict::Drifted(differences);
    }
    let count = |waiting| open.iter().filter(|record| record.waiting == waiting && !record.sums.is_empty()).count();
    match (count(NotApplied::Unmarked), count(NotApplied::Quarantined)) {
        (0, 0) => ItemVerdict::Exact,
        (unmarked, quarantined) => ItemVerdict::Behind { unmarked, quarantined },
    }
}

/// View items that lack one side: source items, or the stored item.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Orphans {
    /// View items with counters and without a source item.
    pub without_sources: Vec<ViewKey>,
    /// Keys to which source items contribute, but whose view item is missing.
    pub without_view_item: Vec<ViewKey>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rollup::check::example::{definition, item, point};
    use crate::rollup::check::recount::SourceTotals;
    use crate::rollup::model::definition::{self, Defaults};
    use crate::rollup::model::poison::Image;
    use crate::rollup::model::view::{OnMissingViewItem, TableId};
    use crate::rollup::pipeline::contribution::{ItemContribution, contribution};
    use crate::rollup::pipeline::view_item::negative_counters;

    fn amounts(category: &str) -> ItemContribution {
        let found = contribution(&definition(), Image::New, &item(point("p", category))).unwrap();
        found.by_item().remove(0).1
    }

    fn sums(categories: &[&str]) -> Sums {
        let mut tally = SourceTotals::default();
        for category in categories {
            tally.add(&amounts(category));
        }
        tally.sums
    }

    fn stored(value: serde_json::Value) -> StoredCounters {
        StoredCounters::read(&definition(), definition().all(), Some(&item(value)))
    }

    fn open(waiting: NotApplied, categories: &[&str]) -> PendingRecord {
        let id = RecordId { sequence_number: "1".into(), stream: "s".into() };
        PendingRecord { id, waiting, sums: sums(categories) }
    }

    #[test]
    fn zero_is_as_good_as_absent_on_both_sides() {
        let nothing = Sums::new();
        for stored in [
            StoredCounters::read(&definition(), definition().all(), None),
            stored(json!({"MapId": {"S": "m"}})),
            stored(json!({"TotalPoints": {"N": "0"}, "CategoryCounts": {"M": {"Bar": {"N": "0.0"}}}})),
        ] {
            assert_eq!(judge(&stored, &nothing, &[], definition().all()), ItemVerdict::Exact);
        }
    }

    #[test]
    fn what_is_stored_is_told_without_zeros_and_with_what_is_below() {
        let found = stored(json!({
            "TotalPoints": {"N": "-3"}, "CategoryCounts": {"M": {"A": {"N": "0.0"}, "B": {"N": "2"}, "C": {"N": "-1"}}},
        }));
        let groups: Vec<_> = found.counters.keys().map(|counter| counter.group.as_deref()).collect();
        assert_eq!((groups, found.negative(&definition())), (vec![None, Some("B"), Some("C")], 2));
        assert_eq!(StoredCounters::read(&definition(), definition().all(), None).negative(&definition()), 0);
    }

    #[test]
    fn a_sum_may_be_below_zero_and_a_count_may_not() {
        let defaults =
            Defaults { source_table: "Order", view_table: "Customer", on_missing: OnMissingViewItem::Create };
        let text = r#"{ "key": [{ "attribute": "Id", "type": "S" }],
            "measures": { "Orders": "count", "Balance": "sum Amount", "ByDay": "sum Amount by Day" } }"#;
        let definition = definition::read(text, &defaults).unwrap();
        let below = item(json!({
            "Orders": {"N": "-1"}, "Balance": {"N": "-2"}, "ByDay": {"M": {"a day": {"N": "-3"}}},
        }));
        let found = StoredCounters::read(&definition, definition.all(), Some(&below));
        assert_eq!((found.negative(&definition), negative_counters(&definition, TableId(0), &below)), (1, 1));
    }

    #[test]
    fn a_measure_that_is_no_map_is_told_by_its_groups_where_there_should_be_some() {
        let stored = stored(json!({"TotalPoints": {"N": "1"}, "CategoryCounts": {"N": "1"}}));
        let group = |expected: &[&str]| match &*stored.differences(&sums(expected)) {
            [difference] => difference.counter.group.clone(),
            more => panic!("{more:?}"),
        };
        assert_eq!(group(&["A"]), Some("A".to_owned()));
        let total = Sums::from([(Counter { measure: MeasureId::first_view(0), group: None }, Number::from(1))]);
        let [difference] = &*stored.differences(&total) else { panic!("one is told") };
        assert_eq!(difference.counter, Counter { measure: MeasureId::first_view(1), group: None });
    }

    #[test]
    fn every_small_case_of_truth_lag_quarantine_and_tampering_has_its_verdict() {
        // The recount is t points, of which u are unmarked and q are in quarantine; the counter is c.
        for t in 0..4_usize {
            for u in 0..=t {
                for q in 0..=(t - u) {
                    for c in 0..6_usize {
                        let shown = json!({
                            "TotalPoints": {"N": c.to_string()}, "CategoryCounts": {"M": {"A": {"N": c.to_string()}}},
                        });
                        let waiting: Vec<PendingRecord> = std::iter::repeat_n(open(NotApplied::Unmarked, &["A"]), u)
                            .chain(std::iter::repeat_n(open(NotApplied::Quarantined, &["A"]), q))
                            .collect();
                        let verdict = judge(&stored(shown), &sums(&vec!["A"; t]), &waiting, definition().all());
                        let case = format!("truth {t}, unmarked {u}, quarantined {q}, stored {c}");
                        match verdict {
                            ItemVerdict::Exact => assert!(c == t && u + q == 0, "{case}"),
                            ItemVerdict::Behind { unmarked, quarantined } => {
                                assert!(c + u + q == t && (unmarked, quarantined) == (u, q) && u + q > 0, "{case}");
                            }
                            ItemVerdict::Drifted(differences) => {
                                assert!(c + u + q != t, "{case}");
                                assert_eq!(differences.len(), 2, "{case}");
                            }
                            ItemVerdict::Unstable => panic!("{case}"),
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn drift_is_told_by_measure_and_group() {
        let stored = stored(json!({
            "TotalPoints": {"N": "3"}, "CategoryCounts": {"M": {"A": {"N": "1"}, "Gone": {"N": "2"}, "B": {"S": "x"}}},
        }));
        let found = stored.differences(&sums(&["A", "B", "C"]));
        let told: Vec<_> = found
            .iter()
            .map(|one| (one.counter.group.as_deref().unwrap_or("-"), one.stored.clone(), one.expected.to_string()))
            .collect();
        let number = |value: i64| StoredValue::Number(Number::from(value));
        assert_eq!(
            told,
            [
                ("B", StoredValue::Other("S"), "1".to_owned()),
                ("C", number(0), "1".to_owned()),
                ("Gone", number(2), "0".to_owned()),
            ]
        );
    }

    #[test]
    fn a_counter_of_another_type_is_drift_even_where_nothing_is_expected() {
        for value in [
            json!({"TotalPoints": {"S": "0"}}),
            json!({"CategoryCounts": {"N": "0"}}),
            json!({"CategoryCounts": {"M": {"A": {"NULL": true}}}}),
        ] {
            assert!(
                matches!(judge(&stored(value), &Sums::new(), &[], definition().all()), ItemVerdict::Drifted(found) if found.len() == 1)
            );
        }
    }
}
