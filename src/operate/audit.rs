//! `ddb-rollup audit`: compares every view item with its source items, while writers and the function are running.
//!
//! One pass over the tables finds the view items that are exact; the others are examined in chunks. In the order of the
//! work:
//!
//! 1. [`stream_records`]: reads the stream up to now, and finds the records that are not applied (`open_records`).
//! 2. `first_pass`: sums up the source items of each view item, and reads the view items ([`table_reader`], by a
//!    `parallel_scan` within the rate of the `read_meter`) and the markers ([`ledger`]).
//! 3. [`examine`]: recounts the view items that differ, or that were written during the pass (`source_search`), and
//!    reads each as of one moment (`snapshot`).
//! 4. [`judged`]: what is kept of an examined item. [`report`]: the result; `text` and [`page`] show it on a terminal
//!    and in a browser, with `notes` and `remedies`; [`merge`] adds up several reports.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use aws_config::SdkConfig;
use tokio::time::Instant;

use super::agreement::Agreement;
use super::args::Pace;
use super::clock::now;
use super::progress::Progress;
use super::stop::Stop;
use super::stream::DynamoStream;
use super::stream_reader::Reach;
use crate::config::Config;
use crate::operate::audit::uncountable::UncountableItem;
use crate::rollup::check::balance::Balances;
use crate::rollup::check::judge::Orphans;
use crate::rollup::check::slice::Slice;
use crate::rollup::model::measure::ViewSet;
use crate::rollup::model::record::RecordId;
use crate::rollup::model::view::ViewKey;

mod at_once;
pub(crate) mod bounded;
#[cfg(feature = "cli")]
mod command;
pub mod compared;
pub mod error;
pub mod examine;
mod first_pass;
pub mod item_sizes;
pub mod judged;
pub mod ledger;
pub mod merge;
mod noted;
mod notes;
mod open_records;
pub mod page;
mod parallel_scan;
mod read_meter;
mod remedies;
pub mod report;
mod snapshot;
mod source_search;
pub mod stream_records;
pub mod table_reader;
pub(in crate::operate) mod text;
mod uncountable;
mod unwritten;

#[cfg(feature = "cli")]
pub use command::{Args, run};

use compared::{Compared, item_key};
use error::AuditError;
use examine::{AfterLook, Examiner, OnlyLook, RecountedItems, Suspect, chunks};
use item_sizes::ItemSizes;
use judged::JudgedItem;
use ledger::Ledger;
use open_records::QuarantinedKind;
use report::AuditReport;
use stream_records::{MarkersAsked, StreamRecords};
use table_reader::TableReader;

/// What is read, and how.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct AuditScope {
    /// Only this view item: its key as a string or, if it is not one string, an object such as {"Id":{"N":"1"}}
    #[arg(long, value_name = "KEY")]
    pub item: Option<String>,

    /// Only the counters of this view
    #[arg(long, value_name = "NAME")]
    pub view: Option<String>,

    /// Only a slice of the view items, by a hash of their keys: K/N is the Kth of N. Each slice reads the whole source
    #[arg(long, value_name = "K/N", conflicts_with = "item")]
    pub slice: Option<Slice>,

    /// Treat attributes with the names of measures as counters on every item whose key fits a view
    #[arg(long)]
    pub adopt: bool,

    /// Look up the marker of every stream record, not only where a view item differs or a record is younger than --lag
    #[arg(long)]
    pub all_markers: bool,

    /// How fast the tables are read.
    #[command(flatten)]
    pub pace: Pace,

    /// How to treat a function that counts under another definition.
    #[command(flatten)]
    pub agreement: Agreement,
}

/// Audits the views.
///
/// # Errors
/// When a table or the stream cannot be read.
pub async fn audit(
    sdk: &SdkConfig,
    config: Config,
    scope: &AuditScope,
    stop: &Stop,
) -> Result<AuditReport, AuditError> {
    let mut audit = Audit::begin(sdk, config, scope).await?;
    let suspects = audit.first_pass().await?;
    audit.examine(&suspects, stop, &mut OnlyLook).await?;
    // A drifted item may have records in quarantine that are older than the stream; only the whole idempotency table
    // shows them.
    if scope.item.is_some() && audit.examined.values().any(JudgedItem::is_drifted) {
        audit.read_ledger().await?;
        audit.examine(&suspects, stop, &mut OnlyLook).await?;
    }
    Ok(audit.report())
}

