//! An audit and an adoption beside the least that they can be: a scan of the same items, and writes of the same view items.
//!
//! `cargo bench --bench end_to_end -- --audits` measures only these; `AUDIT_BENCH_POINTS` and `AUDIT_BENCH_ITEMS` say how
//! much, and `AUDIT_BENCH_SETTLE` how many seconds a record may take to the stream.

use std::collections::HashMap;
use std::env;
use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, StreamSpecification, StreamViewType, WriteRequest};
use ddb_rollup::config::{Config, VIEW_DEFINITION};
use ddb_rollup::operate::args::Pace;
use ddb_rollup::operate::audit::AuditScope;
use ddb_rollup::operate::audit::report::AuditReport;
use ddb_rollup::operate::repair::report::RepairReport;
use ddb_rollup::operate::{audit, repair, stop};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::world::{self, Maps, Storage, World};
use crate::{IN_FLIGHT, median};

/// Items that one request can write.
const BATCH_WRITE: usize = 25;

/// Segments of the bare scan.
const SEGMENTS: i32 = 4;

/// Categories of the points of one map.
const CATEGORIES: usize = 4;

/// Whether the view's key is the source's partition key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keys {
    /// It is.
    Align,
    /// It is made of another attribute.
    Cross,
}

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Load {
    keys: Keys,
    points: usize,
    maps: usize,
    settle: Duration,
    rounds: usize,
}

/// A number that the environment may set.
fn setting(name: &str) -> Option<usize> {
    env::var(name).ok().and_then(|value| value.parse().ok())
}

/// Both kinds of keys; small when it is only to be seen that they run.
pub async fn measure(full: bool) -> Value {
    let of = |name, of_full, small| setting(name).unwrap_or(if full { of_full } else { small });
    let (points, maps) = (of("AUDIT_BENCH_POINTS", 200_000, 200), of("AUDIT_BENCH_ITEMS", 40_000, 40));
    let settles = match setting("AUDIT_BENCH_SETTLE") {
        Some(seconds) => vec![seconds],
        None if full => vec![0, 5],
        None => vec![0],
    };
    let mut found = Vec::new();
    for settle in settles {
        for keys in [Keys::Align, Keys::Cross] {
            let settle = Duration::from_secs(u64::try_from(settle).unwrap());
            let load = Load { keys, points, maps, settle, rounds: if full { 3 } else { 1 } };
            let one = compare(load).await;
            println!("audit: {one}");
            found.push(one);
        }
    }
    json!({ "points": points, "view_items": maps, "groups": CATEGORIES, "runs": found })
}

impl Keys {
    fn name(self) -> &'static str {
        match self {
            Self::Align => "align",
            Self::Cross => "do not align",
        }
    }

    /// The view's key, as its definition says it.
    fn value(self) -> &'static str {
        match self {
            Self::Align => "{MapId}",
            Self::Cross => "{Owner}",
        }
    }

    /// A point, of the map that it counts for.
    fn point(self, number: usize, maps: usize) -> HashMap<String, AttributeValue> {
        let map = world::name(number % maps);
        let category = format!("category-{}", number / maps % CATEGORIES);
        let (key, owner) = match self {
            Self::Align => (map, "nobody".to_owned()),
            Self::Cross => (format!("key-{number}"), map),
        };
        let texts = [("MapId", key), ("PointId", format!("point-{number}")), ("Category", category), ("Owner", owner)];
        texts.into_iter().map(|(name, value)| (name.to_owned(), world::text(&value))).collect()
    }
}

impl Load {
    fn config(self) -> Config {
        let definition = json!({
            "key": [{ "attribute": "MapId", "type": "S", "value": self.keys.value() }],
            "measures": { "TotalPoints": "count", "CategoryCounts": "count by Category" },
        });
        let definition = definition.to_string();
        Config::read(|name| (name == VIEW_DEFINITION).then(|| definition.clone())).unwrap()
    }

    fn scope(self) -> AuditScope {
        let pace = Pace { settle: self.settle, concurrency: u16::try_from(IN_FLIGHT).unwrap(), ..Pace::default() };
        AuditScope { adopt: true, pace, ..AuditScope::default() }
    }

    /// The view items that an adoption has to write.
    fn view_items(self) -> Vec<HashMap<String, AttributeValue>> {
        let number = |value: usize| AttributeValue::N(value.to_string());
        let mut groups: Vec<HashMap<String, usize>> = vec![HashMap::new(); self.maps];
        for point in 0..self.points {
            *groups[point % self.maps].entry(format!("category-{}", point / self.maps % CATEGORIES)).or_default() += 1;
        }
        let item = |(map, groups): (usize, HashMap<String, usize>)| {
            let total = groups.values().sum();
            let groups = groups.into_iter().map(|(group, count)| (group, number(count))).collect();
            HashMap::from([
                ("MapId".to_owned(), world::text(&world::name(map))),
                ("TotalPoints".to_owned(), number(total)),
                ("CategoryCounts".to_owned(), AttributeValue::M(groups)),
                ("RollupVersion".to_owned(), number(1)),
            ])
        };
        groups.into_iter().enumerate().map(item).collect()
    }
}

