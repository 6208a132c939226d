//! What an invocation writes into the log.

use tracing::{error, info, warn};

use crate::commit::CommitReport;
use crate::metrics::{self, Summary};
use crate::rollup::model::record::RecordId;
use crate::rollup::pipeline::coalesce::{Batch, Entry};
use crate::rollup::pipeline::response::{EntryOutcome, Unresolved};

/// A record that gets a log line of its own.
enum Notable {
    Quarantined(&'static str),
    NotKept,
}

/// The most records of an invocation that get a log line of their own.
const RECORD_LINES: usize = 20;

/// One line for each invocation, and one for each of the first records that an operator should see. No line shows the
/// content of an item.
pub(super) fn log(batch: &Batch<'_>, report: &CommitReport, summary: &Summary) {
    let judged = batch.entries.iter().zip(&report.outcomes);
    let notable = judged.filter_map(|(entry, outcome)| match (entry, outcome) {
        (Entry::Quarantine(poison), EntryOutcome::Quarantined) => {
            Some((&entry.head().id, Notable::Quarantined(poison.reason.kind())))
        }
        (_, EntryOutcome::Unresolved(Unresolved::NotKept)) => Some((&entry.head().id, Notable::NotKept)),
        _ => None,
    });
    for (RecordId { sequence_number, stream }, notable) in notable.take(RECORD_LINES) {
        match notable {
            Notable::Quarantined(reason) => warn!(sequence_number, stream, reason, "record quarantined"),
            Notable::NotKept => {
                error!(sequence_number, stream, "record that quarantine cannot hold: reported to Lambda as failed");
            }
        }
    }
    if let Some(words) = &report.look_ups_denied {
        warn!(
            reason = words,
            "markers cannot be looked up: every record is counted, but a batch that is delivered again costs more. Allow the role \
             dynamodb:BatchGetItem on the idempotency table"
        );
    }
    if report.outcomes.contains(&EntryOutcome::Unresolved(Unresolved::OutOfTime)) {
        warn!(retries = ?summary.retries, "out of time: the rest is reported to Lambda");
    }
    info!(
        records = summary.counts.records,
        applied = summary.counts.applied,
        duplicates = summary.counts.duplicates,
        no_effect = summary.counts.no_effect,
        quarantined = summary.counts.quarantined,
        unresolved = summary.counts.unresolved,
        transactions = summary.transactions,
        retries = summary.retries.values().sum::<usize>(),
        milliseconds = metrics::milliseconds(summary.took),
        "invocation"
    );
}
