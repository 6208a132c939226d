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
use super::args::{Pace, Shared};
use super::clock::now;
use super::progress::Progress;
use super::stop::{Stop, until_stopped};
use super::stream::DynamoStream;
use super::stream_reader::Reach;
use crate::config::Config;
use crate::operate::audit::uncountable::UncountableItem;
use crate::rollup::check::judge::{Orphans, StoredCounters};
use crate::rollup::check::recount::SourceTotals;
use crate::rollup::model::poison::Image;
use crate::rollup::model::view::OnMissingViewItem;
use crate::rollup::model::view::{KeyType, ROLLUP_VERSION, View, ViewKey};
use crate::rollup::pipeline::delta::contribution;
use crate::rollup::{AttributeValue, Item};

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

    /// How the tables are read.
    #[command(flatten)]
    pub pace: Pace,
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

/// Audits a view.
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
    sources: u64,
    unreadable: u64,
    uncountable: Vec<UncountableItem>,
    began: Instant,
}

impl Audit {
    pub(super) async fn begin(sdk: &SdkConfig, config: Config, scope: &AuditScope) -> Result<Self, AuditError> {
        let began = Instant::now();
        let tables = TableReader::open(sdk, config, &scope.pace).await?;
        let only = scope.item.as_ref().map(|given| key(tables.view(), given)).transpose()?;
        let streams = aws_sdk_dynamodbstreams::Client::new(sdk);
        let stream = tables.source.stream.as_ref().map(|arn| DynamoStream::new(streams, arn));
        Ok(Self {
            tables,
            records: StreamRecords::new(stream),
            settle: scope.pace.settle,
            only,
            ledger: Ledger::default(),
            equal: 0,
            listed: BTreeSet::new(),
            examined: HashMap::new(),
            orphans: Orphans::default(),
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
        let view = self.tables.view().clone();
        self.records.catch_up(&self.tables, Reach::Thorough).await?;
        self.records.touched.clear();
        if let Some(key) = self.only.clone() {
            self.listed.insert(key.clone());
            return Ok(vec![Suspect { key, source_items: 0 }]);
        }

        let (recounts, unreadable) = (RefCell::new(HashMap::<ViewKey, SourceTotals>::new()), RefCell::new(0));
        let stored = RefCell::new(HashMap::<ViewKey, StoredCounters>::new());
        let uncountable = RefCell::new(Vec::new());
        let progress = Progress::reading("source items", self.tables.source.items);
        let sources = self.tables.sources(&progress, |item| match contribution(&view, Image::New, &item) {
            Ok(found) => {
                if let Some(reason) = found.uncountable {
                    uncountable.borrow_mut().push(UncountableItem::new(&self.tables.source.key, &item, &reason));
                }
                for item in found.items {
                    recounts.borrow_mut().entry(item).or_default().add(&found.amounts);
                }
            }
            Err(_) => *unreadable.borrow_mut() += 1,
        });
        let same_table = view.is_on_its_source();
        let views = self.tables.views(|item| {
            // In a table that is source and view, an item without a version is no view item, or not yet.
            let may_be_of_view = !same_table || item.contains_key(ROLLUP_VERSION);
            if may_be_of_view && let Ok(key) = view.own_key(&item) {
                stored.borrow_mut().insert(key, StoredCounters::read(&view, Some(&item)));
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
        stored: &HashMap<ViewKey, StoredCounters>,
    ) -> Vec<Suspect> {
        let mut unsettled = std::mem::take(&mut self.records.touched);
        unsettled.extend(self.records.open.items().cloned());
        let skip = self.tables.config.on_missing == OnMissingViewItem::Skip;
        let mut suspects = Vec::new();
        let keys: BTreeSet<ViewKey> = stored.keys().chain(recounts.keys()).chain(&unsettled).cloned().collect();
        for key in keys {
            let recount = recounts.remove(&key).unwrap_or_default();
            self.sources += recount.sources;
            let found = stored.get(&key);
            match found {
                None if recount.sources > 0 => self.orphans.without_view_item.push(key.clone()),
                Some(found) if recount.sources == 0 && found.has_counters => {
                    self.orphans.without_sources.push(key.clone());
                }
                _ => {}
            }
            if found.is_none() && (skip || recount.sources == 0 && !unsettled.contains(&key)) {
                continue;
            }
            let nothing = StoredCounters::default();
            let differs = !found.unwrap_or(&nothing).differences(&recount.sums).is_empty();
            if differs || unsettled.contains(&key) {
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
        Examiner { tables: &self.tables, records: &mut self.records, settle: self.settle, stop }
    }

    pub(super) fn report(mut self) -> AuditReport {
        let mut findings = self.ledger.findings;
        findings.append(&mut self.records.findings);
        findings.dedup();
        let quarantined = self.records.open.quarantined(self.only.as_ref());
        let mut report = AuditReport {
            view: self.tables.view().clone(),
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

/// The key of a view item, as an operator writes it and `--json` prints it.
fn key(view: &View, given: &str) -> Result<ViewKey, AuditError> {
    let whole = matches!(view.key(), [part] if part.key_type == KeyType::S);
    let wanted = if whole { "its string" } else { r#"an object of attribute to value, as {"Id":{"N":"1"}}"# };
    let refuse = |cause: String| AuditError::Item { given: given.to_owned(), cause, wanted };
    let item = if whole {
        let value = AttributeValue::S(given.to_owned());
        Item::from(HashMap::from([(view.key()[0].view_attribute.clone(), value)]))
    } else {
        serde_json::from_str(given).map_err(|error| refuse(error.to_string()))?
    };
    view.own_key(&item).map_err(|error| refuse(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_one_string_is_written_as_it_is() {
        let view = View::points_of_maps("Point", "Map").unwrap();
        assert_eq!(key(&view, r#"{"a":1}"#).unwrap().to_string(), r#"{"a":1}"#);
        assert!(key(&view, "").unwrap_err().to_string().contains("empty"));
    }
}
