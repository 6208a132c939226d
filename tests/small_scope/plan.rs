//! Planning: no limit is ever broken, nothing is lost, and transactions are full.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::DateTime;
use ddb_rollup::rollup::model::definition::Definition;
use ddb_rollup::rollup::model::expression_size::update_fits;
use ddb_rollup::rollup::model::marker::{Guard, Stamp};
use ddb_rollup::rollup::model::measure::MeasureId;
use ddb_rollup::rollup::model::poison::{Poison, Reason};
use ddb_rollup::rollup::model::record::{Images, RecordHead, RecordId, StreamRecord};
use ddb_rollup::rollup::model::view::OnMissingViewItem;
use ddb_rollup::rollup::model::view::{KeyPart, KeyType, Measure, View};
use ddb_rollup::rollup::pipeline::coalesce::{Batch, EntryId, Found, coalesce};
use ddb_rollup::rollup::pipeline::delta::{Effect, Retention, effect};
use ddb_rollup::rollup::pipeline::plan::{Setting, assemble, plan};
use ddb_rollup::rollup::pipeline::update;
use ddb_rollup::rollup::pipeline::view_item::Shape;
use ddb_rollup::rollup::{AttributeValue, Item};

use fastrand::Rng;

use crate::function::{config, now};
use crate::history::STREAM;
use crate::service_limits::{assert_adds_what_the_batch_adds, hold_against_the_limits};

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

fn found(definition: &Definition, position: usize, images: Images) -> Found<'static> {
    let record = StreamRecord {
        head: RecordHead {
            id: id(position),
            event_id: format!("{position:032}"),
            event_name: "MODIFY".to_owned(),
            source_key: item([("MapId", "map".to_owned()), ("PointId", position.to_string())]),
            digest: None,
        },
        created_at: None,
        unreadable: BTreeMap::new(),
        images,
        raw: "",
    };
    Found::Record(effect(definition, record, &Retention { days: 14, until: now() }))
}

fn poison(position: usize, raw: &str) -> Found<'_> {
    let poison = Poison {
        head: RecordHead { id: id(position), event_id: position.to_string(), ..RecordHead::default() },
        reason: Reason::NoImage,
        raw,
    };
    Found::Record(Effect::Quarantine(Box::new(poison)))
}

fn changes(definition: &Definition, images: impl IntoIterator<Item = Images>) -> Batch<'static> {
    coalesce(images.into_iter().enumerate().map(|(position, images)| found(definition, position, images)))
}

/// The shape that all view items have, and what is done about one that is not there.
type Case = (Shape, OnMissingViewItem);

/// The case with the longest expressions.
const LONGEST: Case = (Shape::Complete, OnMissingViewItem::Skip);

fn every_case() -> Vec<Case> {
    use OnMissingViewItem::{Create, Skip};
    let lacking = Shape::Lacks(BTreeSet::from([MeasureId::first_view(1)]));
    vec![LONGEST, (Shape::Complete, Create), (Shape::Absent, Skip), (Shape::Absent, Create), (lacking, Create)]
}

/// Plans a batch, and holds every transaction against every limit in each of these cases. Gives the number of
/// transactions.
fn transactions_of(definition: &Definition, batch: &Batch<'_>, cases: &[Case]) -> usize {
    let all: Vec<EntryId> = batch.ids().collect();
    let planned = plan(definition, batch, &all);
    let mut members: Vec<EntryId> = planned.iter().flatten().copied().collect();
    members.sort_unstable();
    assert_eq!(members, all, "every entry is in exactly one transaction");

    assert_adds_what_the_batch_adds(batch, &planned);
    for (shape, on_missing) in cases {
        let shapes = vec![shape.clone(); batch.items.len()];
        let stamp = Stamp::new(DateTime::default(), "00000000-0000-0000-0000-000000000000", 14);
        let definition = definition.clone().with_missing(*on_missing);
        let setting = Setting { definition: &definition, guard: Guard::Absent, stamp };
        for members in &planned {
            hold_against_the_limits(&assemble(&setting, batch, &shapes, members), members.len());
        }
    }
    planned.len()
}

