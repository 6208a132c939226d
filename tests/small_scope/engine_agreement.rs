//! The tables in memory against the embedded engine: the same random transactions, through the product's own requests,
//! with the same verdicts and the same items.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ddb_rollup::commit::Store;
use ddb_rollup::rollup::model::change::{Counter, Sums};
use ddb_rollup::rollup::model::definition::Definition;
use ddb_rollup::rollup::model::marker::{Guard, Marker};
use ddb_rollup::rollup::model::measure::MeasureId;
use ddb_rollup::rollup::model::number::Number;
use ddb_rollup::rollup::model::set_attribute::SetTexts;
use ddb_rollup::rollup::model::view::{OnMissingViewItem, TableId};
use ddb_rollup::rollup::pipeline::coalesce::{EntryId, ItemId, TouchedItem};
use ddb_rollup::rollup::pipeline::plan::{Action, Transaction};
use ddb_rollup::rollup::pipeline::update::{self, Update};
use ddb_rollup::rollup::pipeline::verdict::{ActionVerdict, Failure};
use ddb_rollup::rollup::pipeline::view_item::Shape;
use ddb_rollup::rollup::{AttributeValue, Item};
use ddb_rollup::store::DynamoStore;
use uuid::Uuid;

use fastrand::Rng;

use crate::function::config;
use crate::line::Script;
use crate::memory_store::MemoryStore;
use crate::tables::key_of;
use support::engine::Engine;

/// Both stores, with the same in them.
struct Stores {
    engine: Engine,
    on_engine: DynamoStore,
    in_memory: MemoryStore<Script>,
}

impl Stores {
    async fn start(definition: &Definition) -> Self {
        let engine = Engine::start().await;
        let on_engine = DynamoStore::new(&engine.sdk, definition.clone(), "Idempotency");
        let in_memory = MemoryStore::new(definition.clone(), Script::default());
        Self { engine, on_engine, in_memory }
    }

    /// Puts a view item into both.
    async fn put_view(&self, json: &str) {
        let item: Item = serde_json::from_str(json).unwrap();
        let key = Item::from(HashMap::from([("MapId".to_owned(), item["MapId"].clone())]));
        let mut tables = self.in_memory.tables();
        tables.put_view(TableId(0), &key, item.clone());
        self.in_memory.restore(tables);
        self.engine.db.put_item().table_name("Map").set_item(Some(item.into())).send().await.unwrap();
    }

    /// Sends a transaction to both; gives the verdict on which they agree.
    async fn transact(&self, transaction: &Transaction<'_>, token: Uuid) -> String {
        // A busy machine may be too slow for the time that one attempt has: then it is made again, as the product does.
        let engine = loop {
            match self.on_engine.transact(transaction, token).await {
                Err(Failure::Transient(_)) => {}
                settled => break verdict(settled),
            }
        };
        let memory = verdict(self.in_memory.transact(transaction, token).await);
        assert_eq!(memory, engine, "the verdicts on {transaction:#?}");
        memory
    }

    async fn assert_same_items(&self) {
        let tables = self.in_memory.tables();
        for (table, items) in [
            ("Map", tables.views().map(text).collect::<BTreeSet<_>>()),
            ("Idempotency", tables.markers().map(text).collect()),
        ] {
            let engine = self.engine.scan(table).await.into_iter().map(|item| text(&Item::from(item)));
            assert_eq!(items, engine.collect(), "the items of {table}");
        }
    }
}

/// A verdict without its words.
fn verdict(result: Result<(), Failure>) -> String {
    match result {
        Ok(()) => "committed".to_owned(),
        Err(Failure::Refused(_)) => "refused".to_owned(),
        Err(Failure::Cancelled(verdicts)) => {
            let verdicts = verdicts.iter().map(|verdict| match verdict {
                ActionVerdict::Refused(_) => "refused".to_owned(),
                ActionVerdict::ConditionFailed(item) => format!("not met by {:?}", item.as_ref().map(text)),
                other => format!("{other:?}"),
            });
            format!("cancelled: {}", verdicts.collect::<Vec<_>>().join(", "))
        }
        Err(other) => format!("{other:?}"),
    }
}

