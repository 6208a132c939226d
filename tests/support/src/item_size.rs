//! The size of an item, as the Developer Guide tells ("`DynamoDB` item sizes and formats"); where it says
//! "approximately", the larger.

use std::collections::HashMap;

use ddb_rollup::rollup::AttributeValue;

/// Bytes of an item: of its names and its values.
pub fn item_bytes(item: &HashMap<String, AttributeValue>) -> usize {
    item.iter().map(|(name, value)| name.len() + value_bytes(value)).sum()
}

fn value_bytes(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(text) => number_bytes(text),
        AttributeValue::B(bytes) => bytes.len(),
        AttributeValue::Bool(_) | AttributeValue::Null(_) => 1,
        AttributeValue::M(map) => 3 + map.len() + item_bytes(map),
        AttributeValue::L(list) => 3 + list.iter().map(|value| 1 + value_bytes(value)).sum::<usize>(),
        AttributeValue::Ss(texts) => texts.iter().map(String::len).sum(),
        AttributeValue::Ns(numbers) => numbers.iter().map(|text| number_bytes(text)).sum(),
        AttributeValue::Bs(binaries) => binaries.iter().map(Vec::len).sum(),
    }
}

/// One byte for two digits, and one more, or two for a negative number.
fn number_bytes(text: &str) -> usize {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    digits.div_ceil(2) + 1 + usize::from(text.starts_with('-'))
}