#[test]
fn every_small_batch_of_changes_and_of_moves_keeps_to_the_limits() {
    let definition = config().definition;
    let mut batches = 0;
    for records in [1, 2, 33, 34, 49, 50, 51, 98, 99, 100, 101, 105, 198, 199] {
        for maps in [1, 2, records] {
            let inserts = changes(&definition, (0..records).map(|n| inserted(n % maps, ["a", "b", ""][n % 3])));
            let groups = changes(&definition, (0..records).map(|n| inserted(n % maps, &format!("group-{n}"))));
            let moves = changes(&definition, (0..records).map(|n| moved((n % maps, "a"), ((n + 1) % maps, "b"))));
            let group = |n| format!("group-{n}");
            let regroups = (0..records).map(|n| moved((n % maps, &group(2 * n)), (n % maps, &group(2 * n + 1))));
            let regroups = changes(&definition, regroups);
            let cancelling = changes(
                &definition,
                (0..records).map(|n| {
                    if n % 2 == 0 { inserted(n % maps, "a") } else { Images::Removed(point((n - 1) % maps, "a")) }
                }),
            );
            for batch in [inserts, groups, moves, regroups, cancelling] {
                transactions_of(&definition, &batch, &[LONGEST]);
                batches += 1;
            }
        }
    }
    println!("{batches} batches");
    assert_eq!(batches, 210);
}

