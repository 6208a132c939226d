//! `ddb-rollup local`: the whole pipeline on this machine.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use aws_config::SdkConfig;
use chrono::Utc;
use dynoxide::Database;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::task::spawn_blocking;
use tracing::warn;

use super::Ending;
use super::args::{self, Shared};
use super::deployment::{Deployment, TEMPLATE};
use super::engine::{self, CREDENTIALS, Engine, EngineError, REGION};
use super::function::LocalFunction;
use super::poller::destination::Destination;
use super::poller::stream::DynamoStream;
use super::poller::{POLL_INTERVAL, Poller};
use super::stop::{self, Stop, Stopper};
use super::tables::{self, TableError};
use super::template::{Template, TemplateError};
use super::watch::{Change, Watched};
use crate::config::{Config, ConfigError};
use crate::store::DynamoStore;

/// Run the whole pipeline on this machine: tables, stream, poller, function
///
/// Starts a DynamoDB engine in this process, makes the tables as template.json declares them, delivers the stream to
/// the function as Lambda does, and writes a line for every view item that changes. The engine is for trying out: it
/// slows down when its stream holds more than a few thousand changes.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Port of the engine on this machine [default: 8000, with --demo any that is free]
    #[arg(long, value_name = "PORT", value_parser = port)]
    pub port: Option<u16>,

    /// File that keeps the tables; without it they are gone at the end
    #[arg(long, value_name = "FILE", conflicts_with = "demo")]
    pub data: Option<PathBuf>,

    /// Where records go that are given up: a folder, or a file of lines when the name ends in .jsonl
    #[arg(long, value_name = "PATH", default_value = "ddb-rollup-failures")]
    pub failures: PathBuf,

    /// Another value for a parameter of the template; can be given several times
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = parameter)]
    pub parameters: Vec<(String, String)>,

    /// Tell a story: load the tutorial's maps and points, change them, deliver everything again, and recount
    #[arg(long)]
    pub demo: bool,
}

/// The port where DynamoDB is expected on a developer's machine.
const DEFAULT_PORT: u16 = 8000;

/// How often expired items are deleted. DynamoDB takes up to days.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Why the pipeline does not run.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// Another endpoint than its own.
    #[error(
        "local starts an engine of its own on this machine; leave out --endpoint-url, and choose its port by --port"
    )]
    Endpoint,
    /// The template, or a value for it.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The function's settings.
    #[error("the function's settings in the template: {0}")]
    Config(#[from] ConfigError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The source table's stream is not there.
    #[error("the engine gives the table {0} no stream")]
    NoStream(String),
    /// Output, or signals.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The tables on a running engine, and what the template says about them.
pub struct Stage {
    /// What the template declares.
    pub deployment: Deployment,
    /// The function's settings, from the template's environment variables.
    pub config: Config,
    /// The engine.
    pub engine: Engine,
    /// The engine's data.
    pub database: Database,
    /// How to reach it.
    pub sdk: SdkConfig,
    /// The source table's stream.
    pub stream_arn: String,
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage")
            .field("deployment", &self.deployment)
            .field("engine", &self.engine)
            .finish_non_exhaustive()
    }
}

impl Stage {
    /// Starts an engine on this database, with the template's tables.
    ///
    /// # Errors
    /// When the template is not as it should be, the port cannot be had, or a table is there that is another.
    pub async fn set(
        database: Database,
        port: u16,
        region: Option<&str>,
        parameters: &BTreeMap<String, String>,
    ) -> Result<Self, LocalError> {
        let deployment = Deployment::read(Template::new(TEMPLATE, parameters)?)?;
        let config = Config::read(|name| deployment.environment.get(name).cloned())?;
        let engine = Engine::serve(database.clone(), port).await?;
        let sdk = engine.sdk(region);
        let client = aws_sdk_dynamodb::Client::new(&sdk);
        let mut stream_arn = None;
        for table in deployment.tables() {
            let arn = tables::ensure(&client, table).await?;
            stream_arn = stream_arn.or(arn);
        }
        let stream_arn = stream_arn.ok_or_else(|| LocalError::NoStream(deployment.source.name.clone()))?;
        Ok(Self { deployment, config, engine, database, sdk, stream_arn })
    }

    /// The source table's stream.
    #[must_use]
    pub fn stream(&self) -> DynamoStream {
        DynamoStream::new(aws_sdk_dynamodbstreams::Client::new(&self.sdk), &self.stream_arn)
    }
}