/// An audit in progress.
pub(super) struct Audit {
    pub(super) tables: TableReader,
    pub(super) records: StreamRecords,
    compared: Compared,
    settle: Duration,
    /// The only view item to audit, with `--item`.
    only: Option<ViewKey>,
    /// The only slice to audit; `None` for all.
    slice: Option<Slice>,
    ledger: Ledger,
    /// The sums of the first pass, for the view items that it did not find exact.
    balances: Balances,
    /// When the source items of `balances` were last read, or the items last examined.
    seen_at: Instant,
    /// Number of view items that the first pass found exact.
    equal: u64,
    /// The sizes of these view items.
    sizes: ItemSizes,
    /// The view items to examine.
    listed: BTreeSet<ViewKey>,
    /// The last verdict on each of them; an item that is missing here is not examined yet.
    pub(super) examined: HashMap<ViewKey, JudgedItem>,
    orphans: Orphans,
    /// Items that belong to no view, but have attributes with the names of measures.
    others: Vec<ViewKey>,
    sources: u64,
    unreadable: u64,
    uncountable: Vec<UncountableItem>,
    began: Instant,
}

impl Audit {
    pub(super) async fn begin(sdk: &SdkConfig, config: Config, scope: &AuditScope) -> Result<Self, AuditError> {
        let began = Instant::now();
        let tables = TableReader::open(sdk, config, &scope.pace).await?;
        scope.agreement.check(sdk, &tables.config, tables.source.stream.as_deref()).await?;
        let compared = Compared::of(tables.definition(), scope.view.as_deref(), scope.adopt)?;
        let only = scope.item.as_ref().map(|given| item_key(tables.definition(), compared.views, given)).transpose()?;
        let streams = aws_sdk_dynamodbstreams::Client::new(sdk);
        let stream = tables.source.stream.as_ref().map(|arn| DynamoStream::new(streams, arn));
        let asked = match &only {
            _ if scope.all_markers => MarkersAsked::All,
            Some(only) => MarkersAsked::Of(only.clone()),
            None => MarkersAsked::Since(now() - scope.pace.lag),
        };
        Ok(Self {
            tables,
            records: StreamRecords::new(stream, &scope.pace, asked),
            compared,
            settle: scope.pace.settle,
            only,
            slice: scope.slice,
            ledger: Ledger::default(),
            balances: Balances::default(),
            seen_at: began,
            equal: 0,
            sizes: ItemSizes::default(),
            listed: BTreeSet::new(),
            examined: HashMap::new(),
            orphans: Orphans::default(),
            others: Vec::new(),
            sources: 0,
            unreadable: 0,
            uncountable: Vec::new(),
            began,
        })
    }

    /// Reads all markers: the records in quarantine, and contradictions in the markers themselves.
    pub(super) async fn read_ledger(&mut self) -> Result<(), AuditError> {
        self.ledger = ledger::read(&self.tables, now()).await?;
        self.take_quarantined();
        Ok(())
    }

    fn take_quarantined(&mut self) {
        for (id, effect) in std::mem::take(&mut self.ledger.quarantined) {
            self.records.add_quarantined(id, effect);
        }
    }

    /// Examines view items alone. First come those that were not written since the first pass, because their source
    /// items need not be read again.
    pub(super) async fn examine(
        &mut self,
        suspects: &[Suspect],
        stop: &Stop,
        after: &mut impl AfterLook,
    ) -> Result<(), AuditError> {
        stop.tables_scanned();
        self.forget(suspects);
        let written = self.examine_unwritten(suspects, stop, after).await?;
        self.recount(&written, stop, after).await
    }

    /// Examines view items in chunks. The source items of the next chunk are read at the same time.
    async fn recount(
        &mut self,
        suspects: &[Suspect],
        stop: &Stop,
        after: &mut impl AfterLook,
    ) -> Result<(), AuditError> {
        let progress = Progress::reading("view items", u64::try_from(suspects.len()).unwrap_or_default());
        let mut chunks = chunks(suspects).into_iter();
        let mut recounted: Option<RecountedItems> = None;
        while !stop.requested() {
            let next = chunks.next().map(|chunk| chunk.iter().map(|suspect| suspect.key.clone()).collect::<Vec<_>>());
            if next.is_none() && recounted.is_none() {
                break;
            }
            if let Some(keys) = &next {
                self.records.catch_up(&self.tables, Reach::Thorough).await?;
                self.records.watch(keys);
            }
            let Self { tables, records, compared, settle, balances, .. } = &mut *self;
            let recount = async {
                let Some(keys) = next else { return Ok(None) };
                let recounts = tables.recount(&keys).await?;
                Ok::<_, AuditError>(Some((RecountedItems { keys, at: Instant::now() }, recounts)))
            };
            let mut examiner = Examiner { tables, scope: *compared, records, balances, settle: *settle, stop };
            let look = async {
                let Some(recounted) = recounted.take() else { return Ok(HashMap::new()) };
                let mut seen = examiner.examine(&recounted).await?;
                after.after(&mut examiner, &mut seen).await?;
                examiner.records.looked_at(&recounted.keys);
                Ok(seen)
            };
            let (next, seen) = futures_util::future::try_join(recount, look).await?;
            progress.add(u64::try_from(seen.len()).unwrap_or_default());
            let judged = seen.iter().map(|(key, seen)| (key.clone(), JudgedItem::of(self.tables.definition(), seen)));
            self.examined.extend(judged);
            recounted = next.map(|(items, recounts)| {
                recounts.into_iter().for_each(|(key, recount)| self.records.recounted(&key, recount));
                items
            });
        }
        progress.finish();
        Ok(())
    }

