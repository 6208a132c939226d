//! The algebra of deltas: however records are split, joined, ordered and repeated, they come to the same.

use std::collections::{BTreeMap, HashSet};

use chrono::DateTime;
use ddb_rollup::rollup::model::definition::Definition;
use ddb_rollup::rollup::model::number::Number;
use ddb_rollup::rollup::pipeline::coalesce::{Batch, Entry, EntryId, Found, coalesce};
use ddb_rollup::rollup::pipeline::delta::{Effect, Retention, effect};
use ddb_rollup::rollup::pipeline::parse::{Parsed, parse};
use ddb_rollup::rollup::pipeline::plan::plan;
use proptest::prelude::*;

use crate::cases;
use crate::made_up::{Category, Counters, Written, counted, definition, event, sequence_number, thousandths, writes};

/// The batch of an event, as the handler makes it.
pub fn batch<'e>(definition: &Definition, event: &'e str) -> Batch<'e> {
    let retention = Retention { days: 14, until: DateTime::default() };
    coalesce(parse(event).unwrap().map(|parsed| match parsed.unwrap() {
        Parsed::Record(record) => Found::Record(effect(definition, record, &retention)),
        Parsed::Poison(poison) => Found::Record(Effect::Quarantine(Box::new(poison))),
        Parsed::Unnumbered { reason, raw } => Found::Unnumbered { reason, raw },
    }))
}

/// Adds what some entries of a batch come to.
fn add(
    totals: &mut BTreeMap<(String, String, Option<String>), Number>,
    definition: &Definition,
    batch: &Batch<'_>,
    of: &[EntryId],
) {
    for (item, sums) in batch.sums(of) {
        for (counter, amount) in sums {
            let attribute = definition[counter.measure].attribute.clone();
            let counter = (batch.items[item.0].key.to_string(), attribute, counter.group);
            *totals.entry(counter).or_default() += &amount;
        }
    }
}

fn without_zeros(totals: BTreeMap<(String, String, Option<String>), Number>) -> Counters {
    let counters = totals.into_iter().map(|(counter, amount)| (counter, thousandths(&amount.to_string())));
    counters.filter(|(_, amount)| *amount != 0).collect()
}

/// Batches of positions: each position at least once, in any order, some again, cut anywhere.
pub fn deliveries(records: usize) -> impl Strategy<Value = Vec<Vec<usize>>> {
    let again = proptest::collection::vec(0..records, 0..=records);
    let cuts = proptest::collection::vec(any::<prop::sample::Index>(), 0..4);
    (again, cuts).prop_flat_map(move |(again, cuts)| {
        let positions: Vec<usize> = (0..records).chain(again).collect();
        let cuts = cuts.clone();
        Just(positions).prop_shuffle().prop_map(move |positions| cut(&positions, &cuts))
    })
}

fn cut(positions: &[usize], cuts: &[prop::sample::Index]) -> Vec<Vec<usize>> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(positions.len() + 1)).collect();
    ends.extend([0, positions.len()]);
    ends.sort_unstable();
    ends.windows(2).map(|ends| positions[ends[0]..ends[1]].to_vec()).collect()
}

pub fn writes_and_deliveries(most: usize) -> impl Strategy<Value = (Vec<Written>, Vec<Vec<usize>>)> {
    writes(most).prop_flat_map(|writes| {
        let records = writes.len();
        (Just(writes), deliveries(records))
    })
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn batches_however_they_are_cut_ordered_and_repeated_add_up_to_the_same((writes, deliveries) in writes_and_deliveries(40)) {
        let definition = definition();
        let mut totals = BTreeMap::new();
        let mut marked = HashSet::new();
        for positions in &deliveries {
            let event = event(&writes, positions);
            let batch = batch(&definition, &event);
            prop_assert_eq!(batch.dispositions.len(), positions.len());
            let all: Vec<EntryId> = batch.ids().collect();
            let mut planned = Vec::new();
            for members in plan(&definition, &batch, &all) {
                // What the markers' conditions do.
                let new: Vec<EntryId> = members.iter().copied().filter(|&entry| marked.insert(batch[entry].head().id.clone())).collect();
                add(&mut totals, &definition, &batch, &new);
                planned.extend(members);
            }
            planned.sort_unstable();
            prop_assert_eq!(planned, all, "every entry is in one transaction");
        }
        prop_assert_eq!(without_zeros(totals), counted(&writes));
        let effective = writes.iter().filter(|write| !counted([*write]).is_empty()).count();
        prop_assert_eq!(marked.len(), effective, "what counts is marked, and nothing else");
    }

    #[test]
    fn the_sums_of_a_batch_are_those_of_its_parts((writes, parts) in writes_and_deliveries(40)) {
        let definition = definition();
        let positions: Vec<usize> = (0..writes.len()).collect();
        let event = event(&writes, &positions);
        let batch = batch(&definition, &event);
        let mut totals = BTreeMap::new();
        let mut seen = HashSet::new();
        for part in parts {
            let of: Vec<EntryId> = part.into_iter().map(EntryId).filter(|entry| entry.0 < batch.entries.len() && seen.insert(*entry)).collect();
            add(&mut totals, &definition, &batch, &of);
            for (item, sums) in batch.sums(&of) {
                let touched = of.iter().any(|&entry| batch[entry].touches().contains(&item));
                prop_assert!(touched, "only what is touched has sums");
                prop_assert!(sums.values().all(|amount| !amount.is_zero()), "no sum is zero");
            }
            let touched: HashSet<_> = of.iter().flat_map(|&entry| batch[entry].touches().to_vec()).collect();
            prop_assert_eq!(touched.len(), batch.sums(&of).len(), "what is touched stays, even when its sums cancel out");
        }
        prop_assert_eq!(without_zeros(totals), counted(&writes));
    }

    #[test]
    fn a_change_tells_how_often_its_images_have_no_group(writes in writes(20)) {
        let definition = definition();
        let positions: Vec<usize> = (0..writes.len()).collect();
        let event = event(&writes, &positions);
        let batch = batch(&definition, &event);
        for entry in &batch.entries {
            let Entry::Apply { change, .. } = entry else { panic!("nothing of it is poison: {entry:?}") };
            let write = &writes[positions.iter().position(|&at| sequence_number(at) == change.head.id.sequence_number).unwrap()];
            let images = [&write.old, &write.new].into_iter().flatten();
            let without = images.filter(|point| point.counts() && matches!(point.category, Category::None(_)));
            // A sum has no group of an item without an amount.
            let ungrouped = without.map(|point| 1 + usize::from(point.weight.is_some())).sum::<usize>();
            prop_assert_eq!(change.ungrouped, ungrouped);
        }
    }

    #[test]
    fn a_write_and_its_undoing_come_to_nothing(writes in writes(30)) {
        let definition = definition();
        let undone: Vec<Written> = writes.iter().map(|write| Written { old: write.new.clone(), new: write.old.clone() }).collect();
        let both: Vec<Written> = writes.iter().cloned().chain(undone).collect();
        let positions: Vec<usize> = (0..both.len()).collect();
        let event = event(&both, &positions);
        let batch = batch(&definition, &event);
        let all: Vec<EntryId> = batch.ids().collect();
        prop_assert!(batch.sums(&all).values().all(BTreeMap::is_empty));
        for entry in &batch.entries {
            let Entry::Apply { change, .. } = entry else { panic!("nothing of it is poison: {entry:?}") };
            prop_assert_eq!(change.lowered().is_some(), change.deltas.values().flatten().any(|(_, amount)| amount.to_string().starts_with('-')));
        }
    }
}
