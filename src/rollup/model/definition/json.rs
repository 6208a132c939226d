//! What a reader of JSON leaves out: the members of an object in their order and each once, and where a value stands.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of an object, in their order. One that stands there twice is an error.
pub(super) struct Members<T>(pub(super) Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Members<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
            type Value = Members<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<T>, A::Error> {
                let mut members: Vec<(String, T)> = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if members.iter().any(|(other, _)| *other == name) {
                        let words = format_args!("{name:?} appears twice; give each member a different name");
                        return Err(de::Error::custom(words));
                    }
                    members.push((name, map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object(std::marker::PhantomData))
    }
}

/// One step into a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step<'s> {
    /// To a member of an object.
    Member(&'s str),
    /// To an element of a list.
    Element(usize),
}

/// The value that a way leads to, as it stands in the text; the last one on the way that is there.
pub(super) fn value_at<'t>(text: &'t str, way: &[Step<'_>]) -> &'t str {
    let found = way.iter().try_fold(text.trim_start(), |value, step| inside(value, step).ok_or(value));
    found.unwrap_or_else(|last| last)
}

fn inside<'t>(value: &'t str, step: &Step<'_>) -> Option<&'t str> {
    match step {
        Step::Member(name) => {
            let members: Members<&RawValue> = serde_json::from_str(value).ok()?;
            members.0.into_iter().find(|(member, _)| member == name).map(|(_, raw)| raw.get())
        }
        Step::Element(place) => {
            let elements: Vec<&RawValue> = serde_json::from_str(value).ok()?;
            elements.get(*place).map(|raw| raw.get())
        }
    }
}

/// Where the byte of a text stands in the literal that it is written as.
pub(super) fn place_in_literal(literal: &str, byte: usize) -> usize {
    let (mut at, mut read) = (1, 0);
    while read < byte
        && let Some(rest) = literal.get(at..)
        && let Some(c) = rest.chars().next()
    {
        let written = match (c, rest.get(1..2)) {
            // A character beyond the first 65,536 is two escapes.
            ('\\', Some("u")) if rest.get(6..8) == Some("\\u") && rest.get(2..3).is_some_and(is_d) => 12,
            ('\\', Some("u")) => 6,
            ('\\', _) => 2,
            _ => c.len_utf8(),
        };
        let decoded = serde_json::from_str::<String>(&format!("\"{}\"", rest.get(..written).unwrap_or_default()));
        read += decoded.map_or(1, |text| text.len());
        at += written;
    }
    at
}

fn is_d(digit: &str) -> bool {
    digit.eq_ignore_ascii_case("d")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_as_far_as_there_is_one() {
        use Step::{Element, Member};
        let text = r#"  { "a": [ 1, { "b\"": "x" } ], "c": {} }"#;
        for (way, expected) in [
            (vec![], &text[2..]),
            (vec![Member("a"), Element(1), Member("b\"")], "\"x\""),
            (vec![Member("c"), Member("d")], "{}"),
            (vec![Member("a"), Element(2)], r#"[ 1, { "b\"": "x" } ]"#),
        ] {
            assert_eq!(value_at(text, &way), expected, "{way:?}");
        }
    }

    #[test]
    fn a_place_in_a_text_is_found_in_its_literal() {
        for (literal, byte, rest) in [
            (r#""abc""#, 0, "abc\""),
            (r#""abc""#, 2, "c\""),
            (r#""abc""#, 3, "\""),
            (r#""\n\"c""#, 2, "c\""),
            (r#""\u00e4c""#, 2, "c\""),
            (r#""\ud83d\uDE00c""#, 4, "c\""),
            ("\"\u{e4}c\"", 2, "c\""),
        ] {
            assert_eq!(&literal[place_in_literal(literal, byte)..], rest, "{literal} {byte}");
        }
    }
}
