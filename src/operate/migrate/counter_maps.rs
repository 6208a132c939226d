//! Creates the counter maps of view items that no record has touched.

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
use crate::rollup::check::ownership::{Evidence, owners};
use crate::rollup::model::attribute_type::type_name;
use crate::rollup::model::change::Sums;
use crate::rollup::model::definition::Definition;
use crate::rollup::model::measure::ViewSet;
use crate::rollup::model::set_attribute::SetTexts;
use crate::rollup::model::view::{ROLLUP_VERSION, TableId};
use crate::rollup::pipeline::coalesce::TouchedItem;
use crate::rollup::pipeline::update::{self, Update};
use crate::rollup::pipeline::verdict::Failure;
use crate::rollup::pipeline::view_item::{self, Shape};
use crate::store::failure;

/// How many times an item is tried when it conflicts with transactions, before the step fails.
const CONFLICTS: usize = 100;

/// Creates the counter maps that view items lack. For each item it is one conditional update that also raises the
/// version.
///
/// The update is a first touch that adds nothing. An item that is deleted at the same time stays deleted.
///
/// # Errors
/// When the table cannot be read or written.
pub(super) async fn create(live: &LiveTables, title: &str, mode: Mode) -> Result<StepResult, MigrateError> {
    let mut done = StepResult::default();
    for (table, _) in live.config.definition.table_ids() {
        done.join(create_in(live, table, title, mode).await?);
    }
    Ok(done)
}

async fn create_in(live: &LiveTables, table: TableId, title: &str, mode: Mode) -> Result<StepResult, MigrateError> {
    let definition = &live.config.definition;
    let mut names = HashMap::new();
    let mut place = |name: &str| {
        let placeholder = format!("#n{}", names.len());
        names.insert(placeholder.clone(), name.to_owned());
        placeholder
    };
    let key: Vec<_> = definition[table].key.iter().map(|(attribute, _)| place(attribute)).collect();
    let maps: Vec<_> =
        definition.grouped(definition.of_table(table)).map(|(_, measure)| place(&measure.attribute)).collect();
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
    live.each(title, &definition[table].name, scan, |item| create_on(live, table, item, mode)).await
}

async fn create_on(live: &LiveTables, table: TableId, mut item: Item, mode: Mode) -> Result<ItemChange, MigrateError> {
    let definition = &live.config.definition;
    let Some(touched) = view_item(definition, table, &item) else { return Ok(ItemChange::Overtaken) };
    let (key, table) = (definition.key_item(&touched.key), &definition[table].name);
    let refused = |reason: String| ItemChange::Refused(LeftItem { key: touched.key.to_string(), reason });
    let mut conflicts = 0;
    loop {
        let shape = match faultless_shape(definition, touched.views, &item) {
            Ok(Shape::Complete | Shape::Absent) => return Ok(ItemChange::Overtaken),
            Ok(shape @ Shape::Lacks(_)) => shape,
            Err(reason) => return Ok(refused(reason)),
        };
        if mode == Mode::DryRun {
            return Ok(ItemChange::Made);
        }
        let update = update::of_existing(definition, &touched, &Sums::new(), &shape);
        let Err(error) = send(live, table, &key, update).await else { return Ok(ItemChange::Made) };
        match failure(&error) {
            // Another writer changed the item's maps since it was read. An item has few maps, so this happens a limited
            // number of times.
            failure if failure.is_unmet_condition() => {}
            failure if failure.is_passing() && conflicts < CONFLICTS => {
                conflicts += 1;
                pause().await;
            }
            // The item cannot take the update, for example because it has the maximum size.
            Failure::Refused(_) => {
                let reason = error.message().unwrap_or("DynamoDB refused the update without a reason");
                return Ok(refused(reason.to_owned()));
            }
            _ => return Err(TableError::new("write", table, failure_text(&error)).into()),
        }
        match read(live, table, &key).await? {
            Some(now) => item = now,
            None => return Ok(ItemChange::Overtaken),
        }
    }
}

/// The item's shape, or why no update can touch it.
fn faultless_shape(definition: &Definition, views: ViewSet, item: &Item) -> Result<Shape, String> {
    match item.get(ROLLUP_VERSION) {
        None | Some(serde_dynamo::AttributeValue::N(_)) => view_item::shape(definition, views, Some(item)),
        Some(other) => Err(format!("its {ROLLUP_VERSION} is of type {}, not a number", type_name(other))),
    }
}

async fn send(live: &LiveTables, table: &str, key: &Item, update: Update) -> Result<(), SdkError<UpdateItemError>> {
    let Update { expression, condition, names, values } = update;
    let request = live
        .client
        .update_item()
        .table_name(table)
        .set_key(Some(key.clone().into()))
        .update_expression(expression)
        .set_condition_expression(condition)
        .set_expression_attribute_names(Some(names))
        .set_expression_attribute_values(Some(Item::from(values).into()));
    request.send().await.map(drop)
}

async fn read(live: &LiveTables, table: &str, key: &Item) -> Result<Option<Item>, MigrateError> {
    let request = live.client.get_item().table_name(table).set_key(Some(key.clone().into())).consistent_read(true);
    let answer = request.send().await.map_err(|error| TableError::new("read", table, failure_text(&error)))?;
    Ok(answer.item.map(Item::from))
}

/// The item as a view item; `None` if it is not certain to be one.
fn view_item(definition: &Definition, table: TableId, item: &Item) -> Option<TouchedItem> {
    let key = definition.own_key(table, item).ok()?;
    let has_version = item.contains_key(ROLLUP_VERSION);
    // In a view table of its own with a single view, every item whose key fits belongs to that view.
    let adopt = !definition.is_source(table) && definition.of_table(table).iter().count() == 1;
    let views = owners(definition, &key, Evidence { has_version, adopt, ..Evidence::default() });
    (!views.is_empty()).then(|| TouchedItem { key, views, texts: SetTexts::new() })
}
