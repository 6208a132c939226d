//! A function's answer, as Lambda reads it.

use serde_json::Value;

use super::batch::Verdict;

/// What the answer to a delivery of these records means.
///
/// An empty answer, `null`, an object without `batchItemFailures`, and an empty list mean that all is dealt with. An
/// identifier that is missing, empty, null or of no record of the delivery makes the whole delivery fail, and so does an
/// answer that is not JSON or not of this form. Of several identifiers the first by position counts.
#[must_use]
pub fn verdict(answer: &str, sequence_numbers: &[&str]) -> Verdict {
    if answer.trim().is_empty() {
        return Verdict::Succeeded;
    }
    let failures = match serde_json::from_str(answer) {
        Ok(Value::Null) => return Verdict::Succeeded,
        Ok(Value::Object(mut fields)) => fields.remove("batchItemFailures").unwrap_or_default(),
        Ok(_) | Err(_) => return Verdict::Failed,
    };
    let failures = match failures {
        Value::Null => return Verdict::Succeeded,
        Value::Array(failures) => failures,
        _ => return Verdict::Failed,
    };
    let mut first = None;
    for failure in failures {
        let identifier = failure.get("itemIdentifier").and_then(Value::as_str).filter(|text| !text.is_empty());
        let Some(place) = identifier.and_then(|text| sequence_numbers.iter().position(|number| *number == text)) else {
            return Verdict::Failed;
        };
        first = Some(first.map_or(place, |first: usize| first.min(place)));
    }
    first.map_or(Verdict::Succeeded, Verdict::FailedFrom)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text order is not the order of the stream: position counts.
    const RECORDS: [&str; 4] = ["900", "1000", "200", "30"];

    #[test]
    fn every_form_of_an_answer_has_a_meaning() {
        for (answer, expected) in [
            ("", Verdict::Succeeded),
            (" \n", Verdict::Succeeded),
            ("null", Verdict::Succeeded),
            ("{}", Verdict::Succeeded),
            (r#"{"other":1}"#, Verdict::Succeeded),
            (r#"{"batchItemFailures":null}"#, Verdict::Succeeded),
            (r#"{"batchItemFailures":[]}"#, Verdict::Succeeded),
            (r#"{"batchItemFailures":[{"itemIdentifier":"900"}]}"#, Verdict::FailedFrom(0)),
            (r#"{"batchItemFailures":[{"itemIdentifier":"30"}]}"#, Verdict::FailedFrom(3)),
            (
                r#"{"batchItemFailures":[{"itemIdentifier":"30"},{"itemIdentifier":"1000"},{"itemIdentifier":"200"}]}"#,
                Verdict::FailedFrom(1),
            ),
            (r#"{"batchItemFailures":[{"itemIdentifier":"31"}]}"#, Verdict::Failed),
            (r#"{"batchItemFailures":[{"itemIdentifier":"30"},{"itemIdentifier":"31"}]}"#, Verdict::Failed),
            (r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#, Verdict::Failed),
            (r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#, Verdict::Failed),
            (r#"{"batchItemFailures":[{"itemIdentifier":30}]}"#, Verdict::Failed),
            (r#"{"batchItemFailures":[{"itemidentifier":"30"}]}"#, Verdict::Failed),
            (r#"{"batchItemFailures":["30"]}"#, Verdict::Failed),
            (r#"{"batchItemFailures":{}}"#, Verdict::Failed),
            (r#"{"batchItemFailures":"30"}"#, Verdict::Failed),
            ("[]", Verdict::Failed),
            ("true", Verdict::Failed),
            (r#""done""#, Verdict::Failed),
            ("{", Verdict::Failed),
        ] {
            assert_eq!(verdict(answer, &RECORDS), expected, "{answer}");
        }
    }
}
