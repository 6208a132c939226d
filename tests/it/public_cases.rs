//! Cases from public asks: the writes of each are delivered as their stream tells them, and again in other slices; then
//! the view items are as the case says, nothing is in quarantine, and an audit finds all of it exact.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    StreamSpecification, StreamViewType,
};
use ddb_rollup::config::Config;
use serde_json::Value;

use crate::command::run_with;
use crate::engine::{Engine, Item};

fn cases() -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("../fixtures/cases/views.json")).unwrap();
    file["cases"].as_array().unwrap().clone()
}

/// A plain value as DynamoDB's.
fn attribute(value: &Value) -> AttributeValue {
    match value {
        Value::Null => AttributeValue::Null(true),
        Value::Bool(value) => AttributeValue::Bool(*value),
        Value::Number(number) => AttributeValue::N(number.to_string()),
        Value::String(text) => AttributeValue::S(text.clone()),
        Value::Array(values) => AttributeValue::L(values.iter().map(attribute).collect()),
        Value::Object(_) => AttributeValue::M(item(value)),
    }
}

fn item(value: &Value) -> Item {
    value.as_object().unwrap().iter().map(|(name, value)| (name.clone(), attribute(value))).collect()
}

/// The key attributes of a table, of which a case says the types that are not S.
fn key_of(table: &Value) -> Vec<(String, ScalarAttributeType)> {
    let attribute = |name: &Value| match name.as_str().unwrap().split_once(':') {
        Some((name, key_type)) => (name.to_owned(), key_type.into()),
        None => (name.as_str().unwrap().to_owned(), ScalarAttributeType::S),
    };
    table[1].as_array().unwrap().iter().map(attribute).collect()
}

