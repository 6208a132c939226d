//! Interprets a function's response, as Lambda does.

use serde_json::Value;

use super::batch_delivery::DeliveryResult;

/// What the response to a delivery of these records means.
///
/// An empty response, `null`, an object without `batchItemFailures`, and an empty list mean that all records are
/// resolved. The whole delivery fails if an identifier is missing, empty, `null`, or not that of a delivered record,
/// and if the response is not JSON or not of this form. If there are several identifiers, the first in stream order
/// counts.
pub(super) fn delivery_result(response: &str, sequence_numbers: &[&str]) -> DeliveryResult {
    if response.trim().is_empty() {
        return DeliveryResult::Succeeded;
    }
    let failures = match serde_json::from_str(response) {
        Ok(Value::Null) => return DeliveryResult::Succeeded,
        Ok(Value::Object(mut fields)) => fields.remove("batchItemFailures").unwrap_or_default(),
        Ok(_) | Err(_) => return DeliveryResult::Failed,
    };
    let failures = match failures {
        Value::Null => return DeliveryResult::Succeeded,
        Value::Array(failures) => failures,
        _ => return DeliveryResult::Failed,
    };
    let mut first = None;
    for failure in failures {
        let identifier = failure.get("itemIdentifier").and_then(Value::as_str).filter(|text| !text.is_empty());
        let Some(place) = identifier.and_then(|text| sequence_numbers.iter().position(|number| *number == text)) else {
            return DeliveryResult::Failed;
        };
        first = Some(first.map_or(place, |first: usize| first.min(place)));
    }
    first.map_or(DeliveryResult::Succeeded, DeliveryResult::FailedFrom)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In text order these numbers are not in stream order, so the position must count.
    const RECORDS: [&str; 4] = ["900", "1000", "200", "30"];

    #[test]
    fn every_form_of_a_response_has_a_meaning() {
        for (response, expected) in [
            ("", DeliveryResult::Succeeded),
            (" \n", DeliveryResult::Succeeded),
            ("null", DeliveryResult::Succeeded),
            ("{}", DeliveryResult::Succeeded),
            (r#"{"other":1}"#, DeliveryResult::Succeeded),
            (r#"{"batchItemFailures":null}"#, DeliveryResult::Succeeded),
            (r#"{"batchItemFailures":[]}"#, DeliveryResult::Succeeded),
            (r#"{"batchItemFailures":[{"itemIdentifier":"900"}]}"#, DeliveryResult::FailedFrom(0)),
            (r#"{"batchItemFailures":[{"itemIdentifier":"30"}]}"#, DeliveryResult::FailedFrom(3)),
            (
                r#"{"batchItemFailures":[{"itemIdentifier":"30"},{"itemIdentifier":"1000"},{"itemIdentifier":"200"}]}"#,
                DeliveryResult::FailedFrom(1),
            ),
            (r#"{"batchItemFailures":[{"itemIdentifier":"31"}]}"#, DeliveryResult::Failed),
            (r#"{"batchItemFailures":[{"itemIdentifier":"30"},{"itemIdentifier":"31"}]}"#, DeliveryResult::Failed),
            (r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#, DeliveryResult::Failed),
            (r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#, DeliveryResult::Failed),
            (r#"{"batchItemFailures":[{"itemIdentifier":30}]}"#, DeliveryResult::Failed),
            (r#"{"batchItemFailures":[{"itemidentifier":"30"}]}"#, DeliveryResult::Failed),
            (r#"{"batchItemFailures":["30"]}"#, DeliveryResult::Failed),
            (r#"{"batchItemFailures":{}}"#, DeliveryResult::Failed),
            (r#"{"batchItemFailures":"30"}"#, DeliveryResult::Failed),
            ("[]", DeliveryResult::Failed),
            ("true", DeliveryResult::Failed),
            (r#""done""#, DeliveryResult::Failed),
            ("{", DeliveryResult::Failed),
        ] {
            assert_eq!(delivery_result(response, &RECORDS), expected, "{response}");
        }
    }
}
