//! Processes the slices of the view items one after another. Progress is stored, so that a killed run continues at its
//! slice.

use std::fmt;
use std::io::{self, Write};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;

#[cfg(feature = "cli")]
use super::args::Shared;
use super::audit::AuditScope;
use super::audit::bounded::{REPORT_BYTES, bounded, with_counts};
use super::audit::merge;
use super::clock::now;
use super::error::{TableError, failure_text};
use super::marker_table::{SLICES_DONE, attribute_text, marker_key};
use super::printable::counted;
#[cfg(feature = "cli")]
use super::shell_option::option;
use super::slice_report::SliceReport;
use super::stop::Stop;
use crate::config::Config;
use crate::rollup::check::slice::Slice;
use crate::rollup::model::marker::{RECORDED_AT, SEQUENCE_NUMBER, STREAM};
use crate::rollup::model::record::RecordId;
use crate::rollup::{AttributeValue, Item};

/// Attribute: number of finished slices.
const DONE: &str = "Done";

/// Attribute: when the first slice was begun, in RFC 3339.
const BEGAN: &str = "Began";

/// Attribute: the sum of the reports of finished slices, as JSON.
const REPORT: &str = "Report";

/// In a report: the number of records in quarantine.
const QUARANTINED: &str = "quarantined";

/// How the view items are divided.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct SliceArgs {
    /// Process the view items in N slices, one after another: each needs less memory and reads the whole source. A
    /// stopped or killed run continues at its slice
    #[arg(long, value_name = "N", conflicts_with_all = ["item", "slice"], value_parser = clap::value_parser!(u32).range(1..=10_000))]
    slices: Option<u32>,

    /// Begin with the first slice, even if earlier slices are done
    #[arg(long, requires = "slices")]
    from_start: bool,
}

#[cfg(feature = "cli")]
impl SliceArgs {
    /// The options for slices in a follow-up command.
    #[must_use]
    pub(super) fn options(&self) -> String {
        self.slices.map(|slices| option("--slices", &slices.to_string())).unwrap_or_default()
    }
}

/// The slices that are left.
#[derive(Debug)]
pub struct Slices {
    left: Vec<Option<Slice>>,
    saved: Option<SavedSlices>,
    earlier: Option<EarlierSlices>,
    /// When the first slice was begun, by this run or by an earlier one.
    began: DateTime<Utc>,
}

/// The slices that an earlier run of the same command finished.
#[derive(Debug, Clone, PartialEq)]
pub struct EarlierSlices {
    /// Number of finished slices, from the first on.
    done: u32,
    of: u32,
    /// When the first of them was begun.
    began: DateTime<Utc>,
    /// When the last of them was finished, in RFC 3339.
    at: String,
    /// The sum of their reports. Long lists are cut, but not their counts.
    report: Value,
}

/// Where the number of finished slices is stored.
#[derive(Debug)]
struct SavedSlices {
    client: Client,
    table: String,
    id: RecordId,
}

impl Slices {
    /// The slices of a command, starting with the first that is not finished. Without slices, the work is one piece.
    ///
    /// # Errors
    /// When the stored progress cannot be read.
    pub async fn of(
        sdk: &SdkConfig,
        config: &Config,
        command: &str,
        args: &SliceArgs,
        scope: &AuditScope,
    ) -> Result<Self, TableError> {
        let began = now();
        let Some(of) = args.slices else {
            return Ok(Self { left: vec![scope.slice], saved: None, earlier: None, began });
        };
        let id = RecordId { sequence_number: SLICES_DONE.to_owned(), stream: work(config, command, scope, of) };
        let saved = SavedSlices { client: Client::new(sdk), table: config.idempotency_table.clone(), id };
        let earlier = if args.from_start { None } else { saved.read(of).await? };
        let done = earlier.as_ref().map_or(0, |earlier| earlier.done);
        let source = config.definition.source_table();
        let mut told = io::stderr();
        let _ = writeln!(told, "{of} slices: {source} is read once per slice, and once more for what differs");
        if let Some(EarlierSlices { done, at, .. }) = &earlier {
            let _ = writeln!(
                told,
                "continuing after slice {done}, which was done at {at}. To start from the first slice, add --from-start"
            );
        }
        let left = Slice::all(of).filter(|slice| slice.number() > done).map(Some);
        let left = left.collect::<Vec<_>>().into_iter().rev().collect();
        let began = earlier.as_ref().map_or(began, |earlier| earlier.began);
        Ok(Self { left, saved: Some(saved), earlier, began })
    }

