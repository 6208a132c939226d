//! Tables that throttle, and a view item that many functions update at once: no engine does either.
//!
//! The tables are made up and time is virtual, so the figures hardly depend on the machine: they tell what the waiting and
//! the retries cost, and nothing of a processor or an engine.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::Utc;
use ddb_rollup::commit::{LookedUp, Store};
use ddb_rollup::config::{Config, VIEW_DEFINITION};
use ddb_rollup::handler::{Invocation, Rollup};
use ddb_rollup::rollup::Item;
use ddb_rollup::rollup::model::view::ViewKey;
use ddb_rollup::rollup::pipeline::plan::{Action, Transaction};
use ddb_rollup::rollup::pipeline::verdict::{self, CancellationReason, Failure, RetryCause};
use futures_util::future::join_all;
use serde_json::{Value, json};
use support::world::{Dice, SeededChoices};
use tokio::time::{self, Instant, sleep};
use uuid::Uuid;

use crate::world;

/// How long a transaction takes, whatever becomes of it.
const LATENCY: Duration = Duration::from_millis(10);

/// Records of a batch.
const RECORDS: usize = 1_000;

/// Functions that update one view item at once: as many as an event source mapping can have for a shard.
const LANES: usize = 10;

/// Tables that throttle above a rate, and that cancel a transaction while another one has one of its view items.
#[derive(Default)]
struct Tables {
    capacity: Option<Mutex<Capacity>>,
    busy: Mutex<BTreeSet<String>>,
    tally: Mutex<Tally>,
}

/// Write units that can be used: those of a second at the most are kept.
struct Capacity {
    a_second: f64,
    left: f64,
    at: Instant,
}

/// What came to the tables.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    requests: usize,
    throttled: usize,
    conflicts: usize,
    markers: usize,
    write_units: f64,
}

impl Capacity {
    /// Nothing is left of it when it begins.
    fn of(a_second: f64) -> Self {
        Self { a_second, left: 0.0, at: Instant::now() }
    }

    fn takes(&mut self, units: f64) -> bool {
        let now = Instant::now();
        self.left = (self.left + self.a_second * (now - self.at).as_secs_f64()).min(self.a_second);
        self.at = now;
        let enough = units <= self.left;
        self.left -= if enough { units } else { 0.0 };
        enough
    }
}

impl Tables {
    /// The view items of a transaction, unless another one has one of them.
    fn hold(&self, transaction: &Transaction<'_>) -> Option<Vec<String>> {
        let key = |action: &Action<'_>| match action {
            Action::UpdateView { key, .. } => Some(format!("{key:?}")),
            _ => None,
        };
        let items: Vec<String> = transaction.actions.iter().filter_map(key).collect();
        let mut busy = self.busy.lock().unwrap();
        if items.iter().any(|item| busy.contains(item)) {
            return None;
        }
        busy.extend(items.iter().cloned());
        Some(items)
    }
}

/// A function's connection to the tables.
struct Connection(Arc<Tables>);

impl Store for Connection {
    async fn transact(&self, transaction: &Transaction<'_>, _: Uuid) -> Result<(), Failure> {
        let (tables, actions) = (&self.0, transaction.actions.len());
        let units = 2.0 * actions as f64;
        tables.tally.lock().unwrap().requests += 1;
        if tables.capacity.as_ref().is_some_and(|capacity| !capacity.lock().unwrap().takes(units)) {
            tables.tally.lock().unwrap().throttled += 1;
            sleep(LATENCY).await;
            return Err(Failure::Transient(RetryCause::Throttled));
        }
        let Some(items) = tables.hold(transaction) else {
            tables.tally.lock().unwrap().conflicts += 1;
            sleep(LATENCY).await;
            let reason = |action: &Action<'_>| CancellationReason {
                code: matches!(action, Action::UpdateView { .. }).then(|| "TransactionConflict".to_owned()),
                message: None,
                item: None,
            };
            return Err(verdict::cancelled(transaction.actions.iter().map(reason).collect(), actions));
        };
        sleep(LATENCY).await;
        tables.busy.lock().unwrap().retain(|item| !items.contains(item));
        let mut tally = tables.tally.lock().unwrap();
        tally.markers += transaction.actions.iter().filter(|one| matches!(one, Action::PutMarker { .. })).count();
        tally.write_units += units;
        Ok(())
    }

    async fn view_item(&self, _: &ViewKey) -> Result<Option<Item>, Failure> {
        Ok(None)
    }

    async fn look_up(&self, _: &[ViewKey]) -> Result<LookedUp, Failure> {
        Ok(LookedUp::new())
    }
}

/// A function, which delivers one batch after another.
struct Lane {
    rollup: Rollup<Connection, Dice>,
    batches: Vec<String>,
}

impl Lane {
    fn new(tables: &Arc<Tables>, definition: &str, seed: usize, batches: Vec<String>) -> Self {
        let config = Config::read(|name| (name == VIEW_DEFINITION).then(|| definition.to_owned())).unwrap();
        let randomness = Dice::new(SeededChoices::new(seed as u64));
        Self { rollup: Rollup::new(config, Connection(Arc::clone(tables)), randomness), batches }
    }

