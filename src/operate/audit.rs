//! `ddb-rollup audit`: every view item against its source items, while everybody goes on writing.
//!
//! One pass over the tables finds what is equal; the rest is looked at alone. In the order of the work:
//!
//! 1. [`trail`]: the stream up to now, and which of its records are not applied.
//! 2. [`tables`]: the source added up per view item, beside the view items; [`ledger`], the markers.
//! 3. [`examine`]: what differs, or was written meanwhile, seen at one moment.
//! 4. [`report`]: what came of it; [`page`], the same for a browser. [`progress`] is what is seen of it meanwhile.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use aws_config::SdkConfig;

use super::args::{self, Shared};
use super::replay::{self, ReplayError};
use super::stop::{Stop, until_stopped};
use super::stream::{DynamoStream, StreamError};
use super::{Ending, TableError};
use crate::config::{Config, ConfigError};
use crate::rollup::check::judge::{Orphans, Stored, Verdict, Waiting};
use crate::rollup::check::ledger::Finding;
use crate::rollup::check::recount::Tally;
use crate::rollup::model::poison::Image;
use crate::rollup::model::view::{View, ViewKey};
use crate::rollup::pipeline::delta::contribution;
use crate::rollup::pipeline::update::OnMissingViewItem;
use crate::rollup::{AttributeValue, Item};

pub mod examine;
pub mod ledger;
pub mod page;
pub mod progress;
pub mod report;
mod snapshot;
pub mod tables;
mod tip;
pub mod trail;

use examine::{Examiner, LookOnly, Mend, Seen};
use progress::Progress;
use report::Report;
use tables::Tables;
use trail::{Reach, Trail};

/// Compare every counter with a recount; writers and the function go on meanwhile
///
/// A view item is exact, behind by records that are not applied yet, drifted from what the records explain, or unstable,
/// which is that it never rested long enough to be seen. Behind is only lag. Exit code 1 is drift, unstable items, records
/// in quarantine, or findings in the ledger.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub(super) reading: Reading,

    /// Write a report for people, a page in one file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// What is read, and how.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Reading {
    /// Only this view item: its key, or for another key than one string, an object as {"Id":{"N":"1"}}
    #[arg(long, value_name = "KEY")]
    pub item: Option<String>,

    /// How the tables are read.
    #[command(flatten)]
    pub pace: Pace,
}

/// How fast tables are read, and how long the stream is waited for.
#[derive(Debug, Clone, clap::Args)]
pub struct Pace {
    /// Seconds within which a write is taken to appear in the stream
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub settle: Duration,

    /// Requests side by side
    #[arg(long, value_name = "NUMBER", default_value_t = 8, value_parser = concurrency)]
    pub concurrency: u16,

    /// Read capacity units that may be consumed a second, in all tables; without it as many as there are
    #[arg(long, value_name = "UNITS", value_parser = units)]
    pub max_read_units: Option<f64>,
}

impl Default for Pace {
    /// As the command reads when nothing else is said.
    fn default() -> Self {
        Self { settle: Duration::from_secs(5), concurrency: 8, max_read_units: None }
    }
}

fn concurrency(text: &str) -> Result<u16, String> {
    args::whole(text, 1, 256)
}

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().map_err(|_| "it is no number".to_owned())?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|settle| *settle <= Duration::from_hours(1))
        .ok_or_else(|| "accepted is 0 to 3600, fractions included".to_owned())
}

fn units(text: &str) -> Result<f64, String> {
    let units = text.parse::<f64>().map_err(|_| "it is no number".to_owned())?;
    if units >= 1.0 && units.is_finite() { Ok(units) } else { Err("accepted is 1 or more".to_owned()) }
}

