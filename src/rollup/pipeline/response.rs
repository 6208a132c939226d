//! What Lambda is told about a batch.

use aws_lambda_events::event::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};

use crate::rollup::model::record::RecordId;
use crate::rollup::pipeline::coalesce::{Batch, Disposition};

/// What became of an entry of the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryOutcome {
    /// This invocation added its deltas to the counters.
    Applied,
    /// It was resolved before.
    Duplicate,
    /// It is in quarantine, whole.
    Quarantined,
    /// It is not resolved: Lambda must deliver it again, or hand it to the failure destination.
    Unresolved(Unresolved),
}

/// Why an entry is not resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unresolved {
    /// The invocation's time ended first.
    OutOfTime,
    /// Quarantine cannot hold the record: at most its keys and the reason are stored.
    NotKept,
}

/// What an invocation did, by the number of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecordCounts {
    /// Records in the event.
    pub records: usize,
    /// Added to the counters.
    pub applied: usize,
    /// Resolved before, by an earlier invocation or earlier in the batch.
    pub duplicates: usize,
    /// Without an effect on any view item.
    pub no_effect: usize,
    /// Put into quarantine.
    pub quarantined: usize,
    /// Not resolved.
    pub unresolved: usize,
}

/// What became of the record at one position of the event.
enum Resolution<'b> {
    NoEffect,
    Applied,
    Duplicate,
    Quarantined,
    /// It cannot be reported to Lambda: the invocation fails.
    Unnumbered,
    Unresolved(&'b RecordId),
}

fn resolution<'b>(batch: &'b Batch<'_>, outcomes: &[EntryOutcome], disposition: &'b Disposition) -> Resolution<'b> {
    match disposition {
        Disposition::NoEffect => Resolution::NoEffect,
        Disposition::Unnumbered(_) => Resolution::Unnumbered,
        Disposition::Entry(entry) | Disposition::Repeat(entry) => match &outcomes[entry.0] {
            EntryOutcome::Unresolved(_) => Resolution::Unresolved(&batch[*entry].head().id),
            _ if matches!(disposition, Disposition::Repeat(_)) => Resolution::Duplicate,
            EntryOutcome::Applied => Resolution::Applied,
            EntryOutcome::Duplicate => Resolution::Duplicate,
            EntryOutcome::Quarantined => Resolution::Quarantined,
        },
    }
}

/// The response for a batch with these outcomes: the first record, by position, that is not resolved.
///
/// Later records may be resolved already; their next delivery finds their markers.
#[must_use]
pub fn response(batch: &Batch<'_>, outcomes: &[EntryOutcome]) -> (DynamoDbEventResponse, RecordCounts) {
    let mut counts = RecordCounts { records: batch.dispositions.len(), ..RecordCounts::default() };
    let mut first: Option<&RecordId> = None;
    for disposition in &batch.dispositions {
        let resolution = resolution(batch, outcomes, disposition);
        if let Resolution::Unresolved(id) = resolution {
            first = first.or(Some(id));
        }
        *match resolution {
            Resolution::NoEffect => &mut counts.no_effect,
            Resolution::Applied => &mut counts.applied,
            Resolution::Duplicate => &mut counts.duplicates,
            Resolution::Quarantined => &mut counts.quarantined,
            Resolution::Unnumbered | Resolution::Unresolved(_) => &mut counts.unresolved,
        } += 1;
    }
    let failure = first.map(|id| {
        let mut failure = DynamoDbBatchItemFailure::default();
        failure.item_identifier = Some(id.sequence_number.clone());
        failure
    });
    let mut response = DynamoDbEventResponse::default();
    response.batch_item_failures = failure.into_iter().collect();
    (response, counts)
}
