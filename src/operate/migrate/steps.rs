//! What the steps of migrations share: the live tables, and the result.
//!
//! A step is safe while writers are running, because the condition of each write is what the step read. It skips what
//! is already done. It can be stopped at any time; the next run continues.

use std::future::Future;

use aws_config::{SdkConfig, retry::RetryConfig};
use aws_sdk_dynamodb::operation::scan::builders::ScanFluentBuilder;
use aws_sdk_dynamodb::{Client, config};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::error::MigrateError;
use crate::config::Config;
use crate::operate::args::Pace;
use crate::operate::error::{TableError, failure_text};
use crate::operate::progress::Progress;
use crate::rollup::Item;

/// The most attempts of one request. With the SDK's waits, that is about two minutes of throttling.
const ATTEMPTS: u32 = 12;

/// Maximum concurrent writes: enough to hide the latency of the service, few enough to leave capacity to live writers.
const WRITES_IN_FLIGHT: usize = 16;

/// What a step did, or would do in a dry run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StepResult {
    /// Number of items that it looked at.
    pub looked_at: u64,
    /// Number of items that it changed.
    pub changed: u64,
    /// Items that it cannot change in their current state. While there is one, the migration is not complete.
    pub left: Vec<LeftItem>,
    /// Further lines of the report.
    pub notes: Vec<String>,
}

impl StepResult {
    /// Adds the result for another table.
    pub(super) fn join(&mut self, other: Self) {
        self.looked_at += other.looked_at;
        self.changed += other.changed;
        self.left.extend(other.left);
        self.notes.extend(other.notes);
    }
}

/// An item that a step cannot change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftItem {
    pub key: String,
    /// Why it cannot be changed.
    pub reason: String,
}

/// The outcome for one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemChange {
    /// It was changed, or would be in a dry run.
    Made,
    /// A writer made the change first, or deleted the item.
    Overtaken,
    /// It cannot be changed.
    Refused(LeftItem),
}

/// The tables that a step changes.
#[derive(Debug, Clone)]
pub struct LiveTables {
    /// The client for the tables.
    pub client: Client,
    /// The AWS settings, for a step that uses other services too.
    pub sdk: SdkConfig,
    /// The names of the tables, and the definition.
    pub config: Config,
    /// How fast source items are read.
    pub pace: Pace,
    /// Who applies the steps, for the records of repairs.
    pub who: String,
}

impl LiveTables {
    /// The tables of these settings. `who` is recorded as the person who changes them.
    #[must_use]
    pub fn new(sdk: SdkConfig, config: Config, pace: Pace, who: String) -> Self {
        // Live writers may use all the capacity, so wait longer than the SDK does by default.
        let patient = RetryConfig::standard().with_max_attempts(ATTEMPTS);
        let client = Client::from_conf(config::Builder::from(&sdk).retry_config(patient).build());
        Self { client, sdk, config, pace, who }
    }

    /// Applies a function to every item that a scan returns, several items at a time.
    pub(super) async fn each<F: Future<Output = Result<ItemChange, MigrateError>>>(
        &self,
        title: &str,
        table: &str,
        scan: ScanFluentBuilder,
        change: impl Fn(Item) -> F,
    ) -> Result<StepResult, MigrateError> {
        let progress = Progress::changing(title, self.expected(table).await);
        let mut pages = scan.table_name(table).consistent_read(true).into_paginator().send();
        let mut result = StepResult::default();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| TableError::new("read", table, failure_text(&error)))?;
            let looked_at = u64::try_from(page.scanned_count).unwrap_or_default();
            result.looked_at += looked_at;
            progress.add(looked_at);
            let items = page.items.unwrap_or_default();
            let mut changes =
                stream::iter(items.into_iter().map(|item| change(Item::from(item)))).buffer_unordered(WRITES_IN_FLIGHT);
            while let Some(change) = changes.try_next().await? {
                match change {
                    ItemChange::Made => {
                        result.changed += 1;
                        progress.add_changed(1);
                    }
                    ItemChange::Overtaken => {}
                    ItemChange::Refused(left) => result.left.push(left),
                }
            }
        }
        progress.finish();
        Ok(result)
    }

    /// The approximate number of items of a table, which DynamoDB updates about every six hours. `None` if unknown,
    /// because only the length of a progress bar depends on it.
    async fn expected(&self, table: &str) -> Option<u64> {
        let description = self.client.describe_table().table_name(table).send().await.ok()?.table?;
        u64::try_from(description.item_count?).ok().filter(|count| *count > 0)
    }
}
