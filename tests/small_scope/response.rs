//! The response to every combination of what can become of up to four records.

use ddb_rollup::rollup::model::poison::{Poison, Reason};
use ddb_rollup::rollup::model::record::{RecordHead, RecordId};
use ddb_rollup::rollup::pipeline::coalesce::{Batch, Disposition, Entry, EntryId};
use ddb_rollup::rollup::pipeline::response::{EntryOutcome, Unresolved, response};

use crate::history::{STREAM, sequence_number};
use crate::schedule::Schedule;

/// What became of the record at one position.
#[derive(Debug, Clone, PartialEq)]
enum Fate {
    NoEffect,
    Entry(EntryOutcome),
    /// The first entry once more; without one it has no effect.
    Repeat,
    Unnumbered,
}

fn fates() -> Vec<Fate> {
    let outcomes = [
        EntryOutcome::Applied,
        EntryOutcome::Duplicate,
        EntryOutcome::Quarantined,
        EntryOutcome::Unresolved(Unresolved::OutOfTime),
        EntryOutcome::Unresolved(Unresolved::NotKept),
    ];
    let others = [Fate::NoEffect, Fate::Repeat, Fate::Unnumbered];
    outcomes.into_iter().map(Fate::Entry).chain(others).collect()
}

fn id(sequence_number: &str) -> RecordId {
    RecordId { sequence_number: sequence_number.to_owned(), stream: STREAM.to_owned() }
}

fn entry(sequence_number: &str) -> Entry<'static> {
    let head = RecordHead { id: id(sequence_number), ..RecordHead::default() };
    Entry::Quarantine(Box::new(Poison { head, reason: Reason::NoImage, raw: "" }))
}

/// The batch of these fates, its outcomes, and the sequence number that must be reported.
fn batch<'n>(fates: &[Fate], numbers: &[&'n str]) -> (Batch<'static>, Vec<EntryOutcome>, Option<&'n str>) {
    let (mut batch, mut outcomes, mut first) = (Batch::default(), Vec::new(), None);
    let mut repeated: Option<(&str, EntryOutcome)> = None;
    for (fate, number) in fates.iter().zip(numbers) {
        let (place, unresolved) = match fate {
            Fate::NoEffect => (Disposition::NoEffect, None),
            Fate::Unnumbered => {
                batch.entries.push(entry("unnumbered"));
                outcomes.push(EntryOutcome::Quarantined);
                (Disposition::Unnumbered(EntryId(batch.entries.len() - 1)), None)
            }
            Fate::Entry(outcome) => {
                batch.entries.push(entry(number));
                outcomes.push(outcome.clone());
                repeated.get_or_insert((*number, outcome.clone()));
                let unresolved = matches!(outcome, EntryOutcome::Unresolved(_)).then_some(*number);
                (Disposition::Entry(EntryId(batch.entries.len() - 1)), unresolved)
            }
            Fate::Repeat => match &repeated {
                None => (Disposition::NoEffect, None),
                Some((number, outcome)) => {
                    let first = batch.entries.iter().position(|entry| entry.head().id.sequence_number == *number);
                    (
                        Disposition::Repeat(EntryId(first.unwrap())),
                        matches!(outcome, EntryOutcome::Unresolved(_)).then_some(*number),
                    )
                }
            },
        };
        batch.dispositions.push(place);
        first = first.or(unresolved);
    }
    (batch, outcomes, first)
}

#[test]
fn the_first_record_that_is_not_done_is_reported_by_its_position() {
    let fates = fates();
    let numbers: Vec<String> = (0..4).map(sequence_number).collect();
    let forwards: Vec<&str> = numbers.iter().map(String::as_str).collect();
    let backwards: Vec<&str> = forwards.iter().rev().copied().collect();
    let mut combinations = 0;
    for length in 0..=4 {
        let mut schedule = Schedule::default();
        loop {
            let chosen: Vec<Fate> = (0..length).map(|_| fates[schedule.choose(fates.len())].clone()).collect();
            for numbers in [&forwards, &backwards] {
                let (batch, outcomes, expected) = batch(&chosen, numbers);
                let (response, tally) = response(&batch, &outcomes);
                let reported: Vec<_> =
                    response.batch_item_failures.iter().map(|failure| failure.item_identifier.as_deref()).collect();
                let expected: Vec<_> = expected.into_iter().map(Some).collect();
                assert_eq!(reported, expected, "{chosen:?} as {numbers:?}");
                let told = tally.applied + tally.duplicates + tally.no_effect + tally.quarantined + tally.unresolved;
                assert_eq!((tally.records, told), (length, length), "every record is told of once: {chosen:?}");
                combinations += 1;
            }
            if !schedule.advance() {
                break;
            }
        }
    }
    println!("{combinations} combinations");
    assert_eq!(combinations, 2 * (1 + 8 + 64 + 512 + 4_096));
}
