//! What is stored in items, read by rules of its own.

use std::io::Read;

use ddb_rollup::rollup::model::marker::{RECORD, SEQUENCE_NUMBER};
use ddb_rollup::rollup::model::view::ROLLUP_VERSION;
use ddb_rollup::rollup::pipeline::plan::{Action, Transaction};
use ddb_rollup::rollup::{AttributeValue, Item};
use flate2::read::GzDecoder;

use super::measures::{Amounts, Measures};

/// The counters of a view item, in tenths, zeros left out.
pub fn counters(measures: Measures, map: &'static str, item: Option<&Item>) -> Amounts {
    let mut amounts = Amounts::new();
    let Some(item) = item else { return amounts };
    for (total, by) in measures.pairs() {
        if let Some(amount) = item.get(*total).and_then(tenths) {
            amounts.insert((map, total, None), amount);
        }
        add_groups(&mut amounts, map, by, item);
    }
    for by in measures.without_total() {
        add_groups(&mut amounts, map, by, item);
    }
    amounts.retain(|_, amount| *amount != 0);
    amounts
}

fn add_groups(amounts: &mut Amounts, map: &'static str, by: &'static str, item: &Item) {
    let Some(AttributeValue::M(groups)) = item.get(by) else { return };
    for (group, amount) in groups {
        amounts.insert((map, by, Some(group.clone())), tenths(amount).unwrap_or(i64::MIN));
    }
}

/// A text.
pub fn text(value: &AttributeValue) -> Option<&str> {
    match value {
        AttributeValue::S(text) => Some(text),
        _ => None,
    }
}

/// A whole number.
pub fn number(value: &AttributeValue) -> Option<i64> {
    match value {
        AttributeValue::N(text) => text.parse().ok(),
        _ => None,
    }
}

/// The version of a view item.
pub fn version(item: Option<&Item>) -> i64 {
    item.and_then(|item| item.get(ROLLUP_VERSION)).and_then(number).unwrap_or(0)
}

/// A number of one decimal at the most, in tenths.
fn tenths(value: &AttributeValue) -> Option<i64> {
    let AttributeValue::N(text) = value else { return None };
    let (whole, tenth) = text.split_once('.').unwrap_or((text, "0"));
    let magnitude = whole.trim_start_matches('-').parse::<i64>().ok()? * 10 + tenth.parse::<i64>().ok()?;
    Some(if text.starts_with('-') { -magnitude } else { magnitude })
}

/// The record that a marker holds, or that the parts beside it in its transaction do.
pub fn kept_record(marker: &Item, transaction: &Transaction<'_>) -> Option<String> {
    if let Some(whole) = marker.get(RECORD).and_then(text) {
        return Some(whole.to_owned());
    }
    let number = marker.get(SEQUENCE_NUMBER).and_then(text)?;
    let parts = transaction.actions.iter().filter_map(|action| match action {
        Action::PutPart { part, .. } => Some((part.get(SEQUENCE_NUMBER).and_then(text)?, part.get(RECORD)?)),
        _ => None,
    });
    let mut parts: Vec<_> = parts.filter(|(of, _)| of.starts_with(&format!("{number}#part-"))).collect();
    parts.sort_by_key(|(of, _)| *of);
    let pieces = parts.into_iter().filter_map(|(_, piece)| match piece {
        AttributeValue::B(piece) => Some(piece.as_slice()),
        _ => None,
    });
    let mut kept = String::new();
    GzDecoder::new(pieces.collect::<Vec<_>>().concat().as_slice()).read_to_string(&mut kept).ok()?;
    Some(kept)
}
