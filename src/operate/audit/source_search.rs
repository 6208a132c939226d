//! Recounts view items from their source items: with a query for each view item if its key allows one, otherwise with
//! one scan for all of them.

use std::cell::RefCell;
use std::collections::HashMap;

use aws_sdk_dynamodb::types::ReturnConsumedCapacity;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::error::AuditError;
use super::table_reader::{Projection, SdkItem, TableReader, error, projection};
use crate::operate::error::failure_text;
use crate::rollup::Item;
use crate::rollup::check::recount::{Recounts, SourceKey};
use crate::rollup::model::poison::Image;
use crate::rollup::model::view::{View, ViewKey};
use crate::rollup::pipeline::contribution::{Contribution, contribution};

impl TableReader {
    /// Recounts view items.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub(super) async fn recount(&self, keys: &[ViewKey]) -> Result<Recounts, AuditError> {
        let recounts = RefCell::new(Recounts::of(keys));
        let (definition, source_key) = (self.definition().clone(), self.source.key.clone());
        let prepare = move |item: Item| {
            let found = contribution(&definition, Image::New, &item).ok()?;
            Some((SourceKey::of(&source_key, &item), found))
        };
        let visit = |prepared: Option<(SourceKey, Contribution)>| {
            if let Some((key, found)) = prepared {
                recounts.borrow_mut().add(key, &found);
            }
        };
        let (definition, source) = (self.definition(), self.definition().source_table());
        let of_key =
            |key| definition.fitting(key).iter().map(move |view| SourceSearch::of(self, &definition[view], key));
        let searches = || keys.iter().flat_map(of_key);
        if self.prefers_scan(source, keys.len()) || !searches().all(|search| search.is_query()) {
            self.sources(None, prepare, visit).await?;
        } else {
            let queries = searches().map(|search| self.query(search, |item| visit(prepare(item))));
            stream::iter(queries).buffer_unordered(self.concurrency).try_collect::<()>().await?;
        }
        Ok(recounts.into_inner())
    }

    async fn query(&self, search: SourceSearch, visit: impl Fn(Item)) -> Result<(), AuditError> {
        let table = self.definition().source_table();
        let mut from = None;
        loop {
            let request = self.client.query().table_name(table).consistent_read(true).set_exclusive_start_key(from);
            let request = request.set_key_condition_expression(search.by_key());
            let request = request.set_filter_expression(search.besides_key());
            let request = request.projection_expression(&search.projection.expression);
            let request = request.set_expression_attribute_names(Some(search.projection.names.clone()));
            let request = request.set_expression_attribute_values(search.values.clone());
            let answer = request.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await;
            let answer = answer.map_err(|e| error("query", table, failure_text(&e)))?;
            answer.items.unwrap_or_default().into_iter().map(Item::from).for_each(&visit);
            self.meter.consumed(&answer.consumed_capacity).await;
            from = answer.last_evaluated_key.filter(|key| !key.is_empty());
            if from.is_none() {
                return Ok(());
            }
        }
    }
}

/// How to find the source items of a view item, for one of its views.
struct SourceSearch {
    projection: Projection,
    conditions: Vec<KeyCondition>,
    values: Option<SdkItem>,
}

/// The condition that an attribute has the value that the view's key requires.
struct KeyCondition {
    expression: String,
    on: ConditionOn,
}

/// The attribute that a condition uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ConditionOn {
    PartitionKey,
    SortKey,
    Other,
}

impl SourceSearch {
    fn of(tables: &TableReader, view: &View, key: &ViewKey) -> Self {
        let key_values = tables.definition().key_item(key);
        let mut projection = projection(tables.source_attributes());
        let mut conditions = Vec::new();
        let mut values = HashMap::new();
        for (place, part) in view.key().iter().enumerate() {
            // A computed part of a key cannot be a condition: the scan computes it for each source item.
            let Some(attribute) = part.source_attribute() else { continue };
            projection.names.insert(format!("#k{place}"), attribute.to_owned());
            if let Some(value) = key_values.get(&part.view_attribute) {
                values.insert(format!(":k{place}"), value.clone());
            }
            conditions.push(KeyCondition {
                expression: format!("#k{place} = :k{place}"),
                on: match tables.source.key.iter().position(|key| key == attribute) {
                    Some(0) => ConditionOn::PartitionKey,
                    Some(_) => ConditionOn::SortKey,
                    None => ConditionOn::Other,
                },
            });
        }
        let values = (!values.is_empty()).then(|| Item::from(values).into());
        Self { projection, conditions, values }
    }

    /// Whether the conditions cover the source table's partition key, so that a query is possible. Indexes are not
    /// used, because a global secondary index has no consistent reads.
    fn is_query(&self) -> bool {
        self.conditions.iter().any(|condition| condition.on == ConditionOn::PartitionKey)
    }

    fn by_key(&self) -> Option<String> {
        self.joined(|condition| condition.on != ConditionOn::Other)
    }

    fn besides_key(&self) -> Option<String> {
        self.joined(|condition| condition.on == ConditionOn::Other)
    }

    fn joined(&self, chosen: impl Fn(&KeyCondition) -> bool) -> Option<String> {
        let chosen = self.conditions.iter().filter(|condition| chosen(condition));
        let joined = chosen.map(|condition| condition.expression.as_str()).collect::<Vec<_>>().join(" AND ");
        (!joined.is_empty()).then_some(joined)
    }
}
