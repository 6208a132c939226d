//! Processes the slices of the view items one after another. Progress is stored, so that a killed run continues at its
//! slice.

use std::io::{self, Write};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;

use super::clock::now;
#[cfg(feature = "cli")]
use super::commands::option;
use super::error::{TableError, failure_text};
use super::marker_table::{SLICES_DONE, marker_key};
use super::stop::Stop;
use crate::config::Config;
use crate::rollup::check::slice::Slice;
use crate::rollup::model::marker::{RECORDED_AT, SEQUENCE_NUMBER, STREAM};
use crate::rollup::model::record::RecordId;
use crate::rollup::{AttributeValue, Item};

/// Attribute: number of finished slices.
const DONE: &str = "Done";

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

/// The result of a slice, which can be added to other results.
pub trait SliceReport {
    /// Adds two results.
    #[must_use]
    fn joined(self, other: Self) -> Self;
}

/// The slices that are left.
#[derive(Debug)]
pub struct Slices {
    left: Vec<Option<Slice>>,
    saved: Option<SavedSlices>,
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
        only: Option<Slice>,
    ) -> Result<Self, TableError> {
        let Some(of) = args.slices else { return Ok(Self { left: vec![only], saved: None }) };
        let stream = format!("{command} {} in {of}", config.definition.fingerprint().as_str());
        let id = RecordId { sequence_number: SLICES_DONE.to_owned(), stream };
        let saved = SavedSlices { client: Client::new(sdk), table: config.idempotency_table.clone(), id };
        let done = if args.from_start { 0 } else { saved.done().await? };
        let source = config.definition.source_table();
        let mut told = io::stderr();
        let _ = writeln!(told, "{of} slices: {source} is read once per slice, and once more for what differs");
        if done > 0 {
            let _ = writeln!(
                told,
                "continuing after slice {done}; the report covers the rest. To start from the first slice, add --from-start"
            );
        }
        let left = Slice::all(of).filter(|slice| slice.number() > done).map(Some);
        Ok(Self { left: left.collect::<Vec<_>>().into_iter().rev().collect(), saved: Some(saved) })
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
        mut self,
        stop: &Stop,
        mut work: impl AsyncFnMut(Option<Slice>) -> Result<R, E>,
    ) -> Result<R, E> {
        let mut all: Option<R> = None;
        while let Some(slice) = self.left.pop() {
            let report = work(slice).await?;
            all = Some(match all {
                Some(all) => all.joined(report),
                None => report,
            });
            if stop.requested() {
                self.tell_how_to_go_on(slice);
                break;
            }
            self.done(slice).await?;
        }
        all.ok_or_else(|| E::from(io::Error::other("there is no slice left")))
    }

    /// Stores that a slice is finished. After the last slice the stored progress is deleted.
    async fn done(&self, slice: Option<Slice>) -> Result<(), TableError> {
        match (&self.saved, slice) {
            (Some(saved), Some(slice)) if slice.number() < slice.of() => saved.save(slice.number()).await,
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

impl SavedSlices {
    fn error(&self, action: &'static str, cause: String) -> TableError {
        TableError::new(action, &self.table, cause)
    }

    async fn done(&self) -> Result<u32, TableError> {
        let get = self.client.get_item().table_name(&self.table).consistent_read(true);
        let answer = get.set_key(Some(marker_key(&self.id).into())).send().await;
        let item = answer.map_err(|error| self.error("read", failure_text(&error)))?.item.map(Item::from);
        Ok(match item.as_ref().and_then(|item| item.get(DONE)) {
            Some(AttributeValue::N(done)) => done.parse().unwrap_or_default(),
            _ => 0,
        })
    }

    async fn save(&self, done: u32) -> Result<(), TableError> {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let item = Item::from(std::collections::HashMap::from([
            (SEQUENCE_NUMBER.to_owned(), text(&self.id.sequence_number)),
            (STREAM.to_owned(), text(&self.id.stream)),
            (DONE.to_owned(), AttributeValue::N(done.to_string())),
            (RECORDED_AT.to_owned(), text(&now().to_rfc3339())),
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
