//! The records of an event, one after another.
//!
//! The end of a record is known only after it was read. So a record is parsed where it stands, and the next one begins
//! where it ended. If that fails, the text of every record is looked for first, and the rest is parsed from these texts.

use std::iter::Skip;
use std::vec;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Deserializer, Error};

use super::envelope::Record;

/// What may stand between the parts of a JSON text.
const WHITESPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// A record in the list of an event.
pub(super) struct ListedRecord<'a> {
    /// Its text.
    pub(super) raw: &'a str,
    /// What it says; `None` if it is not parsed yet.
    pub(super) record: Option<Record>,
}

/// The records of an event that were not asked for yet.
pub(super) struct Records<'a> {
    event: &'a str,
    /// How many were parsed where they stand.
    parsed_in_place: usize,
    rest: Rest<'a>,
}

/// The rest of an event.
enum Rest<'a> {
    /// The text after the beginning of the list, or after one of its records.
    InPlace(&'a str),
    /// The texts of the records.
    Texts(Skip<vec::IntoIter<&'a RawValue>>),
    End,
}

impl<'a> Records<'a> {
    /// The records of an event. The iterator ends with an error if the event is not JSON from there on.
    ///
    /// # Errors
    /// When the event has no list of records.
    pub(super) fn of(event: &'a str) -> Result<Self, Error> {
        let rest = match list(event) {
            Some(list) => Rest::InPlace(list),
            None => texts(event, 0)?,
        };
        Ok(Self { event, parsed_in_place: 0, rest })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<ListedRecord<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match &mut self.rest {
                Rest::InPlace(text) => {
                    let record = if self.parsed_in_place == 0 { Some(*text) } else { after(text, ",") };
                    if let Some((record, rest)) = record.and_then(in_place) {
                        *text = rest;
                        self.parsed_in_place += 1;
                        return Some(Ok(record));
                    }
                    let rest = if is_end(text) { Ok(Rest::End) } else { texts(self.event, self.parsed_in_place) };
                    match rest {
                        Ok(rest) => self.rest = rest,
                        Err(error) => {
                            self.rest = Rest::End;
                            return Some(Err(error));
                        }
                    }
                }
                Rest::Texts(records) => {
                    return records.next().map(|raw| Ok(ListedRecord { raw: raw.get(), record: None }));
                }
                Rest::End => return None,
            }
        }
    }
}

/// The text of the list of records; `None` if anything else stands before it.
fn list(event: &str) -> Option<&str> {
    ["{", "\"Records\"", ":", "["].into_iter().try_fold(event, after)
}

/// Whether only the ends of the list and of the event follow.
fn is_end(text: &str) -> bool {
    ["]", "}"].into_iter().try_fold(text, after).is_some_and(|rest| rest.trim_start_matches(WHITESPACE).is_empty())
}

fn after<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    text.trim_start_matches(WHITESPACE).strip_prefix(mark)
}

/// Parses the record that a text begins with. Returns it with the text that follows.
fn in_place(text: &str) -> Option<(ListedRecord<'_>, &str)> {
    let text = text.trim_start_matches(WHITESPACE);
    let mut records = Deserializer::from_str(text).into_iter::<Record>();
    let record = records.next()?.ok()?;
    let (raw, rest) = text.split_at(records.byte_offset());
    Some((ListedRecord { raw, record: Some(record) }, rest))
}

/// The texts of an event's records, without the first ones.
fn texts(event: &str, skipped: usize) -> Result<Rest<'_>, Error> {
    #[derive(Deserialize)]
    struct Event<'a> {
        #[serde(rename = "Records", borrow)]
        records: Vec<&'a RawValue>,
    }
    let event: Event<'_> = serde_json::from_str(event)?;
    Ok(Rest::Texts(event.records.into_iter().skip(skipped)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollup::pipeline::parse::{EventError, Parsed, not_a_stream_event, parse, parse_record};

    const RECORD: &str = r#"{"eventSourceARN": "a", "dynamodb": {"SequenceNumber": "1", "SizeBytes": 3, "NewImage": {"A": {"S": "]}"}}, "Keys": {"A": {"S": "x"}}}}"#;

    fn parsed(event: &str) -> Vec<Result<Parsed<'_>, EventError>> {
        parse(event).map_or_else(|error| vec![Err(error)], Iterator::collect)
    }

    /// The same if the texts of the records are looked for first.
    fn parsed_from_texts(event: &str) -> Vec<Result<Parsed<'_>, EventError>> {
        match texts(event, 0) {
            Ok(rest) => {
                Records { event, parsed_in_place: 0, rest }.map(|record| parse_record(record.unwrap().raw)).collect()
            }
            Err(error) => vec![Err(not_a_stream_event(&error))],
        }
    }

    #[test]
    fn a_record_is_the_same_wherever_it_is_parsed() {
        let odd =
            ["{}", "7", "null", "[]", "\"]}\"", r#"{"dynamodb": {}}"#, r#"{"dynamodb": {"SequenceNumber": "2"}}"#];
        for odd in odd {
            for list in [
                RECORD.to_owned(),
                format!("{RECORD},{RECORD}"),
                odd.to_owned(),
                format!("{odd} , {RECORD}"),
                format!("\n{RECORD}\t,\r{odd},{RECORD} "),
                String::new(),
            ] {
                for event in [
                    format!(r#"{{"Records":[{list}]}}"#),
                    format!(" {{ \"Records\" : [ {list} ] }} "),
                    format!(r#"{{"Records":[{list}],"more":[]}}"#),
                    format!(r#"{{"more":1,"Records":[{list}]}}"#),
                ] {
                    assert_eq!(parsed(&event), parsed_from_texts(&event), "{event}");
                }
            }
        }
    }

    #[test]
    fn an_event_that_is_not_json_has_an_error_after_the_records_before() {
        for end in ["", "]", "]}}", "],}", ",]}", ",", "}", "]]}", ",{", "{}]}", "]}x", r#"],"Records":[]}"#, ", 01]}"]
        {
            let event = format!(r#"{{"Records":[{RECORD}{end}"#);
            let found = parsed(&event);
            let [Ok(Parsed::Record(_)), Err(error)] = &found[..] else { panic!("{end}: {found:?}") };
            assert_eq!(parsed_from_texts(&event), [Err(error.clone())], "{end}");
        }
        for event in
            ["", "{", "[]", r#"{"Records":"#, r#"{"Records":["#, r#"{"Records":{}}"#, r#"{"Records":[,]}"#, "{}"]
        {
            let found = parsed(event);
            assert!(matches!(&found[..], [Err(EventError::NotAStreamEvent { .. })]), "{event}: {found:?}");
            assert_eq!(parsed_from_texts(event), found, "{event}");
        }
    }
}
