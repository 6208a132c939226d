//! Items that are made up: mostly of the types that expressions look for, and often of others.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::datum::to_base64;
use super::decimal::Decimal;

/// What an attribute is usually.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usually {
    Text,
    Number,
    Time,
    Elements,
    Numbers,
    Document,
    Flag,
    Bytes,
}

/// The attributes of an item: what an expression calls them, their names and what they are usually.
pub const ATTRIBUTES: [(&str, &str, Usually); 20] = [
    ("PK", "PK", Usually::Text),
    ("SK", "SK", Usually::Text),
    ("Status", "Status", Usually::Text),
    ("day", "day", Usually::Text),
    ("`and`", "and", Usually::Text),
    ("`a``b`", "a`b", Usually::Text),
    ("Price", "Price", Usually::Number),
    ("`Unit Price`", "Unit Price", Usually::Number),
    ("count", "count", Usually::Number),
    ("_q1", "_q1", Usually::Number),
    ("At", "At", Usually::Time),
    ("`ä.😀`", "ä.😀", Usually::Time),
    ("Tags", "Tags", Usually::Elements),
    ("Labels", "Labels", Usually::Elements),
    ("Weights", "Weights", Usually::Numbers),
    ("Doc", "Doc", Usually::Document),
    ("Paid", "Paid", Usually::Flag),
    ("`true`", "true", Usually::Flag),
    ("Raw", "Raw", Usually::Bytes),
    ("Raw2", "Raw2", Usually::Bytes),
];

/// Texts that expressions and items share, so that they meet.
pub const TEXTS: [&str; 25] = [
    "pro",
    "ORDER#2026#7",
    "team",
    "ORDER#",
    "a#b",
    "7",
    "PRO",
    "",
    "#",
    "##",
    "a#",
    "it's",
    "1000",
    "true",
    "ä",
    "Ä",
    "😀",
    "a😀#b",
    "\u{ffff}",
    "\u{212a}\u{130}",
    "ΑΣ",
    "\0",
    "{}",
    "a b",
    "null",
];

/// Numbers that expressions and items share, at and beside the edges of what is counted.
pub const NUMBERS: [&str; 46] = [
    "1",
    "2",
    "2.5",
    "1000",
    "3",
    "0",
    "-0",
    "0.0",
    "1.0",
    "-1",
    "2.50",
    "7",
    "007",
    "+7",
    "1E3",
    "1e+3",
    "0.5",
    "1.5",
    "-2.5",
    ".5",
    "1e-3",
    "9999999999999",
    "9999999999999.99999999999999999",
    "9999999999999.999999999999999994",
    "9999999999999.999999999999999995",
    "-9999999999999.999999999999999996",
    "10000000000000",
    "0.000000000000000005",
    "0.000000000000000015",
    "-0.000000000000000025",
    "0.0000000000000000051",
    "1e125",
    "-1e125",
    "9.9999999999999999999999999999999999999e125",
    "1e-130",
    "-1e-130",
    "12345678901234567890123456789012345678",
    "0.12345678901234567890123456789012345678",
    "1772752020",
    "1772752020123.9",
    "99999999999",
    "100000000000",
    "-62135596800",
    "-62135596801",
    "253402300799999",
    "253402300800000",
];

/// Numbers that are times, at and beside the edges of what is one.
const TIMES: [&str; 14] = [
    "0",
    "-0.5",
    "1772752020",
    "1772752020123.9",
    "99999999999",
    "99999999999.5",
    "100000000000",
    "1e11",
    "100000000999.9",
    "-62135596800",
    "-62135596801",
    "253402300799999",
    "253402300800000",
    "1e125",
];

pub fn pick<T: Copy>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.usize(..from.len())]
}

/// One of the first few in half of the cases, so that two that are picked are the same often enough.
pub fn pick_usual<T: Copy>(rng: &mut Rng, from: &[T]) -> T {
    let few = if rng.bool() { 6 } else { from.len() };
    pick(rng, &from[..few])
}

/// Whether something happens that does in so many of a hundred cases.
pub fn percent(rng: &mut Rng, of_a_hundred: u32) -> bool {
    rng.u32(..100) < of_a_hundred
}

pub fn item(rng: &mut Rng) -> Value {
    let mut item = Map::new();
    for (_, name, usually) in ATTRIBUTES {
        match rng.u32(..100) {
            0..8 => {}
            8..20 => drop(item.insert(name.to_owned(), anything(rng, 2))),
            _ => drop(item.insert(name.to_owned(), usual(rng, usually))),
        }
    }
    // Two attributes with one value, so that paths are equal often enough; the sets in another order.
    for (name, other) in
        [("Tags", "Labels"), ("Raw", "Raw2"), ("Price", "Unit Price"), ("PK", "SK"), ("Doc", "Weights")]
    {
        if percent(rng, 25)
            && let Some(mut value) = item.get(name).map(written_otherwise)
        {
            if rng.bool() {
                change_one(rng, &mut value);
            }
            item.insert(other.to_owned(), value);
        }
    }
    Value::Object(item)
}