/// The settings of a case: its tables and its definition.
fn settings(case: &Value) -> [(&'static str, String); 3] {
    let source = case["source table and key"][0].as_str().unwrap();
    let view = case["view tables and keys"].get(0).map_or(source, |table| table[0].as_str().unwrap());
    [
        ("ROLLUP_SOURCE_TABLE", source.to_owned()),
        ("ROLLUP_VIEW_TABLE", view.to_owned()),
        ("ROLLUP_VIEW_DEFINITION", case["definition"].to_string()),
    ]
}

fn config(case: &Value) -> Result<Config, String> {
    let settings = settings(case);
    let value = |name: &str| settings.iter().find(|(other, _)| *other == name).map(|(_, value)| value.clone());
    Config::read(value).map_err(|error| error.to_string())
}

async fn create_table_of_case(engine: &Engine, table: &Value, stream: bool) {
    let mut request = engine.db.create_table().table_name(table[0].as_str().unwrap());
    request = request.billing_mode(BillingMode::PayPerRequest);
    for ((name, key_type), role) in key_of(table).into_iter().zip([KeyType::Hash, KeyType::Range]) {
        let definition = AttributeDefinition::builder().attribute_name(&name).attribute_type(key_type);
        let schema = KeySchemaElement::builder().attribute_name(&name).key_type(role);
        request = request.attribute_definitions(definition.build().unwrap()).key_schema(schema.build().unwrap());
    }
    let view = StreamViewType::NewAndOldImages;
    let specification = StreamSpecification::builder().stream_enabled(true).stream_view_type(view);
    request = request.set_stream_specification(stream.then(|| specification.build().unwrap()));
    request.send().await.unwrap();
}

async fn write_of_case(engine: &Engine, table: &str, key: &[String], write: &Value) {
    let attributes = item(&write[1]);
    let key = |attributes: &Item| attributes.iter().filter(|(name, _)| key.contains(name)).map(owned).collect();
    match write[0].as_str().unwrap() {
        "put" => drop(engine.db.put_item().table_name(table).set_item(Some(attributes)).send().await.unwrap()),
        "rm" => {
            drop(engine.db.delete_item().table_name(table).set_key(Some(key(&attributes))).send().await.unwrap());
        }
        "update" => {
            for (name, value) in item(&write[2]) {
                let update = engine.db.update_item().table_name(table).set_key(Some(key(&attributes)));
                let update = update.update_expression("SET #a = :a").expression_attribute_names("#a", name);
                update.expression_attribute_values(":a", value).send().await.unwrap();
            }
        }
        other => panic!("a write of an unknown kind: {other}"),
    }
}

async fn item_of_case(engine: &Engine, case: &Value, wanted: &Value) -> Option<Item> {
    let tables = case["view tables and keys"].as_array().unwrap().iter().chain([&case["source table and key"]]);
    let table = tables.into_iter().find(|table| table[0] == wanted[0]).unwrap();
    let key = key_of(table).into_iter().zip(wanted.as_array().unwrap()[1..].iter().map(attribute));
    let key: HashMap<_, _> = key.map(|((name, _), value)| (name, value)).collect();
    let read = engine.db.get_item().table_name(wanted[0].as_str().unwrap()).set_key(Some(key)).consistent_read(true);
    read.send().await.unwrap().item
}

fn owned((name, value): (&String, &AttributeValue)) -> (String, AttributeValue) {
    (name.clone(), value.clone())
}

/// The counters of an attribute by group, without those that are zero.
fn counters(value: Option<&AttributeValue>) -> HashMap<String, String> {
    let number = |value: &AttributeValue| value.as_n().unwrap().clone();
    let counters: HashMap<String, String> = match value {
        None => HashMap::new(),
        Some(AttributeValue::M(groups)) => groups.iter().map(|(group, value)| (group.clone(), number(value))).collect(),
        Some(value) => HashMap::from([(String::new(), number(value))]),
    };
    counters.into_iter().filter(|(_, number)| number != "0").collect()
}

async fn holds(case: &Value) {
    let name = case["name"].as_str().unwrap();
    let engine = Engine::start().await;
    create_table_of_case(&engine, &case["source table and key"], true).await;
    for table in case["view tables and keys"].as_array().unwrap() {
        create_table_of_case(&engine, table, false).await;
    }
    let source = case["source table and key"][0].as_str().unwrap();
    let key: Vec<String> = key_of(&case["source table and key"]).into_iter().map(|(name, _)| name).collect();
    for write in case["writes, in order"].as_array().unwrap() {
        write_of_case(&engine, source, &key, write).await;
    }
    let config = config(case).unwrap();
    let function = engine.function_with(|default| *default = config);
    for slice in [2, 3, 1] {
        // What the function writes into the source's own table is in the stream as well.
        let records = engine.stream_records_of(source).await;
        for part in records.chunks(slice) {
            function.deliver(part).await;
        }
    }
    for expected in case["expected, by table and key"].as_array().unwrap() {
        let found = item_of_case(&engine, case, &expected["item"]).await.unwrap_or_default();
        for (attribute_name, value) in expected["attributes"].as_object().unwrap() {
            let (found, wanted) = (counters(found.get(attribute_name)), counters(Some(&attribute(value))));
            assert_eq!(found, wanted, "{name}: {attribute_name} of {}", expected["item"]);
        }
    }
    for absent in case["must not exist"].as_array().unwrap() {
        assert_eq!(item_of_case(&engine, case, absent).await, None, "{name}: {absent}");
    }
    let settings = settings(case);
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let audit = run_with(&engine, &["audit", "--settle", "0", "--json"], &settings).await;
    let report: Value = serde_json::from_str(&audit.out).unwrap();
    assert_eq!((audit.code, &report["quarantined"]), (0, &Value::from(0)), "{name}: {report} {}", audit.err);
}

#[tokio::test]
async fn every_case_ends_as_it_says_whatever_is_delivered_again() {
    let cases = cases();
    for case in &cases {
        holds(case).await;
    }
    assert_eq!(cases.len(), 7);
}
