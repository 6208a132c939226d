//! Refusals that show nothing: the record at fault is found by halving, and only that record.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ddb_rollup::commit::{LookedUp, Store};
use ddb_rollup::config::{Config, Tables};
use ddb_rollup::handler::{Invocation, Rollup};
use ddb_rollup::metrics::Summary;
use ddb_rollup::randomness::OsRandomness;
use ddb_rollup::rollup::model::view::ViewKey;
use ddb_rollup::rollup::pipeline::plan::{Action, Transaction};
use ddb_rollup::rollup::pipeline::verdict::{ActionVerdict, Failure};
use ddb_rollup::rollup::{AttributeValue, Item};
use serde_json::{Value, json};
use uuid::Uuid;

/// A store whose view items refuse every transaction in which the category `Cursed` is counted, without showing why.
#[derive(Default)]
struct Cursed {
    markers: Mutex<HashSet<String>>,
    quarantined: Mutex<HashSet<String>>,
    requests: AtomicUsize,
    /// After so many requests nothing is answered any more.
    silent_after: Option<usize>,
}

fn number(marker: &Item) -> String {
    match &marker["SequenceNumber"] {
        AttributeValue::S(number) => number.clone(),
        other => panic!("{other:?}"),
    }
}

impl Store for &Cursed {
    async fn transact(&self, transaction: &Transaction<'_>, _: Uuid) -> Result<(), Failure> {
        let request = self.requests.fetch_add(1, Ordering::Relaxed);
        if self.silent_after.is_some_and(|most| request >= most) {
            std::future::pending::<()>().await;
        }
        let mut markers = self.markers.lock().unwrap();
        let verdict = |action: &Action<'_>| match action {
            Action::PutMarker { marker, .. } if markers.contains(&number(&marker.item())) => {
                ActionVerdict::ConditionFailed(None)
            }
            Action::UpdateView { update, .. } if update.names.values().any(|name| name == "Cursed") => {
                ActionVerdict::Refused("ValidationError: no reason given".to_owned())
            }
            _ => ActionVerdict::Fine,
        };
        let verdicts: Vec<_> = transaction.actions.iter().map(verdict).collect();
        if verdicts.iter().any(|verdict| *verdict != ActionVerdict::Fine) {
            return Err(Failure::Cancelled(verdicts));
        }
        for action in &transaction.actions {
            if let Action::PutMarker { marker, .. } = action {
                let marker = marker.item();
                markers.insert(number(&marker));
                if marker.contains_key("Reason") {
                    self.quarantined.lock().unwrap().insert(number(&marker));
                }
            }
        }
        Ok(())
    }

    async fn view_item(&self, _: &ViewKey) -> Result<Option<Item>, Failure> {
        let updated = [("RollupVersion".to_owned(), AttributeValue::N("7".to_owned()))];
        Ok(Some(Item::from(std::collections::HashMap::from(updated))))
    }

    async fn look_up(&self, _: &[ViewKey]) -> Result<LookedUp, Failure> {
        Ok(LookedUp::new())
    }
}

fn insert(number: usize, category: &str) -> Value {
    json!({
        "eventID": format!("event{number}"),
        "eventName": "INSERT",
        "eventSourceARN": "arn",
        "awsRegion": "eu-west-1",
        "dynamodb": {
            "SequenceNumber": number.to_string(),
            "SizeBytes": 1,
            "Keys": {"PointId": {"S": number.to_string()}},
            "NewImage": {"MapId": {"S": "m"}, "Category": {"S": category}},
        },
    })
}

async fn deliver(store: &'static Cursed, records: &[Value], time_left: Duration) -> (Option<String>, Summary) {
    let (seen, summary) = std::sync::mpsc::channel();
    let rollup = Rollup::new(Config::of(Tables::default()).unwrap(), store, OsRandomness)
        .observed(move |_, summary| seen.send(summary.clone()).unwrap());
    let invocation = Invocation { request_id: "r".into(), now: chrono::Utc::now(), time_left };
    let response = rollup.handle(&json!({ "Records": records }).to_string(), &invocation).await.unwrap();
    let failed = response.batch_item_failures.into_iter().next().map(|failure| failure.item_identifier.unwrap());
    (failed, summary.recv().unwrap())
}

fn store(store: Cursed) -> &'static Cursed {
    Box::leak(Box::new(store))
}

#[tokio::test(start_paused = true)]
async fn only_the_records_at_fault_go_to_quarantine() {
    let store = store(Cursed::default());
    let category = |number: usize| if number % 17 == 3 { "Cursed" } else { "Fine" };
    let records: Vec<_> = (0..200).map(|number| insert(number, category(number))).collect();
    let (failed, summary) = deliver(store, &records, Duration::from_mins(1)).await;
    assert_eq!(failed, None);
    let cursed = (0..200).filter(|number| category(*number) == "Cursed").map(|number| number.to_string()).collect();
    assert_eq!(*store.quarantined.lock().unwrap(), cursed);
    assert_eq!(summary.counts.applied + summary.counts.quarantined, 200);
}

#[tokio::test(start_paused = true)]
async fn a_neighbour_of_a_duplicate_is_not_blamed_for_it() {
    let store = store(Cursed::default());
    let (cursed, fine) = (insert(1, "Cursed"), insert(2, "Fine"));
    store.markers.lock().unwrap().insert("1".to_owned());
    let (failed, summary) = deliver(store, &[cursed, fine], Duration::from_mins(1)).await;
    assert_eq!((failed, summary.counts.duplicates, summary.counts.applied), (None, 1, 1));
    assert!(store.quarantined.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn every_invocation_gets_on_however_short_it_is() {
    let records: Vec<_> = (0..990).map(|number| insert(number, "Cursed")).collect();
    let short = store(Cursed { silent_after: Some(25), ..Cursed::default() });
    let (failed, summary) = deliver(short, &records, Duration::from_secs(25)).await;
    assert!(failed.is_some());
    assert!(summary.counts.quarantined > 0, "{summary:?}");
    assert_eq!(summary.counts.unresolved + summary.counts.quarantined, 990);
}
