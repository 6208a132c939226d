//! An audit and an adoption beside the least that they can be: a scan of the same items, and writes of the same view items.
//!
//! `cargo bench --bench audits` measures, and writes what it found to `target/benchmarks/audits.json`, from which
//! `.ci/benchmarks` fills `docs/benchmarks.md`. `cargo test` runs it small, to see that it still runs and counts right.
//! `AUDIT_BENCH_POINTS` and `AUDIT_BENCH_ITEMS` say how much, and `AUDIT_BENCH_SETTLE` how many seconds a record may take to
//! the stream; with one of them the result is only printed. Times are those of the clock, and the processor time of engine
//! and reader together, which has no waiting in it.

#![allow(unreachable_pub, missing_docs, reason = "a bench has no users")]
#![allow(clippy::cast_precision_loss, reason = "counts are small")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a bench fails by panicking, and prints")]

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;
use std::{env, fs};

use aws_sdk_dynamodb::types::{
    AttributeValue, Put, PutRequest, StreamSpecification, StreamViewType, TransactWriteItem, WriteRequest,
};
use ddb_rollup::config::{Config, VIEW_DEFINITION};
use ddb_rollup::operate::args::Pace;
use ddb_rollup::operate::audit::AuditScope;
use ddb_rollup::operate::audit::report::AuditReport;
use ddb_rollup::operate::repair::report::RepairReport;
use ddb_rollup::operate::{audit, repair, stop};
use ddb_rollup::rollup::Item;
use ddb_rollup::rollup::check::balance::Balances;
use ddb_rollup::rollup::model::poison::Image;
use ddb_rollup::rollup::pipeline::contribution::contribution;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use support::engine::{Engine, s};
use tokio::runtime::{self, Runtime};
use tokio::time::Instant;

/// The folder of the result.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/benchmarks");

/// The file of the result.
const RESULT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/benchmarks/audits.json");

/// What changes how much is measured.
const SETTINGS: [&str; 3] = ["AUDIT_BENCH_POINTS", "AUDIT_BENCH_ITEMS", "AUDIT_BENCH_SETTLE"];

/// Where the engine runs. Its requests block the thread that they are on, and must not keep the reader's tasks waiting.
static ENGINE: LazyLock<Runtime> = LazyLock::new(|| runtime::Builder::new_multi_thread().enable_all().build().unwrap());

/// Requests in flight: the default of the operator's command.
const IN_FLIGHT: usize = 8;

/// Items that one request can write.
const BATCH_WRITE: usize = 25;

/// View items that one transaction can write, with an item beside them.
const TRANSACTION_ITEMS: usize = 99;

/// Segments of the bare scan.
const SEGMENTS: i32 = 4;

/// Seconds that a record may take to the stream: the default of the operator's command.
const DEFAULT_SETTLE: usize = 5;

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

/// How long something took.
#[derive(Debug, Clone, Copy, Default)]
struct Took {
    seconds: f64,
    /// Seconds of processor time of this process.
    busy: f64,
}

/// When something began.
struct Timer {
    began: Instant,
    busy: f64,
}

impl Timer {
    fn start() -> Self {
        Self { began: Instant::now(), busy: busy_seconds() }
    }

    fn stop(&self) -> Took {
        Took { seconds: self.began.elapsed().as_secs_f64(), busy: busy_seconds() - self.busy }
    }
}

/// The processor time of this process; zero where the system does not tell it. A tick is a hundredth of a second.
fn busy_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks = after_name.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}

/// The largest resident memory of this process, in MiB, since it was forgotten last.
fn peak_mib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|rest| rest.split_whitespace().next()).and_then(|kib| kib.parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}

/// Forgets the peak: from here on it begins with what is resident now.
fn forget_peak() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// Bytes that are resident now.
fn resident_bytes() -> f64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok());
    pages.unwrap_or_default() * 4_096.0
}