fn usual(rng: &mut Rng, usually: Usually) -> Value {
    match usually {
        Usually::Text => json!({ "S": text(rng) }),
        Usually::Number => json!({ "N": number(rng) }),
        Usually::Time if percent(rng, 30) => json!({ "N": pick(rng, &TIMES) }),
        Usually::Time => json!({ "S": time(rng) }),
        Usually::Elements => elements(rng),
        Usually::Numbers => numbers(rng),
        Usually::Document => document(rng),
        Usually::Flag => json!({ "BOOL": rng.bool() }),
        Usually::Bytes => json!({ "B": bytes(rng) }),
    }
}

/// Any value of DynamoDB, with so many levels below it.
fn anything(rng: &mut Rng, levels: u32) -> Value {
    match rng.u32(..if levels == 0 { 8 } else { 12 }) {
        0 | 1 => json!({ "S": text(rng) }),
        2 => json!({ "N": number(rng) }),
        3 => json!({ "BOOL": rng.bool() }),
        4 => json!({ "NULL": true }),
        5 => json!({ "B": bytes(rng) }),
        6 => json!({ "S": time(rng) }),
        7 => set(rng),
        8 | 9 => {
            let count = rng.usize(..5);
            json!({ "L": (0..count).map(|_| anything(rng, levels - 1)).collect::<Vec<_>>() })
        }
        _ => {
            let count = rng.usize(..4);
            let entry =
                |rng: &mut Rng| (pick(rng, &["Owner", "Lines", "a", "b", ""]).to_owned(), anything(rng, levels - 1));
            json!({ "M": (0..count).map(|_| entry(rng)).collect::<Map<_, _>>() })
        }
    }
}

fn text(rng: &mut Rng) -> String {
    match rng.u32(..100) {
        0..6 => {
            let length = pick(rng, &[255, 511, 512, 1_020, 1_023, 1_024, 1_025, 2_040, 2_047, 2_048, 2_049]);
            let letter = pick(rng, &["x", "ä", "😀"]);
            letter.repeat(length / letter.len()) + &"y".repeat(length % letter.len())
        }
        6..20 => (0..rng.usize(1..6)).map(|_| rng.char(..)).collect(),
        20..30 => format!("{}#{}", pick_usual(rng, &TEXTS), pick(rng, &TEXTS)),
        _ => pick_usual(rng, &TEXTS).to_owned(),
    }
}

fn number(rng: &mut Rng) -> String {
    match rng.u32(..10) {
        0 => format!("{}.{}", rng.i32(-999..999), rng.u64(..)),
        1 => format!("{}e{}", rng.i32(-999..999), rng.i32(-40..40)),
        2 | 3 => rng.i32(-20..20).to_string(),
        4..6 => spelled_otherwise(pick_usual(rng, &NUMBERS)),
        _ => pick_usual(rng, &NUMBERS).to_owned(),
    }
}

/// The same value, with its numbers and sets written otherwise.
fn written_otherwise(value: &Value) -> Value {
    let number = |number: &Value| number.as_str().map(spelled_otherwise);
    let (kind, content) = value.as_object().and_then(|value| value.iter().next()).unwrap();
    let content = match (kind.as_str(), content) {
        ("N", content) => json!(number(content)),
        ("NS", Value::Array(set)) => set.iter().rev().map(number).collect(),
        ("SS" | "BS", Value::Array(set)) => set.iter().rev().cloned().collect(),
        ("L", Value::Array(list)) => list.iter().map(written_otherwise).collect(),
        ("M", Value::Object(map)) => map.iter().map(|(name, value)| (name.clone(), written_otherwise(value))).collect(),
        (_, content) => content.clone(),
    };
    json!({ kind: content })
}

/// Changes one thing in a list or map.
fn change_one(rng: &mut Rng, value: &mut Value) {
    let first = match value.as_object_mut().and_then(|value| value.values_mut().next()) {
        Some(Value::Array(list)) => list.iter_mut().find(|element| element.is_object()),
        Some(Value::Object(map)) => map.values_mut().next(),
        _ => None,
    };
    if let Some(first) = first {
        *first = anything(rng, 0);
    }
}

/// The same number in another text.
fn spelled_otherwise(number: &str) -> String {
    match number.split_once('.') {
        _ if number.contains(['e', 'E']) => number.to_lowercase(),
        Some(_) => format!("{number}0"),
        None => format!("{number}.0"),
    }
}

