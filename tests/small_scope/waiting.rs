//! How long the commit loop waits, on a clock of the tests' own: before a retry, before it plans the same entries yet again,
//! and not at all when there is no time left.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ddb_rollup::commit::{Randomness, Store};
use ddb_rollup::handler::{Invocation, Rollup};
use ddb_rollup::rollup::pipeline::plan::Action;
use ddb_rollup::rollup::pipeline::verdict::{ActionVerdict, Failure, RetryCause};
use ddb_rollup::rollup::{AttributeValue, Item};
use tokio::time::Instant;
use uuid::Uuid;

use crate::answering::{Answering, cancelled, insert};
use crate::function::{Answer, answer, config, now};
use crate::line::{Passage, Script};
use crate::memory_store::MemoryStore;

/// Tells what limit each wait had, and waits for all of it.
#[derive(Debug, Clone, Default)]
struct Waits(Arc<Mutex<Vec<u64>>>);

impl Waits {
    /// The limits, in milliseconds.
    fn asked(&self) -> Vec<u64> {
        self.0.lock().unwrap().clone()
    }
}

impl Randomness for Waits {
    fn token(&self) -> Uuid {
        Uuid::nil()
    }

    fn up_to(&self, limit: Duration) -> Duration {
        self.0.lock().unwrap().push(limit.as_millis().try_into().unwrap());
        limit
    }
}

/// Refuses so many transactions, as another writer makes and drops the view item's counters between any two.
fn contested(refusals: usize) -> Answering {
    Answering::new(move |transaction, number| {
        let found = (!number.is_multiple_of(2)).then(|| Item::from(HashMap::<String, AttributeValue>::new()));
        let verdict = |action: &Action<'_>| match action {
            Action::PutMarker { .. } => ActionVerdict::Fine,
            _ => ActionVerdict::ConditionFailed(found.clone()),
        };
        Some(if number < refusals { cancelled(transaction, verdict) } else { Ok(()) })
    })
}

/// Says so many times that the token was used for another body.
fn mistaken(times: usize) -> Answering {
    Answering::new(move |_, number| Some(if number < times { Err(Failure::TokenReused) } else { Ok(()) }))
}

/// Delivers one insert, with so much time, and tells how long it took.
async fn deliver(rollup: &Rollup<impl Store, impl Randomness>, time_left: Duration) -> (Answer, Duration) {
    let event = serde_json::json!({ "Records": [insert(1, "map", "a")] });
    let began = Instant::now();
    let invocation = Invocation { request_id: "request".to_owned(), now: now(), time_left };
    let response = rollup.handle(&event.to_string(), &invocation).await;
    (answer(response), began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn the_wait_before_a_retry_doubles_up_to_a_second_or_less_when_throttled() {
    for (cause, wanted) in [
        (RetryCause::Server, [20, 40, 80, 160, 320, 640, 1_000, 1_000, 1_000]),
        (RetryCause::Throttled, [20, 40, 80, 100, 100, 100, 100, 100, 100]),
    ] {
        let (script, waits) = (Script::default(), Waits::default());
        // The first request is the look-up.
        script.begin((1..=9).map(|request| (request, Passage::Fails(cause))));
        let rollup = Rollup::new(config(), MemoryStore::new(config().definition, script.clone()), waits.clone());
        let (answer, took) = deliver(&rollup, Duration::from_mins(1)).await;
        assert_eq!(answer, Answer::All);
        assert_eq!(waits.asked(), wanted);
        // The clock of a paused runtime counts whole milliseconds.
        assert!(took.as_millis().abs_diff(wanted.iter().sum::<u64>().into()) < 20, "{took:?}");
        assert_eq!(script.requests(), 11);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_planned_again_waits_from_the_fourth_time_on() {
    for (times, wanted) in [(0, &[][..]), (3, &[]), (4, &[20]), (8, &[20, 40, 80, 160, 320])] {
        for store in [contested(times), mistaken(times)] {
            let waits = Waits::default();
            let rollup = Rollup::new(config(), store, waits.clone());
            let (answer, took) = deliver(&rollup, Duration::from_mins(1)).await;
            assert_eq!(answer, Answer::All);
            assert_eq!(waits.asked(), wanted, "planned again {times} times");
            let slept: u64 = wanted.iter().sum();
            assert!(took.as_millis().abs_diff(u128::from(slept)) < 20, "{took:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_when_no_time_is_left() {
    let script = Script::default();
    let rollup = Rollup::new(config(), MemoryStore::new(config().definition, script.clone()), Waits::default());
    let (answer, took) = deliver(&rollup, Duration::ZERO).await;
    assert_eq!((answer, took), (Answer::Before("000000000000000000001".to_owned()), Duration::ZERO));
    assert_eq!(script.requests(), 0);
}
