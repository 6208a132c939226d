//! What a batch costs the processor: parsing alone, and a whole invocation over a store that answers at once.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ddb_rollup::commit::{LookedUp, Store};
use ddb_rollup::config::{Config, Tables};
use ddb_rollup::entropy::OsEntropy;
use ddb_rollup::handler::{Invocation, Rollup};
use ddb_rollup::rollup::Item;
use ddb_rollup::rollup::plan::Transaction;
use ddb_rollup::rollup::record;
use ddb_rollup::rollup::verdict::Failure;
use ddb_rollup::rollup::view::ViewKey;
use serde_json::json;
use uuid::Uuid;

const RECORDS: usize = 1_000;
const MAPS: usize = 20;

/// A store that says yes.
struct AtOnce;

impl Store for AtOnce {
    async fn transact(&self, transaction: &Transaction, token: Uuid) -> Result<(), Failure> {
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

fn pipeline(criterion: &mut Criterion) {
    let event = event();
    let mut group = criterion.benchmark_group("batch of 1,000 records over 20 maps");
    group.throughput(Throughput::Elements(RECORDS as u64));
    group.bench_function("parse", |bencher| {
        bencher.iter(|| record::parse(black_box(&event)).map(Iterator::count));
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let (Ok(runtime), Ok(config)) = (runtime, Config::of(Tables::default())) else { return };
    let rollup = Rollup::new(config, AtOnce, OsEntropy);
    let invocation =
        Invocation { request_id: "request".to_owned(), now: chrono::Utc::now(), time_left: Duration::from_mins(1) };
    group.bench_function("invocation", |bencher| {
        bencher.to_async(&runtime).iter(|| rollup.handle(black_box(&event), &invocation));
    });
    group.finish();
}

criterion_group!(benches, pipeline);
criterion_main!(benches);
