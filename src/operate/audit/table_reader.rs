//! The reads of an audit: all of them consistent, none of them faster than the operator allows.

use std::collections::{BTreeSet, HashMap};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeValue as SdkValue, ConsumedCapacity, KeysAndAttributes, ReturnConsumedCapacity, TableDescription,
};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::error::AuditError;
use super::read_meter::ReadMeter;
use crate::config::Config;
use crate::operate::args::Pace;
use crate::operate::error::{TableError, failure_text};
use crate::operate::marker_table::{marker_key, record_id};
use crate::operate::progress::Progress;
use crate::rollup::Item;
use crate::rollup::check::recount::{Recount, SourceKey};
use crate::rollup::model::definition::Definition;
use crate::rollup::model::limits;
use crate::rollup::model::poison::Image;
use crate::rollup::model::record::RecordId;
use crate::rollup::model::view::{TableId, View, ViewKey};
use crate::rollup::pipeline::contribution::contribution;

/// Bytes of a table for which one more segment of a scan is worth it: each is a scan of its own, and an emulator reads the
/// whole table for each.
const SEGMENT_BYTES: i64 = 32 * 1024 * 1024;

/// What is known of the source table.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its key attributes, the partition key first.
    pub key: Vec<String>,
    /// The stream that is switched on, by its ARN.
    pub stream: Option<String>,
    /// How many items it has, as the service estimates it now and then.
    pub items: u64,
}

/// The tables, read with an operator's care.
#[derive(Debug)]
pub struct TableReader {
    pub(in crate::operate) client: Client,
    pub(in crate::operate) config: Config,
    /// What is known of the source table.
    pub source: Source,
    /// Requests side by side.
    pub concurrency: usize,
    pub(super) meter: ReadMeter,
}

/// An item as the SDK has it.
type SdkItem = HashMap<String, SdkValue>;

/// A request's names behind placeholders.
pub(super) struct Projection {
    pub(super) expression: String,
    pub(super) names: HashMap<String, String>,
}

pub(super) fn projection<'a>(attributes: impl IntoIterator<Item = &'a str>) -> Projection {
    let attributes: BTreeSet<&str> = attributes.into_iter().collect();
    let names: HashMap<String, String> =
        attributes.iter().enumerate().map(|(place, name)| (format!("#p{place}"), (*name).to_owned())).collect();
    let places: Vec<String> = (0..attributes.len()).map(|place| format!("#p{place}")).collect();
    Projection { expression: places.join(","), names }
}

impl TableReader {
    /// Looks at the tables.
    ///
    /// # Errors
    /// When the source table cannot be described.
    pub async fn open(sdk: &SdkConfig, config: Config, pace: &Pace) -> Result<Self, AuditError> {
        let client = Client::new(sdk);
        let table = config.definition.source_table();
        let described = client.describe_table().table_name(table).send().await;
        let described = described.map_err(|e| error("describe", table, failure_text(&e)))?.table;
        let source = described.map(|table| source(&table));
        let source = source.ok_or_else(|| error("describe", table, "the answer is empty"))?;
        let meter = ReadMeter::new(pace.max_read_units);
        Ok(Self { client, config, source, concurrency: usize::from(pace.concurrency), meter })
    }

    /// What is counted.
    #[must_use]
    pub fn definition(&self) -> &Definition {
        &self.config.definition
    }

