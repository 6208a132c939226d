//! The stack as the demo observes it: its items, its counters, and what the function received.

use aws_sdk_dynamodb::Client;
use chrono::{DateTime, Utc};
use dynoxide::storage_backend::ManualClock;

use super::recording_function::RecordingFunction;
use super::recount::{CountersByMap, recount, stored};
use super::table::{DemoTable, SdkItem};
use crate::operate::event::{EventRecord, event};
use crate::operate::local::error::LocalError;
use crate::operate::local::poller::{Function, Poller};
use crate::operate::local::running_stack::RunningStack;
use crate::operate::stream::DynamoStream;

/// A running stack, its clock, and its function.
pub(super) struct ObservedStack<'a> {
    /// The engine with its tables.
    pub(super) stack: &'a RunningStack,
    /// The engine's clock.
    pub(super) clock: &'a ManualClock,
    poller: &'a Poller<DynamoStream, RecordingFunction>,
    /// The source table.
    pub(super) points: DemoTable,
    /// The view table.
    pub(super) maps: DemoTable,
    markers: DemoTable,
}

/// Everything that the function writes, with all attributes.
#[derive(Debug, PartialEq)]
pub(super) struct WrittenItems {
    maps: Vec<SdkItem>,
    markers: Vec<SdkItem>,
}

impl<'a> ObservedStack<'a> {
    /// Observes this stack, and the function of its poller.
    pub(super) fn new(
        stack: &'a RunningStack,
        clock: &'a ManualClock,
        poller: &'a Poller<DynamoStream, RecordingFunction>,
    ) -> Self {
        let client = Client::new(&stack.sdk);
        Self {
            stack,
            clock,
            poller,
            points: DemoTable::new(client.clone(), &stack.definition.source.name),
            maps: DemoTable::new(client.clone(), &stack.definition.views[0].name),
            markers: DemoTable::new(client, &stack.definition.idempotency.name),
        }
    }

    /// The function that the poller calls.
    pub(super) fn function(&self) -> &RecordingFunction {
        &self.poller.function
    }

    /// The time on the engine's clock.
    pub(super) fn now(&self) -> DateTime<Utc> {
        (self.poller.clock)()
    }

    /// Calls the function without the poller, and returns whether it resolved all records.
    pub(super) async fn deliver(&self, records: &[EventRecord]) -> bool {
        let response = self.poller.function.invoke(event(records), self.poller.mapping.time_limit).await;
        response.is_ok_and(|response| !response.contains("itemIdentifier"))
    }

    /// The counters on the maps.
    pub(super) async fn counters(&self) -> Result<CountersByMap, LocalError> {
        Ok(stored(&self.maps.all().await?))
    }

    /// The recount of the points.
    pub(super) async fn recounted(&self) -> Result<CountersByMap, LocalError> {
        Ok(recount(&self.points.all().await?))
    }

    /// Everything that the function wrote.
    pub(super) async fn written_items(&self) -> Result<WrittenItems, LocalError> {
        Ok(WrittenItems { maps: self.maps.all().await?, markers: self.markers.all().await? })
    }

    /// Number of records that the function received, repetitions included.
    pub(super) fn delivered_records(&self) -> usize {
        self.function().deliveries().iter().map(Vec::len).sum()
    }
}