    /// The views that are compared.
    pub(super) fn views(&self) -> ViewSet {
        self.compared.views
    }

    /// Whether a view item is in the scope of the audit.
    fn wants(&self, key: &ViewKey) -> bool {
        self.only.as_ref().is_none_or(|only| only == key) && self.slice.is_none_or(|slice| slice.contains(key))
    }

    /// The only view item to audit, with `--item`.
    pub(super) fn only(&self) -> Option<&ViewKey> {
        self.only.as_ref()
    }

    /// The records in quarantine that can be applied once their cause is fixed, oldest first.
    pub(super) fn applicable(&self) -> Vec<RecordId> {
        self.records.open.in_quarantine(QuarantinedKind::Applicable, |key| self.wants(key))
    }

    /// The records in quarantine that can never be applied.
    pub(super) fn inapplicable(&self) -> Vec<RecordId> {
        self.records.open.in_quarantine(QuarantinedKind::Inapplicable, |_| true)
    }

    /// The view items that these records concern.
    pub(super) fn items_of(&self, ids: &[RecordId]) -> BTreeSet<ViewKey> {
        let items = ids.iter().flat_map(|id| self.records.open.items_of(id));
        items.filter(|key| self.wants(key)).cloned().collect()
    }

    /// Number of records in quarantine, whatever view items they concern.
    pub(super) fn quarantined_of_all(&self) -> u64 {
        u64::try_from(self.records.open.quarantined(None, |_| true)).unwrap_or_default()
    }

    /// Notes that these records are no longer in quarantine.
    pub(super) fn closed(&mut self, ids: &[RecordId]) {
        for id in ids {
            self.records.open.remove(id);
        }
    }

    /// The view items with groups that count nothing, and the views to which they belong. Drifted items are left out,
    /// because they must be set first.
    pub(super) fn with_zero_groups(&self) -> Vec<(ViewKey, ViewSet)> {
        let judged = self.examined.iter().filter(|(_, judged)| judged.zero_groups.groups > 0 && !judged.is_drifted());
        let equal = self.sizes.with_zero_groups.iter().map(|(key, views)| (key.clone(), *views));
        equal.chain(judged.map(|(key, judged)| (key.clone(), judged.views))).collect()
    }

    /// Whether every view item was examined, and none of them has drifted.
    pub(super) fn is_set(&self) -> bool {
        let is_set = |key| self.examined.get(key).is_some_and(|judged| judged.is_seen() && !judged.is_drifted());
        self.listed.iter().all(is_set)
    }

    /// Marks view items to be examined again.
    fn forget(&mut self, suspects: &[Suspect]) {
        for suspect in suspects {
            self.listed.insert(suspect.key.clone());
            self.examined.remove(&suspect.key);
        }
    }

    pub(super) fn report(mut self) -> AuditReport {
        let mut findings = std::mem::take(&mut self.ledger.findings);
        findings.append(&mut self.records.findings);
        findings.dedup();
        // Count a record in only one of several slices. Records that concern no view item are counted in the first.
        let is_first = self.slice.is_none_or(|slice| slice.number() == 1);
        let quarantined =
            self.records.open.quarantined(self.only.as_ref(), |first| first.map_or(is_first, |key| self.wants(key)));
        let mut report = AuditReport {
            definition: self.tables.definition().clone(),
            slice: self.slice,
            exact: self.equal,
            behind: Vec::new(),
            unstable: Vec::new(),
            drifted: Vec::new(),
            not_examined: 0,
            quarantined: u64::try_from(quarantined).unwrap_or_default(),
            source_items: self.sources,
            unreadable_source_items: self.unreadable,
            uncountable: self.uncountable,
            orphans: self.orphans,
            others: self.others,
            findings,
            markers: self.ledger.markers,
            repairs: self.ledger.repairs,
            hours: self.ledger.hours,
            stream_records: self.records.is_followed().then_some(self.records.count),
            oldest_unmarked: self.records.open.oldest_unmarked(),
            shards_taken_as_read: self.records.taken_as_read(),
            sizes: self.sizes,
            read_units: self.tables.meter.units(),
            took: self.began.elapsed(),
        };
        for key in self.listed {
            match self.examined.remove(&key) {
                Some(judged) => report.add(key, judged),
                None => report.not_examined += 1,
            }
        }
        report
    }
}