    /// The slices that an earlier run finished; `None` if there are none.
    #[must_use]
    pub fn earlier(&self) -> Option<&EarlierSlices> {
        self.earlier.as_ref()
    }

    /// Whether the slices of an earlier run left nothing for an operator to do.
    #[must_use]
    pub fn were_clean(&self) -> bool {
        self.earlier().is_none_or(EarlierSlices::is_clean)
    }

    /// Notes that the report of this run counts all records in quarantine.
    #[cfg(feature = "cli")]
    pub(super) fn quarantine_is_counted(&mut self) {
        if let Some(earlier) = &mut self.earlier {
            earlier.report[QUARANTINED] = 0.into();
        }
    }

    /// Writes a report, with the slices of an earlier run.
    ///
    /// # Errors
    /// When standard output cannot be written.
    #[cfg(feature = "cli")]
    pub(super) fn write(&self, shared: &Shared, report: &impl SliceReport, text: &impl fmt::Display) -> io::Result<()> {
        match self.earlier() {
            Some(earlier) => {
                let json = EarlierSlices::sum(Some(earlier), report.json());
                shared.write(&json, &format_args!("{text}{earlier}\n"))
            }
            None => shared.write(&report.json(), text),
        }
    }

    /// The same slices, without storing progress.
    #[must_use]
    pub fn unsaved(self) -> Self {
        Self { saved: None, ..self }
    }

    /// Processes one slice after another and adds up the results, until a stop is requested.
    ///
    /// # Errors
    /// When the work fails, or the progress cannot be stored.
    pub async fn work_through<R: SliceReport, E: From<TableError> + From<io::Error>>(
        &mut self,
        stop: &Stop,
        mut work: impl AsyncFnMut(Option<Slice>) -> Result<R, E>,
    ) -> Result<R, E> {
        let mut all: Option<R> = None;
        while let Some(slice) = self.left.pop() {
            let report = work(slice).await?;
            let sum = match all.take() {
                Some(all) => all.joined(report),
                None => report,
            };
            let sum = all.insert(sum);
            if stop.requested() {
                self.tell_how_to_go_on(slice);
                break;
            }
            self.done(slice, sum).await?;
        }
        all.ok_or_else(|| E::from(io::Error::other("there is no slice left")))
    }

    /// Stores that a slice is finished, with the sum of the reports. After the last slice the stored progress is
    /// deleted.
    async fn done(&self, slice: Option<Slice>, sum: &impl SliceReport) -> Result<(), TableError> {
        match (&self.saved, slice) {
            (Some(saved), Some(slice)) if slice.number() < slice.of() => {
                let report = EarlierSlices::sum(self.earlier(), sum.json());
                saved.save(slice.number(), self.began, &bounded(report, REPORT_BYTES)).await
            }
            (Some(saved), Some(_)) => saved.forget().await,
            _ => Ok(()),
        }
    }

    /// After a stop, prints how to continue.
    fn tell_how_to_go_on(&self, slice: Option<Slice>) {
        if let (Some(_), Some(slice)) = (&self.saved, slice) {
            let done = slice.number() - 1;
            let _ = writeln!(io::stderr(), "stopped in slice {slice}; {done} done: run the same command to continue");
        }
    }
}

/// The name of the divided work, because the progress of one command says nothing about another.
fn work(config: &Config, command: &str, scope: &AuditScope, of: u32) -> String {
    let view = scope.view.as_ref().map(|view| format!(" of {view}")).unwrap_or_default();
    let adopt = if scope.adopt { " with adoption" } else { "" };
    format!("{command}{view}{adopt} {} in {of}", config.definition.fingerprint().as_str())
}

