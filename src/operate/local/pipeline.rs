//! Runs the pipeline until the operator stops it.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::ScalarAttributeType;
use chrono::Utc;
use dynoxide::Database;
use tokio::task::spawn_blocking;
use tracing::warn;

use super::engine::{self, CREDENTIALS, REGION};
use super::error::LocalError;
use super::function::LocalFunction;
use super::options::Args;
use super::own_tables;
use super::poller::failure_destination::FailureDestination;
use super::poller::{Clock, POLL_INTERVAL, Poller};
use super::running_stack::{Declared, Own, RunningStack};
use super::self_audit::SelfAudit;
use super::stack_definition::{StackDefinition, TableDefinition};
use super::view_printer::{Format, ViewPrinter};
use crate::operate::args::Shared;
use crate::operate::printable::{printable, printable_lines};
use crate::operate::repair::OnDrift;
use crate::operate::stop::{self, Stop, Stopper};
use crate::operate::stream::DynamoStream;
use crate::rollup::Item;
use crate::rollup::model::view::TableId;
use crate::store::DynamoStore;

/// The usual port of a local DynamoDB on a developer's machine.
const DEFAULT_PORT: u16 = 8000;

/// How often expired items are deleted. DynamoDB takes up to a few days (DynamoDB Developer Guide, "Time to Live").
const EXPIRY_INTERVAL: Duration = Duration::from_secs(5);

/// Runs the pipeline until Ctrl-C or SIGTERM.
pub(super) async fn run(shared: &Shared, args: &Args) -> Result<(), LocalError> {
    if shared.endpoint_url.is_some() {
        return Err(LocalError::Endpoint);
    }
    let signal = stop::signal()?;
    let mut parameters = shared.parameters();
    parameters.extend(args.parameters.iter().cloned());
    let schemas = own_tables::schemas(&args.table_schema)?;
    let own = shared.gives_definition() || !schemas.is_empty();
    let own = own.then(|| Ok::<_, LocalError>(Own { config: shared.config()?, schemas })).transpose()?;
    let declared = Declared::read(&parameters, own)?;
    // All files of the user are checked before a table is created.
    let items = args.load.as_ref().map(|file| own_tables::items(file, &declared.definition.source)).transpose()?;
    for completed in &declared.completed {
        writeln!(io::stderr(), "{}", printable(completed))?;
    }
    let database = engine::open(args.data.as_deref())?;
    let port = args.port.unwrap_or(DEFAULT_PORT);
    let stack = RunningStack::start(database, port, shared.region.as_deref(), declared).await?;
    if let (Some(file), Some(items)) = (&args.load, items) {
        let count = items.len();
        stack.load(items).await?;
        writeln!(io::stderr(), "loaded {} into {}; items: {count}", file.display(), stack.definition.source.name)?;
    }
    write!(io::stderr(), "{}", printable_lines(greeting(&stack, args)))?;

    let (stopper, stop) = stop::stop();
    let format = if shared.json { Format::Json } else { Format::Text };
    let existing = stack.view_items().await?;
    let poller = poller(&stack, &existing, &args.failures, format, &stopper);
    let stop_at_signal = async {
        tokio::select! {
            () = signal => stopper.stop(),
            () = stop.wait() => {}
        }
    };
    let audits = async {
        if let Some(interval) = args.audit_every {
            let on_drift = if args.repair { OnDrift::Repair } else { OnDrift::Report };
            SelfAudit::new(&stack, shared, on_drift).repeat(interval, format, &stop).await;
        }
    };
    tokio::join!(poller.run(&stop), delete_expired(&stack.database, &stop), audits, stop_at_signal);
    stack.engine.stop().await;
    writeln!(io::stderr(), "stopped")?;
    Ok(())
}

/// The poller, with a function that prints what its calls change.
fn poller<'a>(
    stack: &RunningStack,
    existing: &[(TableId, Item)],
    failures: &Path,
    format: Format,
    stopper: &'a Stopper,
) -> Poller<DynamoStream, ViewPrinter<'a, LocalFunction, DynamoStore>> {
    let RunningStack { definition, config, sdk, .. } = stack;
    let clock: Clock = Arc::new(Utc::now);
    let store = DynamoStore::new(sdk, config.definition.clone(), &config.idempotency_table);
    let function = LocalFunction::new(config.clone(), sdk, Arc::clone(&clock));
    Poller {
        stream: stack.stream(),
        function: ViewPrinter::new(function, config.definition.clone(), existing, store, format, stopper),
        mapping: definition.mapping.clone(),
        destination: FailureDestination::at(failures),
        clock,
        interval: POLL_INTERVAL,
    }
}

/// Deletes expired items at an interval.
async fn delete_expired(database: &Database, stop: &Stop) {
    while !stop.within(EXPIRY_INTERVAL).await {
        let database = database.clone();
        match spawn_blocking(move || database.sweep_ttl()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => warn!("cannot delete expired items: {error}"),
            Err(error) => warn!("cannot delete expired items: {error}"),
        }
    }
}

/// The attributes of an item that a user can put into the source table, as the members of a JSON object. For a user's
/// own table they are only the key.
fn example(source: &TableDefinition) -> String {
    let key = |name: &str, kind: &str, value: &str| format!(r#""{name}":{{"{kind}":"{value}"}}"#);
    let names: Vec<&str> = source.key.iter().map(|part| part.name.as_str()).collect();
    let attributes = if names == ["MapId", "PointId"] {
        [("MapId", "SeattleMapId"), ("PointId", "SpaceNeedleId"), ("Category", "Landmark")]
            .map(|(name, value)| key(name, "S", value))
            .to_vec()
    } else {
        source
            .key
            .iter()
            .map(|part| {
                key(&part.name, part.kind.as_str(), if part.kind == ScalarAttributeType::B { "MQ==" } else { "1" })
            })
            .collect()
    };
    attributes.join(",")
}

fn greeting(stack: &RunningStack, args: &Args) -> String {
    let StackDefinition { source, views, idempotency, mapping, .. } = &stack.definition;
    let views = match views.as_slice() {
        [] => source.name.clone(),
        views => views.iter().map(|view| view.name.as_str()).collect::<Vec<_>>().join(", "),
    };
    let url = stack.engine.url();
    let kept = match &args.data {
        Some(file) => format!("kept in {}", file.display()),
        None => "in memory, gone at the end; --data FILE keeps it".to_owned(),
    };
    let parallel = match stack.definition.parallelization_factor {
        1 => String::new(),
        factor => format!("\n           One batch of a shard at a time here; on Lambda up to {factor}."),
    };
    let example = example(source);
    format!(
        "DynamoDB   {url} ({kept})
Tables     {} -> {}, markers in {}
Delivery   up to {} records a batch, after {} s at the latest; given up: {}{parallel}

Write an item in another terminal:

  AWS_ACCESS_KEY_ID={CREDENTIALS} AWS_SECRET_ACCESS_KEY={CREDENTIALS} aws dynamodb put-item --region {REGION} \\
    --endpoint-url {url} --table-name {} --item '{{{}}}'

Every view item that changes is a line on standard output. Ctrl-C stops.

",
        source.name,
        views,
        idempotency.name,
        mapping.batch_size,
        mapping.batching_window.as_secs(),
        args.failures.display(),
        source.name,
        example,
    )
}
