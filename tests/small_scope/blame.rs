//! Who is at fault for a refusal, by its words, by what its view item is like, by whether the engine names the action, and
//! by how many records are delivered: a record goes to quarantine and the others are counted, or the invocation fails and
//! nothing goes to quarantine.

use ddb_rollup::rollup::AttributeValue;
use ddb_rollup::rollup::pipeline::plan::{Action, Transaction};
use ddb_rollup::rollup::pipeline::verdict::{ActionVerdict, Failure};
use serde_json::Value;

use crate::answering::{Answering, Process, cancelled, insert};
use crate::function::config;

/// What the view item is before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ViewItem {
    Absent,
    NeverUpdated,
    Updated,
}

/// What should come of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The record at fault is in quarantine, and every other one is counted.
    Quarantined,
    /// The invocation fails, and nothing is in quarantine.
    Failed,
}

use Outcome::{Failed, Quarantined};

const ITEMS: [ViewItem; 3] = [ViewItem::Absent, ViewItem::NeverUpdated, ViewItem::Updated];

/// A view item that refuses the updates that count `hostile`.
fn refusing(words: &'static str, terse: bool, view_item: ViewItem) -> Answering {
    let counts = |action: &Action<'_>| match action {
        // A first touch has the group in its values, any other update in its names.
        Action::UpdateView { update, .. } => format!("{update:?}").contains("hostile"),
        _ => false,
    };
    let store = Answering::new(move |transaction: &Transaction<'_>, _| {
        if !transaction.actions.iter().any(counts) {
            return None;
        }
        let verdict = |action: &Action<'_>| {
            if counts(action) { ActionVerdict::Refused(words.to_owned()) } else { ActionVerdict::Fine }
        };
        Some(if terse { Err(Failure::Refused(words.to_owned())) } else { cancelled(transaction, verdict) })
    });
    let number = |name: &'static str| (name, AttributeValue::N("1".to_owned()));
    match view_item {
        ViewItem::Absent => store,
        ViewItem::NeverUpdated => store.with("a", &[number("Pages")]),
        ViewItem::Updated => store.with("a", &[number("RollupVersion"), number("TotalPoints")]),
    }
}

/// What comes of a record that is refused, delivered behind so many good ones of another view item.
async fn outcome(store: &Answering, neighbours: usize) -> Option<Outcome> {
    let mut records: Vec<Value> = (1..=neighbours).map(|position| insert(position, "b", "fine")).collect();
    records.push(insert(neighbours + 1, "a", "hostile"));
    let process = Process::new(config(), store);
    let delivered = process.handle(&records).await;
    let quarantined = store.reasons().len();
    match delivered {
        Ok(response) => {
            let counts = process.summary().counts;
            let right = response.batch_item_failures.is_empty() && (counts.applied, quarantined) == (neighbours, 1);
            right.then_some(Quarantined)
        }
        Err(_) => (quarantined == 0).then_some(Failed),
    }
}

#[tokio::test(start_paused = true)]
async fn every_refusal_blames_the_record_or_the_deployment() {
    let index = "ValidationError: One or more parameter values were invalid: Type mismatch for Index Key";
    let of = |attribute: &str, actual: &str| -> &'static str {
        format!("{index} {attribute} Expected: B Actual: {actual} IndexName: top").leak()
    };
    let mut searched = 0;
    for (words, expected) in [
        ("ValidationError: no reason given", [Failed, Failed, Quarantined]),
        ("ValidationError: The provided key element does not match the schema", [Failed, Failed, Quarantined]),
        ("ItemCollectionSizeLimitExceeded: no room", [Quarantined; 3]),
        ("ValidationError: Item size to update has exceeded the maximum allowed size", [Quarantined; 3]),
        ("ValidationError: Number overflow.", [Quarantined; 3]),
        (
            "ValidationException: The update expression attempted to update a secondary index key to a value that is not \
             supported. The AttributeValue for a key attribute cannot contain an empty string value.",
            [Quarantined; 3],
        ),
        ("ValidationError: IndexName: top", [Failed; 3]),
        (of("TotalPoints", "N"), [Failed; 3]),
        (of("CategoryCounts", "M"), [Failed; 3]),
        (of("TotalPoints", "S"), [Quarantined; 3]),
        (of("Pages", "N"), [Quarantined; 3]),
    ] {
        for (view_item, expected) in ITEMS.into_iter().zip(expected) {
            for terse in [false, true] {
                for neighbours in [0, 1, 150] {
                    let store = refusing(words, terse, view_item);
                    let found = outcome(&store, neighbours).await;
                    let told = format!("{words}: {view_item:?}, terse: {terse}, beside {neighbours}");
                    assert_eq!(found, Some(expected), "{told}");
                    searched += 1;
                }
            }
        }
    }
    println!("{searched} refusals");
}

#[tokio::test(start_paused = true)]
async fn a_good_neighbour_shows_that_the_view_item_takes_updates() {
    for terse in [false, true] {
        let store = refusing("ValidationError: no reason given", terse, ViewItem::Absent);
        let process = Process::new(config(), &store);
        let records = [insert(1, "a", "fine"), insert(2, "a", "hostile"), insert(3, "a", "fine")];
        process.handle(&records).await.unwrap();
        let counts = process.summary().counts;
        assert_eq!((counts.applied, counts.quarantined), (2, 1), "terse: {terse}");
    }
}
