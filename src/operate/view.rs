//! `view`: what a definition says, and what it does to an item, before anything is deployed.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::CommandOutcome;
use super::args::Shared;
use super::audit::report::{key_json, number_json};
use super::error::{TableError, failure_text};
use crate::config::{Config, ConfigError};
use crate::rollup::Item;
use crate::rollup::model::change::Sums;
use crate::rollup::model::poison::{Image, Reason};
use crate::rollup::model::view::{MissingKey, View, ViewKey};
use crate::rollup::pipeline::delta::{Contribution, Uncountable, contribution, difference};

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
    /// Show what an item contributes to the view, or what a change of an item does
    Try(TryArgs),
}

#[derive(Debug, Clone, clap::Args)]
struct TryArgs {
    /// File with an item in DynamoDB JSON; - reads standard input. Without it, items of the source table are tried
    #[arg(long, value_name = "FILE")]
    item: Option<PathBuf>,

    /// File with the item as it was before: show what the change from it to --item does
    #[arg(long, value_name = "FILE", requires = "item")]
    old: Option<PathBuf>,

    /// How many items of the source table to try
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(i32).range(1..=1_000))]
    limit: i32,
}

/// Why a definition cannot be checked or tried.
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

/// Checks or tries the definition.
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
            let trials = match &args.item {
                Some(file) => {
                    let old = args.old.as_deref().map(read_item).transpose()?;
                    vec![Trial::of(&config.view, old.as_ref(), Some(&read_item(file)?))]
                }
                None => of_source_table(shared, &config, args.limit).await?,
            };
            let tried = Tried { trials, asked_for_one: args.item.is_some() };
            shared.write(&tried.json(), &tried)?;
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

async fn of_source_table<'v>(
    shared: &Shared,
    config: &'v Config,
    limit: i32,
) -> Result<Vec<Trial<'v>>, ViewCommandError> {
    let table = config.view.source_table();
    let client = aws_sdk_dynamodb::Client::new(&shared.sdk().await);
    let page = client.scan().table_name(table).limit(limit).send().await;
    let page = page.map_err(|error| TableError::new("scan", table, failure_text(&error)))?;
    let items = page.items.unwrap_or_default().into_iter().map(Item::from);
    Ok(items.map(|item| Trial::of(&config.view, None, Some(&item))).collect())
}

/// What one item, or one change of an item, does to the view.
struct Trial<'v> {
    view: &'v View,
    deltas: BTreeMap<ViewKey, Sums>,
    in_view: bool,
    uncountable: Vec<Uncountable>,
    quarantined: Option<Reason>,
}

impl<'v> Trial<'v> {
    fn of(view: &'v View, old: Option<&Item>, new: Option<&Item>) -> Self {
        let mut trial =
            Self { view, deltas: BTreeMap::new(), in_view: false, uncountable: Vec::new(), quarantined: None };
        let contributed = |image, item: Option<&Item>| item.map(|item| contribution(view, image, item)).transpose();
        match contributed(Image::Old, old).and_then(|old| Ok((old, contributed(Image::New, new)?))) {
            Ok((old, new)) => {
                let images: Vec<&Contribution> = old.iter().chain(&new).collect();
                trial.in_view = images.iter().any(|image| !image.items.is_empty() || image.uncountable.is_some());
                trial.uncountable = images.iter().filter_map(|image| image.uncountable.clone()).collect();
                trial.deltas = difference(old, new);
            }
            Err(reason) => trial.quarantined = Some(reason),
        }
        trial
    }

    fn json(&self) -> Value {
        let view = self.view;
        let deltas = self.deltas.iter().flat_map(|(key, sums)| {
            sums.iter().map(move |(counter, amount)| {
                json!({
                    "view": view.name(),
                    "table": view.view_table(),
                    "key": key_json(view, key),
                    "measure": view.measures()[counter.measure].attribute,
                    "group": counter.group,
                    "amount": number_json(amount),
                })
            })
        });
        let mut object = json!({
            "deltas": deltas.collect::<Vec<_>>(),
            "not_in": if self.in_view || self.quarantined.is_some() { vec![] } else { vec![view.name()] },
        });
        if !self.uncountable.is_empty() {
            let reasons = self.uncountable.iter().map(|why| json!({ "view": view.name(), "reason": why.to_string() }));
            object["uncountable"] = reasons.collect();
        }
        if let Some(reason) = &self.quarantined {
            object["quarantined"] = reason.to_string().into();
        }
        object
    }
}

