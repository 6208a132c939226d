//! The handler on tables in memory: whatever is delivered how often and in which order, the tables end up the same.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::DateTime;
use ddb_rollup::commit::Randomness;
use ddb_rollup::config::{Config, Tables as TableNames};
use ddb_rollup::handler::{Invocation, Rollup};
use ddb_rollup::rollup::model::definition::Definition;
use ddb_rollup::rollup::model::marker::{OUTCOME, SEQUENCE_NUMBER};
use ddb_rollup::rollup::model::view::ROLLUP_VERSION;
use ddb_rollup::rollup::{AttributeValue, Item};
use proptest::prelude::*;
use uuid::Uuid;

use crate::algebra::writes_and_deliveries;
use crate::cases;
use crate::line::Script;
use crate::made_up::{Counters, counted, definition, event, sequence_number, thousandths};
use crate::memory_store::MemoryStore;
use crate::tables::Tables;

/// Tokens are counted, and no wait is long.
#[derive(Debug, Default)]
struct Counted(AtomicU64);

impl Randomness for Counted {
    fn token(&self) -> Uuid {
        Uuid::from_u64_pair(0, self.0.fetch_add(1, Ordering::Relaxed))
    }

    fn up_to(&self, limit: Duration) -> Duration {
        limit
    }
}

/// Delivers events, each of which must be dealt with as a whole.
pub fn deliver(definition: Definition, store: &MemoryStore<Script>, events: &[String]) {
    let config = Config { definition, ..Config::of(TableNames::default()).unwrap() };
    let rollup = Rollup::new(config, store.clone(), Counted::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    for event in events {
        let now = DateTime::from_timestamp(1_795_000_001, 0).unwrap();
        let invocation = Invocation { request_id: "request".to_owned(), now, time_left: Duration::from_mins(1) };
        let response = runtime.block_on(rollup.handle(event, &invocation)).unwrap();
        assert_eq!(response.batch_item_failures.len(), 0, "nothing stands in the way");
    }
}

/// The counters in the tables, and the records that have a marker.
fn seen(tables: &Tables) -> (Counters, BTreeMap<String, String>) {
    let mut counters = Counters::new();
    for item in tables.views() {
        for (attribute, value) in item.iter().filter(|(name, _)| !["MapId", ROLLUP_VERSION].contains(&name.as_str())) {
            let groups: Vec<(Option<String>, &AttributeValue)> = match value {
                AttributeValue::M(groups) => groups.iter().map(|(name, value)| (Some(name.clone()), value)).collect(),
                other => vec![(None, other)],
            };
            for (group, value) in groups {
                let AttributeValue::N(text) = value else { panic!("a counter that is no number: {value:?}") };
                counters.insert((text_of(item, "MapId"), attribute.clone(), group), thousandths(text));
            }
        }
    }
    counters.retain(|_, amount| *amount != 0);
    let markers = tables.markers().map(|marker| (text_of(marker, SEQUENCE_NUMBER), text_of(marker, OUTCOME)));
    (counters, markers.collect())
}

pub fn text_of(item: &Item, attribute: &str) -> String {
    match &item[attribute] {
        AttributeValue::S(text) => text.clone(),
        other => panic!("not a text: {other:?}"),
    }
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn the_tables_end_up_the_same_however_records_are_delivered((writes, deliveries) in writes_and_deliveries(30)) {
        let store = MemoryStore::new(definition(), Script::default());
        let events: Vec<String> = deliveries.iter().map(|positions| event(&writes, positions)).collect();
        deliver(definition(), &store, &events);
        let (counters, markers) = seen(&store.tables());
        prop_assert_eq!(&counters, &counted(&writes));
        let effective = writes.iter().enumerate().filter(|(_, write)| !counted([*write]).is_empty());
        let wanted: BTreeMap<_, _> =
            effective.map(|(position, _)| (sequence_number(position), "APPLIED".to_owned())).collect();
        prop_assert_eq!(markers, wanted);

        let before = store.tables();
        deliver(definition(), &store, &events);
        prop_assert!(store.tables().views().eq(before.views()), "a delivery of what is known changes nothing");
        prop_assert!(store.tables().markers().eq(before.markers()));
    }
}
