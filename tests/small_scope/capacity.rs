//! Tables with so many write units a second: however many functions want them, and however large their transactions are,
//! hardly any of the units is left unused, and few of them are spent on updating a view item more often than necessary.

#![allow(clippy::cast_precision_loss, reason = "the figures are small")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ddb_rollup::commit::{LookedUp, Store};
use ddb_rollup::handler::{Invocation, Rollup};
use ddb_rollup::rollup::Item;
use ddb_rollup::rollup::model::view::ViewKey;
use ddb_rollup::rollup::pipeline::plan::Transaction;
use ddb_rollup::rollup::pipeline::verdict::{Failure, RetryCause};
use futures_util::future::join_all;
use serde_json::{Value, json};
use support::world::{Dice, SeededChoices};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::answering::insert;
use crate::function::{config, now};

/// Records of a batch, and their view items.
const RECORDS: usize = 1_000;
const MAPS: usize = 20;

/// What a batch takes at the least: 2 units for each marker, and 2 for an update of each view item.
const LEAST_UNITS: usize = 2 * (RECORDS + MAPS);

/// How long a transaction takes.
const LATENCY: Duration = Duration::from_millis(10);

/// Write units that come in by the second. Those of one second are kept.
#[derive(Clone)]
struct Capacity {
    units_a_second: f64,
    left: Arc<Mutex<(f64, Instant)>>,
}

impl Store for Capacity {
    async fn transact(&self, transaction: &Transaction<'_>, _: Uuid) -> Result<(), Failure> {
        let units = 2.0 * transaction.actions.len() as f64;
        let enough = {
            let mut left = self.left.lock().unwrap();
            let since = left.1.elapsed().as_secs_f64();
            *left = ((left.0 + self.units_a_second * since).min(self.units_a_second), Instant::now());
            let enough = units <= left.0;
            left.0 -= if enough { units } else { 0.0 };
            enough
        };
        sleep(LATENCY).await;
        if enough { Ok(()) } else { Err(Failure::Transient(RetryCause::Throttled)) }
    }

    async fn view_item(&self, _: &ViewKey) -> Result<Option<Item>, Failure> {
        Ok(None)
    }

    async fn look_up(&self, _: &[ViewKey]) -> Result<LookedUp, Failure> {
        Ok(LookedUp::new())
    }
}

/// What some functions got done with so many units a second, as a share of what is possible.
async fn share(units_a_second: usize, functions: usize) -> f64 {
    let capacity =
        Capacity { units_a_second: units_a_second as f64, left: Arc::new(Mutex::new((0.0, Instant::now()))) };
    let records: Vec<Value> = (1..=RECORDS).map(|one| insert(one, &format!("map-{}", one % MAPS), "x")).collect();
    let event = json!({ "Records": records }).to_string();
    let batches = (20 * units_a_second).div_ceil(LEAST_UNITS * functions);
    let began = Instant::now();
    join_all((0..functions).map(async |function| {
        let randomness = Dice::new(SeededChoices::new(function as u64));
        let rollup = Rollup::new(config(), capacity.clone(), randomness);
        for _ in 0..batches {
            let time_left = Duration::from_mins(15);
            let invocation = Invocation { request_id: "request".to_owned(), now: now(), time_left };
            let response = rollup.handle(&event, &invocation).await.unwrap();
            assert!(response.batch_item_failures.is_empty(), "no record may be left");
        }
    }))
    .await;
    (functions * batches * LEAST_UNITS) as f64 / (units_a_second as f64 * began.elapsed().as_secs_f64())
}

#[tokio::test(start_paused = true)]
async fn hardly_any_capacity_is_lost() {
    // A transaction of 100 actions takes 200 units: those of one second, and more than there ever are with 100.
    for (units_a_second, functions) in [(100, 1), (200, 1), (1_000, 1), (4_000, 1), (200, 4), (200, 10), (1_000, 10)] {
        let share = share(units_a_second, functions).await;
        println!("of what is possible: {share:.3}, with {units_a_second} units a second, functions: {functions}");
        assert!(share >= 0.9, "{units_a_second} units a second, functions: {functions}: {share:.3}");
    }
}
