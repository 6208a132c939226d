//! Hostile events. Those whose records can be told apart have two good ones in them, at both ends.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use ddb_rollup::rollup::model::kept_record::kept_record;
use futures_util::StreamExt;
use futures_util::stream::iter;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{assert_page, corpus};
use crate::engine::{Engine, Item, s, text};
use crate::runtime_api::{Ended, Sandbox, Settings};

const AMPLE: Duration = Duration::from_secs(20);

/// The map of the good records; no hostile one is on it.
const NEIGHBOURS: &str = "Neighbours";

/// The longest part of a reason that its page shows.
const SHOWN: usize = 240;

/// The raw records of an event, where it is one.
fn raw_records(event: &str) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Event {
        #[serde(rename = "Records")]
        records: Vec<Box<RawValue>>,
    }
    let event: Event = serde_json::from_str(event).ok()?;
    Some(event.records.iter().map(|raw| raw.get().to_owned()).collect())
}

fn is_neighbour(raw: &str) -> bool {
    raw.contains(NEIGHBOURS)
}

/// A text of JSON as it is, with null for what is in it and cannot be read.
fn value_of(raw: &str) -> Value {
    serde_json::from_str(raw).unwrap_or_else(|_| {
        let fields: BTreeMap<String, &RawValue> = serde_json::from_str(raw).unwrap_or_default();
        if fields.is_empty() {
            return Value::Null;
        }
        fields.into_iter().map(|(name, raw)| (name, value_of(raw.get()))).collect()
    })
}

/// Whether a record changes nothing, as its images show.
fn changes_nothing(raw: &str) -> bool {
    let record = value_of(raw);
    let [old, new] = ["OldImage", "NewImage"].map(|image| &record["dynamodb"][image]);
    old.is_object() && old["MapId"] == new["MapId"] && old["Category"] == new["Category"]
}

/// What became of a record, as its marker tells; none when it has none.
fn marker_of<'m>(raw: &str, markers: &'m [Item]) -> Option<&'m Item> {
    let kept =
        |marker: &&Item| kept_record(&serde_dynamo::Item::from((*marker).clone()), &[]).is_some_and(|kept| kept == raw);
    if let Some(marker) = markers.iter().find(kept) {
        return Some(marker);
    }
    let record = value_of(raw);
    let applied = |marker: &&Item| {
        marker["Outcome"] == s("APPLIED")
            && record["dynamodb"]["SequenceNumber"].as_str() == Some(&text(&marker["SequenceNumber"]))
            && record["eventSourceARN"].as_str() == Some(&text(&marker["Stream"]))
            && record["eventID"].as_str().unwrap_or_default() == text(&marker["EventId"])
    };
    markers.iter().find(applied)
}

