//! Checks that an event source mapping filters out only records that no view can count.

use aws_sdk_dynamodb::types::TableDescription;
use aws_sdk_lambda::types::{EventSourceMappingConfiguration, Filter, FilterCriteria};
use serde_json::Value;

use crate::operate::view::filter::key_of;
use crate::rollup::model::definition::Definition;
use crate::rollup::model::filter::{FilterPattern, patterns};

/// The value of a property that is switched off.
pub(super) const OFF: &str = "off";
const SAFE: &str = "the filter patterns of the definition";
const HIDDEN: &str = "encrypted with a KMS key that this command may not use";

/// The filter patterns that drop no record that can count, if there are any.
pub(super) fn safe_patterns(definition: &Definition, source: &TableDescription) -> Option<Vec<Value>> {
    let patterns = patterns(definition.views(), &key_of(source)).ok()?;
    Some(patterns.iter().map(FilterPattern::json).collect())
}

/// The filters of the mapping, and the filters that it may have.
pub(super) fn found_and_needed(
    mapping: &EventSourceMappingConfiguration,
    safe: Option<&[Value]>,
) -> (String, &'static str) {
    if mapping.filter_criteria_error().is_some() {
        return (HIDDEN.to_owned(), OFF);
    }
    let filters = mapping.filter_criteria().map(FilterCriteria::filters).unwrap_or_default();
    if filters.is_empty() {
        return (OFF.to_owned(), OFF);
    }
    let texts: Vec<_> = filters.iter().map(|filter| Filter::pattern(filter).unwrap_or_default()).collect();
    // A text that is not JSON equals none of the patterns.
    let read = |text: &&str| sorted(serde_json::from_str(text).unwrap_or_default());
    let given: Vec<Value> = texts.iter().map(read).collect();
    // Without one of the patterns, the records of a view are dropped.
    let is_safe = |safe: &[Value]| {
        let safe: Vec<Value> = safe.iter().cloned().map(sorted).collect();
        given.iter().all(|pattern| safe.contains(pattern)) && safe.iter().all(|pattern| given.contains(pattern))
    };
    let needed = if safe.is_some() { SAFE } else { OFF };
    if safe.is_some_and(is_safe) { (SAFE.to_owned(), SAFE) } else { (texts.join(" or "), needed) }
}

/// A pattern with its alternatives sorted and without repetitions, because Lambda treats a list as a set.
fn sorted(pattern: Value) -> Value {
    match pattern {
        Value::Array(alternatives) => {
            let mut alternatives: Vec<_> = alternatives.into_iter().map(sorted).collect();
            alternatives.sort_by_cached_key(Value::to_string);
            alternatives.dedup();
            alternatives.into()
        }
        Value::Object(members) => members.into_iter().map(|(name, value)| (name, sorted(value))).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_lambda::types::FilterCriteriaError;
    use serde_json::json;

    use super::*;

    fn mapping(patterns: &[&str]) -> EventSourceMappingConfiguration {
        let filters = patterns.iter().map(|pattern| Filter::builder().pattern(*pattern).build()).collect();
        let criteria = FilterCriteria::builder().set_filters(Some(filters)).build();
        EventSourceMappingConfiguration::builder().filter_criteria(criteria).build()
    }

    fn is_right(patterns: &[&str], safe: Option<&[Value]>) -> bool {
        let (found, needed) = found_and_needed(&mapping(patterns), safe);
        found == needed
    }

    #[test]
    fn only_all_patterns_of_the_definition_are_safe() {
        let pattern = |text: &str| json!({ "dynamodb": { "Keys": { "SK": { "S": [{ "prefix": text }] } } } });
        let safe = [pattern("LIKE#"), pattern("POST#")];
        let like = r#"{"dynamodb":{"Keys":{"SK":{"S":[{"prefix":"LIKE#"}]}}}}"#;
        let post = r#" {"dynamodb": {"Keys": {"SK": {"S": [{"prefix": "POST#"}]}}} } "#;
        let narrower = r#"{"dynamodb":{"Keys":{"SK":{"S":[{"prefix":"LIKE#1"}]}}}}"#;
        assert!(is_right(&[], Some(&safe)) && is_right(&[], None), "no filter is safe");
        assert!(is_right(&[like, post], Some(&safe)) && is_right(&[post, like], Some(&safe)));
        for patterns in [&[like][..], &[narrower, post], &[like, post, narrower], &["{", like, post], &["null"]] {
            assert!(!is_right(patterns, Some(&safe)), "{patterns:?}");
        }
        assert!(!is_right(&[like], None) && !is_right(&["{}"], None));
    }

    #[test]
    fn a_pattern_is_what_it_lets_through_and_not_how_it_is_written() {
        let keys = json!({ "PK": { "S": ["A", "B"] }, "SK": { "S": ["C", { "prefix": "D" }, { "prefix": "E" }] } });
        let safe = [json!({ "dynamodb": { "Keys": keys } })];
        let of = |keys: &str| format!(r#"{{ "dynamodb":{{ "Keys" : {keys} }} }}"#);
        for same in [
            r#"{"SK":{"S":[{"prefix":"E"},"C",{"prefix":"D"}]},"PK":{"S":["B","A"]}}"#,
            r#"{"PK":{"S":["B","A","B"]},"SK":{"S":["C",{"prefix":"D"},{"prefix":"E"},{"prefix":"E"}]}}"#,
        ] {
            assert!(is_right(&[&of(same)], Some(&safe)), "{same}");
        }
        for other in [
            r#"{"PK":{"S":["A"]},"SK":{"S":["C",{"prefix":"D"},{"prefix":"E"}]}}"#,
            r#"{"PK":{"S":["A","B"]},"SK":{"S":["C","D",{"prefix":"E"}]}}"#,
            r#"{"PK":{"S":["A","B"]}}"#,
        ] {
            assert!(!is_right(&[&of(other)], Some(&safe)), "{other}");
        }
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_not_taken_for_none() {
        let error = FilterCriteriaError::builder().error_code("KMSAccessDeniedException").build();
        let mapping = EventSourceMappingConfiguration::builder().filter_criteria_error(error).build();
        assert_eq!(found_and_needed(&mapping, None), (HIDDEN.to_owned(), OFF));
    }
}
