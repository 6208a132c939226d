//! Definitions that are made up.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::made_up_expression::{any_value, condition, measure, number_value, path, text_value};
use super::made_up_item::{TEXTS, Usually, percent, pick};

/// How many views a definition may have.
const VIEWS: usize = 1;

pub fn definition(rng: &mut Rng) -> Value {
    if percent(rng, 50) {
        return Value::Object(view(rng, 0));
    }
    let count = rng.usize(1..=VIEWS);
    let view = |rng: &mut Rng, place: usize| {
        let mut view = view(rng, place);
        view.insert("name".to_owned(), json!(format!("view-{place}")));
        // Tables of their own: views that share a table must have the same key attributes.
        view.insert("table".to_owned(), json!(format!("Table{place}")));
        Value::Object(view)
    };
    json!({ "views": (0..count).map(|place| view(rng, place)).collect::<Vec<_>>() })
}

fn view(rng: &mut Rng, place: usize) -> Map<String, Value> {
    let mut view = Map::new();
    if percent(rng, 30) {
        view.insert("where".to_owned(), json!(condition(rng, 3)));
    }
    let mut key = vec![key_part(rng, "Id", true)];
    if percent(rng, 40) {
        let names = ["Sort", "SK", "Ключ"];
        key.push(key_part(rng, names[place % names.len()], !key[0].to_string().contains("{each")));
    }
    view.insert("key".to_owned(), Value::Array(key));
    view.insert("measures".to_owned(), Value::Object(measures(rng)));
    view
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

fn measures(rng: &mut Rng) -> Map<String, Value> {
    const NAMES: [&str; 5] = ["Count", "Likes Count", "Ä😀", "count", "Sum"];
    let mut measures: Map<String, Value> =
        NAMES[..rng.usize(1..=NAMES.len())].iter().map(|name| ((*name).to_owned(), json!(measure(rng)))).collect();
    // Nearly as many counters as a view item may have, so that a group more or less decides.
    if percent(rng, 3) {
        let more = rng.usize(40..=50 - measures.len());
        measures.extend((0..more).map(|number| (format!("N{number}"), json!("count"))));
    }
    measures
}
