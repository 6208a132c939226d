//! Conditions of the language against the embedded engine: a scan with the same condition as its filter finds the item
//! when, and only when, the condition holds of it.

use std::fmt::Write;

use ddb_rollup::rollup::Item;
use ddb_rollup::rollup::model::language::{Condition, Literal, Path, Step, Value};
use dynoxide::Database;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Map, json};

use crate::cases;

const PATHS: [&str; 34] = [
    "Id",
    "S",
    "Empty",
    "Face",
    "Digits",
    "N",
    "Five",
    "Big",
    "Neg",
    "T",
    "F",
    "Null",
    "B",
    "B2",
    "L",
    "L2",
    "L3",
    "M",
    "M2",
    "Ss",
    "Ss2",
    "Ns",
    "Ns2",
    "Bs",
    "Absent",
    "L[0]",
    "L[1]",
    "L[3]",
    "L[9]",
    "M.a",
    "M.`b c`[0]",
    "M.x",
    "S.x",
    "N[0]",
];

const LITERALS: [&str; 14] =
    ["'ORDER#7'", "'ORDER'", "'a'", "'x'", "''", "'5'", "'\u{1F600}'", "5", "5.00", "1", "-0.5", "10", "true", "false"];

fn item() -> serde_json::Value {
    json!({
        "Id": {"S": "id"}, "S": {"S": "ORDER#7"}, "Empty": {"S": ""}, "Face": {"S": "a\u{1F600}"}, "Digits": {"S": "5"},
        "N": {"N": "5"}, "Five": {"N": "5.00"}, "Big": {"N": "10"}, "Neg": {"N": "-0.5"}, "T": {"BOOL": true},
        "F": {"BOOL": false}, "Null": {"NULL": true}, "B": {"B": "AQID"}, "B2": {"B": "AQL/"},
        "L": {"L": [{"S": "a"}, {"N": "1.0"}, {"BOOL": true}, {"NULL": true}, {"L": [{"N": "2"}]}]},
        "L2": {"L": [{"S": "a"}, {"N": "1"}, {"BOOL": true}, {"NULL": true}, {"L": [{"N": "2.0"}]}]},
        "L3": {"L": [{"N": "1"}, {"S": "a"}, {"BOOL": true}, {"NULL": true}, {"L": [{"N": "2"}]}]},
        "M": {"M": {"a": {"N": "1"}, "b c": {"L": [{"S": "x"}, {"M": {}}]}}},
        "M2": {"M": {"b c": {"L": [{"S": "x"}, {"M": {}}]}, "a": {"N": "1.0"}}},
        "Ss": {"SS": ["x", "y"]}, "Ss2": {"SS": ["y", "x"]}, "Ns": {"NS": ["1", "2.50"]}, "Ns2": {"NS": ["2.5", "1.0"]},
        "Bs": {"BS": ["AQID", "BA=="]}
    })
}

/// A condition in the language's own words.
fn condition() -> impl Strategy<Value = String> {
    let path = || prop::sample::select(&PATHS[..]);
    let literal = || prop::sample::select(&LITERALS[..]);
    let by = || prop::sample::select(&["=", "<>", "<", "<=", ">", ">="][..]);
    let kind = prop::sample::select(&["S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS"][..]);
    let leaf = prop_oneof![
        3 => (path(), by(), literal()).prop_map(|(a, by, b)| format!("{a} {by} {b}")),
        1 => (literal(), by(), path()).prop_map(|(a, by, b)| format!("{a} {by} {b}")),
        3 => (path(), by(), path()).prop_map(|(a, by, b)| format!("{a} {by} {b}")),
        2 => (path(), literal(), literal()).prop_map(|(path, a, b)| format!("{path} IN ({a}, {b})")),
        2 => (path(), literal(), literal()).prop_map(|(path, a, b)| format!("{path} BETWEEN {a} AND {b}")),
        1 => (path(), prop::sample::select(&["''", "'ORDER'", "'a'", "'5'"][..]))
            .prop_map(|(path, text)| format!("begins_with({path}, {text})")),
        2 => (path(), literal()).prop_map(|(path, a)| format!("contains({path}, {a})")),
        1 => path().prop_map(|path| format!("attribute_exists({path})")),
        1 => path().prop_map(|path| format!("attribute_not_exists({path})")),
        2 => (path(), kind).prop_map(|(path, kind)| format!("attribute_type({path}, '{kind}')")),
        2 => (path(), by(), 0..6).prop_map(|(path, by, size)| format!("size({path}) {by} {size}")),
    ];
    leaf.prop_recursive(2, 6, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|condition| format!("NOT ({condition})")),
            inner.clone().prop_map(|condition| format!("NOT {condition}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} AND {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} OR {b}")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("({a} OR {b}) AND {a}")),
        ]
    })
}

/// A condition in DynamoDB's words: names and values are placeholders.
#[derive(Default)]
struct Filter {
    names: Map<String, serde_json::Value>,
    values: Map<String, serde_json::Value>,
}

