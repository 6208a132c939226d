//! Values of an item, read from DynamoDB JSON.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::decimal::Decimal;

/// One value. Two are equal when DynamoDB takes them for equal: by type, numbers by value, sets in any order.
#[derive(Debug, Clone, PartialEq)]
pub enum Datum {
    Text(String),
    Number(Decimal),
    Bool(bool),
    Null,
    Bytes(Vec<u8>),
    TextSet(BTreeSet<String>),
    NumberSet(BTreeSet<Decimal>),
    BytesSet(BTreeSet<Vec<u8>>),
    List(Vec<Datum>),
    Map(BTreeMap<String, Datum>),
}

/// The attributes of an item.
pub type Attributes = BTreeMap<String, Datum>;

pub fn attributes(item: &Value) -> Attributes {
    item.as_object().unwrap().iter().map(|(name, value)| (name.clone(), datum(value))).collect()
}

fn datum(value: &Value) -> Datum {
    let (kind, content) = value.as_object().unwrap().iter().next().unwrap();
    let text = |content: &Value| content.as_str().unwrap().to_owned();
    let number = |content: &Value| Decimal::read(content.as_str().unwrap()).unwrap();
    let bytes = |content: &Value| from_base64(content.as_str().unwrap());
    let elements = || content.as_array().unwrap().iter();
    match kind.as_str() {
        "S" => Datum::Text(text(content)),
        "N" => Datum::Number(number(content)),
        "B" => Datum::Bytes(bytes(content)),
        "BOOL" => Datum::Bool(content.as_bool().unwrap()),
        "NULL" => Datum::Null,
        "SS" => Datum::TextSet(elements().map(text).collect()),
        "NS" => Datum::NumberSet(elements().map(number).collect()),
        "BS" => Datum::BytesSet(elements().map(bytes).collect()),
        "L" => Datum::List(elements().map(datum).collect()),
        "M" => Datum::Map(attributes(content)),
        other => panic!("{other} is no type of DynamoDB"),
    }
}

impl Datum {
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "S",
            Self::Number(_) => "N",
            Self::Bool(_) => "BOOL",
            Self::Null => "NULL",
            Self::Bytes(_) => "B",
            Self::TextSet(_) => "SS",
            Self::NumberSet(_) => "NS",
            Self::BytesSet(_) => "BS",
            Self::List(_) => "L",
            Self::Map(_) => "M",
        }
    }

    /// What a hole with text around it, a group and `shard` make of it.
    pub fn as_text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Number(number) => Some(number.to_string()),
            Self::Bool(flag) => Some(flag.to_string()),
            _ => None,
        }
    }

    /// What `size` gives.
    pub fn size(&self) -> Option<usize> {
        match self {
            Self::Text(text) => Some(text.encode_utf16().count()),
            Self::Bytes(bytes) => Some(bytes.len()),
            Self::TextSet(set) => Some(set.len()),
            Self::NumberSet(set) => Some(set.len()),
            Self::BytesSet(set) => Some(set.len()),
            Self::List(list) => Some(list.len()),
            Self::Map(map) => Some(map.len()),
            Self::Number(_) | Self::Bool(_) | Self::Null => None,
        }
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn from_base64(text: &str) -> Vec<u8> {
    let mut bits: Vec<bool> = Vec::new();
    for letter in text.bytes().filter(|&byte| byte != b'=') {
        let place = ALPHABET.iter().position(|&known| known == letter).unwrap();
        bits.extend((0..6).rev().map(|bit| place >> bit & 1 == 1));
    }
    bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |sum, &bit| sum << 1 | u8::from(bit))).collect()
}

pub fn to_base64(bytes: &[u8]) -> String {
    let bits: Vec<bool> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1)).collect();
    let letter = |bits: &[bool]| {
        let place = (0..6).fold(0, |sum, bit| sum << 1 | usize::from(bits.get(bit).copied().unwrap_or(false)));
        char::from(ALPHABET[place])
    };
    let mut text: String = bits.chunks(6).map(letter).collect();
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

#[test]
fn bytes_have_one_text() {
    for (bytes, text) in [(&b""[..], ""), (b"\x01\x02\x03", "AQID"), (b"a", "YQ=="), (b"\xfb\xff", "+/8=")] {
        assert_eq!(to_base64(bytes), text);
        assert_eq!(from_base64(text), bytes);
    }
}
