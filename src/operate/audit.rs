//! `ddb-rollup audit`: every view item against its source items, while everybody goes on writing.
//!
//! One pass over the tables finds what is equal; the rest is looked at alone. In the order of the work:
//!
//! 1. [`stream_records`]: the stream up to now, and which of its records are not applied (`open_records`).
//! 2. [`table_reader`]: the source added up per view item, beside the view items, within the rate of the `read_meter`;
//!    [`ledger`], the markers.
//! 3. [`examine`]: what differs, or was written meanwhile, seen at one moment (`snapshot`).
//! 4. [`report`]: what came of it; [`page`], the same for a browser.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use aws_config::SdkConfig;
use tokio::time::Instant;

use super::CommandOutcome;
use super::agreement::Agreement;
use super::args::{Pace, Shared};
use super::clock::now;
use super::progress::Progress;
use super::stop::{Stop, until_stopped};
use super::stream::DynamoStream;
use super::stream_reader::Reach;
use crate::config::Config;
use crate::operate::audit::uncountable::UncountableItem;
use crate::rollup::Item;
use crate::rollup::check::judge::{Orphans, StoredCounters};
use crate::rollup::check::recount::SourceTotals;
use crate::rollup::model::change::of_views;
use crate::rollup::model::definition::Definition;
use crate::rollup::model::poison::Image;
use crate::rollup::model::view::{OnMissingViewItem, ROLLUP_VERSION, TableId, ViewKey};
use crate::rollup::pipeline::contribution::contribution;

pub mod compared;
pub mod error;
pub mod examine;
pub mod ledger;
mod open_records;
pub mod page;
mod read_meter;
pub mod report;
mod snapshot;
pub mod stream_records;
pub mod table_reader;
mod uncountable;

use compared::{Compared, item_key};
use error::AuditError;
use examine::{Examined, Examiner, Suspect, chunks};
use ledger::Ledger;
use report::AuditReport;
use stream_records::StreamRecords;
use table_reader::TableReader;

/// Compare every counter with a recount; writers and the function go on meanwhile
///
/// A view item is exact, behind by records that are not applied yet, drifted from what the records explain, or unstable,
/// which is that it never rested long enough to be seen. Behind is only lag. Exit code 1 is drift, unstable items, records
/// in quarantine, or findings in the ledger.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    scope: AuditScope,

    /// Write a report for people, a page in one file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// What is read, and how.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct AuditScope {
    /// Only this view item: its key, or for another key than one string, an object as {"Id":{"N":"1"}}
    #[arg(long, value_name = "KEY")]
    pub item: Option<String>,

    /// Only the counters of this view
    #[arg(long, value_name = "NAME")]
    pub view: Option<String>,

    /// Treat attributes with the names of measures as counters on every item whose key fits a view
    #[arg(long)]
    pub adopt: bool,

    /// How the tables are read.
    #[command(flatten)]
    pub pace: Pace,

    /// What is done where the function works under another definition.
    #[command(flatten)]
    pub agreement: Agreement,
}

/// Audits, and writes the report.
///
/// # Errors
/// When it could not run to its end.
pub async fn run(shared: &Shared, args: &Args) -> Result<CommandOutcome, AuditError> {
    let sdk = shared.sdk().await;
    let report = until_stopped(async |stop| audit(&sdk, shared.config()?, &args.scope, stop).await).await?;
    if let Some(file) = &args.html {
        let page = page::page(&report, now());
        let written = tokio::fs::write(file, page).await;
        written.map_err(|cause| AuditError::Html { file: file.clone(), cause })?;
    }
    shared.write(&report.json(), &report)?;
    Ok(CommandOutcome::found_unless(report.is_clean()))
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
    if scope.item.is_none() {
        audit.read_ledger().await?;
    }
    let suspects = audit.first_pass().await?;
    audit.examine(&suspects, stop).await?;
    // What differs may be in quarantine since before the stream's oldest record: only the whole table tells.
    if scope.item.is_some() && audit.examined.values().any(Examined::is_drifted) {
        audit.read_ledger().await?;
        audit.examine(&suspects, stop).await?;
    }
    Ok(audit.report())
}

