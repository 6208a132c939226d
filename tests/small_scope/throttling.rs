//! Tables that never have the capacity for a large transaction: it is sent in halves until it fits, and everything gets
//! through.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ddb_rollup::rollup::pipeline::plan::{Action, Transaction};
use ddb_rollup::rollup::pipeline::verdict::{Failure, RetryCause};
use serde_json::{Value, json};

use crate::answering::{Answering, Process, insert};
use crate::function::{Answer, config};
use support::item_size::item_bytes;

fn throttled() -> Result<(), Failure> {
    Err(Failure::Transient(RetryCause::Throttled))
}

/// Inserts over so many view items.
fn inserts(records: usize, maps: usize) -> Vec<Value> {
    (1..=records).map(|position| insert(position, &format!("map-{}", position % maps), "x")).collect()
}

#[tokio::test(start_paused = true)]
async fn what_never_fits_into_the_capacity_gets_through_in_halves() {
    let mut searched = 0;
    for actions in [2, 3, 10, 50, 99] {
        for maps in [1, 7, 100] {
            let store = Answering::new(move |transaction, _| (transaction.actions.len() > actions).then(throttled));
            let (answer, summary) = Process::new(config(), &store).deliver(&inserts(100, maps)).await;
            assert_eq!((answer, summary.counts.applied), (Answer::All, 100), "{actions} actions, {maps} maps");
            assert_eq!(store.total(), 100, "{actions} actions, {maps} maps");
            searched += 1;
        }
    }
    println!("{searched} capacities");
}

#[tokio::test(start_paused = true)]
async fn records_for_quarantine_that_never_fit_as_one_get_through_too() {
    let bytes = |transaction: &Transaction<'_>| -> usize {
        let put = |action: &Action<'_>| match action {
            Action::PutMarker { marker, .. } => item_bytes(&marker.item()),
            _ => 0,
        };
        transaction.actions.iter().map(put).sum()
    };
    let store = Answering::new(move |transaction, _| (bytes(transaction) > 30_000).then(throttled));
    let unreadable = |position: usize| {
        let mut record = insert(position, "a", "x");
        record["dynamodb"]["NewImage"] = json!({ "MapId": "x".repeat(10_000) });
        record
    };
    let records: Vec<Value> = (1..=40).map(unreadable).collect();
    let (answer, summary) = Process::new(config(), &store).deliver(&records).await;
    assert_eq!((answer, summary.counts.quarantined), (Answer::All, 40));
}

#[tokio::test(start_paused = true)]
async fn what_is_throttled_for_a_second_is_not_halved() {
    // The waits are 20, 40, 80 and then 100 ms each.
    for (times, transactions) in [(14, 1), (17, 2)] {
        let committed = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&committed);
        let store = Answering::new(move |_, number| {
            if number < times {
                return Some(throttled());
            }
            seen.fetch_add(1, Ordering::Relaxed);
            None
        });
        let (_, summary) = Process::new(config(), &store).deliver(&inserts(50, 1)).await;
        assert_eq!((summary.counts.applied, summary.retries[&RetryCause::Throttled]), (50, times));
        assert_eq!(committed.load(Ordering::Relaxed), transactions, "throttled {times} times");
    }
}

/// Tables with a capacity for transactions of so many actions, and the size of each that was sent.
fn limited(most: &Arc<AtomicUsize>) -> (Answering, Arc<Mutex<Vec<usize>>>) {
    let (most, sizes) = (Arc::clone(most), Arc::<Mutex<Vec<usize>>>::default());
    let seen = Arc::clone(&sizes);
    let store = Answering::new(move |transaction, _| {
        seen.lock().unwrap().push(transaction.actions.len());
        (transaction.actions.len() > most.load(Ordering::Relaxed)).then(throttled)
    });
    (store, sizes)
}

/// The inserts of a batch of its own.
fn batch(number: usize) -> Vec<Value> {
    (1..=90).map(|position| insert(1_000 * number + position, "map", "x")).collect()
}

#[tokio::test(start_paused = true)]
async fn what_never_fits_is_found_out_once_and_tried_again_after_many_commits() {
    let most = Arc::new(AtomicUsize::new(15));
    let (store, sizes) = limited(&most);
    let process = Process::new(config(), &store);
    let mut largest = Vec::new();
    for number in 0..30 {
        if number == 2 {
            most.store(100, Ordering::Relaxed);
        }
        assert_eq!(process.deliver(&batch(number)).await.0, Answer::All);
        largest.push(sizes.lock().unwrap().drain(..).max().unwrap());
    }
    assert_eq!(largest[..2], [91, 13], "the second batch of the process is sent in what fits");
    assert_eq!(largest.last(), Some(&91), "capacity that has grown is used: {largest:?}");
    assert!(largest.is_sorted_by(|one, next| *one == 91 || one <= next), "{largest:?}");
}

#[tokio::test(start_paused = true)]
async fn an_invocation_of_three_seconds_gets_to_what_fits() {
    let (store, _) = limited(&Arc::new(AtomicUsize::new(2)));
    let process = Process::new(config(), &store);
    for _ in 0..3 {
        process.handle_in(&batch(0), Duration::from_secs(3)).await.unwrap();
    }
    assert_eq!(store.total(), 90);
}
