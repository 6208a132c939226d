//! Parsing: no text makes it panic, and whatever comes is exactly one of a record, poison, or a record without a number.

use ddb_rollup::rollup::model::limits;
use ddb_rollup::rollup::model::record::Images;
use ddb_rollup::rollup::pipeline::parse::{EventError, Parsed, parse, parse_record};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::cases;
use crate::made_up::written;

/// Records that a stream gave, and one of the console.
const REAL: [&str; 2] =
    [include_str!("../fixtures/stream-event.json"), include_str!("../fixtures/console-test-event.json")];

fn real() -> Vec<Value> {
    let records = REAL.map(|event| serde_json::from_str::<Value>(event).unwrap()["Records"][0].clone());
    records.to_vec()
}

/// Checks what a text is taken for. What it is must follow from the text alone.
fn hold(raw: &str) {
    let numbered = |number: &str| assert!((1..=limits::PARTITION_KEY_BYTES).contains(&number.len()), "{raw}");
    let of_a_stream = |stream: &str| assert!((1..=limits::SORT_KEY_BYTES).contains(&stream.len()), "{raw}");
    match parse_record(raw) {
        Ok(Parsed::Record(record)) => {
            numbered(&record.head.id.sequence_number);
            of_a_stream(&record.head.id.stream);
            let empty = match &record.images {
                Images::Inserted(image) | Images::Removed(image) => image.is_empty(),
                Images::Modified { old, new } => old.is_empty() || new.is_empty(),
            };
            assert!(!empty || !record.unreadable.is_empty(), "an image without an attribute is none: {raw}");
            assert_eq!(record.raw, raw);
        }
        Ok(Parsed::Poison(poison)) => {
            numbered(&poison.head.id.sequence_number);
            of_a_stream(&poison.head.id.stream);
            assert!(!poison.reason.to_string().is_empty());
            assert!(poison.reason.to_string().len() <= limits::REASON_BYTES + 100, "{}", poison.reason);
            assert_eq!(poison.raw, raw, "it is kept as it came");
        }
        Ok(Parsed::Unnumbered { raw: kept, .. }) => {
            assert_eq!(kept, raw, "it is kept as it came");
            assert!(!has_number(raw), "it can be told by its number: {raw}");
        }
        Err(EventError::StreamViewType { .. }) => {
            let value: Value = serde_json::from_str(raw).unwrap();
            assert!(value["dynamodb"]["StreamViewType"].is_string(), "{raw}");
        }
        Err(EventError::Source { found }) => {
            assert_ne!(found, "aws:dynamodb");
            assert!(!has_number(raw), "it can be told by its number: {raw}");
        }
        Err(error @ (EventError::NotText { .. } | EventError::NotAStreamEvent { .. })) => {
            panic!("one record is no event: {error}")
        }
    }
}

/// Whether a text is JSON that tells a usable sequence number.
fn has_number(raw: &str) -> bool {
    let Ok(value) = serde_json::from_str::<Value>(raw) else { return false };
    let number = value["dynamodb"]["SequenceNumber"].as_str();
    number.is_some_and(|number| (1..=limits::PARTITION_KEY_BYTES).contains(&number.len()))
}

/// The same record in an event, between two that are good: it is still one of three, and takes nothing from the others.
/// It is the same in an event whose records are looked for before one is parsed, because its list is not its first field.
fn hold_in_an_event(raw: &str) {
    let good = real()[0].to_string();
    let event = format!("{{\"Records\":[{good},{raw},{good}]}}");
    let alone = serde_json::from_str::<&serde_json::value::RawValue>(raw).is_ok();
    let records: Vec<_> = parse(&event).unwrap().collect();
    let list_is_second = event.replacen('{', "{\"other\":0,", 1);
    if let Ok(looked_for) = parse(&list_is_second) {
        assert_eq!(records, looked_for.collect::<Vec<_>>(), "{raw}");
        assert!(!alone || records.len() == 3, "{raw}");
        assert!(matches!(records[0], Ok(Parsed::Record(_))) && matches!(records.last(), Some(Ok(Parsed::Record(_)))));
    } else {
        assert!(!alone, "only what is no JSON breaks an event: {raw}");
        assert!(matches!(records.last(), Some(Err(EventError::NotAStreamEvent { .. }))), "{raw}: {records:?}");
    }
}

