//! The reads of an audit. All of them are consistent, and none exceeds the rate that the operator allows.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::convert::identity;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::types::{
    AttributeValue as SdkValue, KeysAndAttributes, ReturnConsumedCapacity, TableDescription,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::sleep;

use super::error::AuditError;
use super::parallel_scan::ParallelScan;
use super::read_meter::ReadMeter;
use crate::config::Config;
use crate::operate::args::Pace;
use crate::operate::error::{TableError, failure_text};
use crate::operate::marker_table::{marker_key, record_id};
use crate::operate::progress::Progress;
use crate::operate::threads::on_any_thread;
use crate::rollup::Item;
use crate::rollup::model::definition::Definition;
use crate::rollup::model::kept_record::{part_count, part_ids};
use crate::rollup::model::limits;
use crate::rollup::model::marker::{RECORD, SEQUENCE_NUMBER, STREAM};
use crate::rollup::model::record::RecordId;
use crate::rollup::model::view::{TableId, ViewKey};

/// Bytes of a table for which one more segment of a scan is worth it. The pages of a segment are read one after another,
/// so more segments are faster; each costs one more page that is not full.
const SEGMENT_BYTES: i64 = 4 * 1024 * 1024;

/// How many times the SDK sends a request that is throttled or fails on its way.
const ATTEMPTS: u32 = 12;

/// The first wait before a request is sent again, or before the rest of an answer is requested.
const BACKOFF_MIN: Duration = Duration::from_millis(50);

/// The longest wait before a request is sent again.
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// What is known about the source table.
#[derive(Debug, Clone)]
pub struct Source {
    /// The names of its key attributes, the partition key first.
    pub key: Vec<String>,
    /// The ARN of the stream that is switched on, if any.
    pub stream: Option<String>,
    /// Number of its items, as the service estimates it about every six hours (DynamoDB API Reference,
    /// `TableDescription`).
    pub items: u64,
    /// Its size in bytes, as the service estimates it with the number of items; `None` if it does not know any items.
    bytes: Option<i64>,
}

/// Reads the tables without exceeding the operator's limits.
#[derive(Debug)]
pub struct TableReader {
    pub(in crate::operate) client: Client,
    pub(in crate::operate) config: Config,
    /// The source table.
    pub source: Source,
    /// Maximum concurrent requests.
    pub concurrency: usize,
    pub(super) meter: ReadMeter,
    /// Read capacity units of the last scan of each table.
    scans: Mutex<HashMap<String, f64>>,
}

/// An item in the form of the SDK.
pub(super) type SdkItem = HashMap<String, SdkValue>;

