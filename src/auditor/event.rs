//! What an invocation asks the auditor for.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::rollup::check::slice::{SLICES, Slice};

/// The longest name of a run, in bytes.
const RUN_BYTES: usize = 64;

/// The fields that ask for something; an object without any of them is a schedule's.
const FIELDS: [&str; 3] = ["plan", "slice", "sum"];

/// The request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Go on with the pass.
    GoOn,
    /// Divide a pass among workers.
    Plan,
    /// Audit one slice, for a run of workers or for the one who asks.
    Slice {
        /// Which one.
        slice: Slice,
        /// The run that it belongs to.
        run: Option<String>,
    },
    /// Add up what the workers of a run stored.
    Sum {
        /// The run.
        run: String,
        /// How many slices it has.
        of: u32,
    },
}

/// An event that asks for nothing that the auditor knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the auditor does not know this request: {0}. Send {{}} to continue the pass, or {{\"plan\": true}}, \
     {{\"slice\": \"3/8\", \"run\": \"...\"}}, {{\"sum\": {{\"run\": \"...\", \"of\": 8}}}}"
)]
pub struct EventError(String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanEvent {
    plan: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SliceEvent {
    slice: String,
    run: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SumEvent {
    sum: RunOf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RunOf {
    run: String,
    of: u32,
}

impl Event {
    /// Reads an event.
    ///
    /// # Errors
    /// When it is not an object, or asks for something with other fields than it may have.
    pub fn read(event: &[u8]) -> Result<Self, EventError> {
        let object: Map<String, Value> = read(event)?;
        match FIELDS.into_iter().find(|field| object.contains_key(*field)) {
            None => Ok(Self::GoOn),
            Some("plan") => match read(event)? {
                PlanEvent { plan: true } => Ok(Self::Plan),
                PlanEvent { plan: false } => Err(EventError("plan must be true".to_owned())),
            },
            Some("slice") => {
                let SliceEvent { slice, run } = read(event)?;
                let slice = slice.parse().map_err(|error| EventError(format!("slice is {slice:?}; {error}")))?;
                Ok(Self::Slice { slice, run: run.map(named).transpose()? })
            }
            Some(_) => {
                let SumEvent { sum: RunOf { run, of } } = read(event)?;
                if !(1..=SLICES).contains(&of) {
                    return Err(EventError(format!("of is {of}; expected 1 to {SLICES}")));
                }
                Ok(Self::Sum { run: named(run)?, of })
            }
        }
    }
}

fn read<'a, T: Deserialize<'a>>(event: &'a [u8]) -> Result<T, EventError> {
    serde_json::from_slice(event).map_err(|error| EventError(error.to_string()))
}

/// The name of a run becomes a part of keys.
fn named(run: String) -> Result<String, EventError> {
    if (1..=RUN_BYTES).contains(&run.len()) {
        return Ok(run);
    }
    Err(EventError(format!("run has {} bytes; expected 1 to {RUN_BYTES}", run.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_without_a_word_for_the_auditor_is_a_schedule() {
        for event in ["{}", r#"{"version":"0","id":"1","detail-type":"Scheduled Event","detail":{}}"#, r#"{"run":"x"}"#]
        {
            assert_eq!(Event::read(event.as_bytes()), Ok(Event::GoOn), "{event}");
        }
    }

    #[test]
    fn what_is_asked_for_is_said_by_one_field() {
        let slice: Slice = "3/8".parse().unwrap();
        for (event, expected) in [
            (r#"{"plan":true}"#, Event::Plan),
            (r#"{"slice":"3/8"}"#, Event::Slice { slice, run: None }),
            (r#"{"slice":"3/8","run":"a"}"#, Event::Slice { slice, run: Some("a".to_owned()) }),
            (r#"{"sum":{"run":"a","of":8}}"#, Event::Sum { run: "a".to_owned(), of: 8 }),
        ] {
            assert_eq!(Event::read(event.as_bytes()), Ok(expected), "{event}");
        }
    }

    #[test]
    fn what_is_not_known_is_refused_with_the_reason() {
        for (event, reason) in [
            ("", "EOF"),
            ("null", "invalid type: null"),
            ("[]", "invalid type: sequence"),
            (r#""{}""#, "invalid type: string"),
            (r#"{"plan":false}"#, "plan must be true"),
            (r#"{"plan":"yes"}"#, "expected a boolean"),
            (r#"{"plan":true,"slices":4}"#, "unknown field `slices`"),
            (r#"{"slice":"9/8"}"#, "slice is \"9/8\""),
            (r#"{"slice":3}"#, "invalid type: integer"),
            (r#"{"slice":"3/8","run":""}"#, "run has 0 bytes"),
            (r#"{"slice":"3/8","plan":true}"#, "unknown field `slice`"),
            (r#"{"sum":{"run":"a","of":0}}"#, "of is 0"),
            (r#"{"sum":{"run":"a"}}"#, "missing field `of`"),
            (r#"{"sum":[]}"#, "invalid length 0"),
        ] {
            let error = Event::read(event.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains("Send {} to continue"), "{event}: {error}");
        }
    }
}