/// Any JSON, of the words that a record is made of and of others.
fn json_value() -> impl Strategy<Value = Value> {
    const WORDS: [&str; 15] =
        ["S", "N", "B", "M", "L", "SS", "NS", "BS", "BOOL", "NULL", "MapId", "Records", "dynamodb", "Keys", ""];
    let word = || prop_oneof![prop::sample::select(&WORDS[..]).prop_map(str::to_owned), any::<String>()];
    let number = prop_oneof![
        any::<i64>().prop_map(|n| json!(n)),
        any::<f64>().prop_map(|n| json!(n)),
        any::<u64>().prop_map(|n| json!(n))
    ];
    let leaf =
        prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::Bool), number, word().prop_map(Value::String)];
    leaf.prop_recursive(4, 24, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec((word(), inner), 0..6).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// Every place in a value, as a JSON pointer.
fn places(value: &Value) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(values) => values.iter().enumerate().map(|(place, value)| (place.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    let below = children.into_iter().flat_map(|(name, value)| {
        let name = name.replace('~', "~0").replace('/', "~1");
        places(value).into_iter().map(move |place| format!("/{name}{place}"))
    });
    std::iter::once(String::new()).chain(below).collect()
}

/// A text that stands in a record's place where JSON values do not reach.
fn odd_text() -> impl Strategy<Value = String> {
    const FIXED: [&str; 9] = [
        "1e400",
        "-1e-400",
        "\"\\ud800\"",
        "\"\\u0000\"",
        "01",
        "nul",
        "\u{feff}null",
        "123456789012345678901234567890",
        "{\"S\":\"a\",\"S\":\"b\"}",
    ];
    let nested = (1..300_usize, any::<bool>()).prop_map(|(depth, objects)| {
        if objects {
            format!("{}0{}", "{\"M\":".repeat(depth), "}".repeat(depth))
        } else {
            format!("{}{}", "[".repeat(depth), "]".repeat(depth))
        }
    });
    prop_oneof![2 => prop::sample::select(&FIXED[..]).prop_map(str::to_owned), 1 => nested]
}

fn a_record() -> impl Strategy<Value = Value> {
    prop_oneof![
        prop::sample::select(real()),
        (written(), 0..100_usize).prop_map(|(written, position)| written.record(position))
    ]
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn any_bytes(bytes in any::<Vec<u8>>(), text in any::<String>()) {
        for text in [&*String::from_utf8_lossy(&bytes), &text] {
            hold(text);
            hold_in_an_event(text);
            let _ = parse(text).map(Iterator::count);
        }
    }

    #[test]
    fn any_json(value in json_value()) {
        let text = value.to_string();
        hold(&text);
        hold_in_an_event(&text);
        let _ = parse(&text).map(Iterator::count);
        let _ = parse(&json!({ "Records": value }).to_string()).map(Iterator::count);
    }

    #[test]
    fn a_record_with_a_bit_changed_or_an_end_cut_off(record in a_record(), place in any::<prop::sample::Index>(), bit in 0..8_u8, cut in any::<bool>()) {
        let mut bytes = record.to_string().into_bytes();
        let place = place.index(bytes.len());
        if cut { bytes.truncate(place) } else { bytes[place] ^= 1 << bit }
        let text = String::from_utf8_lossy(&bytes);
        hold(&text);
        hold_in_an_event(&text);
    }

    #[test]
    fn a_record_with_a_field_that_is_something_else(record in a_record(), place in any::<prop::sample::Index>(), other in json_value()) {
        let mut record = record;
        let places = places(&record);
        *record.pointer_mut(&places[place.index(places.len())]).unwrap() = other;
        let text = record.to_string();
        hold(&text);
        hold_in_an_event(&text);
    }

    #[test]
    fn a_record_with_a_text_in_it_that_hardly_is_json(record in a_record(), place in any::<prop::sample::Index>(), odd in odd_text()) {
        const MARK: &str = "\u{1}here\u{1}";
        let mut record = record;
        let places = places(&record);
        *record.pointer_mut(&places[place.index(places.len())]).unwrap() = json!(MARK);
        let text = record.to_string().replace(&json!(MARK).to_string(), &odd);
        hold(&text);
        hold_in_an_event(&text);
    }

    #[test]
    fn a_record_with_a_field_twice(record in a_record(), place in any::<prop::sample::Index>(), other in json_value(), last in any::<bool>()) {
        let mut text = record.to_string();
        if last {
            let names: Vec<&String> = record.as_object().unwrap().keys().collect();
            text.truncate(text.len() - 1);
            text = format!("{text},{}:{other}}}", json!(names[place.index(names.len())]));
        } else {
            let fields: Vec<usize> = text.match_indices(",\"").map(|(at, _)| at).collect();
            let at = fields[place.index(fields.len())];
            let end = at + 3 + text[at + 2..].find('"').unwrap();
            let again = format!("{}:{other}", &text[at..end]);
            if text[end..].starts_with(':') {
                text.insert_str(at, &again);
            }
        }
        hold(&text);
        hold_in_an_event(&text);
    }
}
