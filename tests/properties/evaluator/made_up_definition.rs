//! Definitions that are made up.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::made_up_expression::{any_value, condition, measure, number_value, path, text_value};
use super::made_up_item::{TEXTS, Usually, percent, pick};

/// How many views a definition may have.
const VIEWS: usize = 20;
/// How many views are kept in one table: all their measures must fit into one update.
const SHARING: usize = 8;

pub fn definition(rng: &mut Rng) -> Value {
    if percent(rng, 40) {
        return Value::Object(view(rng, 0));
    }
    let most = if percent(rng, 5) { VIEWS } else { 3 };
    let count = rng.usize(1..=most);
    let view = |rng: &mut Rng, place: usize| {
        let shares = place < SHARING && percent(rng, 60);
        let mut view = if shares { sharing_view(rng, place) } else { view(rng, place) };
        view.insert("name".to_owned(), json!(format!("view-{place}")));
        let table = if shares { "Shared".to_owned() } else { format!("Table{place}") };
        view.insert("table".to_owned(), json!(table));
        Value::Object(view)
    };
    json!({ "views": (0..count).map(|place| view(rng, place)).collect::<Vec<_>>() })
}

fn view(rng: &mut Rng, place: usize) -> Map<String, Value> {
    let mut key = vec![key_part(rng, "Id", true)];
    if percent(rng, 40) {
        let names = ["Sort", "SK", "Ключ"];
        key.push(key_part(rng, names[place % names.len()], !key[0].to_string().contains("{each")));
    }
    let mut measures = measures(rng, "");
    // Nearly as many counters as a view item may have, so that a group more or less decides.
    if percent(rng, 3) {
        let more = rng.usize(40..=50 - measures.len());
        measures.extend((0..more).map(|number| (format!("N{number}"), json!("count"))));
    }
    with_condition(rng, "", key, measures)
}

/// A view whose items may be those of others: the names of its measures are its own.
fn sharing_view(rng: &mut Rng, place: usize) -> Map<String, Value> {
    let id = pick(rng, &["{PK}", "{Status}", "{PK}", "U#{PK}", "{each Tags}", "{SK}"]);
    let sort = if percent(rng, 15) && !id.contains("each") {
        "{each Labels}"
    } else {
        pick(rng, &["{SK}", "ALL", "ALL", "{Doc.Owner}", "{day}"])
    };
    let part = |attribute: &str, value: &str| json!({ "attribute": attribute, "type": "S", "value": value });
    let ending = format!("-{place}");
    let measures = measures(rng, &ending);
    with_condition(rng, &ending, vec![part("Id", id), part("Sort", sort)], measures)
}

fn with_condition(rng: &mut Rng, ending: &str, key: Vec<Value>, measures: Map<String, Value>) -> Map<String, Value> {
    let mut view = Map::new();
    if percent(rng, 30) {
        view.insert("where".to_owned(), json!(condition(rng, 3)));
    }
    if percent(rng, 25) {
        let value = set_value(rng, &key);
        let attribute = format!("Board{ending}");
        view.insert("set".to_owned(), json!({ attribute: value }));
    }
    view.insert("key".to_owned(), Value::Array(key));
    view.insert("measures".to_owned(), Value::Object(measures));
    view
}

/// A constant, or a text of the holes of a key attribute. No text can be made of a hole that is also of type B.
fn set_value(rng: &mut Rng, key: &[Value]) -> Value {
    let has_bytes = key.iter().any(|part| part["type"] == "B");
    match key[rng.usize(..key.len())]["value"].as_str() {
        Some(value) if !has_bytes && percent(rng, 80) => json!([literal(rng).as_str(), value].concat()),
        Some(value) if !has_bytes => json!(value),
        _ => match rng.u32(..3) {
            0 => json!("ALL"),
            1 => json!(7.5),
            _ => json!(true),
        },
    }
}

fn key_part(rng: &mut Rng, attribute: &str, may_have_each: bool) -> Value {
    let (kind, value) = match rng.u32(..20) {
        0 => ("N", Some(hole(&number_value(rng, 2)))),
        1 => ("N", Some(hole(&path(rng, Usually::Number)))),
        2 => ("B", Some(hole(&path(rng, Usually::Bytes)))),
        3 if attribute == "SK" => ("S", None),
        3..6 if may_have_each => ("S", Some(format!("{{each {}}}", path(rng, Usually::Elements)))),
        6..8 if may_have_each => ("S", Some(format!("{}{{each {}}}", literal(rng), path(rng, Usually::Elements)))),
        8..11 => ("S", Some(hole(&path(rng, Usually::Text)))),
        11..13 => ("S", Some(hole(&text_value(rng, 2)))),
        13 => ("S", Some("ALL {{}}".to_owned())),
        _ => ("S", Some(text_template(rng))),
    };
    let mut part = Map::new();
    part.insert("attribute".to_owned(), json!(attribute));
    part.insert("type".to_owned(), json!(kind));
    if let Some(value) = value {
        part.insert("value".to_owned(), json!(value));
    }
    if percent(rng, 10) {
        part.insert("missing".to_owned(), json!("quarantine"));
    }
    Value::Object(part)
}

fn hole(value: &str) -> String {
    format!("{{{value}}}")
}

fn literal(rng: &mut Rng) -> String {
    pick(rng, &TEXTS).replace('{', "{{").replace('}', "}}") + "#"
}

fn text_template(rng: &mut Rng) -> String {
    let mut template = literal(rng);
    for _ in 0..rng.usize(1..4) {
        let value = if percent(rng, 70) { text_value(rng, 2) } else { any_value(rng, 1) };
        template += &hole(&value);
        template += pick(rng, &["", "-", "{{", "}}", "😀", "'", "`"]);
    }
    template
}

/// Measures whose names end so.
fn measures(rng: &mut Rng, ending: &str) -> Map<String, Value> {
    const NAMES: [&str; 5] = ["Count", "Likes Count", "Ä😀", "count", "Sum"];
    let names = &NAMES[..rng.usize(1..=NAMES.len())];
    names.iter().map(|name| (format!("{name}{ending}"), json!(measure(rng)))).collect()
}
