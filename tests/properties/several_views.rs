//! Batches over four views: however records are split, joined, ordered and repeated, each view comes to the same, and no
//! transaction breaks a limit.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use chrono::DateTime;
use ddb_rollup::rollup::Item;
use ddb_rollup::rollup::model::definition::Definition;
use ddb_rollup::rollup::model::marker::{DELTAS, Guard, SEQUENCE_NUMBER, Stamp};
use ddb_rollup::rollup::model::view::TableId;
use ddb_rollup::rollup::pipeline::coalesce::{Batch, EntryId};
use ddb_rollup::rollup::pipeline::plan::{Action, Setting, assemble, plan};
use ddb_rollup::rollup::pipeline::verdict::Failure;
use ddb_rollup::rollup::pipeline::view_item::Shape;
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::algebra::{batch, deliveries};
use crate::cases;
use crate::deliveries::{deliver, text_of};
use crate::four_views::{
    Counts, ItemName, Point, TABLES, TOO_HEAVY, TOO_MANY_TAGS, four_views, has_what_open_sets, tables_of_views,
};
use crate::line::Script;
use crate::made_up::{STREAM, sequence_number};
use crate::memory_store::MemoryStore;
use crate::service_limits::hold_against_the_limits;
use crate::tables::Tables;

/// A source item before and after a write, at least one of them.
type Written = (Option<Point>, Option<Point>);

/// The names of maps and tags: some are both.
const NAMES: [&str; 5] = ["m", "n", "both", "a", "b"];

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(&NAMES[..]).prop_map(str::to_owned)
}

fn tags() -> impl Strategy<Value = BTreeSet<String>> {
    prop_oneof![
        8 => prop::collection::btree_set(name(), 0..=NAMES.len()),
        1 => Just((0..TOO_MANY_TAGS).map(|tag| format!("tag {tag}")).collect()),
    ]
}

fn point() -> impl Strategy<Value = Point> {
    let weight = prop_oneof![
        2 => Just(None),
        4 => (-9..9_i64).prop_map(Some),
        1 => prop::sample::select(vec![TOO_HEAVY - 1, TOO_HEAVY, 1 - TOO_HEAVY, -TOO_HEAVY]).prop_map(Some),
    ];
    let maps = (prop::option::weighted(0.8, name()), prop::option::weighted(0.8, name()));
    let category = prop::option::of(prop::sample::select(vec!["Park", "Café"]).prop_map(str::to_owned));
    (maps, any::<bool>(), category, tags(), weight, 0..2_usize).prop_map(
        |(maps, open, category, tags, weight, touches)| Point {
            home: maps.0,
            seen: maps.1,
            open,
            category,
            tags,
            weight,
            touches,
        },
    )
}

/// A write: an insert, a delete, any change, a change of one thing, and one of nothing that counts.
fn written() -> impl Strategy<Value = Written> {
    let one_thing = (point(), point(), 0..5_usize).prop_map(|(old, other, which)| {
        let mut new = old.clone();
        match which {
            0 => new.home = other.home,
            1 => new.seen = other.seen,
            2 => new.open = !old.open,
            3 => new.tags = other.tags,
            _ => new.weight = other.weight,
        }
        (Some(old), Some(new))
    });
    prop_oneof![
        3 => point().prop_map(|new| (None, Some(new))),
        1 => point().prop_map(|old| (Some(old), None)),
        2 => (point(), point()).prop_map(|(old, new)| (Some(old), Some(new))),
        3 => one_thing,
        1 => point().prop_map(|old| (Some(old.clone()), Some(Point { touches: old.touches + 1, ..old }))),
    ]
}

fn record(position: usize, (old, new): &Written) -> Value {
    let id = format!("p{position}");
    let mut change = json!({
        "Keys": { "MapId": { "S": "points" }, "PointId": { "S": id } },
        "SequenceNumber": sequence_number(position),
        "SizeBytes": 100,
    });
    for (name, point) in [("OldImage", old), ("NewImage", new)] {
        if let Some(point) = point {
            change[name] = point.image(&id);
        }
    }
    let name = match (old, new) {
        (None, _) => "INSERT",
        (Some(_), Some(_)) => "MODIFY",
        (Some(_), None) => "REMOVE",
    };
    json!({
        "eventID": format!("event-{position}"), "eventName": name, "awsRegion": "eu-west-1",
        "eventSource": "aws:dynamodb", "eventSourceARN": STREAM, "dynamodb": change,
    })
}

fn event(writes: &[Written], positions: &[usize]) -> String {
    let records: Vec<Value> = positions.iter().map(|&position| record(position, &writes[position])).collect();
    json!({ "Records": records }).to_string()
}