impl Filter {
    fn name(&mut self, name: &str) -> String {
        let placeholder = format!("#n{}", self.names.len());
        self.names.insert(placeholder.clone(), json!(name));
        placeholder
    }

    fn path(&mut self, path: &Path) -> String {
        let mut text = self.name(&path.attribute);
        for step in &path.steps {
            match step {
                Step::Name(name) => write!(text, ".{}", self.name(name)).unwrap(),
                Step::Index(index) => write!(text, "[{index}]").unwrap(),
            }
        }
        text
    }

    fn literal(&mut self, literal: &Literal) -> String {
        let placeholder = format!(":v{}", self.values.len());
        let value = match literal {
            Literal::Text(text) => json!({"S": text}),
            Literal::Number(number) => json!({"N": number.to_string()}),
            Literal::Bool(value) => json!({"BOOL": value}),
        };
        self.values.insert(placeholder.clone(), value);
        placeholder
    }

    fn text(&mut self, text: &str) -> String {
        self.literal(&Literal::Text(text.to_owned()))
    }

    fn value(&mut self, value: &Value) -> String {
        match value {
            Value::Path(path) => self.path(path),
            Value::Literal(literal) => self.literal(literal),
            other => panic!("DynamoDB has no {other}"),
        }
    }

    fn several(&mut self, conditions: &[Condition], word: &str) -> String {
        let parts: Vec<String> =
            conditions.iter().map(|condition| format!("({})", self.condition(condition))).collect();
        parts.join(word)
    }

    fn condition(&mut self, condition: &Condition) -> String {
        match condition {
            Condition::Compare(left, by, right) => format!("{} {by} {}", self.value(left), self.value(right)),
            Condition::In(value, literals) => {
                let value = self.value(value);
                let literals: Vec<_> = literals.iter().map(|literal| self.literal(literal)).collect();
                format!("{value} IN ({})", literals.join(", "))
            }
            Condition::Between(value, low, high) => {
                format!("{} BETWEEN {} AND {}", self.value(value), self.literal(low), self.literal(high))
            }
            Condition::BeginsWith(value, text) => format!("begins_with({}, {})", self.value(value), self.text(text)),
            Condition::Contains(path, literal) => format!("contains({}, {})", self.path(path), self.literal(literal)),
            Condition::Exists(path) => format!("attribute_exists({})", self.path(path)),
            Condition::NotExists(path) => format!("attribute_not_exists({})", self.path(path)),
            Condition::Type(path, kind) => format!("attribute_type({}, {})", self.path(path), self.text(kind)),
            Condition::Size(path, by, number) => {
                format!("size({}) {by} {}", self.path(path), self.literal(&Literal::Number(number.clone())))
            }
            Condition::Not(condition) => format!("NOT ({})", self.condition(condition)),
            Condition::And(conditions) => self.several(conditions, " AND "),
            Condition::Or(conditions) => self.several(conditions, " OR "),
        }
    }
}

/// Whether the engine finds the item; `None` when it refuses the filter.
fn finds(engine: &Database, condition: &Condition) -> Option<bool> {
    let mut filter = Filter::default();
    let expression = filter.condition(condition);
    let mut request = json!({
        "TableName": "Source", "FilterExpression": expression, "ExpressionAttributeNames": filter.names
    });
    if !filter.values.is_empty() {
        request["ExpressionAttributeValues"] = filter.values.into();
    }
    let found = engine.scan(serde_json::from_value(request).unwrap());
    if let Err(error) = &found {
        assert!(error.to_string().contains("Invalid"), "{expression}: {error}");
    }
    found.ok().map(|found| found.count == 1)
}

#[test]
fn a_condition_means_what_it_means_to_the_engine() {
    let engine = Database::memory().unwrap();
    let table = json!({
        "TableName": "Source", "BillingMode": "PAY_PER_REQUEST", "KeySchema": [{"AttributeName": "Id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "Id", "AttributeType": "S"}]
    });
    engine.create_table(serde_json::from_value(table).unwrap()).unwrap();
    engine.put_item(serde_json::from_value(json!({"TableName": "Source", "Item": item()})).unwrap()).unwrap();
    let image: Item = serde_json::from_value(item()).unwrap();

    let (mut compared, mut held, mut refused) = (0, 0, 0);
    let wanted = cases(4_000);
    let mut runner = TestRunner::new(wanted.clone());
    for _ in 0..wanted.cases {
        let text = condition().new_tree(&mut runner).unwrap().current();
        let condition = Condition::parse(&text).unwrap();
        let Some(found) = finds(&engine, &condition) else {
            refused += 1;
            continue;
        };
        assert_eq!(condition.holds(&image), found, "{text}");
        compared += 1;
        held += u32::from(found);
    }
    assert!(compared > 2 * refused, "{compared} were compared, and the engine refused {refused}");
    assert!(held * 5 > compared && held * 5 < 4 * compared, "{held} of {compared} held");
}
