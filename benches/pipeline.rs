//! What a batch costs the processor: each step, and a whole invocation over a store that answers at once.

use std::hint::black_box;
use std::time::Duration;

use chrono::Utc;
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ddb_rollup::commit::{LookedUp, Store};
use ddb_rollup::config::{Config, Tables};
use ddb_rollup::handler::{Invocation, Rollup};
use ddb_rollup::randomness::OsRandomness;
use ddb_rollup::rollup::Item;
use ddb_rollup::rollup::model::marker::{Guard, Stamp};

use ddb_rollup::rollup::model::view::ViewKey;
use ddb_rollup::rollup::pipeline::coalesce::{EntryId, Found, coalesce};
use ddb_rollup::rollup::pipeline::delta::{Retention, effect};
use ddb_rollup::rollup::pipeline::parse::{Parsed, parse};
use ddb_rollup::rollup::pipeline::plan::{self, Action, Setting, Transaction};
use ddb_rollup::rollup::pipeline::verdict::Failure;
use ddb_rollup::rollup::pipeline::view_item::Shape;
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use uuid::Uuid;

const RECORDS: usize = 1_000;
const MAPS: usize = 20;

/// Processor time of this thread, in which everything happens: other work on the machine is not in it.
struct ProcessorTime;

impl Measurement for ProcessorTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        let used = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(used.tv_sec.unsigned_abs(), u32::try_from(used.tv_nsec).unwrap_or_default())
    }

    fn end(&self, began: Duration) -> Duration {
        self.start().saturating_sub(began)
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        WallTime.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

/// A store that says yes, once it has the items that are to be put.
struct AtOnce;

impl Store for AtOnce {
    async fn transact(&self, transaction: &Transaction<'_>, token: Uuid) -> Result<(), Failure> {
        put(transaction);
        black_box((transaction, token));
        Ok(())
    }

    async fn view_item(&self, _: &ViewKey) -> Result<Option<Item>, Failure> {
        Ok(None)
    }

    async fn look_up(&self, _: &[ViewKey]) -> Result<LookedUp, Failure> {
        Ok(LookedUp::new())
    }
}

/// Makes the items that a transaction puts, as whoever sends it has to.
fn put(transaction: &Transaction<'_>) {
    for action in &transaction.actions {
        if let Action::PutMarker { marker, .. } = action {
            black_box(marker.item());
        }
    }
}

fn event() -> String {
    let record = |number: usize| {
        let (map, point) = (format!("map{}", number % MAPS), format!("point{number}"));
        json!({
            "eventID": format!("{number:032x}"),
            "eventName": "INSERT",
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": "eu-west-1",
            "eventSourceARN": "arn:aws:dynamodb:eu-west-1:123456789012:table/Point/stream/2026-01-01T00:00:00.000",
            "dynamodb": {
                "Keys": {"MapId": {"S": map}, "PointId": {"S": point}},
                "NewImage": {"MapId": {"S": map}, "PointId": {"S": point}, "Category": {"S": format!("Category {}", number % 7)}},
                "SequenceNumber": format!("{number:021}"),
                "SizeBytes": 100,
                "StreamViewType": "NEW_AND_OLD_IMAGES",
            },
        })
    };
    json!({ "Records": (0..RECORDS).map(record).collect::<Vec<_>>() }).to_string()
}

fn pipeline(criterion: &mut Criterion<ProcessorTime>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let (Ok(runtime), Ok(config)) = (runtime, Config::of(Tables::default())) else { return };
    let event = event();
    let retention = Retention { days: config.marker_retention_days, until: Utc::now() };
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
    let stamp = Stamp::new(Utc::now(), &Uuid::nil().to_string(), 14);
    let setting = Setting { definition: &config.definition, guard: Guard::Absent, stamp };
    let shapes = vec![Shape::Complete; batch.items.len()];
    group.bench_function("assemble", |bencher| {
        let assemble = |members: &Vec<EntryId>| put(&plan::assemble(&setting, &batch, &shapes, members));
        bencher.iter(|| planned.iter().for_each(assemble));
    });
    let rollup = Rollup::new(config.clone(), AtOnce, OsRandomness);
    let invocation =
        Invocation { request_id: "request".to_owned(), now: Utc::now(), time_left: Duration::from_mins(1) };
    group.bench_function("invocation", |bencher| {
        bencher.to_async(&runtime).iter(|| rollup.handle(black_box(&event), &invocation));
    });
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
    targets = pipeline
}
criterion_main!(benches);