/// A time, in one of the forms that are read; or with one thing in it that is not.
fn time(rng: &mut Rng) -> String {
    let part = |rng: &mut Rng, usual: &[&str], odd: &[&str]| {
        let from = if percent(rng, 8) { odd } else { usual };
        pick(rng, from).to_owned()
    };
    let two_digits = |rng: &mut Rng, below: u32| {
        let below = if percent(rng, 8) { below + 2 } else { below };
        format!("{:02}", rng.u32(..below))
    };
    let usual = format!("{:04}-{:02}-{:02}", rng.u32(1_990..2_040), rng.u32(1..13), rng.u32(1..29));
    let random = format!("{:04}-{:02}-{:02}", rng.u32(..10_000), rng.u32(..14), rng.u32(..33));
    let mut text = match rng.u32(..10) {
        0 => part(rng, &["0001-01-01", "9999-12-31", "2024-02-29", "2026-01-01", "2027-01-03", "2024-12-30"], &[""]),
        1 => part(rng, &["2000-02-29", "2026-03-31"], &["2023-02-29", "1900-02-29", "0000-01-01", "2026-04-31"]),
        2 => random,
        _ => usual,
    };
    if percent(rng, 75) {
        text += &part(rng, &["T", " "], &["t", "  ", "", "T "]);
        text += &two_digits(rng, 24);
        text += &part(rng, &[":"], &["", ".", "::"]);
        text += &two_digits(rng, 60);
        if percent(rng, 70) {
            text.push(':');
            text += &two_digits(rng, 60);
            text += &part(rng, &["", "", ".0", ".999999999999"], &[".", ",5", ".-5", ". 5"]);
        }
        text += &part(
            rng,
            &["", "Z", "+01:00", "-0130", "+23:59", "-14:00"],
            &["+24:00", "+01", "z", "+1:00", " Z", "+00:60", "ZZ", "+01:00Z", "\u{2212}01:00", "+010:0"],
        );
    }
    if percent(rng, 8) {
        let places: Vec<usize> = text.char_indices().map(|(place, _)| place).chain([text.len()]).collect();
        text.insert_str(pick(rng, &places), pick(rng, &["0", " ", "-", "+", ":", "\u{663}", "Z", "\0"]));
    }
    text
}

fn bytes(rng: &mut Rng) -> String {
    let lengths: &[usize] = if percent(rng, 10) { &[1_024, 1_025, 2_048, 2_049] } else { &[0, 1, 1, 2, 2, 3] };
    let length = pick(rng, lengths);
    to_base64(&(0..length).map(|_| if length > 3 { 7 } else { rng.u8(..4) * 85 }).collect::<Vec<_>>())
}

/// A set that DynamoDB keeps: not empty, and no element twice.
fn set(rng: &mut Rng) -> Value {
    let count = rng.usize(1..5);
    match rng.u32(..3) {
        0 => {
            let mut texts: Vec<String> = (0..count).map(|_| text(rng)).collect();
            texts.sort();
            texts.dedup();
            json!({ "SS": texts })
        }
        1 => {
            let mut numbers: Vec<(Decimal, String)> =
                (0..count).map(|_| number(rng)).map(|number| (Decimal::read(&number).unwrap(), number)).collect();
            numbers.sort();
            numbers.dedup_by(|a, b| a.0 == b.0);
            json!({ "NS": numbers.into_iter().map(|(_, number)| number).collect::<Vec<_>>() })
        }
        _ => {
            let mut all: Vec<String> = (0..count).map(|_| bytes(rng)).collect();
            all.sort();
            all.dedup();
            json!({ "BS": all })
        }
    }
}

/// What `each` goes through; sometimes nearly as much as an image can contribute, and sometimes more.
fn elements(rng: &mut Rng) -> Value {
    match rng.u32(..10) {
        0 | 1 => set(rng),
        2 => numbers(rng),
        3 => {
            let (count, length) = (rng.usize(46..54), pick(rng, &[3, 10, 55, 58, 60, 62, 65, 1_024]));
            json!({ "L": (0..count).map(|n| json!({ "S": format!("{n:0length$}") })).collect::<Vec<_>>() })
        }
        _ => {
            let count = rng.usize(..5);
            let element = |rng: &mut Rng| match rng.u32(..6) {
                0 => anything(rng, 0),
                1 | 2 => json!({ "N": number(rng) }),
                _ => json!({ "S": text(rng) }),
            };
            json!({ "L": (0..count).map(|_| element(rng)).collect::<Vec<_>>() })
        }
    }
}

/// A map of numbers, with something else among them at times.
fn numbers(rng: &mut Rng) -> Value {
    let count = if percent(rng, 5) { rng.usize(48..53) } else { rng.usize(..5) };
    let name = |rng: &mut Rng, n: usize| if count > 10 { format!("k{n}") } else { text(rng) };
    let value = |rng: &mut Rng| if percent(rng, 15) { anything(rng, 1) } else { json!({ "N": number(rng) }) };
    json!({ "M": (0..count).map(|n| (name(rng, n), value(rng))).collect::<Map<_, _>>() })
}

fn document(rng: &mut Rng) -> Value {
    let line = |rng: &mut Rng| json!({ "M": { "Unit Price": { "N": number(rng) }, "Name": { "S": text(rng) } } });
    let count = rng.usize(..4);
    json!({ "M": {
        "Owner": { "S": text(rng) },
        "Tags": elements(rng),
        "Weights": numbers(rng),
        "Lines": { "L": (0..count).map(|_| line(rng)).collect::<Vec<_>>() },
        "in": anything(rng, 1),
    } })
}