    async fn run(&self) {
        for batch in &self.batches {
            let time_left = Duration::from_mins(15);
            let invocation = Invocation { request_id: Uuid::nil().to_string(), now: Utc::now(), time_left };
            let response = self.rollup.handle(batch, &invocation).await.unwrap();
            assert!(response.batch_item_failures.is_empty(), "no record may be left");
        }
    }
}

/// Runs all lanes; gives what came to the tables, and how long it took.
async fn run(tables: &Arc<Tables>, lanes: &[Lane]) -> (Tally, Duration) {
    let began = Instant::now();
    join_all(lanes.iter().map(Lane::run)).await;
    let tally = *tables.tally.lock().unwrap();
    assert_eq!(tally.markers, lanes.iter().map(|lane| lane.batches.len() * RECORDS).sum::<usize>());
    (tally, began.elapsed())
}

/// Every rate and every number of shards; the smallest ones when it is only to be seen that they run.
pub async fn measure(full: bool) -> Value {
    let (rates, shards): (&[u32], &[usize]) =
        if full { (&[200, 1_000, 4_000], &[1, 2, 5, 10, 20]) } else { (&[200], &[1, 10]) };
    time::pause();
    let mut throttled = Vec::new();
    for &rate in rates {
        throttled.push(throttle(rate).await);
    }
    let mut hot = vec![contend(1, 1).await];
    for &shards in shards {
        hot.push(contend(LANES, shards).await);
    }
    time::resume();
    throttled.iter().chain(&hot).for_each(|row| println!("pressure: {row}"));
    json!({ "records": RECORDS, "latency_ms": LATENCY.as_millis(), "throttled": throttled, "hot": hot })
}

/// One function on tables with so many write units a second, for some twenty seconds.
async fn throttle(a_second: u32) -> Value {
    const SECONDS: u32 = 20;
    // A marker is 2 units, and so is an update: 20 view items in 11 transactions take 30.
    let units_of_a_batch = 2 * (RECORDS + 30);
    let batches = usize::try_from(SECONDS * a_second).unwrap().div_ceil(units_of_a_batch);
    let capacity = Some(Mutex::new(Capacity::of(f64::from(a_second))));
    let tables = Arc::new(Tables { capacity, ..Tables::default() });
    let batches = (0..batches).map(|batch| event(batch, |record| format!("map{}", record % 20))).collect();
    let (tally, took) = run(&tables, &[Lane::new(&tables, EXAMPLE, 1, batches)]).await;
    let most = f64::from(a_second) * took.as_secs_f64();
    let useful = (units_of_a_batch * tally.markers) as f64 / RECORDS as f64;
    json!({
        "write_units_a_second": a_second,
        "events": tally.markers,
        "seconds": took.as_secs_f64(),
        "requests": tally.requests,
        "throttled": tally.throttled,
        "used": tally.write_units / most,
        "events_of_what_is_possible": useful / most,
    })
}

/// So many functions, all of whose records are on one view item, which is split into so many.
async fn contend(lanes: usize, shards: usize) -> Value {
    let key = if shards == 1 { "{MapId}".to_owned() } else { format!("{{MapId}}#{{shard(PointId, {shards})}}") };
    let definition = json!({
        "key": [{ "attribute": "MapId", "type": "S", "value": key }], "measures": { "Points": "count" },
    });
    let tables = Arc::new(Tables::default());
    let lane = |lane| {
        let batch = event(lane, |_| "hot".to_owned());
        Lane::new(&tables, &definition.to_string(), lane, vec![batch])
    };
    let lanes: Vec<Lane> = (0..lanes).map(lane).collect();
    let (tally, took) = run(&tables, &lanes).await;
    json!({
        "lanes": lanes.len(),
        "shards": shards,
        "events_per_second": tally.markers as f64 / took.as_secs_f64(),
        "requests": tally.requests,
        "conflicts": tally.conflicts,
        "write_units_per_event": tally.write_units / tally.markers as f64,
    })
}

/// The example's definition.
const EXAMPLE: &str = "";

/// The event of a batch of new points, each on its map.
fn event(batch: usize, map: impl Fn(usize) -> String) -> String {
    let record = |number: usize| {
        let keys = json!({"MapId": {"S": map(number)}, "PointId": {"S": format!("point-{batch}-{number}")}});
        json!({
            "eventID": format!("{batch}-{number}"), "eventName": "INSERT", "eventVersion": "1.1",
            "eventSource": "aws:dynamodb", "awsRegion": "eu-west-1",
            "eventSourceARN": "arn:aws:dynamodb:eu-west-1:000000000000:table/Point/stream/2026-01-01T00:00:00.000",
            "dynamodb": {
                "ApproximateCreationDateTime": Utc::now().timestamp(), "Keys": keys, "NewImage": keys, "SizeBytes": 100,
                "SequenceNumber": format!("{:021}", batch * RECORDS + number), "StreamViewType": "NEW_AND_OLD_IMAGES",
            },
        })
    };
    world::event(&(0..RECORDS).map(record).collect::<Vec<_>>())
}