/// The most bytes that a first pass may keep for each view item and each of its groups.
const AT_REST_MAX: f64 = 300.0;

/// Bytes that a first pass keeps for each view item and each of its groups; none where the system does not tell.
fn bytes_at_rest(maps: usize) -> Option<f64> {
    let load = Load { keys: Keys::Align, points: maps * CATEGORIES, maps, settle: Duration::ZERO, rounds: 1 };
    let config = load.config();
    let before = resident_bytes();
    let mut balances = Balances::default();
    for number in 0..load.points {
        let point = Item::from(load.keys.point(number, maps));
        balances.add_source(&contribution(&config.definition, Image::New, &point).unwrap());
    }
    let bytes = (resident_bytes() - before) / (maps * (1 + CATEGORIES)) as f64;
    assert_eq!(balances.keys().count(), maps);
    assert!(bytes <= AT_REST_MAX, "{bytes} bytes for each of {maps} view items and their groups");
    (before > 0.0).then_some(bytes)
}

fn map_name(number: usize) -> String {
    format!("map-{number}")
}

/// The middle one.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A number that the environment may set.
fn setting(name: &str) -> Option<usize> {
    env::var(name).ok().and_then(|value| value.parse().ok())
}

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let asked = |name: &str| arguments.iter().any(|argument| argument == name);
    if asked("--list") {
        println!("audits: test");
        return;
    }
    let full = asked("--bench");
    // Engine and reader share the machine's processors.
    let runtime = runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let found = runtime.block_on(measure(full));
    if full && SETTINGS.into_iter().all(|name| setting(name).is_none()) {
        fs::create_dir_all(FOLDER).unwrap();
        fs::write(RESULT, format!("{found:#}\n")).unwrap();
    } else {
        println!("{found:#}");
    }
}

/// Both kinds of keys; small when it is only to be seen that they run.
async fn measure(full: bool) -> Value {
    let [points, maps, settle] = SETTINGS.map(setting);
    let (points, maps) = if full {
        (points.unwrap_or(200_000), maps.unwrap_or(40_000))
    } else {
        (points.unwrap_or(200), maps.unwrap_or(40))
    };
    let asked = settle.unwrap_or_default();
    let mut runs = vec![(asked, Keys::Align), (asked, Keys::Cross)];
    if full && settle.is_none() {
        // The waits are the same for both kinds of keys.
        runs.push((DEFAULT_SETTLE, Keys::Align));
    }
    let at_rest: Vec<Value> = [100_000, 1_000_000]
        .into_iter()
        .take(if full { 2 } else { 1 })
        .map(|maps| json!({ "view_items": maps, "bytes": bytes_at_rest(maps) }))
        .collect();
    println!("at rest: {at_rest:?}");
    let mut found = Vec::new();
    for (settle, keys) in runs {
        let settle = Duration::from_secs(u64::try_from(settle).unwrap());
        let load = Load { keys, points, maps, settle, rounds: if full { 3 } else { 1 } };
        let one = compare(load).await;
        println!("audit: {one}");
        found.push(one);
    }
    json!({ "points": points, "view_items": maps, "groups": CATEGORIES, "runs": found, "at_rest": at_rest })
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
        let map = map_name(number % maps);
        let category = format!("category-{}", number / maps % CATEGORIES);
        let (key, owner) = match self {
            Self::Align => (map, "nobody".to_owned()),
            Self::Cross => (format!("key-{number}"), map),
        };
        let texts = [("MapId", key), ("PointId", format!("point-{number}")), ("Category", category), ("Owner", owner)];
        texts.into_iter().map(|(name, value)| (name.to_owned(), s(&value))).collect()
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
                ("MapId".to_owned(), s(&map_name(map))),
                ("TotalPoints".to_owned(), number(total)),
                ("CategoryCounts".to_owned(), AttributeValue::M(groups)),
                ("RollupVersion".to_owned(), number(1)),
            ])
        };
        groups.into_iter().enumerate().map(item).collect()
    }
}

