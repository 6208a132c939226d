//! `ddb-rollup local --demo`: shows that the counters follow the points, and that nothing counts twice.
//!
//! The engine's clock is moved by hand, so that a point expires without a real wait.
//!
//! 1. [`changes`]: the tutorial's points are written and changed.
//! 2. [`redelivery`]: every record is delivered again.
//! 3. [`recount`]: the points are counted one by one.
//! 4. [`tampering`]: a counter is written behind the function's back, found by an audit, and repaired.

mod changes;
mod observed_stack;
mod output;
mod recording_function;
mod recount;
mod redelivery;
pub(super) mod table;
mod tampering;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use dynoxide::Database;
use dynoxide::storage_backend::{Clock as _, ManualClock};
use serde_json::json;
use tokio::time::Instant;

use self::observed_stack::ObservedStack;
use self::output::DemoOutput;
use self::recording_function::RecordingFunction;
use self::recount::{CounterDifference, CountersByMap, differences};
use self::redelivery::Redelivered;
use self::tampering::Tampering;
use super::engine::EngineError;
use super::error::LocalError;
use super::function::LocalFunction;
use super::options::Args;
use super::poller::failure_destination::FailureDestination;
use super::poller::{Clock, Poller};
use super::running_stack::{Declared, RunningStack};
use crate::operate::CommandOutcome;
use crate::operate::args::Shared;
use crate::operate::printable::counted;
use crate::operate::stop;
use crate::operate::stream::DynamoStream;

/// How often the poller looks for new records.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Runs the demo, and returns whether it ended as it should: every counter equals the recount, and nothing changed when
/// all records were delivered again.
pub(super) async fn run(shared: &Shared, args: &Args) -> Result<CommandOutcome, LocalError> {
    let began = Instant::now();
    let clock = ManualClock::new(u64::try_from(Utc::now().timestamp()).unwrap_or_default());
    let stack = start_stack(shared, args, &clock).await?;
    let poller = poller(&stack, args, &clock);
    let observed = ObservedStack::new(&stack, &clock, &poller);
    let (stopper, stop) = stop::stop();
    let steps = async {
        let ended = Box::pin(run_steps(&observed, shared, DemoOutput::new(shared.json), began)).await;
        stopper.stop();
        ended
    };
    let ((), ended) = tokio::join!(poller.run(&stop), steps);
    stack.engine.stop().await;
    ended
}

async fn start_stack(shared: &Shared, args: &Args, clock: &ManualClock) -> Result<RunningStack, LocalError> {
    let database = Database::memory_with_clock(clock.arc());
    let database = database.map_err(|error| EngineError::Memory(error.to_string()))?;
    let mut parameters = shared.parameters();
    // Batches need not fill up, so that nobody waits.
    parameters.insert("MaximumBatchingWindowInSeconds".to_owned(), "0".to_owned());
    parameters.extend(args.parameters.iter().cloned());
    let declared = Declared::read(&parameters, None)?;
    RunningStack::start(database, args.port.unwrap_or(0), shared.region.as_deref(), declared).await
}

fn poller(stack: &RunningStack, args: &Args, clock: &ManualClock) -> Poller<DynamoStream, RecordingFunction> {
    let clock = clock.clone();
    let clock: Clock = Arc::new(move || {
        let seconds = i64::try_from(clock.now_unix_secs()).unwrap_or(i64::MAX);
        DateTime::from_timestamp(seconds, 0).unwrap_or_default()
    });
    let function = LocalFunction::new(stack.config.clone(), &stack.sdk, Arc::clone(&clock));
    Poller {
        stream: stack.stream(),
        function: RecordingFunction::new(function),
        mapping: stack.definition.mapping.clone(),
        destination: FailureDestination::at(&args.failures),
        clock,
        interval: POLL_INTERVAL,
    }
}

async fn run_steps(
    stack: &ObservedStack<'_>,
    shared: &Shared,
    mut output: DemoOutput,
    began: Instant,
) -> Result<CommandOutcome, LocalError> {
    output.headline("Counters that follow a table, each change counted once")?;
    output.line(&format!(
        "DynamoDB {}, tables and event source mapping as template.json declares them",
        stack.stack.engine.url()
    ))?;
    let written = changes::make(stack, &mut output).await?;
    let redelivered = redelivery::deliver_again(stack, &mut output, written).await?;
    let (stored, recounted) = (stack.counters().await?, stack.recounted().await?);
    let drift = differences(&stored, &recounted);
    show_recount(&mut output, &stored, &recounted, &drift)?;
    let tampering = tampering::tamper(stack, shared, &mut output).await?;
    let result = DemoResult { records: written, redelivered, stored, drift, tampering, took: began.elapsed() };
    Ok(conclude(stack, output, &result)?)
}

/// Prints the counters next to the recount.
fn show_recount(
    output: &mut DemoOutput,
    stored: &CountersByMap,
    recounted: &CountersByMap,
    drift: &[CounterDifference],
) -> io::Result<()> {
    let seen: Vec<_> = drift.iter().map(ToString::to_string).collect();
    output.step("The points are counted one by one", &seen, stored, stored)?;
    let rows = stored.iter().map(|(map, counters)| {
        let recounted = recounted.get(map).map_or_else(|| "0".to_owned(), ToString::to_string);
        [map.clone(), counters.to_string(), recounted]
    });
    output.line("")?;
    output.table(["map", "stored", "recounted"], rows.collect())
}

/// The result of the demo.
struct DemoResult {
    /// Number of records that the changes wrote to the stream.
    records: usize,
    redelivered: Redelivered,
    stored: CountersByMap,
    drift: Vec<CounterDifference>,
    tampering: Tampering,
    took: Duration,
}

/// Prints the verdict and the figures that support it.
fn conclude(stack: &ObservedStack<'_>, output: DemoOutput, result: &DemoResult) -> io::Result<CommandOutcome> {
    let DemoResult { records, redelivered, stored, drift, tampering, took } = result;
    let exact =
        drift.is_empty() && *redelivered == Redelivered::NothingMoved && *tampering == Tampering::FoundAndMended;
    let (delivered, batches) = (stack.delivered_records(), stack.function().deliveries().len());
    let counts = stack.function().counts();
    output.line(&format!(
        "\n{records} stream records were delivered {delivered} times in {batches} batches: {} committed, {} found.",
        counted(counts.committed(), "transaction", "transactions"),
        counted(counts.duplicates(), "duplicate", "duplicates"),
    ))?;
    output.headline(if exact {
        "Exact: every counter equals the recount, and nothing was counted twice."
    } else {
        "Not exact: see above."
    })?;
    let summary = json!({
        "exact": exact,
        "view_items": stored.len(),
        "drift": drift.iter().map(CounterDifference::json).collect::<Vec<_>>(),
        "moved_by_redelivery": *redelivered == Redelivered::SomethingMoved,
        "tampering_mended": *tampering == Tampering::FoundAndMended,
        "records": records,
        "delivered": delivered,
        "batches": batches,
        "transactions": counts.committed(),
        "duplicates": counts.duplicates(),
        "counters": output::counters(stored),
        "seconds": took.as_secs_f64(),
    });
    output.end(summary)?;
    Ok(CommandOutcome::found_unless(exact))
}
