//! Planning: no limit is ever broken, nothing is lost, and transactions are full.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::DateTime;
use ddb_rollup::rollup::coalesce::{Batch, Found, coalesce};
use ddb_rollup::rollup::delta::{Effect, Retention, effect};
use ddb_rollup::rollup::marker::{Guard, Stamp};
use ddb_rollup::rollup::number::Number;
use ddb_rollup::rollup::plan::{Action, Setting, Transaction, assemble, plan};
use ddb_rollup::rollup::poison::{Poison, Reason};
use ddb_rollup::rollup::record::{Images, RecordId, StreamRecord};
use ddb_rollup::rollup::update::{OnMissingViewItem, Shape};
use ddb_rollup::rollup::view::{Amount, KeyPart, KeyType, Measure, View};
use ddb_rollup::rollup::{AttributeValue, Item};

use crate::function::{config, now};
use crate::history::STREAM;
use crate::item_size::item_bytes;
use crate::seeded::Seeded;
use crate::tables::key_of;

fn item<'a>(attributes: impl IntoIterator<Item = (&'a str, String)>) -> Item {
    let attributes = attributes.into_iter().map(|(name, text)| (name.to_owned(), AttributeValue::S(text)));
    Item::from(attributes.collect::<HashMap<_, _>>())
}

/// A point on a map, of a category.
fn point(map: usize, category: &str) -> Item {
    item([("MapId", format!("map-{map}")), ("Category", category.to_owned())])
}

fn inserted(map: usize, category: &str) -> Images {
    Images::Inserted(point(map, category))
}

fn moved(from: (usize, &str), to: (usize, &str)) -> Images {
    Images::Modified { old: point(from.0, from.1), new: point(to.0, to.1) }
}

fn id(position: usize) -> RecordId {
    RecordId { sequence_number: format!("{position:021}"), stream: STREAM.to_owned() }
}

fn found(view: &View, position: usize, images: Images) -> Found<'static> {
    let record = StreamRecord {
        id: id(position),
        event_id: format!("{position:032}"),
        event_name: "MODIFY".to_owned(),
        source_key: item([("MapId", "map".to_owned()), ("PointId", position.to_string())]),
        created_at: None,
        images,
        raw: "",
    };
    Found::Record(record.id.clone(), effect(view, record, &Retention { days: 14, until: now() }))
}

fn poison(position: usize, raw: &str) -> Found<'_> {
    let poison = Poison {
        id: id(position),
        event_id: position.to_string(),
        event_name: String::new(),
        source_key: item([]),
        reason: Reason::NoImage,
        raw,
    };
    Found::Record(id(position), Effect::Quarantine(poison))
}

fn changes(view: &View, images: impl IntoIterator<Item = Images>) -> Batch<'static> {
    coalesce(images.into_iter().enumerate().map(|(position, images)| found(view, position, images)))
}

/// The shape that all view items have, and what is done about one that is not there.
type Case = (Shape, OnMissingViewItem);

/// The case with the longest expressions.
const LONGEST: Case = (Shape::Complete, OnMissingViewItem::Skip);

fn every_case() -> Vec<Case> {
    use OnMissingViewItem::{Create, Skip};
    let lacking = Shape::Lacks(BTreeSet::from([1]));
    vec![LONGEST, (Shape::Complete, Create), (Shape::Absent, Skip), (Shape::Absent, Create), (lacking, Create)]
}

/// Plans a batch, and holds every transaction against every limit in each of these cases. Gives the number of
/// transactions.
fn transactions_of(view: &View, batch: &Batch<'_>, cases: &[Case]) -> usize {
    let all: Vec<usize> = (0..batch.entries.len()).collect();
    let planned = plan(view, batch, &all);
    let mut members: Vec<usize> = planned.iter().flatten().copied().collect();
    members.sort_unstable();
    assert_eq!(members, all, "every entry is in exactly one transaction");

    let mut sums: BTreeMap<_, BTreeMap<_, Number>> = BTreeMap::new();
    for members in &planned {
        for (item, part) in batch.sums(members) {
            let whole = sums.entry(item).or_default();
            for (counter, amount) in part {
                *whole.entry(counter).or_default() += &amount;
            }
        }
    }
    for sums in sums.values_mut() {
        sums.retain(|_, amount| !amount.is_zero());
    }
    assert_eq!(sums, batch.sums(&all), "the transactions add what the batch adds");

    for (shape, on_missing) in cases {
        let shapes = vec![shape.clone(); batch.items.len()];
        let stamp = Stamp {
            recorded_at: DateTime::default(),
            request_id: "00000000-0000-0000-0000-000000000000".to_owned(),
            retention_days: 14,
        };
        let setting = Setting { view: view.clone(), on_missing: *on_missing, guard: Guard::Absent, stamp };
        for members in &planned {
            hold_against_the_limits(&assemble(&setting, batch, &shapes, members), members.len());
        }
    }
    planned.len()
}