/// The points are there before the stream is switched on: each of its writes costs more, the longer it is.
async fn begin(load: Load) -> Engine {
    let engine = ENGINE.spawn(Engine::start()).await.unwrap();
    engine.db.delete_table().table_name("Point").send().await.unwrap();
    engine.create_table("Point", &["MapId", "PointId"], false).await;
    for table in ["Bare", "BareBatches"] {
        engine.create_table(table, &["MapId"], false).await;
    }
    engine.create_table("BareNotes", &["SequenceNumber", "Stream"], false).await;
    write(&engine, "Point", (0..load.points).map(|number| load.keys.point(number, load.maps))).await;
    let stream = StreamSpecification::builder().stream_enabled(true);
    let stream = stream.stream_view_type(StreamViewType::NewAndOldImages).build().unwrap();
    engine.db.update_table().table_name("Point").stream_specification(stream).send().await.unwrap();
    engine
}

/// Writes items, and nothing else.
async fn write(engine: &Engine, table: &str, items: impl Iterator<Item = HashMap<String, AttributeValue>>) -> Took {
    let put =
        |item| WriteRequest::builder().put_request(PutRequest::builder().set_item(Some(item)).build().unwrap()).build();
    let requests: Vec<WriteRequest> = items.map(put).collect();
    let timer = Timer::start();
    let batches = requests.chunks(BATCH_WRITE).map(|batch| {
        let request = engine.db.batch_write_item().request_items(table, batch.to_vec());
        async move { request.send().await.map(drop) }
    });
    stream::iter(batches).buffer_unordered(IN_FLIGHT).try_collect::<()>().await.unwrap();
    timer.stop()
}

/// Writes items that must not be there yet, in transactions, and one small item with each: what an adoption has to do to be
/// safe beside writers, and to be told of.
async fn transact(engine: &Engine, items: Vec<HashMap<String, AttributeValue>>) -> Took {
    let put = |table: &str, absent: &str, item: HashMap<String, AttributeValue>| {
        let put = Put::builder().table_name(table).set_item(Some(item));
        let put = put.condition_expression(format!("attribute_not_exists({absent})")).build().unwrap();
        TransactWriteItem::builder().put(put).build()
    };
    let with_note = |(number, items): (usize, &[HashMap<String, AttributeValue>])| {
        let note = [("SequenceNumber", format!("bare-{number}")), ("Stream", "bare".to_owned())];
        let note = note.into_iter().map(|(name, value)| (name.to_owned(), s(&value))).collect();
        let puts = items.iter().map(|item| put("Bare", "MapId", item.clone()));
        puts.chain([put("BareNotes", "SequenceNumber", note)]).collect::<Vec<_>>()
    };
    let transactions: Vec<_> = items.chunks(TRANSACTION_ITEMS).enumerate().map(with_note).collect();
    let timer = Timer::start();
    let sent = transactions.into_iter().map(|actions| {
        let request = engine.db.transact_write_items().set_transact_items(Some(actions));
        async move { request.send().await.map(drop) }
    });
    stream::iter(sent).buffer_unordered(IN_FLIGHT).try_collect::<()>().await.unwrap();
    timer.stop()
}

/// Reads every item of a table by a parallel scan, and does nothing with it.
async fn scan(engine: &Engine, table: &str, items: usize) -> Took {
    let timer = Timer::start();
    let segments = (0..SEGMENTS).map(|segment| async move {
        let scan = engine.db.scan().table_name(table).consistent_read(true);
        let scan = scan.segment(segment).total_segments(SEGMENTS).into_paginator().items().send();
        scan.collect::<Result<Vec<_>, _>>().await.map(|items| items.len())
    });
    let counts: Vec<usize> = stream::iter(segments).buffer_unordered(IN_FLIGHT).try_collect().await.unwrap();
    assert_eq!(counts.iter().sum::<usize>(), items);
    timer.stop()
}

