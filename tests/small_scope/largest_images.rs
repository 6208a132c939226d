//! The largest images that views get anything from: what a change of two of them adds fits into one transaction and one
//! update an item, whatever other views share the item.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::DateTime;
use ddb_rollup::rollup::model::definition::{self, Defaults, Definition};
use ddb_rollup::rollup::model::limits;
use ddb_rollup::rollup::model::marker::{Guard, Stamp};
use ddb_rollup::rollup::model::record::{Images, RecordHead, RecordId, StreamRecord};
use ddb_rollup::rollup::model::view::OnMissingViewItem;
use ddb_rollup::rollup::pipeline::coalesce::{Batch, Entry, EntryId, Found, coalesce};
use ddb_rollup::rollup::pipeline::delta::{Retention, effect};
use ddb_rollup::rollup::pipeline::plan::{Setting, assemble, plan};
use ddb_rollup::rollup::pipeline::view_item::Shape;
use serde_json::{Value, json};

use crate::function::now;
use crate::service_limits::hold_against_the_limits;

fn definition(views: &Value) -> Definition {
    let defaults = Defaults { source_table: "Point", view_table: "Map", on_missing: OnMissingViewItem::Create };
    definition::read(&json!({ "views": views }).to_string(), &defaults).unwrap()
}

fn batch(definition: &Definition, changes: &[(Option<Value>, Value)]) -> Batch<'static> {
    let found = changes.iter().enumerate().map(|(position, (old, new))| {
        let item = |image: &Value| serde_json::from_value(image.clone()).unwrap();
        let images = match old {
            Some(old) => Images::Modified { old: item(old), new: item(new) },
            None => Images::Inserted(item(new)),
        };
        let id = RecordId { sequence_number: format!("{position:021}"), stream: "stream".to_owned() };
        let head = RecordHead { id, event_id: position.to_string(), ..RecordHead::default() };
        let record = StreamRecord { head, created_at: None, unreadable: BTreeMap::new(), images, raw: "" };
        Found::Record(effect(definition, record, &Retention { days: 14, until: now() }))
    });
    coalesce(found)
}

/// Holds every transaction against every limit, on items of that shape. Gives the most actions of one.
fn hold(definition: &Definition, batch: &Batch<'_>, shape: &Shape) -> usize {
    hold_guarded(Guard::Absent, definition, batch, shape)
}

fn hold_guarded(guard: Guard, definition: &Definition, batch: &Batch<'_>, shape: &Shape) -> usize {
    let all: Vec<EntryId> = batch.ids().collect();
    let stamp = Stamp::new(DateTime::default(), "00000000-0000-0000-0000-000000000000", 14);
    let setting = Setting { definition, guard, stamp };
    let shapes = vec![shape.clone(); batch.items.len()];
    let planned = plan(definition, batch, &all);
    assert_eq!(planned.iter().map(Vec::len).sum::<usize>(), all.len());
    let actions = planned.iter().map(|members| {
        let transaction = assemble(&setting, batch, &shapes, members);
        hold_against_the_limits(&transaction, members.len());
        transaction.actions.len()
    });
    actions.max().unwrap()
}

/// Every counter of an image changes, each by an amount of its own; and as many other measures and attributes as may be are
/// on the item, which another record of the batch adds to.
#[test]
fn the_most_counters_of_an_image_fit_beside_the_most_measures_of_other_views() {
    let others = limits::IMAGE_COUNTERS - 1;
    let measures: serde_json::Map<String, Value> =
        (0..others).map(|n| (format!("Other{n}"), json!("count by G"))).collect();
    let set: serde_json::Map<String, Value> =
        (0..limits::ITEM_SET_ATTRIBUTES).map(|n| (format!("Set{n}"), json!(n))).collect();
    let key = json!([{ "attribute": "MapId", "type": "S", "value": "{M}" }]);
    let definition = definition(&json!([
        { "name": "each", "where": "Kind = 'each'", "key": key, "measures": { "Amounts": "sum each A" } },
        { "name": "others", "where": "Kind = 'other'", "key": key, "measures": measures, "set": set },
    ]));
    let amounts = |from: usize| -> Value {
        let amount = |n: usize| (format!("group {n}"), json!({ "N": format!("{}.{}", n + 1, n + 1) }));
        let amounts: serde_json::Map<String, Value> = (from..from + limits::IMAGE_COUNTERS).map(amount).collect();
        json!({ "Kind": { "S": "each" }, "M": { "S": "m" }, "A": { "M": amounts } })
    };
    let other = json!({ "Kind": { "S": "other" }, "M": { "S": "m" }, "G": { "S": "g" } });
    let batch = batch(&definition, &[(Some(amounts(0)), amounts(limits::IMAGE_COUNTERS)), (None, other)]);
    assert_eq!((batch.items.len(), batch.items[0].views), (1, definition.all()));
    let sums = batch.sums(&[EntryId(0)]);
    assert_eq!(sums.values().map(BTreeMap::len).sum::<usize>(), 2 * limits::IMAGE_COUNTERS);
    let of_others: BTreeSet<_> =
        definition.grouped(definition.all()).map(|(id, _)| id).filter(|id| id.view.0 == 1).collect();
    assert_eq!(of_others.len(), others);
    for shape in [Shape::Complete, Shape::Absent, Shape::Lacks(of_others)] {
        hold(&definition, &batch, &shape);
    }
}

#[test]
fn the_most_view_items_of_two_images_fit_into_one_transaction() {
    let definition = definition(&json!([
        { "name": "tags", "key": [{ "attribute": "MapId", "type": "S", "value": "TAG#{each T}" }], "measures": { "N": "count" } },
        { "name": "map", "key": [{ "attribute": "MapId", "type": "S", "value": "{M}" }], "measures": { "All": "count" } },
    ]));
    let image = |map: &str, from: usize, tags: usize| {
        let tags: Vec<Value> = (from..from + tags).map(|n| json!({ "S": format!("{n}") })).collect();
        json!({ "M": { "S": map }, "T": { "L": tags } })
    };
    let most = limits::IMAGE_VIEW_ITEMS - 1;
    let two = |tags| batch(&definition, &[(Some(image("m", 0, tags)), image("n", 1_000, tags))]);
    assert_eq!(hold(&definition, &two(most), &Shape::Absent), 2 * limits::IMAGE_VIEW_ITEMS + 1);
    // A replay of such a record from quarantine deletes as many of its parts as there is room for.
    for (tags, parts) in [(most, 1), (1, 3)] {
        let mut large = two(tags);
        let Entry::Apply { change, .. } = &mut large.entries[0] else { panic!("it has an effect") };
        Arc::make_mut(change).raw = Box::leak("x".repeat(900_000).into_boxed_str());
        let actions = 2 * (tags + 1) + 1;
        assert_eq!(hold_guarded(Guard::Quarantined, &definition, &large, &Shape::Absent), actions + parts);
        assert_eq!(hold(&definition, &large, &Shape::Absent), actions, "a delivery ends no quarantine");
    }
    // One tag more, and the tags count for nothing; the map does.
    assert_eq!(hold(&definition, &two(most + 1), &Shape::Absent), 3);
}