    /// Scans a table in parallel, page by page.
    async fn scan<'a>(
        &self,
        table: &str,
        attributes: impl IntoIterator<Item = &'a str>,
        progress: Option<&Progress>,
        visit: impl Fn(Item),
    ) -> Result<(), AuditError> {
        let Projection { expression, names } = projection(attributes);
        let segments = self.segments(table).await?;
        let (visit, expression, names) = (&visit, &expression, &names);
        let scans = (0..segments).map(|segment| async move {
            let mut from = None;
            loop {
                let request = self.client.scan().table_name(table).consistent_read(true);
                let request = request.segment(segment).total_segments(segments).set_exclusive_start_key(from);
                let request = request.projection_expression(expression);
                let request = request.set_expression_attribute_names(Some(names.clone()));
                let answer = request.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await;
                let answer = answer.map_err(|e| error("scan", table, failure_text(&e)))?;
                if let Some(progress) = progress {
                    progress.add(u64::try_from(answer.scanned_count).unwrap_or_default());
                }
                answer.items.unwrap_or_default().into_iter().map(Item::from).for_each(visit);
                self.meter.consumed(&answer.consumed_capacity).await;
                from = answer.last_evaluated_key.filter(|key| !key.is_empty());
                if from.is_none() {
                    return Ok::<_, AuditError>(());
                }
            }
        });
        stream::iter(scans).buffer_unordered(self.concurrency).try_collect::<()>().await
    }

    /// Into how many segments a scan of a table is divided: as many as are allowed, unless it is known to be small.
    async fn segments(&self, table: &str) -> Result<i32, AuditError> {
        let most = i32::try_from(self.concurrency).unwrap_or(i32::MAX);
        let described = self.client.describe_table().table_name(table).send().await;
        let described = described.map_err(|e| error("describe", table, failure_text(&e)))?.table;
        let bytes = described.and_then(|table| table.table_size_bytes).filter(|bytes| *bytes > 0);
        Ok(bytes.map_or(most, |bytes| i32::try_from(bytes / SEGMENT_BYTES + 2).unwrap_or(most).min(most)))
    }

    fn source_attributes(&self) -> impl Iterator<Item = &str> {
        self.source.key.iter().map(String::as_str).chain(self.definition().reads())
    }

    /// Every source item, its keys and measured attributes.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn sources(&self, progress: &Progress, visit: impl Fn(Item)) -> Result<(), AuditError> {
        self.scan(self.definition().source_table(), self.source_attributes(), Some(progress), visit).await
    }

    /// Every item of the view tables, its key, measures and version.
    ///
    /// # Errors
    /// When a table cannot be read.
    pub async fn views(&self, visit: impl Fn(TableId, Item)) -> Result<(), AuditError> {
        for (id, table) in self.definition().table_ids() {
            self.scan(&table.name, self.definition().item_attributes(id), None, |item| visit(id, item)).await?;
        }
        Ok(())
    }

    /// Every marker, these attributes of it.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn markers(&self, attributes: &[&str], visit: impl Fn(Item)) -> Result<(), AuditError> {
        self.scan(&self.config.idempotency_table, attributes.iter().copied(), None, visit).await
    }

    /// The source items of one view item, each with what it contributes.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn recount(&self, key: &ViewKey) -> Result<Recount, AuditError> {
        let mut recount = Recount::default();
        for search in searches(self, key) {
            let mut from = None;
            loop {
                let page = match search.lookup() {
                    Lookup::Query => self.query(&search, from).await?,
                    Lookup::Scan => self.scan_for(&search, from).await?,
                };
                for item in page.items.unwrap_or_default() {
                    let item = Item::from(item);
                    let found = contribution(self.definition(), Image::New, &item).ok().and_then(|found| found.of(key));
                    recount.put(SourceKey::of(&self.source.key, &item), found);
                }
                self.meter.consumed(&page.consumed).await;
                from = page.next.filter(|key| !key.is_empty());
                if from.is_none() {
                    break;
                }
            }
        }
        Ok(recount)
    }

    async fn query(&self, search: &SourceSearch, from: Option<SdkItem>) -> Result<SourcePage, AuditError> {
        let table = self.definition().source_table();
        let request = self.client.query().table_name(table).consistent_read(true).set_exclusive_start_key(from);
        let request = request.set_key_condition_expression(search.by_key()).set_filter_expression(search.besides_key());
        let request = request.projection_expression(&search.projection.expression);
        let request = request.set_expression_attribute_names(Some(search.projection.names.clone()));
        let request = request.set_expression_attribute_values(search.values.clone());
        let answer = request.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await;
        let answer = answer.map_err(|e| error("query", table, failure_text(&e)))?;
        Ok(SourcePage { items: answer.items, consumed: answer.consumed_capacity, next: answer.last_evaluated_key })
    }

    async fn scan_for(&self, search: &SourceSearch, from: Option<SdkItem>) -> Result<SourcePage, AuditError> {
        let table = self.definition().source_table();
        let request = self.client.scan().table_name(table).consistent_read(true).set_exclusive_start_key(from);
        let request = request.set_filter_expression(search.by_all());
        let request = request.projection_expression(&search.projection.expression);
        let request = request.set_expression_attribute_names(Some(search.projection.names.clone()));
        let request = request.set_expression_attribute_values(search.values.clone());
        let answer = request.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await;
        let answer = answer.map_err(|e| error("scan", table, failure_text(&e)))?;
        Ok(SourcePage { items: answer.items, consumed: answer.consumed_capacity, next: answer.last_evaluated_key })
    }

    /// View items as they are now; those that are not there are missing in the answer.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn view_items(&self, keys: &[ViewKey]) -> Result<HashMap<ViewKey, Item>, AuditError> {
        let definition = self.definition();
        let mut found = HashMap::new();
        for (id, table) in definition.table_ids() {
            let wanted = keys.iter().filter(|key| key.table == id).map(|key| definition.key_item(key));
            let items = self.get(&table.name, wanted, definition.item_attributes(id)).await?;
            found.extend(items.into_iter().filter_map(|item| Some((definition.own_key(id, &item).ok()?, item))));
        }
        Ok(found)
    }

    /// The markers of records; those that have none are missing in the answer.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn markers_of(
        &self,
        ids: &[RecordId],
        attributes: &[&str],
    ) -> Result<HashMap<RecordId, Item>, AuditError> {
        let items =
            self.get(&self.config.idempotency_table, ids.iter().map(marker_key), attributes.iter().copied()).await?;
        Ok(items.into_iter().filter_map(|item| Some((record_id(&item)?, item))).collect())
    }

    async fn get<'a>(
        &self,
        table: &str,
        wanted: impl Iterator<Item = Item>,
        attributes: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<Item>, AuditError> {
        let Projection { expression, names } = projection(attributes);
        let wanted: Vec<SdkItem> = wanted.map(Into::into).collect();
        let (expression, names) = (&expression, &names);
        let gets = wanted.chunks(limits::BATCH_GET_KEYS).map(|keys| async move {
            let refuse = |cause: String| error("read", table, cause);
            let request = KeysAndAttributes::builder().set_keys(Some(keys.to_vec())).consistent_read(true);
            let request = request.projection_expression(expression).set_expression_attribute_names(Some(names.clone()));
            let request = request.build().map_err(|e| refuse(e.to_string()))?;
            let mut left = Some(HashMap::from([(table.to_owned(), request)]));
            let mut found = Vec::new();
            while let Some(request) = left.filter(|left| !left.is_empty()) {
                let sent = self.client.batch_get_item().set_request_items(Some(request));
                let answer = sent.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await;
                let answer = answer.map_err(|e| refuse(failure_text(&e)))?;
                // The answer names the table as it wants to, when it was asked for by its ARN.
                found.extend(answer.responses.unwrap_or_default().into_values().flatten().map(Item::from));
                self.meter.consumed(answer.consumed_capacity.iter().flatten()).await;
                left = answer.unprocessed_keys;
            }
            Ok::<_, AuditError>(found)
        });
        stream::iter(gets).buffer_unordered(self.concurrency).try_concat().await
    }
}

