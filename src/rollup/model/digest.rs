//! A digest of what a record says: it shows whether two records with one sequence number are the same event.

use std::fmt;

use sha1::{Digest, Sha1};
use uuid::Uuid;

use crate::rollup::model::number::Number;
use crate::rollup::{AttributeValue, Item};

/// A digest of a record's images. It is the same however the record was delivered: the order of a set, the form of a
/// number and the event's name differ between Lambda, the stream and files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentDigest(u64);

impl ContentDigest {
    /// The digest of the images before and after a write; `None` for an image that does not exist.
    #[must_use]
    pub fn of(old: Option<&Item>, new: Option<&Item>) -> Self {
        let mut text = Vec::with_capacity(256);
        for image in [old, new] {
            match image {
                Some(image) => put_map(&mut text, image.inner()),
                None => text.push(b'-'),
            }
        }
        Self(name_based(&text).as_u64_pair().0)
    }
}

/// The name-based identifier of a text (RFC 9562, version 5). `uuid` computes the same without the processor's
/// instructions for SHA-1, in several times the time.
fn name_based(text: &[u8]) -> Uuid {
    let hash = Sha1::new_with_prefix(Uuid::NAMESPACE_OID).chain_update(text).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    uuid::Builder::from_sha1_bytes(bytes).into_uuid()
}

/// As it is stored: hexadecimal digits.
impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Whether two keys are of the same source item. Numbers compare by value, because engines return them in their
/// canonical text.
#[must_use]
pub fn same_item(one: &Item, other: &Item) -> bool {
    let canonical = |item: &Item| {
        let mut text = Vec::new();
        put_map(&mut text, item.inner());
        text
    };
    one == other || canonical(one) == canonical(other)
}

fn put_map(text: &mut Vec<u8>, map: &std::collections::HashMap<String, AttributeValue>) {
    let mut sorted: Vec<(&str, &AttributeValue)> = map.iter().map(|(name, value)| (name.as_str(), value)).collect();
    sorted.sort_unstable_by_key(|(name, _)| *name);
    put_length(text, b'M', sorted.len());
    for (name, value) in sorted {
        put_bytes(text, b'k', name.as_bytes());
        put(text, value);
    }
}

fn put(text: &mut Vec<u8>, value: &AttributeValue) {
    match value {
        AttributeValue::S(value) => put_bytes(text, b'S', value.as_bytes()),
        AttributeValue::N(value) => put_bytes(text, b'N', canonical(value).as_bytes()),
        AttributeValue::B(value) => put_bytes(text, b'B', value),
        AttributeValue::Bool(value) => text.extend([b'b', u8::from(*value)]),
        AttributeValue::Null(_) => text.push(b'0'),
        AttributeValue::M(map) => put_map(text, map),
        AttributeValue::L(values) => {
            put_length(text, b'L', values.len());
            for value in values {
                put(text, value);
            }
        }
        AttributeValue::Ss(values) => put_set(text, b's', values.iter().map(|value| value.as_bytes().to_vec())),
        AttributeValue::Ns(values) => put_set(text, b'n', values.iter().map(|value| canonical(value).into_bytes())),
        AttributeValue::Bs(values) => put_set(text, b'y', values.iter().cloned()),
    }
}

fn put_set(text: &mut Vec<u8>, kind: u8, values: impl Iterator<Item = Vec<u8>>) {
    let mut values: Vec<Vec<u8>> = values.collect();
    values.sort_unstable();
    put_length(text, kind, values.len());
    for value in &values {
        put_bytes(text, kind, value);
    }
}

fn put_bytes(text: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    put_length(text, kind, bytes.len());
    text.extend(bytes);
}

fn put_length(text: &mut Vec<u8>, kind: u8, length: usize) {
    text.push(kind);
    text.extend(u64::try_from(length).unwrap_or(u64::MAX).to_le_bytes());
}

fn canonical(number: &str) -> String {
    number.parse::<Number>().map_or_else(|_| number.to_owned(), |number| number.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn item(value: Value) -> Item {
        serde_json::from_value(value).unwrap()
    }

    fn digest(value: Value) -> ContentDigest {
        ContentDigest::of(None, Some(&item(value)))
    }

    #[test]
    fn the_form_of_a_value_is_nothing_and_the_value_is_all() {
        let one = json!({"A": {"SS": ["x", "y"]}, "N": {"N": "1.50"}, "Z": {"NS": ["1", "2E1"]}, "L": {"L": [{"N": "1"}, {"S": "a"}]}});
        let same = json!({"Z": {"NS": ["20", "1.0"]}, "N": {"N": "15e-1"}, "L": {"L": [{"N": "1.0"}, {"S": "a"}]}, "A": {"SS": ["y", "x"]}});
        assert_eq!(digest(one.clone()), digest(same));
        for other in [
            json!({}),
            json!({"A": {"SS": ["x"]}}),
            json!({"A": {"L": [{"S": "x"}]}}),
            json!({"A": {"S": "x"}}),
            json!({"A": {"B": "eA=="}}),
            json!({"A": {"N": "1"}}),
            json!({"A": {"S": "1"}}),
            json!({"A": {"BOOL": true}}),
            json!({"A": {"BOOL": false}}),
            json!({"A": {"NULL": true}}),
            json!({"A": {"L": [{"S": "a"}, {"S": "b"}]}}),
            json!({"A": {"L": [{"S": "b"}, {"S": "a"}]}}),
            json!({"A": {"L": [{"S": "ab"}]}}),
            json!({"A": {"M": {"B": {"S": "x"}}}}),
            json!({"AB": {"S": "x"}}),
        ] {
            assert_ne!(digest(one.clone()), digest(other.clone()), "{other}");
        }
    }

    #[test]
    fn the_identifier_of_a_text_is_that_of_the_library() {
        for length in [0, 1, 39, 40, 47, 48, 55, 56, 103, 104, 1_000] {
            let text = vec![b'x'; length];
            assert_eq!(name_based(&text), Uuid::new_v5(&Uuid::NAMESPACE_OID, &text), "{length}");
        }
    }

    #[test]
    fn which_images_there_are_is_a_part_of_it() {
        let (image, empty) = (item(json!({"A": {"S": "x"}})), Item::default());
        let digests = [
            (None, Some(&image)),
            (Some(&image), None),
            (Some(&image), Some(&image)),
            (Some(&image), Some(&empty)),
            (None, Some(&empty)),
        ]
        .map(|(old, new)| ContentDigest::of(old, new));
        for (place, one) in digests.iter().enumerate() {
            assert!(digests.iter().skip(place + 1).all(|other| one != other), "{place}");
        }
        // It is stored, so it never changes.
        assert_eq!(digests[0].to_string(), "612b8aaacb0b5ea2");
    }
}
