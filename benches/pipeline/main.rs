//! What a batch costs the processor: each step, a whole invocation over a store that answers at once, and all that the
//! process does, requests included.
//!
//! `cargo bench --profile release --bench pipeline` measures it as it ships.

#![allow(unreachable_pub, missing_docs, reason = "a bench has no users")]

mod batch;
mod processor_time;
mod store;

use std::hint::black_box;
use std::time::Duration;

use chrono::{DateTime, Utc};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ddb_rollup::commit::Store;
use ddb_rollup::config::{Config, Tables};
use ddb_rollup::handler::{Invocation, Rollup};
use ddb_rollup::randomness::OsRandomness;
use ddb_rollup::rollup::model::marker::{Guard, Stamp};
use ddb_rollup::rollup::pipeline::coalesce::{EntryId, Found, coalesce};
use ddb_rollup::rollup::pipeline::delta::{Retention, effect};
use ddb_rollup::rollup::pipeline::parse::{Parsed, parse};
use ddb_rollup::rollup::pipeline::plan::{self, Setting};
use ddb_rollup::rollup::pipeline::view_item::Shape;
use ddb_rollup::store::DynamoStore;
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

use processor_time::ProcessorTime;
use store::{AtOnce, put};

const RECORDS: usize = 1_000;

/// Records of the largest batch.
const MOST_RECORDS: usize = 10_000;

/// When the invocations begin: a little after the records were created.
fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_secs(batch::CREATED_AT + 1).unwrap_or_default()
}

fn runtime() -> Option<Runtime> {
    Builder::new_current_thread().enable_all().build().ok()
}

fn invocation() -> Invocation {
    Invocation { request_id: Uuid::nil().to_string(), now: now(), time_left: Duration::from_mins(1) }
}

/// Hands an event to functions over a store, one after another. None of its records is left.
async fn deliver<S: Store>(functions: &[Rollup<S, OsRandomness>], event: &str) {
    for function in functions {
        let response = function.handle(black_box(event), &invocation()).await;
        assert!(response.is_ok_and(|response| response.batch_item_failures.is_empty()));
    }
}

fn steps(criterion: &mut Criterion<ProcessorTime>) {
    let Ok(config) = Config::of(Tables::default()) else { return };
    let event = batch::points(RECORDS);
    let retention = Retention { days: config.marker_retention_days, until: now() };
    let parsed = || parse(black_box(&event)).into_iter().flatten().flatten();
    let judged = || parsed().filter_map(|record| judge(&config, &retention, record));

    let mut group = criterion.benchmark_group("batch of 1,000 records over 20 maps");
    group.throughput(Throughput::Elements(RECORDS as u64));
    group.bench_function("parse", |bencher| bencher.iter(|| parsed().count()));
    group.bench_function("delta", |bencher| {
        let records = || parsed().collect::<Vec<_>>();
        let judge_all = |records: Vec<_>| {
            records.into_iter().filter_map(|record| judge(&config, &retention, record)).collect::<Vec<_>>()
        };
        bencher.iter_batched(records, judge_all, BatchSize::LargeInput);
    });
    group.bench_function("coalesce", |bencher| {
        bencher.iter_batched(|| judged().collect::<Vec<_>>(), coalesce, BatchSize::LargeInput);
    });
    let batch = coalesce(judged());
    let all: Vec<EntryId> = batch.ids().collect();
    group.bench_function("plan", |bencher| bencher.iter(|| plan::plan(&config.definition, black_box(&batch), &all)));
    let planned = plan::plan(&config.definition, &batch, &all);
    let stamp = Stamp::new(now(), &Uuid::nil().to_string(), 14);
    let setting = Setting { definition: &config.definition, guard: Guard::Absent, stamp };
    let shapes = vec![Shape::Complete; batch.items.len()];
    group.bench_function("assemble", |bencher| {
        let assemble = |members: &Vec<EntryId>| put(&plan::assemble(&setting, &batch, &shapes, members));
        bencher.iter(|| planned.iter().for_each(assemble));
    });
    group.finish();
}

/// A whole invocation of the smaller and of the largest batch: over a store that answers at once, and with requests.
fn whole(criterion: &mut Criterion<ProcessorTime>) {
    let (Some(runtime), Ok(config), Ok(sdk)) = (runtime(), Config::of(Tables::default()), store::sdk()) else { return };
    for records in [RECORDS, MOST_RECORDS] {
        let event = batch::points(records);
        let mut group = criterion.benchmark_group("whole batch");
        group.throughput(Throughput::Elements(records as u64)).sample_size(20);
        let functions = [Rollup::new(config.clone(), AtOnce, OsRandomness)];
        group.bench_function(BenchmarkId::new("invocation", records), |bencher| {
            bencher.to_async(&runtime).iter(|| deliver(&functions, &event));
        });
        let store = DynamoStore::new(&sdk, config.definition.clone(), &config.idempotency_table);
        let functions = [Rollup::new(config.clone(), store, OsRandomness)];
        group.bench_function(BenchmarkId::new("process", records), |bencher| {
            bencher.to_async(&runtime).iter(|| deliver(&functions, &event));
        });
        group.finish();
    }
}

/// Views in one function, and in a function each. Views that cross each other are the dearest to plan.
fn several_views(criterion: &mut Criterion<ProcessorTime>) {
    let Some(runtime) = runtime() else { return };
    let mut group = criterion.benchmark_group("several views");
    group.throughput(Throughput::Elements(RECORDS as u64)).sample_size(20);
    for views in [2, 3, 5, 10] {
        let event = batch::crossing(RECORDS, views);
        let all: Vec<usize> = (0..views).collect();
        let Ok(config) = batch::definition(&all) else { return };
        let retention = Retention { days: config.marker_retention_days, until: now() };
        let parsed = parse(&event).into_iter().flatten().flatten();
        let batch = coalesce(parsed.filter_map(|record| judge(&config, &retention, record)));
        let members: Vec<EntryId> = batch.ids().collect();
        group.bench_function(BenchmarkId::new("plan", views), |bencher| {
            bencher.iter(|| plan::plan(&config.definition, black_box(&batch), &members));
        });
        let apart: Result<Vec<Config>, _> = all.iter().map(|&view| batch::definition(&[view])).collect();
        let Ok(apart) = apart else { return };
        for (name, configs) in [("together", vec![config]), ("apart", apart)] {
            let functions = configs.into_iter().map(|config| Rollup::new(config, AtOnce, OsRandomness));
            let functions: Vec<_> = functions.collect();
            group.bench_function(BenchmarkId::new(name, views), |bencher| {
                bencher.to_async(&runtime).iter(|| deliver(&functions, &event));
            });
        }
    }
    group.finish();
}

fn judge<'e>(config: &Config, retention: &Retention, parsed: Parsed<'e>) -> Option<Found<'e>> {
    match parsed {
        Parsed::Record(record) => Some(Found::Record(effect(&config.definition, record, retention))),
        _ => None,
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(ProcessorTime);
    targets = steps, whole, several_views
}
criterion_main!(benches);