/// Why an audit or a repair could not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A setting of the environment.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The stream.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The key of one view item.
    #[error("--item {given} is no key of the view table: {cause}; give {wanted}")]
    Item {
        /// What was given.
        given: String,
        /// What is wrong with it.
        cause: String,
        /// What is accepted.
        wanted: String,
    },
    /// Applying records, in a repair.
    #[error(transparent)]
    Apply(#[from] ReplayError),
    /// The report for people.
    #[error("cannot write the report {file}: {cause}")]
    Html {
        /// The file.
        file: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// Output, or signals.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Audits, and writes the report.
///
/// # Errors
/// When it could not run to its end.
pub async fn run(shared: &Shared, args: &Args) -> Result<Ending, AuditError> {
    let sdk = shared.sdk().await;
    let report = until_stopped(async |stop| audit(&sdk, shared.config()?, &args.reading, stop).await).await?;
    if let Some(file) = &args.html {
        let page = page::page(&report, replay::now());
        let written = tokio::fs::write(file, page).await;
        written.map_err(|cause| AuditError::Html { file: file.clone(), cause })?;
    }
    report.write(shared.json)?;
    Ok(Ending::found_unless(report.is_clean()))
}

/// Audits a view.
///
/// # Errors
/// When a table or the stream cannot be read.
pub async fn audit(sdk: &SdkConfig, config: Config, reading: &Reading, stop: &Stop) -> Result<Report, AuditError> {
    let mut audit = Audit::begin(sdk, config, reading).await?;
    if reading.item.is_none() {
        audit.read_ledger().await?;
    }
    let suspects = audit.first_pass(reading).await?;
    let mut nothing = HashSet::new();
    audit.examine(suspects.clone(), &mut LookOnly, &mut nothing, reading, stop).await?;
    // What differs may be in quarantine since before the stream's oldest record: only the whole table tells.
    if reading.item.is_some() && audit.has_drift() {
        audit.read_ledger().await?;
        audit.examine(suspects, &mut LookOnly, &mut nothing, reading, stop).await?;
    }
    Ok(audit.report())
}

/// An audit that goes on.
pub(super) struct Audit {
    pub(super) tables: Tables,
    pub(super) trail: Trail,
    ledger: ledger::Ledger,
    /// View items that the first pass found to be equal and at rest.
    equal: u64,
    /// The others, as they were seen last; none is not seen yet.
    pub(super) seen: HashMap<ViewKey, Option<Seen>>,
    /// The only view item that is asked for.
    one: Option<ViewKey>,
    orphans: Orphans,
    sources: u64,
    unreadable: u64,
    pub(super) repaired: u64,
    began: tokio::time::Instant,
}

impl Audit {
    pub(super) async fn begin(sdk: &SdkConfig, config: Config, reading: &Reading) -> Result<Self, AuditError> {
        let began = tokio::time::Instant::now();
        let tables =
            Tables::open(sdk, config, usize::from(reading.pace.concurrency), reading.pace.max_read_units).await?;
        let stream = tables.source.stream.as_ref();
        let streams = aws_sdk_dynamodbstreams::Client::new(sdk);
        let trail = Trail::new(stream.map(|arn| DynamoStream::new(streams, arn)));
        Ok(Self {
            tables,
            trail,
            ledger: ledger::Ledger::default(),
            equal: 0,
            seen: HashMap::new(),
            one: None,
            orphans: Orphans::default(),
            sources: 0,
            unreadable: 0,
            repaired: 0,
            began,
        })
    }

    /// Reads all markers: what is in quarantine, and what they tell about themselves.
    pub(super) async fn read_ledger(&mut self) -> Result<(), AuditError> {
        self.ledger = ledger::read(&self.tables, replay::now()).await?;
        for (id, concern) in std::mem::take(&mut self.ledger.quarantined) {
            self.trail.wait(id, Waiting::Quarantined, None, concern);
        }
        Ok(())
    }

    fn has_drift(&self) -> bool {
        self.seen.values().flatten().any(|seen| matches!(seen.verdict, Verdict::Drifted(_)))
    }

    /// Finds the view items that have to be looked at alone, each with its number of source items.
    pub(super) async fn first_pass(&mut self, reading: &Reading) -> Result<Vec<(ViewKey, u64)>, AuditError> {
        let view = self.tables.view().clone();
        let one = reading.item.as_ref().map(|given| key(&view, given)).transpose()?;
        self.trail.catch_up(&self.tables, Reach::Thorough).await?;
        self.trail.touched.clear();
        if let Some(key) = one {
            self.one = Some(key.clone());
            self.seen.insert(key.clone(), None);
            return Ok(vec![(key, 0)]);
        }

        let (recounts, unreadable) = (RefCell::new(HashMap::<ViewKey, Tally>::new()), RefCell::new(0));
        let stored = RefCell::new(HashMap::<ViewKey, Stored>::new());
        let progress = Progress::of("source items", self.tables.source.items);
        let sources = self.tables.sources(&progress, |item| match contribution(&view, Image::New, &item) {
            Ok(found) => recounts.borrow_mut().entry(found.item).or_default().add(&found.amounts),
            Err(_) => *unreadable.borrow_mut() += 1,
        });
        let views = self.tables.views(|item| {
            if let Ok(key) = view.own_key(&item) {
                stored.borrow_mut().insert(key, Stored::read(&view, Some(&item)));
            }
        });
        futures_util::future::try_join(sources, views).await?;
        progress.finish();
        self.trail.catch_up(&self.tables, Reach::Thorough).await?;
        self.unreadable = unreadable.into_inner();
        Ok(self.sort_out(recounts.into_inner(), &stored.into_inner()))
    }

    /// What is equal, and was not written meanwhile, is exact; the others are looked at alone.
    fn sort_out(
        &mut self,
        mut recounts: HashMap<ViewKey, Tally>,
        stored: &HashMap<ViewKey, Stored>,
    ) -> Vec<(ViewKey, u64)> {
        let mut restless = std::mem::take(&mut self.trail.touched);
        restless.extend(self.trail.waiting_items().cloned());
        let skip = self.tables.config.on_missing == OnMissingViewItem::Skip;
        let mut suspects = Vec::new();
        let keys: BTreeSet<ViewKey> = stored.keys().chain(recounts.keys()).chain(&restless).cloned().collect();
        for key in keys {
            let recount = recounts.remove(&key).unwrap_or_default();
            self.sources += recount.sources;
            match stored.get(&key) {
                None if recount.sources > 0 => self.orphans.without_view_item.push(key.clone()),
                Some(found) if recount.sources == 0 && found.has_counters => {
                    self.orphans.without_sources.push(key.clone());
                }
                _ => {}
            }
            let nothing = Stored::default();
            let found = stored.get(&key);
            let differs = !found.unwrap_or(&nothing).differences(&recount.sums).is_empty();
            if found.is_none() && (skip || recount.sources == 0 && !restless.contains(&key)) {
                continue;
            }
            if differs || restless.contains(&key) {
                self.seen.insert(key.clone(), None);
                suspects.push((key, recount.sources));
            } else {
                self.equal += 1;
            }
        }
        suspects
    }

    /// Looks at view items alone, and mends those that need it.
    pub(super) async fn examine(
        &mut self,
        suspects: Vec<(ViewKey, u64)>,
        mender: &mut impl Mend,
        set: &mut HashSet<ViewKey>,
        reading: &Reading,
        stop: &Stop,
    ) -> Result<(), AuditError> {
        let progress = Progress::of("view items", u64::try_from(suspects.len()).unwrap_or_default());
        let mut examiner = Examiner { tables: &self.tables, trail: &mut self.trail, settle: reading.pace.settle, stop };
        let mut seen = examiner.examine(&suspects, mender, set, &progress).await?;
        progress.finish();
        for (key, _) in suspects {
            self.seen.insert(key.clone(), seen.remove(&key));
        }
        Ok(())
    }

    pub(super) fn report(self) -> Report {
        let mut findings: Vec<Finding> = self.ledger.findings;
        findings.extend(self.trail.findings.iter().cloned());
        findings.dedup();
        let quarantined: BTreeSet<_> = self.trail.quarantined(self.one.as_ref()).collect();
        let mut report = Report {
            quarantined: u64::try_from(quarantined.len()).unwrap_or_default(),
            view: self.tables.view().clone(),
            exact: self.equal,
            source_items: self.sources,
            unreadable_source_items: self.unreadable,
            orphans: self.orphans,
            findings,
            markers: self.ledger.markers,
            repairs: self.ledger.repairs,
            hours: self.ledger.hours,
            stream_records: self.trail.is_followed().then_some(self.trail.records),
            oldest_unmarked: self.trail.oldest_unmarked(),
            read_units: self.tables.consumed_units(),
            took: self.began.elapsed(),
            repaired: self.repaired,
            ..Report::empty(self.tables.view().clone())
        };
        let mut seen: Vec<_> = self.seen.into_iter().collect();
        seen.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (key, seen) in seen {
            report.add(key, seen);
        }
        report
    }
}

/// The key of a view item, as an operator writes it and `--json` prints it.
fn key(view: &View, given: &str) -> Result<ViewKey, AuditError> {
    let whole = matches!(view.key(), [part] if part.key_type == crate::rollup::model::view::KeyType::S);
    let wanted = if whole { "its string" } else { r#"an object of attribute to value, as {"Id":{"N":"1"}}"# };
    let refuse = |cause: String| AuditError::Item { given: given.to_owned(), cause, wanted: wanted.to_owned() };
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
    fn settling_and_capacity_are_numbers_within_reason() {
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        assert_eq!(seconds("0"), Ok(Duration::ZERO));
        for text in ["", "-1", "NaN", "inf", "5s", "3601"] {
            assert!(seconds(text).is_err(), "{text}");
        }
        assert_eq!(units("100"), Ok(100.0));
        for text in ["0", "-5", "NaN", "inf", "many"] {
            assert!(units(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_key_of_one_string_is_written_as_it_is() {
        let view = View::points_of_maps("Point", "Map").unwrap();
        assert_eq!(key(&view, r#"{"a":1}"#).unwrap().to_string(), r#"{"a":1}"#);
        assert!(key(&view, "").unwrap_err().to_string().contains("empty"));
    }
}
