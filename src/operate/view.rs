//! `view`: what a definition says, what it does to an item, and which records it needs, before anything is deployed.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::CommandOutcome;
use super::args::Shared;
use super::error::TableError;
use crate::config::ConfigError;
use crate::rollup::Item;

mod checked;
pub(super) mod filter;
mod membership;
mod source_items;
mod trial;

use checked::Checked;
use filter::{Filter, FilterArgs};
use source_items::SourceItems;
use trial::Trial;

/// Check a definition, and try it on items, without writing anything
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Command {
    /// Say in words what a definition counts, and which tables and rights it needs
    Check,
    /// Show what an item contributes to the views, or what a change of an item does
    Try(TryArgs),
    /// Print the filter patterns with which the function gets only records that can count
    ///
    /// Each is a line, as a parameter of the template takes it. With --json they are one object, as the event source
    /// mapping takes them.
    Filter(FilterArgs),
}

#[derive(Debug, Clone, clap::Args)]
struct TryArgs {
    /// File with an item in DynamoDB JSON; - reads standard input. Without it and --old, the first items of the source
    /// table are tried
    #[arg(long, value_name = "FILE")]
    item: Option<PathBuf>,

    /// File with the item as it was before: show what the change from it to --item does, or without --item its deletion
    #[arg(long, value_name = "FILE")]
    old: Option<PathBuf>,

    /// How many items of the source table to try, each and together
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    limit: u16,
}

/// Why a definition cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ViewCommandError {
    /// The definition, or another setting.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file that cannot be read.
    #[error("cannot read {file}: {error}")]
    File {
        /// The file.
        file: String,
        /// What the system says.
        error: io::Error,
    },
    /// A file that holds no item.
    #[error("{file} is not an item in DynamoDB JSON, such as {{\"Id\": {{\"S\": \"1\"}}}}: {error}")]
    Item {
        /// The file.
        file: String,
        /// What is wrong with it.
        error: serde_json::Error,
    },
    /// The source table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Output.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Checks or tries the definition, or tells which records it needs.
///
/// # Errors
/// When the definition cannot be used, or what it is to be tried on cannot be read.
pub async fn run(shared: &Shared, args: &Args) -> Result<CommandOutcome, ViewCommandError> {
    let config = shared.config()?;
    match &args.command {
        Command::Check => {
            let checked = Checked(&config);
            shared.write(&checked.json(), &checked)?;
        }
        Command::Try(args) => {
            let of_file = |file: &Option<PathBuf>| file.as_deref().map(read_item).transpose();
            match (of_file(&args.old)?, of_file(&args.item)?) {
                (None, None) => {
                    let tried = SourceItems::tried(shared, &config.definition, args.limit).await?;
                    shared.write(&tried.json(), &tried)?;
                }
                (old, new) => {
                    let trial = Trial::of(&config.definition, old.as_ref(), new.as_ref());
                    shared.write(&trial.json(), &trial)?;
                }
            }
        }
        Command::Filter(args) => {
            let definition = &config.definition;
            let filter = Filter::of(definition.views(), definition.source_table(), shared, args).await?;
            shared.write(&filter.json(), &filter)?;
            return Ok(CommandOutcome::found_unless(filter.is_possible()));
        }
    }
    Ok(CommandOutcome::Clean)
}

fn read_item(file: &Path) -> Result<Item, ViewCommandError> {
    let name = file.display().to_string();
    let text = if name == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(file)
    };
    let text = text.map_err(|error| ViewCommandError::File { file: name.clone(), error })?;
    let read = serde_json::from_str::<Value>(&text).and_then(|value| match value.get("Item") {
        // As get-item prints it. An attribute of that name is an object of its type.
        Some(item @ Value::Object(attributes)) if attributes.values().all(Value::is_object) => {
            serde_json::from_value(item.clone())
        }
        _ => serde_json::from_value(value),
    });
    read.map_err(|error| ViewCommandError::Item { file: name, error })
}
