//! The stack as the demo looks at it: its items, its counters, and what the function was given.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use dynoxide::storage_backend::ManualClock;

use super::error::DemoError;
use super::recording_function::RecordingFunction;
use super::recount::{CountersByMap, recount, stored};
use super::table::{DemoTable, SdkItem};
use crate::operate::local::poller::Poller;
use crate::operate::local::running_stack::RunningStack;
use crate::operate::stream::DynamoStream;

/// A running stack, its clock, and its function.
pub struct ObservedStack<'a> {
    /// The engine with its tables.
    pub stack: &'a RunningStack,
    /// The engine's clock.
    pub clock: &'a ManualClock,
    /// What the poller calls.
    pub function: &'a RecordingFunction,
    /// The time that one call of the function may take.
    pub time_limit: Duration,
    /// The source table.
    pub points: DemoTable,
    /// The view table.
    pub maps: DemoTable,
    markers: DemoTable,
}

/// What the function writes, to the last attribute.
#[derive(Debug, PartialEq)]
pub struct WrittenItems {
    maps: Vec<SdkItem>,
    markers: Vec<SdkItem>,
}

impl<'a> ObservedStack<'a> {
    /// Looks at this stack, and at the function of its poller.
    #[must_use]
    pub fn new(
        stack: &'a RunningStack,
        clock: &'a ManualClock,
        poller: &'a Poller<DynamoStream, RecordingFunction>,
    ) -> Self {
        let client = Client::new(&stack.sdk);
        Self {
            stack,
            clock,
            function: &poller.function,
            time_limit: poller.mapping.time_limit,
            points: DemoTable::new(client.clone(), &stack.definition.source.name),
            maps: DemoTable::new(client.clone(), &stack.definition.view.name),
            markers: DemoTable::new(client, &stack.definition.idempotency.name),
        }
    }

    /// The counters that the maps have.
    ///
    /// # Errors
    /// When the engine does not give them.
    pub async fn counters(&self) -> Result<CountersByMap, DemoError> {
        Ok(stored(&self.maps.all().await?))
    }

    /// The counters that the points come to.
    ///
    /// # Errors
    /// When the engine does not give the points.
    pub async fn recounted(&self) -> Result<CountersByMap, DemoError> {
        Ok(recount(&self.points.all().await?))
    }

    /// All that the function writes.
    ///
    /// # Errors
    /// When the engine does not give it.
    pub async fn written_items(&self) -> Result<WrittenItems, DemoError> {
        Ok(WrittenItems { maps: self.maps.all().await?, markers: self.markers.all().await? })
    }

    /// How many records the function was given, repetitions included.
    #[must_use]
    pub fn delivered_records(&self) -> usize {
        self.function.deliveries().iter().map(Vec::len).sum()
    }
}