async fn adopt(engine: &Engine, load: Load) -> (Took, RepairReport) {
    let (_stopper, stop) = stop::stop();
    let timer = Timer::start();
    let report = repair::repair(&engine.sdk, load.config(), &load.scope(), "bench", &stop).await.unwrap();
    (timer.stop(), report)
}

async fn audit(engine: &Engine, load: Load) -> (Took, AuditReport) {
    let (_stopper, stop) = stop::stop();
    let timer = Timer::start();
    let report = Box::pin(audit::audit(&engine.sdk, load.config(), &load.scope(), &stop)).await.unwrap();
    (timer.stop(), report)
}

/// What one round took.
#[derive(Debug, Clone, Copy, Default)]
struct Round {
    scan: Took,
    batches: Took,
    transactions: Took,
    adoption: Took,
    scan_of_all: Took,
    audit: Took,
    /// By how many MiB the process grew in an audit, at the most.
    audit_mib: f64,
}

impl Round {
    async fn measure(load: Load) -> Self {
        let (points, maps) = (load.points, load.maps);
        let engine = begin(load).await;
        let mut round = Self { scan: scan(&engine, "Point", points).await, ..Self::default() };
        round.batches = write(&engine, "BareBatches", load.view_items().into_iter()).await;
        round.transactions = transact(&engine, load.view_items()).await;
        let (took, report) = adopt(&engine, load).await;
        round.adoption = took;
        assert_eq!((report.repaired, report.audit.exact), (maps as u64, maps as u64));
        let timer = Timer::start();
        // The records of the repair, and one that it began.
        let records = maps.div_ceil(TRANSACTION_ITEMS) + 1;
        tokio::join!(scan(&engine, "Point", points), scan(&engine, "Map", maps), scan(&engine, "Idempotency", records));
        round.scan_of_all = timer.stop();
        forget_peak();
        let before = peak_mib();
        let (took, report) = audit(&engine, load).await;
        (round.audit, round.audit_mib) = (took, peak_mib() - before);
        assert_eq!((report.exact, report.source_items), (maps as u64, points as u64));
        round
    }
}

async fn compare(load: Load) -> Value {
    let mut rounds = Vec::new();
    for _ in 0..load.rounds {
        rounds.push(Round::measure(load).await);
    }
    let seconds = |of: fn(&Round) -> Took| {
        let rounds = || rounds.iter().map(of);
        json!({ "seconds": median(rounds().map(|took| took.seconds)), "busy": median(rounds().map(|took| took.busy)) })
    };
    let ratio = |least: fn(&Round) -> Vec<Took>, of: fn(&Round) -> Took| {
        let by = |part: fn(&Took) -> f64| {
            median(rounds.iter().map(|round| least(round).iter().map(part).sum::<f64>() / part(&of(round))))
        };
        json!({ "seconds": by(|took| took.seconds), "busy": by(|took| took.busy) })
    };
    json!({
        "keys": load.keys.name(),
        "settle_seconds": load.settle.as_secs(),
        "scan": seconds(|round| round.scan),
        "batches": seconds(|round| round.batches),
        "transactions": seconds(|round| round.transactions),
        "adoption": seconds(|round| round.adoption),
        "scan_of_all": seconds(|round| round.scan_of_all),
        "audit": seconds(|round| round.audit),
        "audit_mib": median(rounds.iter().map(|round| round.audit_mib)),
        "adoption_to_batches": ratio(|round| vec![round.scan, round.batches], |round| round.adoption),
        "adoption_to_transactions": ratio(|round| vec![round.scan, round.transactions], |round| round.adoption),
        "audit_to_scan": ratio(|round| vec![round.scan], |round| round.audit),
        "audit_to_scan_of_all": ratio(|round| vec![round.scan_of_all], |round| round.audit),
    })
}