/// Measures a transaction as it is sent.
fn hold_against_the_limits(transaction: &Transaction, members: usize) {
    let actions = &transaction.actions;
    let markers = actions.iter().filter(|action| matches!(action, Action::PutMarker { .. })).count();
    assert_eq!(markers, members, "a marker an entry");
    assert!(actions.len() <= 100, "{} actions", actions.len());
    let keys = actions.iter().map(|action| {
        let key = key_of(action);
        format!("{:?}", key.iter().collect::<BTreeMap<_, _>>())
    });
    assert_eq!(keys.collect::<BTreeSet<_>>().len(), actions.len(), "one action an item");
    let mut bytes = 0;
    for action in actions {
        let update = match action {
            Action::PutMarker { marker, .. } => {
                assert!(item_bytes(marker) <= 400 * 1024, "a marker of {} bytes", item_bytes(marker));
                bytes += item_bytes(marker);
                continue;
            }
            Action::UpdateView { update, .. } => update,
            Action::CheckAbsent { check, .. } => check,
        };
        for expression in [Some(&update.expression), update.condition.as_ref()].into_iter().flatten() {
            assert!(expression.len() <= 4_096, "an expression of {} bytes", expression.len());
            let operators = expression.matches('+').count() + expression.matches('(').count();
            assert!(operators <= 300, "{operators} operators and functions");
        }
        bytes += item_bytes(&key_of(action)) + item_bytes(&update.values);
        bytes += update.names.values().map(String::len).sum::<usize>();
    }
    assert!(bytes <= 4 * 1024 * 1024, "{bytes} bytes");
}

#[test]
fn every_small_batch_of_changes_and_of_moves_keeps_to_the_limits() {
    let view = config().view;
    let mut batches = 0;
    for records in [1, 2, 33, 34, 49, 50, 51, 98, 99, 100, 101, 105, 198, 199] {
        for maps in [1, 2, records] {
            let inserts = changes(&view, (0..records).map(|n| inserted(n % maps, ["a", "b", ""][n % 3])));
            let groups = changes(&view, (0..records).map(|n| inserted(n % maps, &format!("group-{n}"))));
            let moves = changes(&view, (0..records).map(|n| moved((n % maps, "a"), ((n + 1) % maps, "b"))));
            let group = |n| format!("group-{n}");
            let regroups = (0..records).map(|n| moved((n % maps, &group(2 * n)), (n % maps, &group(2 * n + 1))));
            let regroups = changes(&view, regroups);
            let cancelling = changes(
                &view,
                (0..records).map(|n| {
                    if n % 2 == 0 { inserted(n % maps, "a") } else { Images::Removed(point((n - 1) % maps, "a")) }
                }),
            );
            for batch in [inserts, groups, moves, regroups, cancelling] {
                transactions_of(&view, &batch, &[LONGEST]);
                batches += 1;
            }
        }
    }
    println!("{batches} batches");
    assert_eq!(batches, 210);
}

#[test]
fn transactions_of_inserts_are_full() {
    let view = config().view;
    let mut batches = 0;
    for records in [1, 10, 99, 100, 101, 1_000, 10_000] {
        for maps in [1, 20, 100, 10_000] {
            for seed in 0..if records <= 1_000 { 3 } else { 1 } {
                let mut seeded = Seeded(seed);
                let mut even = 0..;
                let mut map = || if seed == 0 { even.next().unwrap_or(0) % maps } else { seeded.below(maps) };
                let batch = changes(&view, (0..records).map(|n| inserted(map(), ["a", "b", "c", "d", ""][n % 5])));
                let touched = batch.items.len();
                let transactions = transactions_of(&view, &batch, &[]);
                let most = (102 * (records + touched)).div_ceil(100 * 100) + 1;
                assert!(
                    transactions <= most,
                    "{records} inserts on {touched} view items in {transactions} transactions, not {most}"
                );
                batches += 1;
            }
        }
    }
    println!("{batches} batches");
    assert_eq!(batches, 76);
}

