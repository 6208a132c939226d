//! Planning: whatever is in a batch, no transaction breaks a limit of DynamoDB, and there are not more than it takes.

use std::collections::{BTreeMap, BTreeSet};

use chrono::DateTime;
use ddb_rollup::rollup::model::change::Counter;
use ddb_rollup::rollup::model::definition::Definition;
use ddb_rollup::rollup::model::marker::{Guard, Stamp};
use ddb_rollup::rollup::model::measure::MeasureId;
use ddb_rollup::rollup::model::view::OnMissingViewItem;
use ddb_rollup::rollup::pipeline::coalesce::{Batch, EntryId};
use ddb_rollup::rollup::pipeline::plan::{Action, Setting, Transaction, assemble, plan};
use ddb_rollup::rollup::pipeline::view_item::Shape;
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::algebra::batch;
use crate::cases;
use crate::made_up::STREAM;
use crate::service_limits::{assert_adds_what_the_batch_adds, hold_against_the_limits};
use crate::tables::Tables;

/// A source item: its map, its category and its weight.
type Place = (u16, u16, i16);

/// A write of a batch that is to be as large as may be.
#[derive(Debug, Clone)]
enum Write {
    Insert(Place),
    Remove(Place),
    Change(Place, Place),
    /// One that goes to quarantine, with so many bytes that hardly become less by compressing them.
    Poison(usize),
}

/// What all writes of a batch have in common: how long keys and categories are.
#[derive(Debug, Clone)]
struct Lengths {
    map: usize,
    category: usize,
    point: usize,
}

impl Lengths {
    fn image(&self, (map, category, weight): Place) -> Value {
        json!({
            "MapId": { "S": format!("{map:0>width$}", width = self.map) },
            "Category": { "S": format!("{category:0>width$}", width = self.category) },
            "Weight": { "N": weight.to_string() },
        })
    }

    fn record(&self, position: usize, write: &Write) -> Value {
        let mut change = json!({
            "Keys": { "PointId": { "S": format!("{position:0>width$}", width = self.point) } },
            "SequenceNumber": format!("{position:021}"),
            "SizeBytes": 100,
        });
        let (old, new) = match write {
            Write::Insert(new) => (None, Some(new)),
            Write::Remove(old) => (Some(old), None),
            Write::Change(old, new) => (Some(old), Some(new)),
            Write::Poison(_) => (None, None),
        };
        for (name, place) in [("OldImage", old), ("NewImage", new)] {
            if let Some(place) = place {
                change[name] = self.image(*place);
            }
        }
        if let Write::Poison(bytes) = write {
            change["NewImage"] = json!({ "Text": { "S": incompressible(*bytes, position) } });
        }
        json!({
            "eventID": format!("{position:032}"), "eventName": "MODIFY", "awsRegion": "eu-west-1",
            "eventSourceARN": STREAM, "dynamodb": change,
        })
    }
}

fn incompressible(bytes: usize, seed: usize) -> String {
    let mut rng = fastrand::Rng::with_seed(seed as u64);
    std::iter::repeat_with(|| rng.alphanumeric()).take(bytes).collect()
}

/// Writes over so many maps and categories.
fn write(maps: u16, categories: u16) -> impl Strategy<Value = Write> {
    let place = move || (0..maps, 0..categories, any::<i16>());
    prop_oneof![
        6 => place().prop_map(Write::Insert),
        2 => place().prop_map(Write::Remove),
        4 => (place(), place()).prop_map(|(old, new)| Write::Change(old, new)),
        1 => prop_oneof![4 => 0..500_usize, 1 => 0..600_000_usize].prop_map(Write::Poison),
    ]
}

fn large_batches() -> impl Strategy<Value = (Lengths, Vec<Write>)> {
    let short_or = |most: usize| prop_oneof![2 => 1..20_usize, 1 => 1..=most];
    let lengths = (short_or(2_048), short_or(1_024), short_or(1_024)).prop_map(|(map, category, point)| Lengths {
        map,
        category,
        point,
    });
    let few_or_many = || prop_oneof![1_u16..4, 1_u16..60, 1_u16..400];
    (lengths, few_or_many(), few_or_many()).prop_flat_map(|(lengths, maps, categories)| {
        (Just(lengths), prop::collection::vec(write(maps, categories), 1..400))
    })
}

fn setting(definition: &Definition) -> Setting<'_> {
    let stamp = Stamp::new(DateTime::default(), "00000000-0000-0000-0000-000000000000", 14);
    Setting { definition, guard: Guard::Absent, stamp }
}