/// Delivers an event, and tells what became of each of its records.
async fn story(name: &str, event: &str) -> String {
    let engine = Engine::start().await;
    let function = engine.function();
    let answer = function.invoke(event, AMPLE).await;
    let everything = engine.everything().await;
    assert_eq!(function.invoke(event, AMPLE).await, answer, "{name}: the same again");
    assert_eq!(engine.everything().await, everything, "{name}: a second delivery moves nothing");

    let mut story = format!("{name}\n");
    match &answer {
        Ok(None) => story += "  the batch is dealt with\n",
        Ok(Some(number)) => writeln!(story, "  Lambda is told to deliver again from {number} on").unwrap(),
        Err(failure) => writeln!(story, "  the invocation fails: {}: {failure}", failure.kind()).unwrap(),
    }
    let markers = engine.scan("Idempotency").await;
    let failed_whole = answer.as_ref().is_err_and(|failure| failure.kind() != "Rollup.Unnumbered");
    if failed_whole {
        assert_eq!(engine.everything().await, Default::default(), "{name}: an event that is refused writes nothing");
        return story;
    }
    let records = raw_records(event).unwrap_or_else(|| panic!("{name}: what is no event must be refused"));
    let neighbours = records.iter().filter(|raw| is_neighbour(raw)).count();
    let counted = engine.counters(NEIGHBOURS).await.map_or(0, |counters| counters.total);
    assert_eq!(usize::try_from(counted).unwrap(), neighbours, "{name}: the neighbours are counted");

    let mut reported = false;
    for raw in &records {
        let marker = marker_of(raw, &markers);
        let failed = matches!(&answer, Ok(Some(number)) if raw.contains(number.as_str()));
        reported |= failed;
        let outcome = marker.map(|marker| text(&marker["Outcome"]));
        match (outcome.as_deref(), marker) {
            (Some("APPLIED"), _) if is_neighbour(raw) => {}
            (Some("APPLIED"), Some(marker)) => {
                writeln!(story, "  counted, and marked: {}", item_of(marker)).unwrap();
            }
            (Some("QUARANTINED"), Some(marker)) => {
                assert!(!is_neighbour(raw), "{name}: {raw}");
                assert!(!marker.contains_key("ExpiresAt"), "{name}: it stays until an operator decides");
                writeln!(story, "  in quarantine as it came: {}", shown(&text(&marker["Reason"]))).unwrap();
            }
            (None, _) if failed => story += "  not marked, and reported to Lambda as failed\n",
            (None, _) => {
                assert!(answer == Ok(None) && changes_nothing(raw), "{name}: lost: {raw}");
                story += "  changes nothing, so there is nothing to mark\n";
            }
            (other, _) => panic!("{name}: {other:?}: {raw}"),
        }
    }
    assert!(reported || !matches!(answer, Ok(Some(_))), "{name}: what is reported is one of its records");
    story
}

/// Which view items a marker says its record changed.
fn item_of(marker: &Item) -> String {
    let deltas = marker["Deltas"].as_l().unwrap().iter();
    let delta = |delta: &aws_sdk_dynamodb::types::AttributeValue| {
        let delta = delta.as_m().unwrap();
        let measures = delta["Measures"].as_m().unwrap();
        let amounts = |groups: &Item| {
            groups.iter().map(|(name, value)| (name.clone(), value.as_n().unwrap().clone())).collect::<BTreeMap<_, _>>()
        };
        let total = measures.get("TotalPoints").map(|total| total.as_n().unwrap().as_str());
        let groups = measures.get("CategoryCounts").map(|groups| amounts(groups.as_m().unwrap()));
        let map = text(&delta["Item"].as_m().unwrap()["MapId"]);
        format!("{} total {} {:?}", cut(format!("{map:?}")), total.unwrap_or("0"), groups.unwrap_or_default())
    };
    cut(deltas.map(delta).collect::<Vec<_>>().join(", "))
}

fn shown(text: &str) -> String {
    cut(text.escape_debug().to_string().replace("\\\"", "\"").replace("\\'", "'"))
}

fn cut(text: String) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}[...]", &text[..end]),
        None => text,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_comes_has_a_clear_message_and_loses_nothing() {
    let events = corpus("records");
    let stories = iter(events).map(|(name, event)| tokio::spawn(async move { story(&name, &event).await }));
    let stories: Vec<_> = stories.buffered(4).map(Result::unwrap).collect().await;
    assert_page("records", &stories.concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_real_process_lives_through_all_of_it() {
    let engine = Engine::start().await;
    let sandbox = Sandbox::ready(&Settings::on(&engine)).await;
    let mut page = String::new();
    for (name, event) in corpus("records") {
        match sandbox.invoke(&event, AMPLE).await {
            Ended::Response(_) => {}
            Ended::Error { kind, message } => writeln!(page, "{name}\n  {kind}: {}", shown(&message)).unwrap(),
            ended => panic!("{name}: {ended:?}"),
        }
    }
    assert!(sandbox.lives());
    sandbox.terminate().await;
    assert_eq!(sandbox.stderr().await, [""; 0], "nothing of it is a panic");
    assert_page("invocation_errors", &page);
}
