//! What each kind of answer leads to, told by what is sent next and by the summary: what is looked at, what goes to
//! quarantine, and what is counted how.

use std::collections::HashMap;

use ddb_rollup::rollup::AttributeValue;
use ddb_rollup::rollup::model::marker::{Guard, SOURCE_KEY};
use ddb_rollup::rollup::model::view::OnMissingViewItem;
use ddb_rollup::rollup::pipeline::coalesce::EntryId;
use ddb_rollup::rollup::pipeline::plan::{Action, Transaction};
use ddb_rollup::rollup::pipeline::verdict::{ActionVerdict, Failure, RetryCause};
use fastrand::Rng;
use serde_json::{Value, json};

use crate::answering::{Answering, Process, cancelled, deliver, insert, record};
use crate::function::{Answer, config};

#[tokio::test(start_paused = true)]
async fn first_touches_are_counted_once_a_view_item() {
    let store = Answering::tables();
    let process = Process::new(config(), &store);
    let (_, first) = process.deliver(&[insert(1, "a", "x"), insert(2, "b", "x"), insert(3, "a", "y")]).await;
    assert_eq!((first.first_touches, first.counts.applied), (2, 3));
    let (_, second) = process.deliver(&[insert(4, "a", "x"), insert(5, "c", "x")]).await;
    assert_eq!((second.first_touches, second.counts.applied), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_comes_twice_in_a_batch_is_a_duplicate_once() {
    let store = Answering::tables();
    let (answer, summary) = deliver(&store, &[insert(1, "a", "x"), insert(2, "a", "x"), insert(1, "a", "x")]).await;
    assert_eq!(answer, Answer::All);
    assert_eq!((summary.counts.applied, summary.counts.duplicates, summary.counts.records), (2, 1, 3));
}

#[tokio::test(start_paused = true)]
async fn a_record_is_kept_in_parts_and_reported_where_one_transaction_cannot_hold_them() {
    let reported = Answer::Before(format!("{:021}", 2));
    for (kilobytes, wanted, counts) in [(700, Answer::All, (1, 1, 0)), (5_000, reported, (1, 0, 1))] {
        // Text that becomes a quarter shorter by compressing it.
        let mut seeded = Rng::with_seed(1);
        let letters = (0..kilobytes * 1024).map(|_| char::from(b'0' + u8::try_from(seeded.usize(..64)).unwrap()));
        let text: String = letters.collect();
        let store = Answering::tables();
        let poison = record(2, &json!({ "Text": { "S": text } }));
        let (answer, summary) = deliver(&store, &[insert(1, "a", "x"), poison]).await;
        assert_eq!(answer, wanted, "{kilobytes}");
        let found = summary.counts;
        assert_eq!((found.applied, found.quarantined, found.unresolved), counts, "{kilobytes}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_in_quarantine_already_is_a_duplicate_to_the_function_and_in_quarantine_to_a_replay() {
    for (guard, wanted) in [(Guard::Absent, (1, 0)), (Guard::AbsentOrQuarantined, (0, 1)), (Guard::Quarantined, (0, 1))]
    {
        let store = Answering::tables();
        let poison = record(1, &json!({ "Text": { "S": "of no map" } }));
        let (_, first) = deliver(&store, std::slice::from_ref(&poison)).await;
        assert_eq!((first.counts.duplicates, first.counts.quarantined), (0, 1));
        let mut config = config();
        config.guard = guard;
        let (_, again) = Process::new(config, &store).deliver(&[poison]).await;
        assert_eq!((again.counts.duplicates, again.counts.quarantined), wanted, "{guard:?}");
    }
    // What is applied is a duplicate to both.
    let store = Answering::tables();
    deliver(&store, &[insert(1, "a", "x")]).await;
    let mut config = config();
    config.guard = Guard::AbsentOrQuarantined;
    let (_, again) = Process::new(config, &store).deliver(&[insert(1, "a", "x")]).await;
    assert_eq!((again.counts.duplicates, again.counts.quarantined, again.counts.applied), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_replay_from_quarantine_counts_nothing_whose_marker_is_not_in_quarantine() {
    let mut config = config();
    config.guard = Guard::Quarantined;
    let (_, summary) = Process::new(config, &Answering::tables()).deliver(&[insert(1, "a", "x")]).await;
    assert_eq!((summary.counts.applied, summary.counts.duplicates), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_view_item_that_came_into_being_is_counted_on_though_the_answer_does_not_show_it() {
    let appeared = |transaction: &Transaction<'_>, _| {
        let checks = |action: &Action<'_>| matches!(action, Action::CheckAbsent { .. });
        let refuse = |action: &Action<'_>| {
            if checks(action) { ActionVerdict::ConditionFailed(None) } else { ActionVerdict::Fine }
        };
        Some(if transaction.actions.iter().any(checks) { cancelled(transaction, refuse) } else { Ok(()) })
    };
    let store = Answering::new(appeared);
    let mut config = config();
    config.definition = config.definition.with_missing(OnMissingViewItem::Skip);
    let (answer, summary) = Process::new(config, &store).deliver(&[insert(1, "a", "x")]).await;
    assert_eq!((answer, summary.counts.applied, store.transactions()), (Answer::All, 1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_first_touch_that_is_met_lets_the_others_be_looked_up() {
    // The look-up in front tells nothing, so all view items are presumed to be complete.
    let store = Answering::tables().silent();
    let mut config = config();
    config.max_in_flight = 1;
    let records: Vec<Value> = (0..180).map(|n| insert(n, ["a", "b"][n % 2], "x")).collect();
    let (_, summary) = Process::new(config, &store).deliver(&records).await;
    assert_eq!((summary.counts.applied, summary.first_touches, store.look_ups()), (180, 2, 2));
}

#[tokio::test(start_paused = true)]
async fn whoever_is_left_when_the_others_are_duplicates_is_not_suspected_yet() {
    // The duplicate's part of the update may be what the view item could not take.
    let store = Answering::new(|transaction, number| {
        let verdict = |action: &Action<'_>| match action {
            Action::PutMarker { entry: EntryId(0), .. } => ActionVerdict::ConditionFailed(None),
            Action::PutMarker { .. } => ActionVerdict::Fine,
            _ => ActionVerdict::Refused("no room".to_owned()),
        };
        (number == 0).then(|| cancelled(transaction, verdict))
    });
    let (answer, summary) = deliver(&store, &[insert(1, "a", "x"), insert(2, "a", "x")]).await;
    assert_eq!((answer, summary.counts.applied, summary.counts.duplicates), (Answer::All, 1, 1));
    assert_eq!((store.transactions(), store.reads()), (2, 0));
}

/// Refuses every write of one view item, and does not show why.
fn refuses(map: &'static str) -> Answering {
    let hit = move |action: &Action<'_>| match action {
        Action::UpdateView { key, .. } => key["MapId"] == AttributeValue::S(map.to_owned()),
        _ => false,
    };
    let store = Answering::new(move |transaction, _| {
        let verdict = |action: &Action<'_>| {
            if hit(action) { ActionVerdict::Refused("no room".to_owned()) } else { ActionVerdict::Fine }
        };
        transaction.actions.iter().any(hit).then(|| cancelled(transaction, verdict))
    });
    store.with(map, &[("RollupVersion", AttributeValue::N("1".to_owned()))])
}

#[tokio::test(start_paused = true)]
async fn a_view_item_that_refuses_all_writes_costs_its_neighbours_nothing() {
    let store = refuses("full");
    let records: Vec<Value> = (0..8).map(|n| insert(n, ["full", "b", "c", "full"][n % 4], "x")).collect();
    let (answer, summary) = deliver(&store, &records).await;
    assert_eq!((answer, summary.counts.applied, summary.counts.quarantined), (Answer::All, 4, 4));
    let reasons = store.reasons();
    assert_eq!(reasons.len(), 4);
    for reason in reasons {
        assert!(reason.contains("full") && reason.contains("no room"), "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn counters_that_can_be_seen_to_be_broken_are_found_by_one_look() {
    let groups = [("broken", AttributeValue::S("a text".to_owned())), ("fine", AttributeValue::N("4".to_owned()))];
    let groups = groups.map(|(name, value)| (name.to_owned(), value)).into_iter().collect::<HashMap<_, _>>();
    let store = Answering::tables().with(
        "a",
        &[("TotalPoints", AttributeValue::N("4".to_owned())), ("CategoryCounts", AttributeValue::M(groups))],
    );
    let records: Vec<Value> = (0..8).map(|n| insert(n, "a", ["broken", "fine"][n % 2])).collect();
    let (answer, summary) = deliver(&store, &records).await;
    assert_eq!((answer, summary.counts.applied, summary.counts.quarantined), (Answer::All, 4, 4));
    // Refused; then what is left, and what goes to quarantine.
    assert_eq!((store.transactions(), store.reads()), (3, 1));
    for reason in store.reasons() {
        assert!(reason.contains("broken"), "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn counters_that_can_be_seen_to_be_broken_are_found_by_one_look_where_no_action_is_named() {
    let text = AttributeValue::S("a text".to_owned());
    let groups = AttributeValue::M(HashMap::from([("broken".to_owned(), text)]));
    let terse = |transaction: &Transaction<'_>, _: usize| {
        let names = |action: &Action<'_>| match action {
            Action::UpdateView { update, .. } => update.names.values().any(|name| name == "broken"),
            _ => false,
        };
        transaction.actions.iter().any(names).then(|| Err(Failure::Refused("an operand is no number".to_owned())))
    };
    let store = Answering::new(terse).with("a", &[("CategoryCounts", groups)]);
    let records: Vec<Value> = (0..8).map(|n| insert(n, "a", ["broken", "fine"][n % 2])).collect();
    let (answer, summary) = deliver(&store, &records).await;
    assert_eq!((answer, summary.counts.applied, summary.counts.quarantined), (Answer::All, 4, 4));
    assert_eq!((store.transactions(), store.reads()), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_marker_whose_key_is_refused_is_kept_without_it_and_reported_if_that_is_refused_too() {
    for (refuse_all, quarantined) in [(false, 1), (true, 0)] {
        let store = Answering::new(move |transaction, _| {
            let refused = |action: &Action<'_>| match action {
                Action::PutMarker { marker, .. } => {
                    refuse_all || marker.item()[SOURCE_KEY] != AttributeValue::M(HashMap::new())
                }
                _ => false,
            };
            let verdict = |action: &Action<'_>| {
                if refused(action) { ActionVerdict::Refused("a key".to_owned()) } else { ActionVerdict::Fine }
            };
            transaction.actions.iter().any(refused).then(|| cancelled(transaction, verdict))
        });
        let poison = record(1, &json!({ "Text": { "S": "of no map" } }));
        let (answer, summary) = deliver(&store, &[poison]).await;
        assert_eq!(summary.counts.quarantined, quarantined);
        assert_eq!(answer == Answer::All, !refuse_all, "{answer:?}");
        assert_eq!(store.transactions(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn retries_are_counted_by_their_causes() {
    let busy = |_: &Transaction<'_>, number: usize| {
        let cause = if number == 0 { RetryCause::Throttled } else { RetryCause::Conflict };
        (number < 3).then_some(Err(Failure::Transient(cause)))
    };
    let (_, summary) = deliver(&Answering::new(busy), &[insert(1, "a", "x")]).await;
    assert_eq!(summary.retries, [(RetryCause::Throttled, 1), (RetryCause::Conflict, 2)].into());
    assert_eq!((summary.transactions, summary.counts.applied), (4, 1));
    let (_, summary) = deliver(&Answering::tables(), &[insert(1, "a", "x")]).await;
    assert_eq!(summary.retries, [].into());
}