impl EarlierSlices {
    /// The sum of the reports of earlier slices, if any, and of a report.
    #[must_use]
    pub fn sum(earlier: Option<&Self>, report: Value) -> Value {
        match earlier {
            Some(earlier) => merge::sum(earlier.report.clone(), with_counts(report)),
            None => with_counts(report),
        }
    }

    /// Whether they left nothing for an operator to do.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        merge::is_clean(&self.report)
    }

    /// When the first of them was begun.
    pub(super) fn began(&self) -> DateTime<Utc> {
        self.began
    }

    /// Number of slices of which every view item was set; zero unless that is so for all of them.
    pub(super) fn set(&self) -> u32 {
        let is_zero = |name: &str| self.report[name].as_u64() == Some(0);
        if is_zero("drifted") && is_zero("unstable") { self.done } else { 0 }
    }

    fn number(&self, name: &str) -> u64 {
        self.report[name].as_u64().unwrap_or_default()
    }
}

/// The numbers, for people. The lists are only in the JSON report.
impl fmt::Display for EarlierSlices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { done, of, at, .. } = self;
        let slices =
            if *done == 1 { format!("slice 1 of {of} was") } else { format!("slices 1 to {done} of {of} were") };
        write!(
            f,
            "{slices} done before this run, until {at}: {}: {} exact, {} behind, {} unstable, {} drifted",
            counted(self.number("view_items"), "view item", "view items"),
            self.number("exact"),
            self.number("behind"),
            self.number("unstable"),
            self.number("drifted"),
        )?;
        for (name, one, several) in [
            ("repaired", "view item repaired", "view items repaired"),
            (QUARANTINED, "record in quarantine", "records in quarantine"),
            ("ledger_findings", "finding in the ledger", "findings in the ledger"),
            ("uncountable_items", "source item that a view cannot count", "source items that a view cannot count"),
        ] {
            if self.number(name) > 0 {
                write!(f, ", {}", counted(self.number(name), one, several))?;
            }
        }
        if self.is_clean() { Ok(()) } else { write!(f, "; to list them, add --json") }
    }
}

impl SavedSlices {
    fn error(&self, action: &'static str, cause: String) -> TableError {
        TableError::new(action, &self.table, cause)
    }

    /// The finished ones of `of` slices. An item that cannot be read was written by hand or by another version, so no
    /// slice counts as finished.
    async fn read(&self, of: u32) -> Result<Option<EarlierSlices>, TableError> {
        let get = self.client.get_item().table_name(&self.table).consistent_read(true);
        let answer = get.set_key(Some(marker_key(&self.id).into())).send().await;
        let item = answer.map_err(|error| self.error("read", failure_text(&error)))?.item.map(Item::from);
        Ok(item.and_then(|item| {
            let Some(AttributeValue::N(done)) = item.get(DONE) else { return None };
            let report = serde_json::from_str(attribute_text(&item, REPORT)?).ok()?;
            let began = attribute_text(&item, BEGAN)?.parse().ok()?;
            let at = attribute_text(&item, RECORDED_AT)?.to_owned();
            Some(EarlierSlices { done: done.parse().ok()?, of, began, at, report })
        }))
    }

    async fn save(&self, done: u32, began: DateTime<Utc>, report: &Value) -> Result<(), TableError> {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let item = Item::from(std::collections::HashMap::from([
            (SEQUENCE_NUMBER.to_owned(), text(&self.id.sequence_number)),
            (STREAM.to_owned(), text(&self.id.stream)),
            (DONE.to_owned(), AttributeValue::N(done.to_string())),
            (BEGAN.to_owned(), text(&began.to_rfc3339_opts(SecondsFormat::Millis, true))),
            (REPORT.to_owned(), text(&report.to_string())),
            (RECORDED_AT.to_owned(), text(&now().to_rfc3339_opts(SecondsFormat::Secs, true))),
        ]));
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item.into()));
        put.send().await.map(drop).map_err(|error| self.error("write", failure_text(&error)))
    }

    async fn forget(&self) -> Result<(), TableError> {
        let delete = self.client.delete_item().table_name(&self.table);
        let deleted = delete.set_key(Some(marker_key(&self.id).into())).send().await;
        deleted.map(drop).map_err(|error| self.error("write", failure_text(&error)))
    }
}