#[test]
fn random_batches_keep_to_the_limits_whatever_shape_their_view_items_have() {
    const BATCHES: u64 = 20;
    let view = config().view;
    let mut records = 0;
    for seed in 0..BATCHES {
        let mut seeded = Seeded(seed);
        let (length, maps, groups) = (1 + seeded.below(400), 1 + seeded.below(60), 1 + seeded.below(300));
        let long = "x".repeat(seeded.below(1_000));
        let mut place = || (seeded.below(maps), format!("{long}{}", seeded.below(groups)), seeded.below(8));
        let found = (0..length).map(|position| {
            let ((map, group, kind), (other, next, _)) = (place(), place());
            let images = match kind {
                0 => return poison(position, "{}"),
                1 => Images::Removed(point(map, &group)),
                2 => moved((map, &group), (map, &next)),
                3 => moved((map, &group), (other, &next)),
                _ => inserted(map, &group),
            };
            found(&view, position, images)
        });
        transactions_of(&view, &coalesce(found), &every_case());
        records += length;
    }
    println!("{BATCHES} batches of {records} records");
    assert!(records > 1_000);
}

#[test]
fn records_that_fill_a_transaction_by_their_bytes_keep_to_the_limits() {
    let view = config().view;
    let mut seeded = Seeded(1);
    // Text that does not become shorter by compressing it.
    let raw: String = (0..390 * 1024).map(|_| char::from(b'0' + u8::try_from(seeded.below(64)).unwrap())).collect();
    for records in [1, 25] {
        let found = (0..records).map(|position| poison(position, &raw[position..]));
        let transactions = transactions_of(&view, &coalesce(found), &[LONGEST]);
        assert!(transactions <= records.div_ceil(2), "{records} records in {transactions} transactions");
    }
    // Each of them touches a group of its own, with the longest name, of the longest key.
    let map = "m".repeat(2_048);
    let found = (0..300).map(|position| {
        let category = format!("{position:01024}");
        found(&view, position, Images::Inserted(item([("MapId", map.clone()), ("Category", category)])))
    });
    let transactions = transactions_of(&view, &coalesce(found), &every_case());
    assert!(transactions <= 5, "{transactions} transactions");
}

#[test]
fn views_of_any_number_of_measures_keep_to_the_limits() {
    let key = KeyPart { view_attribute: "MapId".into(), source_attribute: "MapId".into(), key_type: KeyType::S };
    let mut views = 0;
    for grouped in [0, 1, 2, 5, 10, 20, 30, 31, 32, 33, 34, 35, 40, 50, 60] {
        for plain in [0, 1, 30, 100] {
            let measure = |n: usize, by: Option<&str>| Measure {
                attribute: format!("Measure{n}"),
                amount: if n.is_multiple_of(2) { Amount::One } else { Amount::Of("Weight".to_owned()) },
                by: by.map(str::to_owned),
            };
            let measures = (0..grouped).map(|n| measure(n, Some("Category")));
            let measures = measures.chain((grouped..grouped + plain).map(|n| measure(n, None))).collect();
            let Ok(view) = View::new("Point", "Map", vec![key.clone()], measures) else { continue };
            let weighed = |group: usize| {
                let mut image = point(0, &format!("group-{group}"));
                image.insert("Weight".to_owned(), AttributeValue::N(format!("0.{}", group + 1)));
                image
            };
            let images = (0..20).map(|n| Images::Modified { old: weighed(n), new: weighed(n + 1) });
            transactions_of(&view, &changes(&view, images), &[LONGEST, (Shape::Absent, OnMissingViewItem::Create)]);
            views += 1;
        }
    }
    println!("{views} views");
    assert!(views > 20);
}