fn effect_of((old, new): &Written) -> Counts {
    Counts::of_change(old.as_ref(), new.as_ref())
}

fn counted(writes: &[Written]) -> Counts {
    let mut counts = Counts::default();
    for write in writes {
        counts.add_all(&effect_of(write), 1);
    }
    counts
}

fn writes_and_deliveries(most: usize) -> impl Strategy<Value = (Vec<Written>, Vec<Vec<usize>>)> {
    prop::collection::vec(written(), 1..=most).prop_flat_map(|writes| {
        let records = writes.len();
        (Just(writes), deliveries(records))
    })
}

/// What some entries of a batch come to.
fn sums(definition: &Definition, batch: &Batch<'_>, of: &[EntryId]) -> Counts {
    let mut counts = Counts::default();
    for (item, sums) in batch.sums(of) {
        let key = &batch[item].key;
        for (counter, amount) in sums {
            let attribute = &definition[counter.measure].attribute;
            let amount = amount.to_string().parse().unwrap();
            counts.add_at(TABLES[key.table.0], &definition.key_item(key), attribute, counter.group.as_ref(), amount);
        }
    }
    counts
}

fn setting(definition: &Definition) -> Setting<'_> {
    let stamp = Stamp::new(DateTime::default(), "00000000-0000-0000-0000-000000000000", 14);
    Setting { definition, guard: Guard::Absent, stamp }
}

/// A shape for each view item of a batch: it is whole, not there, or lacks some maps of the views that touch it.
fn shapes(definition: &Definition, batch: &Batch<'_>, choices: &[u8]) -> Vec<Shape> {
    let shape = |(place, choice): (usize, &u8)| {
        let maps = definition.grouped(batch.items[place].views).map(|(measure, _)| measure).enumerate();
        let lacking: BTreeSet<_> = maps.filter(|(map, _)| choice >> map & 1 == 1).map(|(_, measure)| measure).collect();
        match choice {
            0..64 => Shape::Absent,
            _ if lacking.is_empty() => Shape::Complete,
            _ => Shape::Lacks(lacking),
        }
    };
    (0..batch.items.len()).zip(choices.iter().cycle()).map(shape).collect()
}

/// Items of few or many tags, with names of any length.
fn large_writes() -> impl Strategy<Value = Vec<Written>> {
    let short_or = |most: usize| prop_oneof![2 => 1..12_usize, 1 => 1..=most];
    let lengths = (short_or(2_048), short_or(1_024), short_or(1_024), short_or(60));
    (lengths, 1..40_usize, any::<u64>()).prop_flat_map(|((map, category, tag, tags), maps, seed)| {
        let text = |number: usize, width: usize| format!("{number:0>width$}");
        let of = move |(home, seen, open, group): (usize, usize, bool, usize)| Point {
            home: Some(text(home, map)),
            seen: Some(text(seen, map)),
            open,
            category: Some(text(group, category)),
            tags: (0..=tags).map(|n| text((n + group) % (tags + 3), tag)).collect(),
            weight: Some((seed % 1_000).cast_signed()),
            touches: 0,
        };
        let point = (0..maps, 0..maps, any::<bool>(), 0..500_usize).prop_map(of);
        prop::collection::vec((prop::option::weighted(0.7, point.clone()), point.prop_map(Some)), 1..120)
    })
}

/// Tables in which the view items of some tags are.
fn tables_with(tags: &BTreeSet<String>) -> Tables {
    let mut tables = Tables::default();
    for tag in tags {
        let key: Item = serde_json::from_value(json!({ "MapId": { "S": tag } })).unwrap();
        tables.put_view(TableId(1), &key, key.clone());
    }
    tables
}

