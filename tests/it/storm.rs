//! The storm: a workload of real stream records, delivered to the real process through every fault there is, while
//! the process is killed at random. When all is acknowledged, everything must be exact.
//!
//! A seed makes the same workload, batches, faults and kills again; what only threads and time decide differs. A
//! failure names its seed and the step. The budget is raised by the environment:
//!
//! - `DDB_ROLLUP_STORM_SEEDS`: how many seeds (2);
//! - `DDB_ROLLUP_STORM_FIRST_SEED`: the first of them (1);
//! - `DDB_ROLLUP_STORM_WRITES`: writes to the source table for each seed (250);
//! - `DDB_ROLLUP_BOOTSTRAP`: another binary than the one that was built for the tests.

mod auditor;
mod engine_killed;
mod fault_plan;
mod mapping;
mod workload;

use std::env;
use std::panic::AssertUnwindSafe;
use std::str::FromStr;
use std::sync::Arc;

use fastrand::Rng;
use futures_util::FutureExt;
use futures_util::future::join_all;

use crate::engine::Engine;
use auditor::Auditor;
use mapping::{CurrentStep, EventCounts, Mapping};

/// Processes that are fed side by side, as Lambda feeds one for each shard.
const MAPPINGS: u64 = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_fails_and_whenever_it_is_killed_every_counter_is_exact_in_the_end() {
    let (first, seeds) = (setting("DDB_ROLLUP_STORM_FIRST_SEED", 1), setting("DDB_ROLLUP_STORM_SEEDS", 2));
    let writes = setting("DDB_ROLLUP_STORM_WRITES", 250);
    let mut counts = EventCounts::default();
    for seed in first..first + seeds {
        let step = CurrentStep::default();
        let ended = AssertUnwindSafe(storm(seed, writes, &step)).catch_unwind().await;
        let failed = |_| panic!("seed {seed}, writes {writes}: failed at step {step}; the cause is above");
        counts.add(&ended.unwrap_or_else(failed));
    }
    tell(&format!("{seeds} seeds from {first}, {writes} writes each: {counts}"));
}

async fn storm(seed: u64, writes: usize, step: &CurrentStep) -> EventCounts {
    let mut rng = Rng::with_seed(seed);
    let engine = Engine::start().await;
    workload::maps(&engine).await;
    workload::write(&engine, &mut rng, writes).await;
    let records = Arc::new(workload::records(&engine, &mut rng).await);
    let auditor = Arc::new(Auditor::new(engine, Arc::clone(&records)));

    let mut mappings = Vec::new();
    for number in 0..MAPPINGS {
        let due = (0..records.len()).filter(|place| *place as u64 % MAPPINGS == number).collect();
        let mapping = Mapping::start(Arc::clone(&auditor), Arc::clone(&records), due, rng.fork(), step.clone());
        mappings.push(mapping.await);
    }
    let counts_of_mappings = join_all(mappings.into_iter().map(Mapping::deliver_all)).await;
    step.next("the audit");
    auditor.audit().await;

    let mut counts = EventCounts::default();
    for of_mapping in counts_of_mappings {
        counts.add(&of_mapping);
    }
    counts
}

fn setting<T: FromStr<Err: std::fmt::Debug>>(name: &str, default: T) -> T {
    env::var(name).map_or(default, |value| value.parse().unwrap())
}

#[allow(clippy::print_stderr, reason = "what a long run did is worth a line")]
fn tell(line: &str) {
    eprintln!("storm: {line}");
}
