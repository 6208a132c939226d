//! The counter maps of view items that were never touched.

use std::collections::HashMap;

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::AttributeValue;

use super::MigrateError;
use super::steps::{Change, Did, Left, Live, Mode};
use crate::operate::TableError;
use crate::operate::cause::cause;
use crate::rollup::Item;
use crate::rollup::model::attribute_type::type_name;
use crate::rollup::model::change::Sums;
use crate::rollup::model::view::OnMissingViewItem;
use crate::rollup::model::view::{ROLLUP_VERSION, View};
use crate::rollup::pipeline::update::{self, Update};
use crate::rollup::pipeline::view_item::{self, Shape};

/// Creates the counter maps that view items lack, each item's in one conditional update that raises its version.
///
/// It is the first touch, with nothing to add. An item that is deleted meanwhile stays deleted.
///
/// # Errors
/// When the table cannot be read or written.
pub(super) async fn create_counter_maps(live: &Live, title: &str, mode: Mode) -> Result<Did, MigrateError> {
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
        return Ok(Did::default());
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
    live.each((title, view.view_table()), scan, |item| create(live, item, mode)).await
}

async fn create(live: &Live, mut item: Item, mode: Mode) -> Result<Change, MigrateError> {
    let view = &live.config.view;
    let key = key(view, &item);
    loop {
        let shape = match faultless_shape(view, &item) {
            Ok(Shape::Complete | Shape::Absent) => return Ok(Change::Overtaken),
            Ok(shape @ Shape::Lacks(_)) => shape,
            Err(reason) => return Ok(Change::Refused(Left { key: named(view, &key), reason })),
        };
        if mode == Mode::DryRun {
            return Ok(Change::Made);
        }
        // Under `skip` the update states that the item is there, whatever the function does about one that is not.
        let update = update::update(view, &Sums::new(), &shape, OnMissingViewItem::Skip);
        match send(live, &key, update).await? {
            Sent::Done => return Ok(Change::Made),
            Sent::Refused(reason) => return Ok(Change::Refused(Left { key: named(view, &key), reason })),
            // Every round follows a change of the item's maps by another writer, of which there are only so many.
            Sent::Otherwise => match read(live, &key).await? {
                Some(now) => item = now,
                None => return Ok(Change::Overtaken),
            },
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

enum Sent {
    Done,
    /// The item is not of the shape that the update was made for.
    Otherwise,
    /// The item cannot take the update, as when it is full.
    Refused(String),
}

async fn send(live: &Live, key: &Item, update: Update) -> Result<Sent, MigrateError> {
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
    match request.send().await {
        Ok(_) => Ok(Sent::Done),
        Err(error) => match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(Sent::Otherwise),
            Some(refused) if refused.code() == Some("ValidationException") => {
                Ok(Sent::Refused(refused.message().unwrap_or("it was refused without a reason").to_owned()))
            }
            _ => Err(TableError::new("write", live.config.view.view_table(), cause(&error)).into()),
        },
    }
}

async fn read(live: &Live, key: &Item) -> Result<Option<Item>, MigrateError> {
    let table = live.config.view.view_table();
    let request = live.client.get_item().table_name(table).set_key(Some(key.clone().into())).consistent_read(true);
    let answer = request.send().await.map_err(|error| TableError::new("read", table, cause(&error)))?;
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
