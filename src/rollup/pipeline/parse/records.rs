//! The records of an event, one after another.
//!
//! The end of a record is only known when its text was read. So a record is parsed where it stands, and the next one
//! begins where it ended. If a record cannot be parsed in this way, the ends of all records are looked for, and each of
//! the rest is parsed alone.

use std::iter::Skip;
use std::vec;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Deserializer, Error};

use super::envelope::Record;

/// What may stand between the parts of a JSON text.
const SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// A record of an event.
pub(super) struct RawRecord<'a> {
    /// Its text.
    pub(super) raw: &'a str,
    /// What it says; `None` if it is not parsed yet.
    pub(super) record: Option<Record>,
}

/// The records of an event that were not asked for yet.
pub(super) struct Records<'a> {
    event: &'a str,
    parsed: usize,
    rest: Rest<'a>,
}

/// The rest of an event.
enum Rest<'a> {
    /// The text after the beginning of the list, or after one of its records.
    InPlace(&'a str),
    /// Each record is to be parsed alone.
    Alone(Skip<vec::IntoIter<&'a RawValue>>),
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
            None => alone(event, 0)?,
        };
        Ok(Self { event, parsed: 0, rest })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<RawRecord<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match &mut self.rest {
                Rest::InPlace(text) => {
                    if let Some((record, rest)) = in_place(text, self.parsed == 0) {
                        *text = rest;
                        self.parsed += 1;
                        return Some(Ok(record));
                    }
                    let rest = if is_end(text) { Ok(Rest::End) } else { alone(self.event, self.parsed) };
                    match rest {
                        Ok(rest) => self.rest = rest,
                        Err(error) => {
                            self.rest = Rest::End;
                            return Some(Err(error));
                        }
                    }
                }
                Rest::Alone(records) => {
                    return records.next().map(|raw| Ok(RawRecord { raw: raw.get(), record: None }));
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
    ["]", "}"].into_iter().try_fold(text, after).is_some_and(|rest| rest.trim_start_matches(SPACE).is_empty())
}

fn after<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    text.trim_start_matches(SPACE).strip_prefix(mark)
}

/// Parses the next record of a list where it stands. Returns it with the text that follows.
fn in_place(text: &str, is_first: bool) -> Option<(RawRecord<'_>, &str)> {
    let text = if is_first { text } else { after(text, ",")? };
    let text = text.trim_start_matches(SPACE);
    let mut records = Deserializer::from_str(text).into_iter::<Record>();
    let record = records.next()?.ok()?;
    let (raw, rest) = text.split_at(records.byte_offset());
    Some((RawRecord { raw, record: Some(record) }, rest))
}

/// The records of an event without the first ones, each as its text.
fn alone(event: &str, without: usize) -> Result<Rest<'_>, Error> {
    #[derive(Deserialize)]
    struct Event<'a> {
        #[serde(rename = "Records", borrow)]
        records: Vec<&'a RawValue>,
    }
    let event: Event<'_> = serde_json::from_str(event)?;
    Ok(Rest::Alone(event.records.into_iter().skip(without)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollup::pipeline::parse::{EventError, Parsed, parse, parse_record};

    const RECORD: &str = r#"{"eventSourceARN": "a", "dynamodb": {"SequenceNumber": "1", "SizeBytes": 3, "NewImage": {"A": {"S": "]}"}}, "Keys": {"A": {"S": "x"}}}}"#;

    fn parsed(event: &str) -> Vec<Result<Parsed<'_>, EventError>> {
        parse(event).map_or_else(|error| vec![Err(error)], Iterator::collect)
    }

    /// What the records are if each is parsed alone, or the error of the event.
    fn parsed_alone(event: &str) -> Vec<Result<Parsed<'_>, EventError>> {
        match alone(event, 0) {
            Ok(rest) => Records { event, parsed: 0, rest }.map(|record| parse_record(record.unwrap().raw)).collect(),
            Err(error) => vec![Err(error.into())],
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
                    assert_eq!(parsed(&event), parsed_alone(&event), "{event}");
                }
            }
        }
    }

    #[test]
    fn an_event_that_is_no_json_has_an_error_after_the_records_before() {
        for end in ["", "]", "]}}", "],}", ",]}", ",", "}", "]]}", ",{", "{}]}", "]}x", r#"],"Records":[]}"#, ", 01]}"]
        {
            let event = format!(r#"{{"Records":[{RECORD}{end}"#);
            let found = parsed(&event);
            let [Ok(Parsed::Record(_)), Err(error)] = &found[..] else { panic!("{end}: {found:?}") };
            assert_eq!(parsed_alone(&event), [Err(error.clone())], "{end}");
        }
        for event in
            ["", "{", "[]", r#"{"Records":"#, r#"{"Records":["#, r#"{"Records":{}}"#, r#"{"Records":[,]}"#, "{}"]
        {
            let found = parsed(event);
            assert!(matches!(&found[..], [Err(EventError::NotAStreamEvent { .. })]), "{event}: {found:?}");
            assert_eq!(parsed_alone(event), found, "{event}");
        }
    }
}