impl fmt::Display for Trial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, sums) in &self.deltas {
            for (counter, amount) in sums {
                let group = counter.group.as_ref().map_or(String::new(), |group| format!(".{group}"));
                let measure = &self.view.measures()[counter.measure].attribute;
                let amount = amount.to_string();
                let sign = if amount.starts_with('-') { "" } else { "+" };
                let line = format!("{} {key}: {measure}{group} {sign}{amount}", self.view.view_table());
                writeln!(f, "{}", printable(&line))?;
            }
        }
        for why in &self.uncountable {
            writeln!(f, "cannot be counted: {}", printable(&why.to_string()))?;
        }
        match &self.quarantined {
            Some(reason) => writeln!(f, "goes to quarantine: {}", printable(&reason.to_string())),
            None if !self.in_view => writeln!(f, "not in the view"),
            None if self.deltas.is_empty() && self.uncountable.is_empty() => writeln!(f, "changes nothing"),
            None => Ok(()),
        }
    }
}

/// Data as it may reach a terminal: control characters are shown, not sent.
fn printable(text: &str) -> String {
    text.chars().fold(String::new(), |mut shown, c| {
        let _ = if c.is_control() { write!(shown, "{}", c.escape_default()) } else { write!(shown, "{c}") };
        shown
    })
}

/// What items do to the view, one after another.
struct Tried<'v> {
    trials: Vec<Trial<'v>>,
    asked_for_one: bool,
}

impl Tried<'_> {
    fn json(&self) -> Value {
        let mut trials = self.trials.iter().map(Trial::json);
        if self.asked_for_one {
            trials.next().unwrap_or_default()
        } else {
            json!({ "items": trials.collect::<Vec<_>>() })
        }
    }
}

impl fmt::Display for Tried<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.trials.iter().try_for_each(|trial| trial.fmt(f))
    }
}

/// A definition that can be used, in words.
struct Checked<'c>(&'c Config);

impl Checked<'_> {
    fn json(&self) -> Value {
        let view = &self.0.view;
        let key = view.key().iter().map(|part| {
            let missing = if part.missing == MissingKey::Quarantine { "quarantine" } else { "sparse" };
            json!({
                "attribute": part.view_attribute,
                "type": part.key_type.to_string(),
                "value": part.value.to_string(),
                "missing": missing,
            })
        });
        let measures =
            view.measures().iter().map(|measure| (measure.attribute.clone(), measure.expression.to_string()));
        json!({ "views": [{
            "name": view.name(),
            "table": view.view_table(),
            "where": view.condition().map(ToString::to_string),
            "key": key.collect::<Vec<_>>(),
            "on_missing": self.0.on_missing.as_str(),
            "measures": measures.collect::<BTreeMap<_, _>>(),
        }] })
    }
}

impl fmt::Display for Checked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Config { view, idempotency_table, on_missing, .. } = self.0;
        writeln!(
            f,
            "View {:?} of the table {}, kept in the table {}",
            view.name(),
            view.source_table(),
            view.view_table()
        )?;
        match view.condition() {
            Some(condition) => writeln!(f, "  items       where {condition}")?,
            None => writeln!(f, "  items       all")?,
        }
        for part in view.key() {
            let missing = match part.missing {
                MissingKey::Sparse => "without it an item is not in the view",
                MissingKey::Quarantine => "without it the record goes to quarantine",
            };
            writeln!(f, "  key         {} ({}) = {}; {missing}", part.view_attribute, part.key_type, part.value)?;
        }
        for measure in view.measures() {
            writeln!(f, "  measure     {} = {}", measure.attribute, measure.expression)?;
        }
        writeln!(f, "  on missing  {}", on_missing.as_str())?;
        writeln!(f, "Rights of the function")?;
        writeln!(f, "  {}  read the stream, with NEW_AND_OLD_IMAGES", view.source_table())?;
        writeln!(f, "  {}  UpdateItem, GetItem, BatchGetItem, ConditionCheckItem", view.view_table())?;
        writeln!(f, "  {idempotency_table}  PutItem")
    }
}