/// An audit that goes on.
pub(super) struct Audit {
    tables: TableReader,
    pub(super) records: StreamRecords,
    compared: Compared,
    settle: Duration,
    /// The only view item that is asked for.
    only: Option<ViewKey>,
    ledger: Ledger,
    /// View items that the first pass found to be equal and at rest.
    equal: u64,
    /// The others.
    listed: BTreeSet<ViewKey>,
    /// How they were seen last; those that are missing are not seen yet.
    pub(super) examined: HashMap<ViewKey, Examined>,
    orphans: Orphans,
    /// Items of others with attributes that have the names of measures.
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
        Ok(Self {
            tables,
            records: StreamRecords::new(stream),
            compared,
            settle: scope.pace.settle,
            only,
            ledger: Ledger::default(),
            equal: 0,
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

    /// Reads all markers: what is in quarantine, and what they tell about themselves.
    pub(super) async fn read_ledger(&mut self) -> Result<(), AuditError> {
        self.ledger = ledger::read(&self.tables, now()).await?;
        for (id, effect) in std::mem::take(&mut self.ledger.quarantined) {
            self.records.add_quarantined(id, effect);
        }
        Ok(())
    }

    /// Finds the view items that have to be looked at alone.
    pub(super) async fn first_pass(&mut self) -> Result<Vec<Suspect>, AuditError> {
        let definition = self.tables.definition().clone();
        self.records.catch_up(&self.tables, Reach::Thorough).await?;
        self.records.touched.clear();
        if let Some(key) = self.only.clone() {
            self.listed.insert(key.clone());
            return Ok(vec![Suspect { key, source_items: 0 }]);
        }

        let (recounts, unreadable) = (RefCell::new(HashMap::<ViewKey, SourceTotals>::new()), RefCell::new(0));
        let stored = RefCell::new(HashMap::<ViewKey, StoredItem>::new());
        let uncountable = RefCell::new(Vec::new());
        let progress = Progress::reading("source items", self.tables.source.items);
        let sources = self.tables.sources(&progress, |item| match contribution(&definition, Image::New, &item) {
            Ok(found) => {
                for (view, reason) in &found.uncountable {
                    let (view, key) = (definition[*view].name(), &self.tables.source.key);
                    uncountable.borrow_mut().push(UncountableItem::new(view, key, &item, reason));
                }
                for (item, contribution) in found.by_item() {
                    recounts.borrow_mut().entry(item.clone()).or_default().add(&contribution);
                }
            }
            Err(_) => *unreadable.borrow_mut() += 1,
        });
        let views = self.tables.views(|table, item| {
            if let Some((key, item)) = StoredItem::read(&definition, table, &item) {
                stored.borrow_mut().insert(key, item);
            }
        });
        futures_util::future::try_join(sources, views).await?;
        progress.finish();
        self.records.catch_up(&self.tables, Reach::Thorough).await?;
        self.unreadable = unreadable.into_inner();
        self.uncountable = uncountable.into_inner();
        Ok(self.sort_out(recounts.into_inner(), &stored.into_inner()))
    }

    /// What is equal, and was not written meanwhile, is exact; the others are looked at alone.
    fn sort_out(
        &mut self,
        mut recounts: HashMap<ViewKey, SourceTotals>,
        stored: &HashMap<ViewKey, StoredItem>,
    ) -> Vec<Suspect> {
        let mut unsettled = std::mem::take(&mut self.records.touched);
        unsettled.extend(self.records.open.items().cloned());
        let definition = self.tables.definition().clone();
        let mut suspects = Vec::new();
        let keys: BTreeSet<ViewKey> = stored.keys().chain(recounts.keys()).chain(&unsettled).cloned().collect();
        for key in keys {
            let recount = recounts.remove(&key).unwrap_or_default();
            self.sources += recount.sources;
            let (found, unsettled) = (stored.get(&key), unsettled.contains(&key));
            let has_version = found.is_some_and(|found| found.has_version);
            let views = self.compared.owners_of(&definition, &key, has_version, recount.views);
            let is_owned = !views.is_empty();
            match found {
                None if recount.sources > 0 => self.orphans.without_view_item.push(key.clone()),
                Some(found) if recount.sources == 0 && found.counters.has_counters && is_owned => {
                    self.orphans.without_sources.push(key.clone());
                }
                Some(found) if found.counters.has_counters && !is_owned && !unsettled => {
                    self.others.push(key.clone());
                    continue;
                }
                _ => {}
            }
            let skip = || definition.on_missing(recount.views) == OnMissingViewItem::Skip;
            if found.is_none() && (recount.sources == 0 && !unsettled || recount.sources > 0 && skip()) {
                continue;
            }
            let nothing = StoredCounters::default();
            let stored = found.map_or(&nothing, |found| &found.counters).of(views);
            let differs = !stored.differences(&of_views(&recount.sums, views)).is_empty();
            if differs || unsettled {
                self.listed.insert(key.clone());
                suspects.push(Suspect { key, source_items: recount.sources });
            } else {
                self.equal += 1;
            }
        }
        suspects
    }

    /// Looks at view items alone.
    pub(super) async fn examine(&mut self, suspects: &[Suspect], stop: &Stop) -> Result<(), AuditError> {
        self.forget(suspects);
        let progress = Progress::reading("view items", u64::try_from(suspects.len()).unwrap_or_default());
        for chunk in chunks(suspects) {
            if stop.requested() {
                break;
            }
            let keys: Vec<ViewKey> = chunk.iter().map(|suspect| suspect.key.clone()).collect();
            let examined = self.examiner(stop).examine(&keys).await?;
            self.examined.extend(examined);
            progress.add(u64::try_from(chunk.len()).unwrap_or_default());
        }
        progress.finish();
        Ok(())
    }

    /// View items that are to be looked at anew.
    pub(super) fn forget(&mut self, suspects: &[Suspect]) {
        for suspect in suspects {
            self.listed.insert(suspect.key.clone());
            self.examined.remove(&suspect.key);
        }
    }

    pub(super) fn examiner<'a>(&'a mut self, stop: &'a Stop) -> Examiner<'a> {
        Examiner { tables: &self.tables, scope: self.compared, records: &mut self.records, settle: self.settle, stop }
    }

    pub(super) fn report(mut self) -> AuditReport {
        let mut findings = self.ledger.findings;
        findings.append(&mut self.records.findings);
        findings.dedup();
        let quarantined = self.records.open.quarantined(self.only.as_ref());
        let mut report = AuditReport {
            definition: self.tables.definition().clone(),
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
            read_units: self.tables.meter.units(),
            took: self.began.elapsed(),
        };
        for key in self.listed {
            match self.examined.remove(&key) {
                Some(examined) => report.add(key, examined),
                None => report.not_examined += 1,
            }
        }
        report
    }
}

/// What the first pass keeps of an item of a view table.
struct StoredItem {
    counters: StoredCounters,
    has_version: bool,
}

impl StoredItem {
    /// Reads an item that may be a view item; none if it is certainly none. In a table that is source and view, one without
    /// a trace of a view is a source item.
    fn read(definition: &Definition, table: TableId, item: &Item) -> Option<(ViewKey, Self)> {
        let key = definition.own_key(table, item).ok()?;
        let views = definition.fitting(&key);
        let counters = StoredCounters::read(definition, views, Some(item));
        let may_be_of_view = !views.is_empty() && (counters.has_counters || !definition.is_source(table));
        let has_version = item.contains_key(ROLLUP_VERSION);
        may_be_of_view.then_some((key, Self { counters, has_version }))
    }
}