/// An item, with its attributes in the order of their names.
fn text(item: &Item) -> String {
    fn value(found: &AttributeValue) -> String {
        match found {
            AttributeValue::M(map) => map_text(map),
            other => format!("{other:?}"),
        }
    }
    fn map_text(map: &HashMap<String, AttributeValue>) -> String {
        let ordered: BTreeMap<_, _> = map.iter().map(|(name, found)| (name, value(found))).collect();
        format!("{ordered:?}")
    }
    map_text(item)
}

/// A view item's key, as it is sent.
fn key(map: usize) -> Item {
    Item::from(HashMap::from([("MapId".to_owned(), AttributeValue::S(format!("map-{map}")))]))
}

/// A marker; one in three is in quarantine.
fn marker(number: usize, guard: Guard, bytes: usize) -> Action<'static> {
    let text = |text: String| AttributeValue::S(text);
    let marker = HashMap::from([
        ("SequenceNumber".to_owned(), text(number.to_string())),
        ("Stream".to_owned(), text("stream".to_owned())),
        ("Outcome".to_owned(), text(if number.is_multiple_of(3) { "QUARANTINED" } else { "APPLIED" }.to_owned())),
        ("Reason".to_owned(), text(if number.is_multiple_of(9) { "expired: ".to_owned() } else { "x".repeat(bytes) })),
    ]);
    Action::PutMarker { entry: EntryId(0), guard, marker: Marker::Item(Item::from(marker)) }
}

fn touched(definition: &Definition, map: usize) -> TouchedItem {
    let key = definition.own_key(TableId(0), &key(map)).unwrap();
    TouchedItem { key, views: definition.all(), texts: SetTexts::new() }
}

fn update_of(map: usize, update: Update) -> Action<'static> {
    Action::UpdateView { item: ItemId(map), table: TableId(0), key: key(map), update }
}

/// An update as the product makes them, for an item whose shape may be another one.
fn random_update(definition: &Definition, map: usize, seeded: &mut Rng) -> Update {
    let mut sums = Sums::new();
    for _ in 0..seeded.usize(..4) {
        let amount = ["1", "-1", "25", "-0.5", "99999999999999999999999999999999999999"][seeded.usize(..5)];
        let group = [None, Some("Park"), Some("a.b c"), Some("Cafe")][seeded.usize(..4)];
        let counter =
            Counter { measure: MeasureId::first_view(usize::from(group.is_some())), group: group.map(str::to_owned) };
        sums.insert(counter, amount.parse::<Number>().unwrap());
    }
    let shape = [Shape::Complete, Shape::Complete, Shape::Lacks([MeasureId::first_view(1)].into()), Shape::Absent]
        [seeded.usize(..4)]
    .clone();
    let on_missing = [OnMissingViewItem::Create, OnMissingViewItem::Skip][seeded.usize(..2)];
    let definition = definition.clone().with_missing(on_missing);
    let mut update = update::update(&definition, &touched(&definition, map), &sums, &shape);
    if seeded.usize(..5) == 0 {
        // Without its condition, it meets items that it was not made for.
        let condition = update.condition.take().unwrap_or_default();
        update.names.retain(|name, _| update.expression.contains(name.as_str()) || !condition.contains(name.as_str()));
        update.values.retain(|_, value| !matches!(value, AttributeValue::S(_)));
    }
    update
}

fn random_transaction(definition: &Definition, seeded: &mut Rng) -> Transaction<'static> {
    const GUARDS: [Guard; 3] = [Guard::Absent, Guard::AbsentOrQuarantined, Guard::Quarantined];
    let markers = 0..seeded.usize(..3);
    let markers = markers.map(|_| {
        let marker = marker(seeded.usize(..60), GUARDS[seeded.usize(..3)], 0);
        let key = key_of(&marker);
        match seeded.usize(..8) {
            0 => Action::DeletePart { entry: EntryId(0), key },
            1 => Action::UpdateReason { entry: EntryId(0), key, reason: ["", "y"][seeded.usize(..2)].to_owned() },
            _ => marker,
        }
    });
    let markers: Vec<_> = markers.collect();
    let views = (0..=seeded.usize(..3)).map(|_| {
        let map = seeded.usize(..8);
        if seeded.usize(..6) == 0 {
            let check = update::still_absent(&definition[TableId(0)]);
            Action::CheckAbsent { item: ItemId(map), table: TableId(0), key: key(map), check }
        } else {
            update_of(map, random_update(definition, map, seeded))
        }
    });
    Transaction { actions: markers.into_iter().chain(views).collect() }
}

