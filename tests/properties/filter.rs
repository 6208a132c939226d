//! Filter patterns: no record is dropped that a view can count. What Lambda does with a pattern is written here once more,
//! from its documentation: an object is all of its members, a list one of its alternatives.

use std::collections::HashMap;

use ddb_rollup::rollup::model::filter::patterns;
use ddb_rollup::rollup::model::language::{Comparator, Condition, Literal, Path, Value};
use ddb_rollup::rollup::model::view::{KeyPart, KeyType, Measure, View};
use ddb_rollup::rollup::{AttributeValue, Item};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::cases;

/// Texts that are often equal and often begin with one another.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![6 => "[AB]{0,2}", 1 => "[A#\"\\\\]{0,3}", 1 => "[Aé#]{1,4}"]
}

fn literal() -> impl Strategy<Value = Literal> {
    prop_oneof![8 => text().prop_map(Literal::Text), 1 => Just(Literal::Number(7.into())), 1 => Just(Literal::Bool(true))]
}

/// Key attributes more often than others.
fn value() -> impl Strategy<Value = Value> {
    let path = |name: &str| Value::Path(Path::attribute(name));
    prop_oneof![
        3 => Just(path("PK")),
        12 => Just(path("SK")),
        1 => Just(path("Other")),
        1 => Just(Value::Lower(Box::new(path("SK")))),
        1 => Just(Value::After(Box::new(path("SK")), "#".to_owned())),
    ]
}

/// What limits a key, as a pattern can say it.
fn limit() -> impl Strategy<Value = Condition> {
    let key = || prop_oneof![1 => Just("PK"), 5 => Just("SK")].prop_map(|name| Value::Path(Path::attribute(name)));
    let text = || "[AB]{1,2}";
    prop_oneof![
        (key(), text()).prop_map(|(key, text)| Condition::BeginsWith(key, text)),
        (key(), prop::collection::vec(text().prop_map(Literal::Text), 1..3))
            .prop_map(|(key, texts)| Condition::In(key, texts)),
    ]
}

/// Anything else, and what looks like a limit.
fn other() -> impl Strategy<Value = Condition> {
    let comparator = prop_oneof![6 => Just(Comparator::Equal), 1 => Just(Comparator::NotEqual), 1 => Just(Comparator::GreaterOrEqual)];
    prop_oneof![
        4 => (value(), text()).prop_map(|(value, text)| Condition::BeginsWith(value, text)),
        3 => (value(), comparator, literal(), any::<bool>()).prop_map(|(value, comparator, literal, turned)| {
            let literal = Value::Literal(literal);
            let (left, right) = if turned { (literal, value) } else { (value, literal) };
            Condition::Compare(left, comparator, right)
        }),
        3 => (value(), prop::collection::vec(literal(), 1..4)).prop_map(|(value, literals)| Condition::In(value, literals)),
        1 => (value(), text(), text())
            .prop_map(|(value, low, high)| Condition::Between(value, Literal::Text(low), Literal::Text(high))),
        1 => Just(Condition::Exists(Path::attribute("Other"))),
    ]
}

/// Conditions of limits alone, which have a pattern most often, and of everything.
fn condition() -> impl Strategy<Value = Condition> {
    let nested = |leaf: BoxedStrategy<Condition>, negated: u32| {
        leaf.prop_recursive(3, 12, 3, move |inner| {
            prop_oneof![
                4 => prop::collection::vec(inner.clone(), 2..4).prop_map(Condition::And),
                4 => prop::collection::vec(inner.clone(), 2..4).prop_map(Condition::Or),
                negated => inner.prop_map(|condition| Condition::Not(Box::new(condition))),
            ]
        })
    };
    prop_oneof![nested(limit().boxed(), 0), nested(prop_oneof![limit(), other()].boxed(), 1)]
}

fn view(condition: Condition) -> View {
    let key = vec![KeyPart::attribute("PK", KeyType::S)];
    View::new("App", "Total", Some(condition), key, vec![Measure::parse("All", "count").unwrap()]).unwrap()
}

fn key() -> Vec<(String, KeyType)> {
    ["PK", "SK"].map(|name| (name.to_owned(), KeyType::S)).to_vec()
}

/// Whether Lambda gives the record to the function.
fn matches(pattern: &Json, record: Option<&Json>) -> bool {
    match (pattern, record) {
        (Json::Object(members), Some(record)) => {
            members.iter().all(|(name, pattern)| matches(pattern, record.get(name.as_str())))
        }
        (Json::Array(alternatives), Some(Json::String(text))) => {
            alternatives.iter().any(|alternative| match alternative {
                Json::String(exact) => exact == text,
                other => {
                    assert_eq!(other.as_object().map(serde_json::Map::len), Some(1), "{other} has more than a prefix");
                    text.starts_with(other["prefix"].as_str().unwrap())
                }
            })
        }
        _ => false,
    }
}

proptest! {
    #![proptest_config(cases(4_000))]

    #[test]
    fn no_record_is_dropped_that_a_view_can_count(
        conditions in prop::collection::vec(condition(), 1..3),
        items in prop::collection::vec((text(), text(), prop::option::of(text())), 1..12),
    ) {
        let views: Vec<View> = conditions.into_iter().map(view).collect();
        let Ok(patterns) = patterns(&views, &key()) else { return Ok(()) };
        prop_assert!(patterns.len() <= views.len());
        // As Lambda has them: texts.
        let patterns: Vec<Json> =
            patterns.iter().map(|pattern| serde_json::from_str(&pattern.to_string()).unwrap()).collect();
        for (pk, sk, other) in items {
            let other = other.map(|other| ("Other".to_owned(), AttributeValue::S(other)));
            let key = [("PK", &pk), ("SK", &sk)].map(|(name, text)| (name.to_owned(), AttributeValue::S(text.clone())));
            let image = Item::from(key.into_iter().chain(other).collect::<HashMap<_, _>>());
            let record = json!({ "eventName": "MODIFY", "dynamodb": { "Keys": { "PK": { "S": pk }, "SK": { "S": sk } } } });
            let delivered = patterns.iter().any(|pattern| matches(pattern, Some(&record)));
            let counted = views.iter().any(|view| view.selects(&image));
            prop_assert!(delivered || !counted, "{} is dropped by {:?}", record, patterns);
        }
    }
}
