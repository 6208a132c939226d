use super::*;
use crate::rollup::pipeline::parse::{Parsed, parse_record};

fn poison<'a>(number: &str, event_id: &str, raw: &'a str) -> Found<'a> {
    poison_of("stream", number, event_id, raw)
}

fn poison_of<'a>(stream: &str, number: &str, event_id: &str, raw: &'a str) -> Found<'a> {
    let id = RecordId { sequence_number: number.to_owned(), stream: stream.to_owned() };
    let head = RecordHead { id, event_id: event_id.to_owned(), ..RecordHead::default() };
    Found::Record(Effect::Quarantine(Box::new(Poison { head, reason: Reason::NoImage, raw })))
}

fn without_number(raw: &str) -> Found<'_> {
    match parse_record(raw) {
        Ok(Parsed::Unnumbered { reason, raw }) => Found::Unnumbered { reason, raw },
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_position_has_the_place_of_its_own_entry() {
    let batch = coalesce([
        poison("1", "a", "one"),
        without_number("{}"),
        poison("1", "a", "one"),
        without_number("7"),
        poison("1", "b", "another"),
        without_number("{}"),
        poison("2", "a", "two"),
    ]);
    let dispositions = [
        Disposition::Entry(EntryId(0)),
        Disposition::Unnumbered(EntryId(1)),
        Disposition::Repeat(EntryId(0)),
        Disposition::Unnumbered(EntryId(2)),
        Disposition::Entry(EntryId(3)),
        Disposition::Unnumbered(EntryId(1)),
        Disposition::Entry(EntryId(4)),
    ];
    assert_eq!((batch.dispositions.as_slice(), batch.behind_others.as_slice()), (&dispositions[..], &[EntryId(3)][..]));
    let raws = batch.entries.iter().map(|entry| match entry {
        Entry::Quarantine(poison) => poison.raw,
        Entry::Apply { .. } => "",
    });
    assert_eq!(raws.collect::<Vec<_>>(), ["one", "{}", "7", "another", "two"]);
}

#[test]
fn a_sequence_number_is_one_of_its_stream_in_a_batch_of_any_size() {
    let numbers: Vec<String> = (0..1_000).map(|number| number.to_string()).collect();
    let records = || numbers.iter().flat_map(|number| ["one", "other"].map(|stream| (stream, number)));
    let batch = coalesce(records().chain(records()).map(|(stream, number)| poison_of(stream, number, "a", "")));
    let entries = batch.ids().map(Disposition::Entry);
    assert!(batch.dispositions.iter().eq(&entries.chain(batch.ids().map(Disposition::Repeat)).collect::<Vec<_>>()));
    assert_eq!((batch.entries.len(), batch.behind_others.len()), (2_000, 0));
    let ids = batch.entries.iter().map(|entry| (entry.head().id.stream.as_str(), &entry.head().id.sequence_number));
    assert!(ids.eq(records()));
}
