//! `ddb-rollup view`: what a definition counts, what it does to an item, and which records it needs, before anything is
//! deployed.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::CommandOutcome;
use super::args::Shared;
use super::commands::Commands;
use super::error::TableError;
use crate::config::{Config, ConfigError};
use crate::rollup::Item;

mod changes;
mod checked;
pub(super) mod filter;
mod membership;
mod needs;
mod refused;
mod source_items;
mod trial;

use changes::Changes;
use checked::Checked;
use filter::{Filter, FilterArgs};
pub use refused::RefusedDefinition;
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
    Check(CheckArgs),
    /// Show what an item contributes to the views, or what a change of an item does
    Try(TryArgs),
    /// Print the filter patterns with which the function gets only records that can count
    ///
    /// It prints one pattern per line, as a parameter of the template takes it. With --json it prints one object, as the
    /// event source mapping takes it.
    Filter(FilterArgs),
}

#[derive(Debug, Clone, clap::Args)]
struct CheckArgs {
    /// File with the previous definition: say what changes, what stays behind on view items, and which repair to run
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
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

/// Why a definition cannot be checked or tried.
#[derive(Debug, thiserror::Error)]
pub enum ViewCommandError {
    /// The definition is invalid.
    #[error(transparent)]
    Definition(#[from] Box<RefusedDefinition>),
    /// Another setting is missing or invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file that cannot be read.
    #[error("cannot read {file}: {error}")]
    File {
        file: String,
        /// What the system says.
        error: io::Error,
    },
    /// A file is not an item.
    #[error("{file} is not an item in DynamoDB JSON, such as {{\"Id\": {{\"S\": \"1\"}}}}: {error}")]
    Item {
        file: String,
        /// What is wrong with it.
        error: serde_json::Error,
    },
    /// The source table cannot be read.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Output failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Checks or tries the definition, or shows which records it needs.
///
/// # Errors
/// When the definition is invalid, or the items on which it is tried cannot be read.
pub async fn run(shared: &Shared, args: &Args) -> Result<CommandOutcome, ViewCommandError> {
    match &args.command {
        Command::Check(args) => return check(shared, args),
        Command::Try(args) => {
            let config = config(shared)?;
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
            let Config { definition, .. } = config(shared)?;
            let filter = Filter::of(definition.views(), definition.source_table(), shared, args).await?;
            shared.write(&filter.json(), &filter)?;
            return Ok(CommandOutcome::found_unless(filter.is_possible()));
        }
    }
    Ok(CommandOutcome::Clean)
}

fn config(shared: &Shared) -> Result<Config, ViewCommandError> {
    shared.config().map_err(|error| match error.definition {
        Some(error) => Box::new(RefusedDefinition::of(shared, *error)).into(),
        None => error.into(),
    })
}

/// The settings, with the definition from a file instead of their own.
fn previous(shared: &Shared, file: &Path) -> Result<Config, ViewCommandError> {
    let shared = Shared { definition: Some(file.to_owned()), ..shared.clone() };
    shared.config().map_err(|error| match error.definition {
        Some(error) => Box::new(RefusedDefinition::previous(file, *error)).into(),
        None => error.into(),
    })
}

fn check(shared: &Shared, args: &CheckArgs) -> Result<CommandOutcome, ViewCommandError> {
    let checked = || {
        let previous = args.against.as_ref().map(|file| previous(shared, file)).transpose()?;
        Ok::<_, ViewCommandError>((config(shared)?, previous))
    };
    let (config, previous) = checked().inspect_err(|error| {
        if let ViewCommandError::Definition(refused) = error
            && shared.json
        {
            // If standard output is closed, the message on standard error says the same.
            let _ = writeln!(io::stdout(), "{}", refused.json());
        }
    })?;
    let changes =
        previous.map(|previous| Changes::between(&previous.definition, &config.definition, Commands::of(shared)));
    let checked = Checked { config: &config, changes };
    shared.write(&checked.json(), &checked)?;
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
        // The output of `get-item`. It cannot be an item with an attribute named `Item`, because then that value would
        // be an object of a type and a value.
        Some(item @ Value::Object(attributes)) if attributes.values().all(Value::is_object) => {
            serde_json::from_value(item.clone())
        }
        _ => serde_json::from_value(value),
    });
    read.map_err(|error| ViewCommandError::Item { file: name, error })
}
