//! What a migration's step does to the live tables.
//!
//! A step is safe beside live writers (each write states what it saw as its condition), changes nothing that is done
//! already, and can be cut off anywhere: the next run finds done what is done.

use std::future::Future;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::scan::builders::ScanFluentBuilder;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::MigrateError;
use super::definition::{Migration, Step};
use super::progress::Progress;
use super::{adoption, markers, views};
use crate::config::Config;
use crate::operate::audit::Pace;
use crate::operate::cause::cause;
use crate::rollup::Item;

/// Writes in flight at once: enough to hide the way to the service, few enough to leave its capacity to live writers.
const WRITES_IN_FLIGHT: usize = 16;

/// Whether a step writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It does.
    Apply,
    /// It only tells what it would write.
    DryRun,
}

/// What a step did, or in a dry run would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Did {
    /// Items that it looked at.
    pub looked_at: u64,
    /// Items that it changed.
    pub changed: u64,
    /// Items that it cannot change as they are. While there is one, the migration is not complete.
    pub left: Vec<Left>,
    /// What there is to tell besides, a line each.
    pub notes: Vec<String>,
}

/// An item that a step cannot change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// Its key.
    pub key: String,
    /// Why not.
    pub reason: String,
}

/// What became of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It was changed, or in a dry run would be.
    Made,
    /// A live writer did it first, or deleted the item.
    Overtaken,
    /// It cannot be changed.
    Refused(Left),
}

/// Carries out steps.
pub trait Steps {
    /// Brings a migration's step to its end, beginning where an earlier run broke off. Dropping it in the middle is safe.
    ///
    /// # Errors
    /// When a table cannot be read or written.
    fn run(&self, migration: &Migration, mode: Mode) -> impl Future<Output = Result<Did, MigrateError>>;
}

/// The steps, on the tables of these settings.
#[derive(Debug, Clone)]
pub struct Live {
    /// How the tables are reached.
    pub client: Client,
    /// The AWS settings, for a step that needs more than the tables.
    pub sdk: SdkConfig,
    /// Which tables, and the view.
    pub config: Config,
    /// How source items are read.
    pub pace: Pace,
    /// Who applies the steps, for the records of repairs.
    pub who: String,
}

impl Steps for Live {
    async fn run(&self, migration: &Migration, mode: Mode) -> Result<Did, MigrateError> {
        match &migration.step {
            Step::FormatVersionOfMarkers { version } => {
                markers::set_format_version(self, &migration.to_string(), *version, mode).await
            }
            Step::CounterMapsOfViewItems {} => views::create_counter_maps(self, &migration.to_string(), mode).await,
            Step::CountersOfSourceItems {} => adoption::adopt(self, &migration.to_string(), mode).await,
        }
    }
}

impl Live {
    /// Does one thing to every item that a scan lets through, several at once.
    pub(super) async fn each<F: Future<Output = Result<Change, MigrateError>>>(
        &self,
        (title, table): (&str, &str),
        scan: ScanFluentBuilder,
        change: impl Fn(Item) -> F,
    ) -> Result<Did, MigrateError> {
        let mut progress = Progress::begin(title, self.expected(table).await);
        let mut pages = scan.table_name(table).consistent_read(true).into_paginator().send();
        let mut did = Did::default();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| MigrateError::Table {
                action: "read",
                table: table.to_owned(),
                cause: cause(&error),
            })?;
            let looked_at = u64::try_from(page.scanned_count).unwrap_or_default();
            did.looked_at += looked_at;
            progress.advance(looked_at, 0);
            let items = page.items.unwrap_or_default();
            let mut changes =
                stream::iter(items.into_iter().map(|item| change(Item::from(item)))).buffer_unordered(WRITES_IN_FLIGHT);
            while let Some(change) = changes.try_next().await? {
                match change {
                    Change::Made => {
                        did.changed += 1;
                        progress.advance(0, 1);
                    }
                    Change::Overtaken => {}
                    Change::Refused(left) => did.left.push(left),
                }
            }
        }
        progress.end();
        Ok(did)
    }

    /// About how many items a table has, as of a few hours ago. Only a bar is as long as that, so it need not be known.
    async fn expected(&self, table: &str) -> Option<u64> {
        let description = self.client.describe_table().table_name(table).send().await.ok()?.table?;
        u64::try_from(description.item_count?).ok().filter(|count| *count > 0)
    }
}
