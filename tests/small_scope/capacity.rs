//! Tables with so many write units a second.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ddb_rollup::commit::{LookedUp, Randomness, Store};
use ddb_rollup::handler::{Invocation, Rollup};
use ddb_rollup::rollup::Item;
use ddb_rollup::rollup::model::view::ViewKey;
use ddb_rollup::rollup::pipeline::plan::Transaction;
use ddb_rollup::rollup::pipeline::verdict::{Failure, RetryCause};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::answering::insert;
use crate::function::{config, now};
use support::service_limits as _;

struct Bucket {
    rate: f64,
    holds: f64,
    left: f64,
    at: Instant,
}

impl Bucket {
    fn takes(&mut self, units: f64) -> bool {
        let now = Instant::now();
        self.left = (self.left + self.rate * (now - self.at).as_secs_f64()).min(self.holds);
        self.at = now;
        let enough = units <= self.left + 1e-9;
        self.left -= if enough { units } else { 0.0 };
        enough
    }
}

#[derive(Clone)]
struct Limited {
    bucket: Arc<Mutex<Bucket>>,
    used: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    throttled: Arc<AtomicUsize>,
    latency: Duration,
    by_request: bool,
}

impl Store for Limited {
    async fn transact(&self, transaction: &Transaction<'_>, _: Uuid) -> Result<(), Failure> {
        let units = if self.by_request { 1 } else { 2 * transaction.actions.len() };
        self.requests.fetch_add(1, Ordering::Relaxed);
        let takes = self.bucket.lock().unwrap().takes(units as f64);
        sleep(self.latency).await;
        if takes {
            self.used.fetch_add(units, Ordering::Relaxed);
            Ok(())
        } else {
            self.throttled.fetch_add(1, Ordering::Relaxed);
            Err(Failure::Transient(RetryCause::Throttled))
        }
    }

    async fn view_item(&self, _: &ViewKey) -> Result<Option<Item>, Failure> {
        Ok(None)
    }

    async fn look_up(&self, _: &[ViewKey]) -> Result<LookedUp, Failure> {
        Ok(LookedUp::new())
    }
}

struct Seeded(Mutex<fastrand::Rng>);

impl Randomness for Seeded {
    fn token(&self) -> Uuid {
        Uuid::from_u128(self.0.lock().unwrap().u128(..))
    }

    fn up_to(&self, limit: Duration) -> Duration {
        limit.mul_f64(self.0.lock().unwrap().f64())
    }
}

struct Case {
    rate: f64,
    holds: f64,
    lanes: usize,
    records: usize,
    maps: usize,
    latency: u64,
    by_request: bool,
    seconds: f64,
}

async fn measure(case: &Case) -> String {
    let Case { rate, holds, lanes, records, maps, latency, by_request, seconds } = *case;
    let store = Limited {
        bucket: Arc::new(Mutex::new(Bucket { rate, holds: rate * holds, left: 0.0, at: Instant::now() })),
        used: Arc::default(),
        requests: Arc::default(),
        throttled: Arc::default(),
        latency: Duration::from_millis(latency),
        by_request,
    };
    let each: Vec<Value> = (1..=records).map(|p| insert(p, &format!("map-{}", p % maps), "x")).collect();
    let event = json!({ "Records": each }).to_string();
    let transactions = (records + maps).div_ceil(100);
    let actions = records + maps.max(transactions);
    let needed = if by_request { transactions } else { 2 * actions } as f64;
    let batches = ((rate * seconds / needed / lanes as f64).ceil() as usize).max(1);
    let began = Instant::now();
    let lane = |lane: usize| {
        let (store, event) = (store.clone(), &event);
        async move {
            let rollup = Rollup::new(config(), store, Seeded(Mutex::new(fastrand::Rng::with_seed(lane as u64))));
            for _ in 0..batches {
                let left = Duration::from_mins(15);
                let invocation = Invocation { request_id: "request".to_owned(), now: now(), time_left: left };
                let response = rollup.handle(event, &invocation).await.unwrap();
                if !response.batch_item_failures.is_empty() {
                    println!("left!");
                }
            }
        }
    };
    futures_util::future::join_all((0..lanes).map(lane)).await;
    let took = began.elapsed().as_secs_f64();
    let used = store.used.load(Ordering::Relaxed) as f64;
    let requests = store.requests.load(Ordering::Relaxed);
    let throttled = store.throttled.load(Ordering::Relaxed);
    format!(
        "rate {rate:>6} holds {holds:>4} lanes {lanes:>2} {records:>5}/{maps:<4} {latency:>3}ms{} | used {:.3} useful {:.3} took {took:>7.1} ok {:>6} ({:.1} units) throttled/s {:.1}",
        if by_request { " req" } else { "" },
        used / (rate * took),
        needed * (batches * lanes) as f64 / (rate * took),
        requests - throttled,
        used / (requests - throttled) as f64,
        throttled as f64 / took,
    )
}

#[tokio::test(start_paused = true)]
async fn capacity_measure() {
    let base = Case { rate: 200., holds: 1., lanes: 1, records: 1000, maps: 20, latency: 10, by_request: false, seconds: 40. };
    let full = Case { ..base };
    let cases = [
        Case { rate: 5., seconds: 400., ..full }, Case { rate: 20., seconds: 200., ..full }, Case { rate: 50., seconds: 100., ..full },
        Case { rate: 100., seconds: 100., ..full }, Case { rate: 200., ..full }, Case { rate: 1000., ..full },
        Case { rate: 200., holds: 0.2, ..full }, Case { rate: 1000., holds: 0.2, ..full },
        Case { latency: 50, ..full }, Case { records: 100, maps: 5, ..full }, Case { records: 100, maps: 5, lanes: 4, ..full },
        Case { lanes: 2, ..full }, Case { lanes: 4, ..full }, Case { lanes: 10, ..full }, Case { rate: 1000., lanes: 4, ..full }, Case { rate: 1000., lanes: 10, ..full },
        Case { rate: 50., holds: 300., ..full }, Case { rate: 200., holds: 300., lanes: 10, ..full }, Case { rate: 2000., holds: 0.1, ..full },
        Case { rate: 4000., lanes: 10, seconds: 15., ..full },
        Case { rate: 2., by_request: true, ..full }, Case { rate: 2., by_request: true, lanes: 4, ..full }, Case { rate: 10., by_request: true, lanes: 4, ..full },
    ];
    for case in &cases {
        println!("{}", measure(case).await);
    }
}
