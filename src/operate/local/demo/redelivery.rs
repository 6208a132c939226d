//! Delivers every record of the stream again, three times, in other batches and in another order.

use std::time::Duration;

use super::observed_stack::ObservedStack;
use super::output::DemoOutput;
use crate::operate::event::EventRecord;
use crate::operate::local::error::LocalError;
use crate::operate::printable::counted;
use crate::operate::stream::{DynamoStream, StreamError};
use crate::operate::stream_reader::{Reach, StreamReader};

/// Whether the redelivery changed the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Redelivered {
    /// The tables are unchanged.
    NothingMoved,
    /// Something was counted twice, or failed.
    SomethingMoved,
}

/// One delivery of all records.
struct Redelivery {
    batch_size: usize,
    order: BatchOrder,
    words: &'static str,
}

/// The order in which the batches of a stream are delivered.
#[derive(Debug, Clone, Copy)]
enum BatchOrder {
    OldestFirst,
    NewestFirst,
    /// Every second batch first, then the others.
    Alternating,
}

/// Delivers all records three times. `written` is the expected number of records.
pub(super) async fn deliver_again(
    stack: &ObservedStack<'_>,
    output: &mut DemoOutput,
    written: usize,
) -> Result<Redelivered, LocalError> {
    let records = all_records(stack.stack.stream()).await?;
    let (counters, items) = (stack.counters().await?, stack.written_items().await?);
    let redeliveries = [
        Redelivery { batch_size: 1, order: BatchOrder::NewestFirst, words: "one by one, the newest first" },
        Redelivery { batch_size: 5, order: BatchOrder::Alternating, words: "5 at a time, every other batch first" },
        Redelivery { batch_size: records.len(), order: BatchOrder::OldestFirst, words: "all at once" },
    ];
    let mut seen = Vec::new();
    let mut nothing_moved = true;
    for redelivery in redeliveries {
        nothing_moved &= redelivery.changes_nothing(stack, &records, &mut seen).await;
    }
    nothing_moved &= items == stack.written_items().await? && records.len() == written;
    let conclusion = if nothing_moved {
        "Every change that counts found its marker, and nothing moved: both tables are what they were, to the last attribute"
    } else {
        "Something moved that should not have"
    };
    seen.push(conclusion.to_owned());
    let title = format!("Every one of the {} stream records is delivered again, three times", records.len());
    output.step(&title, &seen, &counters, &stack.counters().await?)?;
    Ok(if nothing_moved { Redelivered::NothingMoved } else { Redelivered::SomethingMoved })
}

impl Redelivery {
    /// Delivers the records, adds the result, and returns whether all were resolved and nothing was committed.
    async fn changes_nothing(
        &self,
        stack: &ObservedStack<'_>,
        records: &[EventRecord],
        seen: &mut Vec<String>,
    ) -> bool {
        let counts = stack.function().counts();
        let (committed, duplicates) = (counts.committed(), counts.duplicates());
        let batches = self.order.apply(records.chunks(self.batch_size.max(1)).collect());
        let mut all_acknowledged = true;
        for batch in &batches {
            all_acknowledged &= stack.deliver(batch).await;
        }
        let committed = counts.committed() - committed;
        seen.push(format!(
            "{}, in {}: {} found, {} committed",
            self.words,
            counted(batches.len(), "batch", "batches"),
            counted(counts.duplicates() - duplicates, "duplicate", "duplicates"),
            counted(committed, "transaction", "transactions"),
        ));
        all_acknowledged && committed == 0
    }
}

impl BatchOrder {
    fn apply<T>(self, mut batches: Vec<T>) -> Vec<T> {
        match self {
            Self::OldestFirst => {}
            Self::NewestFirst => batches.reverse(),
            Self::Alternating => {
                let (first, between): (Vec<_>, Vec<_>) =
                    batches.into_iter().enumerate().partition(|(place, _)| place % 2 == 0);
                batches = first.into_iter().chain(between).map(|(_, batch)| batch).collect();
            }
        }
        batches
    }
}

/// Every record in a stream, oldest first.
async fn all_records(stream: DynamoStream) -> Result<Vec<EventRecord>, StreamError> {
    let mut reader = StreamReader::new(stream, Duration::ZERO);
    let mut reading = reader.begin(Reach::Quick).await?;
    let mut records = Vec::new();
    while let Some(page) = reader.next(&mut reading).await? {
        records.extend(page);
    }
    Ok(records)
}