#[tokio::test]
async fn random_transactions_have_the_same_verdicts_and_leave_the_same_items() {
    const TRANSACTIONS: usize = 400;
    let definition = config().definition;
    let stores = Stores::start(&definition).await;
    stores.put_view(r#"{"MapId":{"S":"map-0"},"City":{"S":"x"}}"#).await;
    stores.put_view(r#"{"MapId":{"S":"map-1"},"CategoryCounts":{"S":"x"}}"#).await;
    stores
        .put_view(r#"{"MapId":{"S":"map-2"},"CategoryCounts":{"M":{"Park":{"S":"x"}}},"TotalPoints":{"N":"7"}}"#)
        .await;
    stores.put_view(r#"{"MapId":{"S":"map-3"},"CategoryCounts":{"M":{}},"TotalPoints":{"S":"x"}}"#).await;
    let mut seeded = Rng::with_seed(7);
    let mut sent: Vec<Transaction<'static>> = Vec::new();
    let mut verdicts: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..TRANSACTIONS {
        let again = seeded.usize(..8) == 0 && !sent.is_empty();
        let transaction =
            if again { sent[seeded.usize(..sent.len())].clone() } else { random_transaction(&definition, &mut seeded) };
        // One time in four, a token of an earlier transaction, perhaps of the very same one.
        let place = if seeded.usize(..4) == 0 { seeded.usize(..sent.len() + 1) } else { sent.len() };
        let place = sent.iter().position(|earlier| again && *earlier == transaction).unwrap_or(place);
        let token = Uuid::from_u64_pair(0x1234_5678_9abc_4def, 0x8000_0000_0000_0000 | u64::try_from(place).unwrap());
        let verdict = stores.transact(&transaction, token).await;
        let kind = verdict.split_once(" by").map_or(verdict.as_str(), |(kind, _)| kind);
        *verdicts.entry(kind.split_once(':').map_or(kind, |(kind, _)| kind).to_owned()).or_default() += 1;
        sent.push(transaction);
    }
    stores.assert_same_items().await;
    println!("{verdicts:?}");
    for kind in ["committed", "cancelled", "refused", "TokenReused"] {
        assert!(verdicts.contains_key(kind), "{kind} is among the verdicts: {verdicts:?}");
    }
}

#[tokio::test]
async fn limits_are_the_same() {
    let definition = config().definition;
    let stores = Stores::start(&definition).await;
    let sums = |groups: usize, name: usize| -> Sums {
        let group = |n| format!("{n:0name$}");
        (0..groups)
            .map(|n| (Counter { measure: MeasureId::first_view(1), group: Some(group(n)) }, Number::from(1)))
            .collect()
    };
    let update = |map, groups, name, shape| {
        update_of(map, update::update(&definition, &touched(&definition, map), &sums(groups, name), &shape))
    };
    let markers =
        |from: usize, count: usize| (from..from + count).map(|n| marker(n, Guard::Absent, 0)).collect::<Vec<_>>();
    let cases = [
        ("no action", vec![], "refused"),
        ("a hundred actions", markers(0, 100), "committed"),
        ("a hundred and one", markers(100, 101), "refused"),
        ("two actions on one item", vec![marker(300, Guard::Absent, 0), marker(300, Guard::Absent, 1)], "refused"),
        ("a long marker", vec![marker(301, Guard::Absent, 390 * 1024)], "committed"),
        ("a marker that is too long", vec![marker(302, Guard::Absent, 400 * 1024)], "refused"),
        ("too many bytes", (310..322).map(|n| marker(n, Guard::Absent, 390 * 1024)).collect(), "refused"),
        ("a view item of many groups", vec![update(0, 380, 1_024, Shape::Absent)], "committed"),
        ("one that grows too long", vec![update(0, 30, 1_023, Shape::Complete)], "cancelled: refused"),
        ("an expression that is too long", vec![update(1, 130, 4, Shape::Complete)], "refused"),
    ];
    for (number, (case, actions, expected)) in cases.into_iter().enumerate() {
        let token = Uuid::from_u64_pair(0x1234_5678_9abc_4def, 0x9000_0000_0000_0000 | u64::try_from(number).unwrap());
        let found = stores.transact(&Transaction { actions }, token).await;
        assert_eq!(found, expected, "{case}");
    }
    stores.assert_same_items().await;
}
