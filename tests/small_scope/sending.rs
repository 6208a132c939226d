//! When a request is on its way: before the next one is prepared, although connections are tasks of their own.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ddb_rollup::commit::{LookedUp, Store};
use ddb_rollup::handler::{Invocation, Rollup};
use ddb_rollup::rollup::Item;
use ddb_rollup::rollup::model::view::ViewKey;
use ddb_rollup::rollup::pipeline::plan::Transaction;
use ddb_rollup::rollup::pipeline::verdict::Failure;
use serde_json::{Value, json};
use support::world::{Dice, SeededChoices};
use tokio::sync::oneshot;
use tokio::time::sleep;
use uuid::Uuid;

use crate::answering::insert;
use crate::function::{config, now};

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Happening {
    Prepared,
    Written,
}

/// A store that hands each request to a task, which writes it. Every other one is answered as soon as it is written.
#[derive(Clone, Default)]
struct Connections(Arc<Mutex<Vec<Happening>>>);

impl Store for Connections {
    async fn transact(&self, _: &Transaction<'_>, _: Uuid) -> Result<(), Failure> {
        let number = {
            let mut happened = self.0.lock().unwrap();
            happened.push(Happening::Prepared);
            happened.len() / 2
        };
        let (answer, answered) = oneshot::channel();
        let happened = Arc::clone(&self.0);
        tokio::spawn(async move {
            happened.lock().unwrap().push(Happening::Written);
            sleep(Duration::from_millis(if number.is_multiple_of(2) { 0 } else { 10 })).await;
            answer.send(()).unwrap();
        });
        answered.await.unwrap();
        Ok(())
    }

    async fn view_item(&self, _: &ViewKey) -> Result<Option<Item>, Failure> {
        Ok(None)
    }

    async fn look_up(&self, _: &[ViewKey]) -> Result<LookedUp, Failure> {
        Ok(LookedUp::new())
    }
}

#[tokio::test(start_paused = true)]
async fn each_request_is_written_before_the_next_one_is_prepared() {
    const MAPS: usize = 20;
    let connections = Connections::default();
    let rollup = Rollup::new(config(), connections.clone(), Dice::new(SeededChoices::new(1)));
    let invocation = Invocation { request_id: "request".to_owned(), now: now(), time_left: Duration::from_mins(15) };
    let mut requests = 0;
    // The first batch of a process begins with one request alone, the second with as many as are allowed.
    for numbers in [1..=MAPS, MAPS + 1..=800] {
        connections.0.lock().unwrap().clear();
        let records: Vec<Value> = numbers.map(|one| insert(one, &format!("map-{}", one % MAPS), "x")).collect();
        let response = rollup.handle(&json!({ "Records": records }).to_string(), &invocation).await.unwrap();
        assert!(response.batch_item_failures.is_empty());
        let happened = connections.0.lock().unwrap().clone();
        for request in happened.chunks(2) {
            assert_eq!(request, [Happening::Prepared, Happening::Written], "{happened:?}");
        }
        requests = happened.len() / 2;
    }
    assert!(requests >= 8, "{requests} requests");
}