/// Runs the pipeline until Ctrl-C or SIGTERM.
///
/// # Errors
/// When it cannot start.
pub async fn run(shared: &Shared, args: &Args) -> Result<Ending, LocalError> {
    if shared.endpoint_url.is_some() {
        return Err(LocalError::Endpoint);
    }
    let signal = stop::signal()?;
    let mut parameters = shared.parameters();
    parameters.extend(args.parameters.iter().cloned());
    let database = engine::open(args.data.as_deref())?;
    let port = args.port.unwrap_or(DEFAULT_PORT);
    let stage = Stage::set(database, port, shared.region.as_deref(), &parameters).await?;
    write!(io::stderr(), "{}", greeting(&stage, args))?;

    let (stopper, stop) = stop::stop();
    let (sender, changes) = mpsc::unbounded_channel();
    let store = DynamoStore::new(&stage.sdk, stage.config.view.clone(), &stage.config.idempotency_table);
    let clock: super::poller::Clock = std::sync::Arc::new(Utc::now);
    let function = LocalFunction::new(stage.config.clone(), &stage.sdk, std::sync::Arc::clone(&clock));
    let poller = Poller {
        stream: stage.stream(),
        function: Watched::new(function, stage.config.view.clone(), store, sender),
        mapping: stage.deployment.mapping.clone(),
        destination: Destination::at(&args.failures),
        clock,
        interval: POLL_INTERVAL,
    };
    let polling = async {
        // The poller ends with its work, and so do the changes that it tells of.
        let poller = poller;
        poller.run(&stop).await;
    };
    let asked = async {
        tokio::select! {
            () = signal => stopper.stop(),
            () = stop.wait() => {}
        }
    };
    tokio::join!(polling, sweep(&stage.database, &stop), show(changes, shared.json, &stopper), asked);
    stage.engine.stop().await;
    writeln!(io::stderr(), "stopped")?;
    Ok(Ending::AsItShouldBe)
}

/// Writes changes until there are no more; when nobody reads them any longer, the pipeline stops.
async fn show(mut changes: UnboundedReceiver<Change>, json: bool, stopper: &Stopper) {
    while let Some(change) = changes.recv().await {
        let line = if json { change.json().to_string() } else { change.to_string() };
        if writeln!(io::stdout(), "{line}").is_err() {
            stopper.stop();
        }
    }
}

/// Deletes what has expired, from time to time.
async fn sweep(database: &Database, stop: &Stop) {
    while !stop.within(SWEEP_INTERVAL).await {
        let database = database.clone();
        match spawn_blocking(move || database.sweep_ttl()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => warn!("cannot delete expired items: {error}"),
            Err(error) => warn!("cannot delete expired items: {error}"),
        }
    }
}

fn greeting(stage: &Stage, args: &Args) -> String {
    let Deployment { source, view, idempotency, mapping, .. } = &stage.deployment;
    let url = stage.engine.url();
    let kept = match &args.data {
        Some(file) => format!("kept in {}", file.display()),
        None => "in memory, gone at the end; --data FILE keeps it".to_owned(),
    };
    let parallel = match stage.deployment.parallelization_factor {
        1 => String::new(),
        factor => format!("\n           One batch of a shard at a time here; on Lambda up to {factor}."),
    };
    let key = |name: &str, value: &str| format!(r#""{name}":{{"S":"{value}"}}"#);
    let example = [key("MapId", "SeattleMapId"), key("PointId", "SpaceNeedleId"), key("Category", "Landmark")];
    format!(
        "DynamoDB   {url} ({kept})
Tables     {} -> {}, markers in {}, as template.json declares them
Delivery   up to {} records a batch, after {} s at the latest; given up: {}{parallel}

Write a point in another terminal:

  AWS_ACCESS_KEY_ID={CREDENTIALS} AWS_SECRET_ACCESS_KEY={CREDENTIALS} aws dynamodb put-item --region {REGION} \\
    --endpoint-url {url} --table-name {} --item '{{{}}}'

Every view item that changes is a line on standard output. Ctrl-C stops.

",
        source.name,
        view.name,
        idempotency.name,
        mapping.batch_size,
        mapping.batching_window.as_secs(),
        args.failures.display(),
        source.name,
        example.join(","),
    )
}

fn port(text: &str) -> Result<u16, String> {
    args::whole(text, 0, u16::MAX)
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