/// How the source items of a view item are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lookup {
    /// The view's key names the source's partition key: by a query.
    Query,
    /// Otherwise by a scan: an index cannot be read consistently.
    Scan,
}

/// What the source items of one view item are found by, for one of its views.
struct SourceSearch {
    projection: Projection,
    conditions: Vec<KeyCondition>,
    values: Option<SdkItem>,
}

/// That an attribute has the value of the view's key.
struct KeyCondition {
    expression: String,
    on: ConditionOn,
}

/// Which attribute of a source item a condition is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ConditionOn {
    PartitionKey,
    SortKey,
    Other,
}

/// A page of source items.
struct SourcePage {
    items: Option<Vec<SdkItem>>,
    consumed: Option<ConsumedCapacity>,
    next: Option<SdkItem>,
}

impl SourceSearch {
    fn of(tables: &TableReader, view: &View, key: &ViewKey) -> Self {
        let key_values = tables.definition().key_item(key);
        let mut projection = projection(tables.source_attributes());
        let mut conditions = Vec::new();
        let mut values = HashMap::new();
        for (place, part) in view.key().iter().enumerate() {
            // The items of a key that is computed are found by computing it.
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

    fn lookup(&self) -> Lookup {
        let by_partition = self.conditions.iter().any(|condition| condition.on == ConditionOn::PartitionKey);
        if by_partition { Lookup::Query } else { Lookup::Scan }
    }

    /// Whether it finds every source item there is.
    fn is_whole(&self) -> bool {
        self.conditions.is_empty()
    }

    fn by_key(&self) -> Option<String> {
        self.joined(|condition| condition.on != ConditionOn::Other)
    }

    fn besides_key(&self) -> Option<String> {
        self.joined(|condition| condition.on == ConditionOn::Other)
    }

    fn by_all(&self) -> Option<String> {
        self.joined(|_| true)
    }

    fn joined(&self, chosen: impl Fn(&KeyCondition) -> bool) -> Option<String> {
        let chosen = self.conditions.iter().filter(|condition| chosen(condition));
        let joined = chosen.map(|condition| condition.expression.as_str()).collect::<Vec<_>>().join(" AND ");
        (!joined.is_empty()).then_some(joined)
    }
}

/// A search for each view that could have made the key; one that finds everything is enough.
fn searches(tables: &TableReader, key: &ViewKey) -> Vec<SourceSearch> {
    let definition = tables.definition();
    let views = definition.fitting(key).iter();
    let mut searches: Vec<SourceSearch> = views.map(|view| SourceSearch::of(tables, &definition[view], key)).collect();
    match searches.iter().position(SourceSearch::is_whole) {
        Some(whole) => vec![searches.swap_remove(whole)],
        None => searches,
    }
}

fn source(table: &TableDescription) -> Source {
    let key: Vec<String> = table.key_schema().iter().map(|part| part.attribute_name().to_owned()).collect();
    let on = table.stream_specification().is_some_and(|stream| stream.stream_enabled);
    Source {
        stream: table.latest_stream_arn().filter(|_| on).map(str::to_owned),
        items: table.item_count().and_then(|items| u64::try_from(items).ok()).unwrap_or_default(),
        key,
    }
}

pub(super) fn error(action: &'static str, table: &str, cause: impl std::fmt::Display) -> AuditError {
    TableError::new(action, table, cause).into()
}