/// The points are there before the stream is switched on: each of its writes costs more, the longer it is.
async fn begin(load: Load) -> World {
    let world = World::begin(Storage::Memory, Maps { count: 0, padding: 0 }).await;
    world.create_table("Point", &["MapId", "PointId"], false).await;
    world.create_table("Bare", &["MapId"], false).await;
    write(&world, "Point", (0..load.points).map(|number| load.keys.point(number, load.maps))).await;
    let stream = StreamSpecification::builder().stream_enabled(true);
    let stream = stream.stream_view_type(StreamViewType::NewAndOldImages).build().unwrap();
    world.client.update_table().table_name("Point").stream_specification(stream).send().await.unwrap();
    world
}

/// Writes items, and nothing else.
async fn write(world: &World, table: &str, items: impl Iterator<Item = HashMap<String, AttributeValue>>) -> Duration {
    let put =
        |item| WriteRequest::builder().put_request(PutRequest::builder().set_item(Some(item)).build().unwrap()).build();
    let requests: Vec<WriteRequest> = items.map(put).collect();
    let began = Instant::now();
    let batches = requests.chunks(BATCH_WRITE).map(|batch| {
        let request = world.client.batch_write_item().request_items(table, batch.to_vec());
        async move { request.send().await.map(drop) }
    });
    stream::iter(batches).buffer_unordered(IN_FLIGHT).try_collect::<()>().await.unwrap();
    began.elapsed()
}

/// Reads every item of a table by a parallel scan, and does nothing with it.
async fn scan(world: &World, table: &str, items: usize) -> Duration {
    let began = Instant::now();
    let segments = (0..SEGMENTS).map(|segment| async move {
        let scan = world.client.scan().table_name(table).consistent_read(true);
        let scan = scan.segment(segment).total_segments(SEGMENTS).into_paginator().items().send();
        scan.collect::<Result<Vec<_>, _>>().await.map(|items| items.len())
    });
    let counts: Vec<usize> = stream::iter(segments).buffer_unordered(IN_FLIGHT).try_collect().await.unwrap();
    assert_eq!(counts.iter().sum::<usize>(), items);
    began.elapsed()
}

async fn adopt(world: &World, load: Load) -> RepairReport {
    let (_stopper, stop) = stop::stop();
    repair::repair(&world.sdk, load.config(), &load.scope(), "bench", &stop).await.unwrap()
}

async fn audit(world: &World, load: Load) -> (Duration, AuditReport) {
    let (_stopper, stop) = stop::stop();
    let began = Instant::now();
    let report = Box::pin(audit::audit(&world.sdk, load.config(), &load.scope(), &stop)).await.unwrap();
    (began.elapsed(), report)
}

async fn compare(load: Load) -> Value {
    let Load { keys, points, maps, settle, rounds } = load;
    let (mut scans, mut writes, mut adoptions) = (Vec::new(), Vec::new(), Vec::new());
    let (mut audits, mut scans_of_all) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let world = begin(load).await;
        scans.push(scan(&world, "Point", points).await);
        writes.push(write(&world, "Bare", load.view_items().into_iter()).await);
        let began = Instant::now();
        let report = adopt(&world, load).await;
        adoptions.push(began.elapsed());
        assert_eq!((report.repaired, report.audit.exact), (maps as u64, maps as u64));
        let began = Instant::now();
        tokio::join!(scan(&world, "Point", points), scan(&world, "Map", maps), scan(&world, "Idempotency", maps + 1));
        scans_of_all.push(began.elapsed());
        let (took, report) = audit(&world, load).await;
        audits.push(took);
        assert_eq!((report.exact, report.source_items), (maps as u64, points as u64));
        world.end().await;
    }
    let seconds = |times: &[Duration]| median(times.iter().map(Duration::as_secs_f64));
    let ratio = |least: &dyn Fn(usize) -> Duration, of: &[Duration]| {
        median(of.iter().enumerate().map(|(round, took)| least(round).as_secs_f64() / took.as_secs_f64()))
    };
    json!({
        "keys": keys.name(),
        "settle_seconds": settle.as_secs(),
        "scan_seconds": seconds(&scans),
        "write_seconds": seconds(&writes),
        "adoption_seconds": seconds(&adoptions),
        "scan_of_all_seconds": seconds(&scans_of_all),
        "audit_seconds": seconds(&audits),
        "adoption_ratio": ratio(&|round| scans[round] + writes[round], &adoptions),
        "audit_ratio": ratio(&|round| scans[round], &audits),
        "audit_of_all_ratio": ratio(&|round| scans_of_all[round], &audits),
    })
}
