//! The records of an event, one after another.
//!
//! The end of a record is only known when its text was read. So a record is parsed where it stands, and the next one
//! begins where it ended. If a record cannot be parsed in this way, the ends of all records are looked for, and each of
//! the rest is parsed alone.

use std::iter::Skip;
use std::vec;

use serde::Deserialize;
use serde_json::Deserializer;
use serde_json::value::RawValue;

use super::envelope::{Envelope, Record};
use super::{EventError, Parsed, accept, parse_record};

/// What may stand between the parts of a JSON text.
const SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// The records of an event that are not parsed yet.
pub(super) struct Records<'a> {
    event: &'a str,
    parsed: usize,
    rest: Rest<'a>,
}

/// The part of an event that is not parsed yet.
enum Rest<'a> {
    /// The text after the beginning of the list, or after one of its records.
    InPlace(&'a str),
    /// Each record is to be parsed alone.
    Alone(Skip<vec::IntoIter<&'a RawValue>>),
    End,
}

impl<'a> Records<'a> {
    /// The records of an event.
    ///
    /// # Errors
    /// When the event has no list of records.
    pub(super) fn of(event: &'a str) -> Result<Self, EventError> {
        let rest = match list(event) {
            Some(list) => Rest::InPlace(list),
            None => alone(event, 0)?,
        };
        Ok(Self { event, parsed: 0, rest })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Parsed<'a>, EventError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match &mut self.rest {
                Rest::InPlace(text) => {
                    if let Some((record, raw, rest)) = in_place(text, self.parsed == 0) {
                        *text = rest;
                        self.parsed += 1;
                        return Some(accept(Envelope::of(record, raw), raw));
                    }
                    if is_end(text) {
                        self.rest = Rest::End;
                        continue;
                    }
                    match alone(self.event, self.parsed) {
                        Ok(rest) => self.rest = rest,
                        Err(error) => {
                            self.rest = Rest::End;
                            return Some(Err(error));
                        }
                    }
                }
                Rest::Alone(records) => return records.next().map(|raw| parse_record(raw.get())),
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
    ["]", "}"].into_iter().try_fold(text, after).is_some_and(|rest| rest.trim_start_matches(SPACE).is_empty())
}

fn after<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    text.trim_start_matches(SPACE).strip_prefix(mark)
}

/// Parses the next record of a list where it stands. Returns it with its text and with what follows.
fn in_place(text: &str, is_first: bool) -> Option<(Record, &str, &str)> {
    let text = if is_first { text } else { after(text, ",")? };
    let text = text.trim_start_matches(SPACE);
    let mut records = Deserializer::from_str(text).into_iter::<Record>();
    let record = records.next()?.ok()?;
    let (raw, rest) = text.split_at(records.byte_offset());
    Some((record, raw, rest))
}

/// The records of an event without the first ones, each as its text.
fn alone(event: &str, without: usize) -> Result<Rest<'_>, EventError> {
    #[derive(Deserialize)]
    struct Event<'a> {
        #[serde(rename = "Records", borrow)]
        records: Vec<&'a RawValue>,
    }
    let event: Event<'_> = serde_json::from_str(event)
        .map_err(|error| EventError::NotAStreamEvent { line: error.line(), column: error.column() })?;
    Ok(Rest::Alone(event.records.into_iter().skip(without)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = r#"{"eventSourceARN": "a", "dynamodb": {"SequenceNumber": "1", "SizeBytes": 3, "NewImage": {"A": {"S": "]}"}}, "Keys": {"A": {"S": "x"}}}}"#;

    fn in_place(event: &str) -> Vec<Result<Parsed<'_>, EventError>> {
        Records::of(event).map_or_else(|error| vec![Err(error)], Iterator::collect)
    }

    /// What the records are if each is parsed alone, and the error if the event has one.
    fn alone(event: &str) -> Vec<Result<Parsed<'_>, EventError>> {
        match super::alone(event, 0) {
            Ok(rest) => Records { event, parsed: 0, rest }.collect(),
            Err(error) => vec![Err(error)],
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
                    assert_eq!(in_place(&event), alone(&event), "{event}");
                }
            }
        }
    }

    #[test]
    fn an_event_that_is_no_json_has_an_error_after_the_records_before() {
        for end in ["", "]", "]}}", "],}", ",]}", ",", "}", "]]}", ",{", "{}]}", "]}x", r#"],"Records":[]}"#, ", 01]}"]
        {
            let event = format!(r#"{{"Records":[{RECORD}{end}"#);
            let found = in_place(&event);
            let [Ok(Parsed::Record(_)), Err(error)] = &found[..] else { panic!("{end}: {found:?}") };
            assert_eq!(alone(&event), [Err(error.clone())], "{end}");
        }
        for event in
            ["", "{", "[]", r#"{"Records":"#, r#"{"Records":["#, r#"{"Records":{}}"#, r#"{"Records":[,]}"#, "{}"]
        {
            let found = in_place(event);
            assert!(matches!(&found[..], [Err(EventError::NotAStreamEvent { .. })]), "{event}: {found:?}");
            assert_eq!(alone(event), found, "{event}");
        }
    }
}