fn shape() -> impl Strategy<Value = Shape> {
    let lacks = prop::collection::btree_set(
        prop::sample::select(vec![MeasureId::first_view(1), MeasureId::first_view(3)]),
        1..=2,
    );
    prop_oneof![2 => Just(Shape::Complete), 1 => Just(Shape::Absent), 1 => lacks.prop_map(Shape::Lacks)]
}

/// The entries whose markers are in a transaction.
fn marked(transaction: &Transaction<'_>) -> BTreeSet<EntryId> {
    let entry = |action: &Action<'_>| match action {
        Action::PutMarker { entry, .. } => Some(*entry),
        _ => None,
    };
    transaction.actions.iter().filter_map(entry).collect()
}

/// Whether two transactions would clearly be one: far below every limit that planning reckons with.
fn would_be_one(batch: &Batch<'_>, first: &[EntryId], second: &[EntryId]) -> bool {
    let members: Vec<EntryId> = first.iter().chain(second).copied().collect();
    let sums = batch.sums(&members);
    let mut counters: BTreeMap<usize, BTreeSet<&Counter>> = BTreeMap::new();
    for (item, sums) in &sums {
        counters.entry(item.0).or_default().extend(sums.keys());
    }
    let raw: usize = members.iter().map(|&member| batch[member].head().id.sequence_number.len() + 6_000).sum();
    members.len() + sums.len() <= 60 && counters.values().all(|counters| counters.len() <= 10) && raw <= 500_000
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn no_transaction_breaks_a_limit((lengths, writes) in large_batches(), shapes in prop::collection::vec(shape(), 1..5), skip in any::<bool>()) {
        let definition = crate::made_up::definition();
        let records: Vec<Value> = writes.iter().enumerate().map(|(position, write)| lengths.record(position, write)).collect();
        let event = json!({ "Records": records }).to_string();
        let batch = batch(&definition, &event);
        let all: Vec<EntryId> = batch.ids().collect();
        let planned = plan(&definition, &batch, &all);
        let mut members: Vec<EntryId> = planned.iter().flatten().copied().collect();
        members.sort_unstable();
        prop_assert_eq!(members, all, "every entry is in exactly one transaction");

        assert_adds_what_the_batch_adds(&batch, &planned);

        let on_missing = if skip { OnMissingViewItem::Skip } else { OnMissingViewItem::Create };
        let definition = definition.with_missing(on_missing);
        let setting = setting(&definition);
        let shapes: Vec<Shape> = (0..batch.items.len()).map(|item| shapes[item % shapes.len()].clone()).collect();
        for (number, members) in planned.iter().enumerate() {
            let transaction = assemble(&setting, &batch, &shapes, members);
            hold_against_the_limits(&transaction, members.len());
            let wanted = members.iter().copied().collect();
            prop_assert_eq!(marked(&transaction), wanted, "the markers of its deltas, and no others");
            // Nothing is in the tables, so only the shape of an item that is presumed to be there can be wrong.
            if let Err(failure) = Tables::default().transact(&transaction, Uuid::from_u128(number as u128)) {
                prop_assert!(matches!(failure, ddb_rollup::rollup::pipeline::verdict::Failure::Cancelled(_)), "{:?}", failure);
            }
        }
    }

    #[test]
    fn there_are_no_more_transactions_than_it_takes(maps in 1..=200_u16, places in prop::collection::vec((any::<u16>(), 0..12_u16), 1..1_500)) {
        let definition = crate::made_up::definition();
        let lengths = Lengths { map: 5, category: 5, point: 5 };
        let inserts = places.iter().map(|(map, category)| Write::Insert((map % maps, *category, 1)));
        let records: Vec<Value> = inserts.enumerate().map(|(position, write)| lengths.record(position, &write)).collect();
        let event = json!({ "Records": records }).to_string();
        let batch = batch(&definition, &event);
        let all: Vec<EntryId> = batch.ids().collect();
        let planned = plan(&definition, &batch, &all);
        let most = (102 * (all.len() + batch.items.len())).div_ceil(100 * 100) + 1;
        prop_assert!(planned.len() <= most, "{} transactions, not {}", planned.len(), most);
        for pair in planned.windows(2) {
            prop_assert!(!would_be_one(&batch, &pair[0], &pair[1]), "two that could have been one");
        }
    }
}
