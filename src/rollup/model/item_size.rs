//! How large an item is, as DynamoDB counts it.

use std::collections::HashMap;
use std::hash::BuildHasher;

use crate::rollup::AttributeValue;

/// The size of an item as DynamoDB counts it, within [`ITEM_MARGIN_BYTES`](crate::rollup::model::limits::ITEM_MARGIN_BYTES).
#[must_use]
pub fn bytes<S: BuildHasher>(item: &HashMap<String, AttributeValue, S>) -> usize {
    item.iter().map(|(name, value)| name.len() + value_bytes(value) + 1).sum::<usize>() + 3
}

/// The size of an attribute's value, without its name.
#[must_use]
pub fn value_bytes(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(text) => text.len().div_ceil(2) + 1,
        AttributeValue::B(bytes) => bytes.len(),
        AttributeValue::Bool(_) | AttributeValue::Null(_) => 1,
        AttributeValue::M(map) => bytes(map),
        AttributeValue::L(list) => list.iter().map(|value| value_bytes(value) + 1).sum::<usize>() + 3,
        AttributeValue::Ss(set) | AttributeValue::Ns(set) => set.iter().map(String::len).sum(),
        AttributeValue::Bs(set) => set.iter().map(Vec::len).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item<const N: usize>(attributes: [(&str, AttributeValue); N]) -> HashMap<String, AttributeValue> {
        attributes.map(|(name, value)| (name.to_owned(), value)).into()
    }

    fn s(text: &str) -> AttributeValue {
        AttributeValue::S(text.to_owned())
    }

    #[test]
    fn an_item_has_the_size_of_its_names_and_values() {
        let n = |text: &str| AttributeValue::N(text.to_owned());
        for (value, expected) in [
            (s("four"), 4),
            (n("12345"), 4),
            (AttributeValue::B(vec![0; 7]), 7),
            (AttributeValue::Bool(true), 1),
            (AttributeValue::Null(true), 1),
            (AttributeValue::L(vec![s("four"), s("a")]), 4 + 1 + 1 + 1 + 3),
            (AttributeValue::M(item([("ab", s("four"))])), 2 + 4 + 1 + 3),
            (AttributeValue::Ss(vec!["a".to_owned(), "bc".to_owned()]), 3),
            (AttributeValue::Ns(vec!["12".to_owned(), "3".to_owned()]), 3),
            (AttributeValue::Bs(vec![vec![0; 2], vec![0; 3]]), 5),
        ] {
            assert_eq!(value_bytes(&value), expected, "{value:?}");
            assert_eq!(bytes(&item([("name", value)])), 4 + expected + 1 + 3);
        }
    }
}
