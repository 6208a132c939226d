//! The counter maps of view items that were never touched.

use std::collections::HashMap;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::AttributeValue;

use super::error::MigrateError;
use super::steps::{ItemChange, LeftItem, LiveTables, StepResult};
use crate::operate::clock::pause;
use crate::operate::error::{TableError, failure_text};
use crate::operate::repair::report::Mode;
use crate::rollup::Item;
use crate::rollup::model::attribute_type::type_name;
use crate::rollup::model::change::Sums;
use crate::rollup::model::view::{OnMissingViewItem, ROLLUP_VERSION, View};
use crate::rollup::pipeline::update::{self, Update};
use crate::rollup::pipeline::verdict::Failure;
use crate::rollup::pipeline::view_item::{self, Shape};
use crate::store::failure;

/// How often an item is tried that transactions are in the way of, before it is given up.
const CONFLICTS: usize = 100;

/// Creates the counter maps that view items lack, each item's in one conditional update that raises its version.
///
/// It is the first touch, with nothing to add. An item that is deleted meanwhile stays deleted.
///
/// # Errors
/// When the table cannot be read or written.
pub(super) async fn create(live: &LiveTables, title: &str, mode: Mode) -> Result<StepResult, MigrateError> {
    let view = &live.config.view;
    let mut names = HashMap::new();
    let mut place = |name: &str| {
        let placeholder = format!("#n{}", names.len());
        names.insert(placeholder.clone(), name.to_owned());
        placeholder
    };
    let key: Vec<_> = view.key().iter().map(|part| place(&part.view_attribute)).collect();
    let maps: Vec<_> = view.grouped().map(|(_, measure)| place(&measure.attribute)).collect();
    if maps.is_empty() {
        return Ok(StepResult::default());
    }
    let lacking = maps.iter().map(|map| format!("NOT attribute_type({map}, :map)")).collect::<Vec<_>>().join(" OR ");
    let projection = key.into_iter().chain(maps).chain([place(ROLLUP_VERSION)]).collect::<Vec<_>>().join(", ");
    let scan = live
        .client
        .scan()
        .projection_expression(projection)
        .filter_expression(lacking)
        .set_expression_attribute_names(Some(names))
        .expression_attribute_values(":map", AttributeValue::S("M".to_owned()));
    live.each(title, view.view_table(), scan, |item| create_on(live, item, mode)).await
}

async fn create_on(live: &LiveTables, mut item: Item, mode: Mode) -> Result<ItemChange, MigrateError> {
    let view = &live.config.view;
    let key = key(view, &item);
    let refused = |reason: String| ItemChange::Refused(LeftItem { key: named(view, &key), reason });
    let mut conflicts = 0;
    loop {
        let shape = match faultless_shape(view, &item) {
            Ok(Shape::Complete | Shape::Absent) => return Ok(ItemChange::Overtaken),
            Ok(shape @ Shape::Lacks(_)) => shape,
            Err(reason) => return Ok(refused(reason)),
        };
        if mode == Mode::DryRun {
            return Ok(ItemChange::Made);
        }
        // Under `skip` the update states that the item is there, whatever the function does about one that is not.
        let update = update::update(view, &Sums::new(), &shape, OnMissingViewItem::Skip);
        let Err(error) = send(live, &key, update).await else { return Ok(ItemChange::Made) };
        match failure(&error) {
            // It is not of the shape that the update was made for: another writer changed its maps, of which there are
            // only so many.
            failure if failure.is_unmet_condition() => {}
            failure if failure.is_passing() && conflicts < CONFLICTS => {
                conflicts += 1;
                pause().await;
            }
            // The item cannot take the update, as when it is full.
            Failure::Refused(_) => {
                let reason = error.message().unwrap_or("it was refused without a reason");
                return Ok(refused(reason.to_owned()));
            }
            _ => return Err(TableError::new("write", view.view_table(), failure_text(&error)).into()),
        }
        match read(live, &key).await? {
            Some(now) => item = now,
            None => return Ok(ItemChange::Overtaken),
        }
    }
}

/// The item's shape, or why no update can touch it.
fn faultless_shape(view: &View, item: &Item) -> Result<Shape, String> {
    match item.get(ROLLUP_VERSION) {
        None | Some(serde_dynamo::AttributeValue::N(_)) => view_item::shape(view, Some(item)),
        Some(other) => Err(format!("its {ROLLUP_VERSION} is of type {}, not a number", type_name(other))),
    }
}

async fn send(live: &LiveTables, key: &Item, update: Update) -> Result<(), SdkError<UpdateItemError>> {
    let Update { expression, condition, names, values } = update;
    let request = live
        .client
        .update_item()
        .table_name(live.config.view.view_table())
        .set_key(Some(key.clone().into()))
        .update_expression(expression)
        .set_condition_expression(condition)
        .set_expression_attribute_names(Some(names))
        .set_expression_attribute_values(Some(Item::from(values).into()));
    request.send().await.map(drop)
}

async fn read(live: &LiveTables, key: &Item) -> Result<Option<Item>, MigrateError> {
    let table = live.config.view.view_table();
    let request = live.client.get_item().table_name(table).set_key(Some(key.clone().into())).consistent_read(true);
    let answer = request.send().await.map_err(|error| TableError::new("read", table, failure_text(&error)))?;
    Ok(answer.item.map(Item::from))
}

fn key(view: &View, item: &Item) -> Item {
    let parts = view
        .key()
        .iter()
        .filter_map(|part| item.get(&part.view_attribute).map(|value| (part.view_attribute.clone(), value.clone())));
    Item::from(parts.collect::<HashMap<_, _>>())
}

/// A key for people, its parts in their order.
fn named(view: &View, key: &Item) -> String {
    use serde_dynamo::AttributeValue::{N, S};
    let parts = view.key().iter().filter_map(|part| {
        key.get(&part.view_attribute).map(|value| match value {
            S(text) | N(text) => text.clone(),
            other => format!("{other:?}"),
        })
    });
    parts.collect::<Vec<_>>().join(", ")
}