/// A request's projection, with names behind placeholders.
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
    /// Describes the source table and prepares the reads.
    ///
    /// # Errors
    /// When the source table cannot be described.
    pub async fn open(sdk: &SdkConfig, config: Config, pace: &Pace) -> Result<Self, AuditError> {
        let retry = RetryConfig::standard().with_max_attempts(ATTEMPTS);
        let retry = retry.with_initial_backoff(BACKOFF_MIN).with_max_backoff(BACKOFF_MAX);
        let client = Client::from_conf(aws_sdk_dynamodb::config::Builder::from(sdk).retry_config(retry).build());
        let table = config.definition.source_table();
        // An unreachable endpoint is reported soon: only the requests of the audit itself are worth a long wait.
        let described = Client::new(sdk).describe_table().table_name(table).send().await;
        let described = described.map_err(|e| error("describe", table, failure_text(&e)))?.table;
        let source = described.map(|table| source(&table));
        let source = source.ok_or_else(|| error("describe", table, "the answer is empty"))?;
        let meter = ReadMeter::new(pace.max_read_units);
        let concurrency = usize::from(pace.concurrency);
        Ok(Self { client, config, source, concurrency, meter, scans: Mutex::default() })
    }

    /// What is counted.
    #[must_use]
    pub fn definition(&self) -> &Definition {
        &self.config.definition
    }

    /// Scans a table in parallel, part by part. `prepare` runs on several threads, `visit` on this one.
    async fn scan<'a, T: Send + 'static>(
        &self,
        table: &str,
        attributes: impl IntoIterator<Item = &'a str>,
        progress: Option<&Progress>,
        prepare: impl Fn(Item) -> T + Clone + Send + Sync + 'static,
        mut visit: impl FnMut(T),
    ) -> Result<(), AuditError> {
        let Projection { expression, names } = projection(attributes);
        let segments = self.segments(table).await?;
        let request = self.client.scan().table_name(table).consistent_read(true);
        let request = request.projection_expression(expression).set_expression_attribute_names(Some(names));
        let request = request.return_consumed_capacity(ReturnConsumedCapacity::Total);
        let mut scan = ParallelScan::start(&request, segments, &self.meter, prepare);
        let mut units = 0.0;
        while let Some(part) = scan.next().await {
            let part = part.map_err(|cause| error("scan", table, cause))?;
            if let Some(progress) = progress {
                progress.add(part.scanned);
            }
            part.items.into_iter().for_each(&mut visit);
            units += part.units;
        }
        self.scans.lock().unwrap_or_else(PoisonError::into_inner).insert(table.to_owned(), units);
        Ok(())
    }

    /// Whether another scan of a table costs fewer read capacity units than `requests` requests, each of which costs at
    /// least one. False if the table was not scanned before.
    pub(super) fn prefers_scan(&self, table: &str, requests: usize) -> bool {
        let scans = self.scans.lock().unwrap_or_else(PoisonError::into_inner);
        #[allow(clippy::cast_precision_loss, reason = "a comparison of costs")]
        scans.get(table).is_some_and(|units| *units < requests as f64)
    }

    /// Number of segments of a scan: the allowed concurrency, or fewer if the table is known to be small.
    async fn segments(&self, table: &str) -> Result<i32, AuditError> {
        let most = i32::try_from(self.concurrency).unwrap_or(i32::MAX);
        let bytes = if table == self.definition().source_table() {
            self.source.bytes
        } else {
            let described = self.client.describe_table().table_name(table).send().await;
            let described = described.map_err(|e| error("describe", table, failure_text(&e)))?.table;
            described.as_ref().and_then(size)
        };
        Ok(bytes.map_or(most, |bytes| i32::try_from(bytes / SEGMENT_BYTES + 2).unwrap_or(most).min(most)))
    }

    pub(super) fn source_attributes(&self) -> impl Iterator<Item = &str> {
        self.source.key.iter().map(String::as_str).chain(self.definition().reads())
    }

    /// Reads every source item: its key and the attributes that the views use. `prepare` runs on several threads.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn sources<T: Send + 'static>(
        &self,
        progress: Option<&Progress>,
        prepare: impl Fn(Item) -> T + Clone + Send + Sync + 'static,
        visit: impl FnMut(T),
    ) -> Result<(), AuditError> {
        self.scan(self.definition().source_table(), self.source_attributes(), progress, prepare, visit).await
    }

    /// Reads every item of the view tables: its key, its measures and its version. `prepare` runs on several threads.
    ///
    /// # Errors
    /// When a table cannot be read.
    pub async fn views<T: Send + 'static>(
        &self,
        prepare: impl Fn(TableId, Item) -> T + Clone + Send + Sync + 'static,
        mut visit: impl FnMut(T),
    ) -> Result<(), AuditError> {
        for (id, _) in self.definition().table_ids() {
            let prepare = prepare.clone();
            self.view(id, move |item| prepare(id, item), &mut visit).await?;
        }
        Ok(())
    }

    async fn view<T: Send + 'static>(
        &self,
        id: TableId,
        prepare: impl Fn(Item) -> T + Clone + Send + Sync + 'static,
        visit: impl FnMut(T),
    ) -> Result<(), AuditError> {
        self.scan(&self.definition()[id].name, self.definition().item_attributes(id), None, prepare, visit).await
    }

    /// Reads these attributes of every marker.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn markers(&self, attributes: &[&str], visit: impl FnMut(Item)) -> Result<(), AuditError> {
        self.scan(&self.config.idempotency_table, attributes.iter().copied(), None, identity, visit).await
    }

    /// Reads the current state of view items; missing items are left out. They are read one by one, or by a scan if
    /// that costs less.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn view_items(&self, keys: &[ViewKey]) -> Result<HashMap<ViewKey, Item>, AuditError> {
        let definition = self.definition();
        let mut found = HashMap::new();
        for (id, table) in definition.table_ids() {
            let wanted: HashSet<&ViewKey> = keys.iter().filter(|key| key.table == id).collect();
            let of_key = |item: Item| Some((definition.own_key(id, &item).ok()?, item));
            if self.prefers_scan(&table.name, wanted.len()) {
                let take = |item| found.extend(of_key(item).filter(|(key, _)| wanted.contains(key)));
                self.view(id, identity, take).await?;
            } else {
                let wanted = wanted.into_iter().map(|key| definition.key_item(key));
                let items = self.get(&table.name, wanted, definition.item_attributes(id)).await?;
                found.extend(items.into_iter().filter_map(of_key));
            }
        }
        Ok(found)
    }

    /// Reads the markers of records; records without a marker are left out.
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

    /// Reads the parts of a quarantined record that is kept in several items, in their order. Missing parts are left
    /// out.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn parts_of(&self, id: &RecordId, marker: &Item) -> Result<Vec<Item>, AuditError> {
        let ids: Vec<RecordId> = part_ids(id, part_count(marker)).collect();
        let mut found = self.markers_of(&ids, &[SEQUENCE_NUMBER, STREAM, RECORD]).await?;
        Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
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
            let request = KeysAndAttributes::builder().set_keys(Some(keys.to_vec())).consistent_read(true);
            let request = request.projection_expression(expression).set_expression_attribute_names(Some(names.clone()));
            let request = request.build().map_err(|e| error("read", table, e))?;
            let wanted = HashMap::from([(table.to_owned(), request)]);
            let found = on_any_thread(get_all(self.client.clone(), self.meter.clone(), wanted)).await;
            found.map_err(|cause| error("read", table, cause))
        });
        stream::iter(gets).buffer_unordered(self.concurrency).try_concat().await
    }
}

