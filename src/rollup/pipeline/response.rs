//! What Lambda is told about a batch.

use aws_lambda_events::event::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};

use crate::rollup::model::record::RecordId;
use crate::rollup::pipeline::coalesce::{Batch, Place};

/// What became of an entry of the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Its deltas are in the counters, by this invocation.
    Applied,
    /// It was dealt with before.
    Duplicate,
    /// It is in quarantine, whole.
    Quarantined,
    /// It is not dealt with: Lambda must deliver it again, or hand it to the failure destination.
    Unresolved(Unresolved),
}

/// Why an entry is not dealt with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unresolved {
    /// The invocation's time ended first.
    OutOfTime,
    /// Its marker's key belongs to another event.
    Collision,
    /// Quarantine cannot hold it: its keys and the reason are there, the record is not.
    NotKept,
}

/// What an invocation did, by the number of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Records in the event.
    pub records: usize,
    /// Added to the counters.
    pub applied: usize,
    /// Dealt with before, by an earlier invocation or earlier in the batch.
    pub duplicates: usize,
    /// Without an effect on any view item.
    pub no_effect: usize,
    /// Put into quarantine.
    pub quarantined: usize,
    /// Not dealt with.
    pub unresolved: usize,
}

/// The response of a batch whose entries came to these outcomes: the first record, by position, that is not dealt with.
///
/// Records behind it may be dealt with; their next delivery finds their markers.
#[must_use]
pub fn response(batch: &Batch<'_>, outcomes: &[Outcome]) -> (DynamoDbEventResponse, Tally) {
    let mut tally = Tally { records: batch.places.len(), ..Tally::default() };
    let mut first: Option<&RecordId> = None;
    for place in &batch.places {
        let unresolved = match place {
            Place::NoEffect => {
                tally.no_effect += 1;
                None
            }
            Place::Unnumbered(_) => {
                tally.unresolved += 1;
                None
            }
            Place::Collision(id) => Some(id),
            Place::Entry(entry) | Place::Repeat(entry) => match &outcomes[*entry] {
                Outcome::Unresolved(_) => Some(&batch.entries[*entry].head().id),
                _ if matches!(place, Place::Repeat(_)) => {
                    tally.duplicates += 1;
                    None
                }
                Outcome::Applied => {
                    tally.applied += 1;
                    None
                }
                Outcome::Duplicate => {
                    tally.duplicates += 1;
                    None
                }
                Outcome::Quarantined => {
                    tally.quarantined += 1;
                    None
                }
            },
        };
        if let Some(id) = unresolved {
            tally.unresolved += 1;
            first = first.or(Some(id));
        }
    }
    let mut response = DynamoDbEventResponse::default();
    response.batch_item_failures = first
        .map(|id| {
            let mut failure = DynamoDbBatchItemFailure::default();
            failure.item_identifier = Some(id.sequence_number.clone());
            failure
        })
        .into_iter()
        .collect();
    (response, tally)
}