/// The counters of the tables, and what each marker tells.
fn seen(tables: &Tables) -> (Counts, BTreeMap<String, Counts>) {
    let mut counts = Counts::default();
    for (table, item) in tables.views_by_table() {
        counts.add_all(&Counts::of_item(TABLES[table.0], item), 1);
        let is_open = item.contains_key("OpenByTag");
        assert_eq!(has_what_open_sets(item), is_open, "what is set of {item:?}");
    }
    let markers = tables.markers().map(|marker| {
        let number = text_of(marker, SEQUENCE_NUMBER);
        (number, Counts::of_deltas(&tables_of_views(), &marker[DELTAS]))
    });
    (counts, markers.collect())
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn batches_however_they_are_cut_ordered_and_repeated_add_to_each_view_the_same((writes, deliveries) in writes_and_deliveries(30)) {
        let definition = four_views();
        let mut totals = Counts::default();
        let mut marked = HashSet::new();
        for positions in &deliveries {
            let event = event(&writes, positions);
            let batch = batch(&definition, &event);
            let all: Vec<EntryId> = batch.ids().collect();
            let mut planned = Vec::new();
            for members in plan(&definition, &batch, &all) {
                // What the markers' conditions do.
                let new: Vec<EntryId> = members.iter().copied().filter(|&entry| marked.insert(batch[entry].head().id.clone())).collect();
                totals.add_all(&sums(&definition, &batch, &new), 1);
                planned.extend(members);
            }
            planned.sort_unstable();
            prop_assert_eq!(planned, all, "every entry is in one transaction");
        }
        prop_assert_eq!(totals, counted(&writes));
        let effective = writes.iter().filter(|write| !effect_of(write).0.is_empty()).count();
        prop_assert_eq!(marked.len(), effective, "what counts is marked, and nothing else");
    }

    #[test]
    fn every_entry_alone_adds_to_each_view_what_its_write_does(writes in prop::collection::vec(written(), 1..10)) {
        let definition = four_views();
        for (position, write) in writes.iter().enumerate() {
            let event = event(&writes, &[position]);
            let batch = batch(&definition, &event);
            let all: Vec<EntryId> = batch.ids().collect();
            prop_assert_eq!(sums(&definition, &batch, &all), effect_of(write));
            let items: BTreeSet<_> = batch.items.iter().map(|item| item.key.clone()).collect();
            prop_assert_eq!((items.len(), batch.items.len()), (effect_of(write).items().len(), items.len()));
        }
    }

    #[test]
    fn the_tables_end_up_the_same_however_records_are_delivered(
        (writes, deliveries) in writes_and_deliveries(20),
        tags in prop::collection::btree_set(name(), 0..NAMES.len()),
    ) {
        let store = MemoryStore::new(four_views(), Script::default());
        store.restore(tables_with(&tags));
        let events: Vec<String> = deliveries.iter().map(|positions| event(&writes, positions)).collect();
        deliver(four_views(), &store, &events);
        let passed_over = |(table, name): &ItemName| *table == "Tag" && !tags.contains(name);
        let (counts, markers) = seen(&store.tables());
        prop_assert_eq!(&counts, &counted(&writes).without(passed_over));
        let effects = writes.iter().map(effect_of).enumerate().filter(|(_, effect)| !effect.0.is_empty());
        let told: BTreeMap<_, _> = effects.map(|(position, effect)| (sequence_number(position), effect.without(passed_over))).collect();
        prop_assert_eq!(markers, told, "each marker tells what its record adds to which view");

        let before = store.tables();
        deliver(four_views(), &store, &events);
        prop_assert!(store.tables().views_by_table().eq(before.views_by_table()), "a delivery of what is known changes nothing");
        prop_assert!(store.tables().markers().eq(before.markers()));
    }
}

proptest! {
    #![proptest_config(cases(16))]

    #[test]
    fn no_transaction_over_several_views_breaks_a_limit(writes in large_writes(), choices in prop::collection::vec(any::<u8>(), 1..9)) {
        let definition = four_views();
        let positions: Vec<usize> = (0..writes.len()).collect();
        let event = event(&writes, &positions);
        let batch = batch(&definition, &event);
        let all: Vec<EntryId> = batch.ids().collect();
        let planned = plan(&definition, &batch, &all);
        let mut members: Vec<EntryId> = planned.iter().flatten().copied().collect();
        members.sort_unstable();
        prop_assert_eq!(members, all.clone(), "every entry is in exactly one transaction");
        let mut parts = Counts::default();
        for members in &planned {
            parts.add_all(&sums(&definition, &batch, members), 1);
        }
        prop_assert_eq!(parts, sums(&definition, &batch, &all), "the transactions add what the batch adds");

        let (setting, shapes) = (setting(&definition), shapes(&definition, &batch, &choices));
        for (number, members) in planned.iter().enumerate() {
            let transaction = assemble(&setting, &batch, &shapes, members);
            hold_against_the_limits(&transaction, members.len());
            let touched: BTreeSet<_> = members.iter().flat_map(|&member| batch[member].touches()).collect();
            let on_items: Vec<_> = transaction.actions.iter().filter_map(|action| match action {
                Action::UpdateView { item, .. } | Action::CheckAbsent { item, .. } => Some(item),
                Action::PutMarker { .. } | Action::PutPart { .. } | Action::UpdateReason { .. } | Action::DeletePart { .. } => None,
            }).collect();
            prop_assert_eq!(on_items, touched.into_iter().collect::<Vec<_>>(), "one action for each view item that is touched");
            // Nothing is in the tables, so only the shape of an item that is presumed to be there can be wrong.
            if let Err(failure) = Tables::default().transact(&transaction, Uuid::from_u128(number as u128)) {
                prop_assert!(matches!(failure, Failure::Cancelled(_)), "{:?}", failure);
            }
        }
    }
}