/// Gets items until the table has returned all of them.
async fn get_all(
    client: Client,
    meter: ReadMeter,
    wanted: HashMap<String, KeysAndAttributes>,
) -> Result<Vec<Item>, String> {
    let (mut left, mut found, mut backoff) = (Some(wanted), Vec::new(), BACKOFF_MIN);
    while let Some(request) = left {
        let sent = client.batch_get_item().set_request_items(Some(request));
        let answer = sent.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await;
        let answer = answer.map_err(|error| failure_text(&error))?;
        // If the request names the table by its ARN, the answer may use another name, so the name is ignored.
        found.extend(answer.responses.unwrap_or_default().into_values().flatten().map(Item::from));
        meter.consumed(answer.consumed_capacity.iter().flatten()).await;
        left = answer.unprocessed_keys.filter(|left| !left.is_empty());
        if left.is_some() {
            // The table gives no more at the moment: wait before the rest is requested.
            sleep(backoff).await;
            backoff = (2 * backoff).min(BACKOFF_MAX);
        }
    }
    Ok(found)
}

/// The size of a table in bytes; `None` if the service does not know any items.
fn size(table: &TableDescription) -> Option<i64> {
    table.table_size_bytes().filter(|bytes| *bytes > 0)
}

fn source(table: &TableDescription) -> Source {
    let key: Vec<String> = table.key_schema().iter().map(|part| part.attribute_name().to_owned()).collect();
    let on = table.stream_specification().is_some_and(|stream| stream.stream_enabled);
    Source {
        stream: table.latest_stream_arn().filter(|_| on).map(str::to_owned),
        bytes: size(table),
        items: table.item_count().and_then(|items| u64::try_from(items).ok()).unwrap_or_default(),
        key,
    }
}

pub(super) fn error(action: &'static str, table: &str, cause: impl std::fmt::Display) -> AuditError {
    TableError::new(action, table, cause).into()
}
