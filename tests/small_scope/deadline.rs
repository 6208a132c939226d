//! The deadline, on a clock of the tests' own: whatever the batch, the engine's pace and the time, an invocation ends in
//! time, gets something done, and the invocations after it come to the end.

use std::time::Duration;

use ddb_rollup::handler::{Invocation, Rollup};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::answering::insert;
use crate::function::{Answer, Counted, answer, config, now};
use crate::line::{Line, Passage};
use crate::memory_store::MemoryStore;

/// Lets every request through, after a while.
#[derive(Debug, Clone)]
struct Slow(Duration);

impl Line for Slow {
    async fn passage(&self) -> Passage {
        sleep(self.0).await;
        Passage::Through
    }
}

fn sequence_number(position: usize) -> String {
    format!("{:021}", position + 1)
}

/// Inserts over so many view items; every category is another one if there are to be `groups` of them.
fn inserts(records: usize, maps: usize, groups: usize) -> Vec<Value> {
    let map = |position| format!("map-{}", position % maps);
    let category = |position| format!("category-{}", position % groups);
    (0..records).map(|position| insert(position + 1, &map(position), &category(position))).collect()
}

/// Delivers a batch until it is dealt with, as Lambda does: from the first record on that is reported. Gives how many
/// invocations that took.
async fn invocations(records: &[Value], pace: Duration, time_left: Duration, in_flight: usize) -> usize {
    let mut config = config();
    config.max_in_flight = in_flight;
    let store = MemoryStore::new(config.definition.clone(), Slow(pace));
    let rollup = Rollup::new(config, store.clone(), Counted::default());
    let (mut from, mut invocations, mut marked) = (0, 0, 0);
    while from < records.len() {
        let event = json!({ "Records": records[from..] }).to_string();
        let invocation = Invocation { request_id: "request".to_owned(), now: now(), time_left };
        let began = Instant::now();
        let response = rollup.handle(&event, &invocation).await;
        assert!(began.elapsed() <= time_left, "{:?} of {time_left:?}", began.elapsed());
        let before = (from, marked);
        from = match answer(response) {
            Answer::All => records.len(),
            Answer::Before(number) => (from..records.len()).find(|&place| sequence_number(place) == number).unwrap(),
            Answer::Crashed => unreachable!("nothing crashes"),
        };
        let tables = store.tables();
        marked = tables.markers().count();
        assert!(
            from > before.0 || marked > before.1,
            "nothing done by invocation {invocations} of {} records, {pace:?} a request, {in_flight} in flight",
            records.len()
        );
        invocations += 1;
        assert!(marked >= from, "what is acknowledged has a marker");
    }
    assert_eq!(marked, records.len());
    let tables = store.tables();
    let totals = tables.views().map(|view| match &view["TotalPoints"] {
        ddb_rollup::rollup::AttributeValue::N(text) => text.parse::<usize>().unwrap(),
        other => panic!("not a number: {other:?}"),
    });
    assert_eq!(totals.sum::<usize>(), records.len());
    invocations
}

#[tokio::test(start_paused = true)]
async fn an_invocation_of_one_second_ends_in_time_and_the_last_one_ends_the_batch() {
    let mut most = 0;
    for (records, maps, groups) in [(1, 1, 1), (700, 1, 3), (700, 1, 700), (700, 7, 50), (700, 700, 1), (250, 249, 250)]
    {
        let records = inserts(records, maps, groups);
        for pace in [1, 40, 180] {
            for in_flight in [1, 8] {
                let taken = invocations(&records, Duration::from_millis(pace), Duration::from_secs(1), in_flight).await;
                most = most.max(taken);
            }
        }
    }
    println!("up to {most} invocations of one batch");
    assert!(most > 3, "the time was too short for some batch: {most}");
}

/// Lambda delivers again from the first record on that has no outcome: what an invocation without enough time commits first
/// must include it, wherever the plan has its transaction.
#[tokio::test(start_paused = true)]
async fn an_invocation_that_commits_one_transaction_commits_the_first_record() {
    let mut config = config();
    config.max_in_flight = 1;
    for (first, others, maps) in [(1, 999, 1), (1, 900, 60), (3, 900, 2), (60, 900, 7)] {
        let firsts = (0..first).map(|position| insert(position + 1, "of the first", "Bar"));
        let others =
            (0..others).map(|position| insert(first + position + 1, &format!("map-{}", position % maps), "Bar"));
        let records: Vec<Value> = firsts.chain(others).collect();
        let store = MemoryStore::new(config.definition.clone(), Slow(Duration::from_millis(180)));
        let rollup = Rollup::new(config.clone(), store.clone(), Counted::default());
        let event = json!({ "Records": records }).to_string();
        let invocation = Invocation { request_id: "request".to_owned(), now: now(), time_left: Duration::from_secs(1) };
        let answer = answer(rollup.handle(&event, &invocation).await);
        let marked = store.tables().markers().count();
        let case = format!("{first} + {} records over {maps} maps: {marked} marked", records.len() - first);
        assert!((1..records.len()).contains(&marked), "{case}");
        assert!(matches!(answer, Answer::Before(number) if number > sequence_number(0)), "{case}");
    }
}
