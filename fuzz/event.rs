//! Any bytes as an event, through the whole handler, twice: it must neither panic nor count anything twice, and what it
//! acknowledges must have a marker or no effect.

#![no_main]

use std::sync::Mutex;
use std::time::Duration;

use chrono::DateTime;
use ddb_rollup::commit::{LookedUp, Randomness, Store};
use ddb_rollup::config::{Config, Tables as TableNames};
use ddb_rollup::handler::{Invocation, Rollup};
use ddb_rollup::rollup::model::definition::Definition;
use ddb_rollup::rollup::model::existing_marker::{ExistingMarker, existing};
use ddb_rollup::rollup::model::marker::{SEQUENCE_NUMBER, STREAM};
use ddb_rollup::rollup::model::view::ViewKey;
use ddb_rollup::rollup::pipeline::parse::{Parsed, parse};
use ddb_rollup::rollup::pipeline::plan::{Action, Transaction};
use ddb_rollup::rollup::pipeline::verdict::Failure;
use ddb_rollup::rollup::{AttributeValue, Item};
use libfuzzer_sys::fuzz_target;
use uuid::Uuid;

use support::service_limits;
use support::tables::Tables;

/// Tables in memory, and the token of the next transaction.
struct Memory {
    definition: Definition,
    tables: Mutex<(Tables, u64)>,
}

impl Store for &Memory {
    async fn transact(&self, transaction: &Transaction<'_>, token: Uuid) -> Result<(), Failure> {
        let markers = transaction.actions.iter().filter(|action| matches!(action, Action::PutMarker { .. }));
        service_limits::hold_against_the_limits(transaction, markers.count());
        self.tables.lock().unwrap().0.transact(transaction, token)
    }

    async fn view_item(&self, key: &ViewKey) -> Result<Option<Item>, Failure> {
        Ok(self.tables.lock().unwrap().0.view(key.table, &self.definition.key_item(key)).cloned())
    }

    async fn look_up(&self, _: &[ViewKey]) -> Result<LookedUp, Failure> {
        Ok(LookedUp::new())
    }
}

impl Randomness for &Memory {
    fn token(&self) -> Uuid {
        let next = &mut self.tables.lock().unwrap().1;
        *next += 1;
        Uuid::from_u64_pair(0, *next)
    }

    fn up_to(&self, limit: Duration) -> Duration {
        limit
    }
}

fuzz_target!(|text: &str| {
    let config = Config::of(TableNames::default()).unwrap();
    let memory = Memory { definition: config.definition.clone(), tables: Mutex::default() };
    let rollup = Rollup::new(config, &memory, &memory);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let now = DateTime::from_timestamp(1_795_000_001, 0).unwrap();
    let invocation = Invocation { request_id: "request".to_owned(), now, time_left: Duration::from_secs(60) };
    let deliver = || runtime.block_on(rollup.handle(text, &invocation));
    let seen = || memory.tables.lock().unwrap().0.clone();

    let first = deliver();
    let after = seen();
    let second = deliver();
    assert_eq!(seen(), after, "a second delivery changes nothing");
    assert_eq!(first, second, "and is answered like the first");

    let (Ok(response), Ok(records)) = (first, parse(text)) else { return };
    let failed = response.batch_item_failures.first().and_then(|failure| failure.item_identifier.clone());
    for parsed in records {
        let (head, raw) = match parsed {
            Ok(Parsed::Record(record)) => (record.head, record.raw),
            Ok(Parsed::Poison(poison)) => (poison.head, poison.raw),
            Ok(Parsed::Unnumbered { .. }) | Err(_) => panic!("an event with such a record fails as a whole"),
        };
        if failed.as_ref() == Some(&head.id.sequence_number) {
            break;
        }
        let is =
            |marker: &Item, name: &str, value: &str| marker.get(name) == Some(&AttributeValue::S(value.to_owned()));
        let of_record = |marker: &Item| {
            is(marker, SEQUENCE_NUMBER, &head.id.sequence_number) && is(marker, STREAM, &head.id.stream)
        };
        let of_event = |marker: &Item| existing(Some(marker), &head) != ExistingMarker::Collision;
        let marked = after.markers().filter(|marker| of_record(marker)).any(of_event);
        assert!(marked || rollup.has_no_effect(raw, now), "acknowledged without a marker: {raw}");
    }
});