#[test]
fn transactions_of_inserts_are_full() {
    let definition = config().definition;
    let mut batches = 0;
    for records in [1, 10, 99, 100, 101, 1_000, 10_000] {
        for maps in [1, 20, 100, 10_000] {
            for seed in 0..if records <= 1_000 { 3 } else { 1 } {
                let mut seeded = Rng::with_seed(seed);
                let mut even = 0..;
                let mut map = || if seed == 0 { even.next().unwrap_or(0) % maps } else { seeded.usize(..maps) };
                let batch =
                    changes(&definition, (0..records).map(|n| inserted(map(), ["a", "b", "c", "d", ""][n % 5])));
                let touched = batch.items.len();
                let transactions = transactions_of(&definition, &batch, &[]);
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

/// Plans inserts on view items with so many each, and tells how many of each item are in each transaction.
fn spread(entries: &[usize]) -> Vec<Vec<usize>> {
    let definition = config().definition;
    let maps = entries.iter().enumerate().flat_map(|(map, &entries)| std::iter::repeat_n(map, entries));
    let maps: Vec<usize> = maps.collect();
    let batch = changes(&definition, maps.iter().map(|&map| inserted(map, "a")));
    let all: Vec<EntryId> = batch.ids().collect();
    let planned = plan(&definition, &batch, &all).into_iter().map(|members| {
        let here = |map: usize| members.iter().filter(|&&member| maps[member.0] == map).count();
        (0..entries.len()).map(here).collect()
    });
    planned.collect()
}

#[test]
fn a_little_room_is_left_rather_than_a_view_item_cut() {
    // 9 of 100 actions are free, and the next view item is left whole; 10 are, and it is cut.
    assert_eq!(spread(&[90, 20]), [[90, 0], [0, 20]]);
    assert_eq!(spread(&[89, 20]), [[89, 9], [0, 11]]);
    // What fits exactly is put in.
    assert_eq!(spread(&[95, 3, 1]), [[95, 3, 0], [0, 0, 1]]);
    assert_eq!(spread(&[95, 4, 1]), [[95, 0, 0], [0, 4, 1]]);
    // The largest goes first, wherever it comes.
    assert_eq!(spread(&[20, 90]), [[0, 90], [20, 0]]);
    // Cut all the same where it would be cut in an empty transaction, too.
    assert_eq!(spread(&[150, 100]), [[99, 0], [51, 47], [0, 53]]);
}

#[test]
fn an_expression_is_filled_up_to_its_limit() {
    const MEASURES: usize = 10;
    let key = KeyPart::attribute("MapId", KeyType::S);
    let measure = |n| Measure::parse(format!("Measure{n}"), "count by Category").unwrap();
    let view = View::new("Point", "Map", None, vec![key], (0..MEASURES).map(measure).collect()).unwrap();
    let definition = Definition::new(vec![view]).unwrap();
    let most = (0..100)
        .take_while(|groups| update_fits(update::written(&definition, definition.all()), groups * MEASURES))
        .last()
        .unwrap();
    assert!((5..30).contains(&most), "{most} groups fit into an expression");
    // Each group comes twice, and costs the expression nothing the second time.
    let batch = changes(&definition, (0..4 * most).map(|n| inserted(0, &format!("group-{:03}", n / 2))));
    let all: Vec<EntryId> = batch.ids().collect();
    let planned: Vec<usize> = plan(&definition, &batch, &all).iter().map(Vec::len).collect();
    assert_eq!(planned, [2 * most, 2 * most]);
}

#[test]
fn room_is_left_only_as_long_as_no_further_transaction_comes_of_it() {
    let cut = |planned: &[Vec<usize>]| {
        let parts = |map: &usize| planned.iter().filter(|here| here[*map] > 0).count();
        (0..planned[0].len()).filter(|map| parts(map) > 1).count()
    };
    // 20 times 94 actions and 18 cuts are 19 transactions but for 2 actions: there is no room to leave.
    let planned = spread(&[93; 20]);
    assert_eq!((planned.len(), cut(&planned)), (19, 18), "{planned:?}");
    // 10 times 95 actions are 10 transactions in any case.
    let planned = spread(&[94; 10]);
    assert_eq!((planned.len(), cut(&planned)), (10, 0), "{planned:?}");
    // 30 times 93 actions and 28 cuts are 29 transactions with 82 actions to spare, of which 6 go for each that is left whole.
    let planned = spread(&[92; 30]);
    assert_eq!((planned.len(), cut(&planned)), (29, 15), "{planned:?}");
    // 15 times 92 actions and 13 cuts are 14 transactions with 7 actions to spare: just enough for one that is left whole.
    let planned = spread(&[91; 15]);
    assert_eq!((planned.len(), cut(&planned)), (14, 12), "{planned:?}");
    assert_eq!(planned[0][..2], [91, 0], "the first one is not cut: {planned:?}");
    // 15 times 94 actions and 14 cuts are 15 transactions with 76 actions to spare, of which 5 more go for each that is
    // left whole.
    let planned = spread(&[93; 15]);
    assert_eq!((planned.len(), cut(&planned)), (15, 0), "{planned:?}");
}

#[test]
fn records_that_fill_a_transaction_by_their_bytes_keep_to_the_limits() {
    let definition = config().definition;
    let mut seeded = Rng::with_seed(1);
    // Text that does not become shorter by compressing it.
    let raw: String = (0..390 * 1024).map(|_| char::from(b'0' + u8::try_from(seeded.usize(..64)).unwrap())).collect();
    for records in [1, 25] {
        let found = (0..records).map(|position| poison(position, &raw[position..]));
        let transactions = transactions_of(&definition, &coalesce(found), &[LONGEST]);
        assert!(transactions <= records.div_ceil(2), "{records} records in {transactions} transactions");
    }
    // Each of them touches a group of its own, with the longest name, of the longest key.
    let map = "m".repeat(2_048);
    let found = (0..300).map(|position| {
        let category = format!("{position:01024}");
        found(&definition, position, Images::Inserted(item([("MapId", map.clone()), ("Category", category)])))
    });
    let transactions = transactions_of(&definition, &coalesce(found), &every_case());
    assert!(transactions <= 5, "{transactions} transactions");
}

#[test]
fn views_of_any_number_of_measures_keep_to_the_limits() {
    let key = KeyPart::attribute("MapId", KeyType::S);
    let mut views = 0;
    for grouped in [0, 1, 2, 5, 10, 20, 30, 31, 32, 33, 34, 35, 40, 50, 60] {
        for plain in [0, 1, 30, 100] {
            let measure = |n: usize, by: Option<&str>| {
                let amount = if n.is_multiple_of(2) { "count" } else { "sum Weight" };
                let by = by.map_or(String::new(), |by| format!(" by {by}"));
                Measure::parse(format!("Measure{n}"), &format!("{amount}{by}")).unwrap()
            };
            let measures = (0..grouped).map(|n| measure(n, Some("Category")));
            let measures = measures.chain((grouped..grouped + plain).map(|n| measure(n, None))).collect();
            let Ok(view) = View::new("Point", "Map", None, vec![key.clone()], measures) else { continue };
            let definition = Definition::new(vec![view]).unwrap();
            let weighed = |group: usize| {
                let mut image = point(0, &format!("group-{group}"));
                image.insert("Weight".to_owned(), AttributeValue::N(format!("0.{}", group + 1)));
                image
            };
            let images = (0..20).map(|n| Images::Modified { old: weighed(n), new: weighed(n + 1) });
            transactions_of(
                &definition,
                &changes(&definition, images),
                &[LONGEST, (Shape::Absent, OnMissingViewItem::Create)],
            );
            views += 1;
        }
    }
    println!("{views} views");
    assert!(views > 20);
}
