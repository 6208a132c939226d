//! What one image contributes to the views of a definition, within the bounds of an image.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};

use super::datum::{Datum, attributes, to_base64};
use super::decimal::Decimal;
use super::document::{KeyPart, View};
use super::evaluate::{Evaluator, Tally, is_group};
use super::syntax::{Amount, Group, Measure, Piece, Value};

const PARTITION_KEY_BYTES: usize = 2_048;
const SORT_KEY_BYTES: usize = 1_024;
const SET_BYTES: usize = 1_024;
const DECIMALS: i64 = 17;
/// Digits before the point and decimals together.
const DIGITS: i64 = 30;
const COUNTERS: usize = 50;
const VIEW_ITEMS: usize = 49;
const BYTES: usize = 150 * 1_024;

/// One number: the table and the key of its view item, the measure and the group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Counter {
    pub table: String,
    pub key: String,
    pub measure: String,
    pub group: Option<String>,
}

/// A text that is set on a view item: the item's table and key, and the attribute.
pub type SetText = (String, String, String);

/// What an image contributes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contributed {
    /// The amounts in their canonical text.
    pub amounts: BTreeMap<Counter, String>,
    /// The texts that are set on view items and made of its values.
    pub set: BTreeMap<SetText, String>,
    /// The names of the views that cannot count the image.
    pub uncountable: BTreeSet<String>,
    /// Whether a record with this image goes to quarantine.
    pub quarantined: bool,
    /// The names of the views of which several key attributes are unusable: the contract does not say which of them tells
    /// what becomes of the image.
    pub undecided: BTreeSet<String>,
}

/// What an image adds to one view.
enum InView {
    Not,
    Uncountable,
    Quarantined,
    Counted(Counted),
}

/// Its view items, each a key with its bytes, and what it adds to each of them.
struct Counted {
    keys: Vec<(String, usize)>,
    /// What is set on each of them, by attribute.
    set: Vec<BTreeMap<String, String>>,
    amounts: BTreeMap<(String, Option<String>), Decimal>,
}

/// Evaluates the views over an item in DynamoDB JSON; also says what was met on the way.
pub fn contributed(views: &[View], item: &Json) -> (Contributed, Tally) {
    let evaluator = Evaluator::new(attributes(item));
    let mut result = Contributed::default();
    let mut counted: Vec<(&View, Counted)> = Vec::new();
    for view in views {
        match in_view(&evaluator, view, &mut result.undecided) {
            InView::Not => evaluator.met("image: not in the view"),
            InView::Quarantined => result.quarantined = true,
            InView::Uncountable => {
                result.uncountable.insert(view.name.clone());
            }
            InView::Counted(found) => counted.push((view, found)),
        }
    }
    if result.quarantined {
        evaluator.met("image: quarantined");
        let Contributed { quarantined, undecided, .. } = result;
        return (Contributed { quarantined, undecided, ..Contributed::default() }, evaluator.into_tally());
    }
    if !result.uncountable.is_empty() {
        evaluator.met("image: uncountable");
    }
    for only_with_each in [true, false] {
        if too_much(&counted) {
            let gone = |view: &View| !only_with_each || view.has_each();
            evaluator.met(if only_with_each { "image: too large" } else { "image: too large without each" });
            result.uncountable.extend(counted.iter().filter(|(view, _)| gone(view)).map(|(view, _)| view.name.clone()));
            counted.retain(|(view, _)| !gone(view));
            if !counted.is_empty() {
                evaluator.met("image: too large for some views");
            }
        }
    }
    let mut items = BTreeSet::new();
    for (view, found) in counted {
        evaluator.met("image: counted");
        for ((key, _), texts) in found.keys.iter().zip(found.set) {
            let set = texts.into_iter().map(|(attribute, text)| ((view.table.clone(), key.clone(), attribute), text));
            result.set.extend(set);
            if !items.insert((&view.table, key.clone())) {
                evaluator.met("item: of several views");
            }
            for ((measure, group), amount) in &found.amounts {
                let (table, key, measure, group) = (view.table.clone(), key.clone(), measure.clone(), group.clone());
                result.amounts.insert(Counter { table, key, measure, group }, amount.to_string());
            }
        }
    }
    (result, evaluator.into_tally())
}

fn too_much(counted: &[(&View, Counted)]) -> bool {
    let mut counters: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut bytes = 0;
    for (view, found) in counted {
        let names = |(measure, group): &(String, Option<String>)| measure.len() + group.as_ref().map_or(0, String::len);
        let of_each_item: usize = found.amounts.keys().map(names).sum();
        for (key, key_bytes) in &found.keys {
            *counters.entry((&view.table, key)).or_default() += found.amounts.len();
            bytes += key_bytes + of_each_item;
        }
    }
    counters.len() > VIEW_ITEMS || counters.values().any(|&count| count > COUNTERS) || bytes > BYTES
}

fn in_view(evaluator: &Evaluator, view: &View, undecided: &mut BTreeSet<String>) -> InView {
    if view.condition.as_ref().is_some_and(|condition| !evaluator.holds(condition)) {
        return InView::Not;
    }
    let elements: Vec<Option<String>> = match view.each_of_key() {
        Some(path) => evaluator.elements(path).into_iter().map(Some).collect(),
        None => vec![None],
    };
    // Without an element, the part of the key with `each` has no value.
    let elements = if elements.is_empty() { vec![None] } else { elements };
    let keys = match keys(evaluator, view, &elements, undecided) {
        Ok(keys) => keys,
        Err(why) => return why,
    };
    let texts: Option<Vec<_>> = elements.iter().map(|element| set(evaluator, view, element.as_deref())).collect();
    let (Some(set), Some(amounts)) = (texts, amounts(evaluator, &view.measures)) else { return InView::Uncountable };
    InView::Counted(Counted { keys, set, amounts })
}

/// The texts with holes that a view sets on an item; none if one of them cannot be set.
fn set(evaluator: &Evaluator, view: &View, element: Option<&str>) -> Option<BTreeMap<String, String>> {
    let mut texts = BTreeMap::new();
    for (attribute, template) in &view.set {
        let text = text(evaluator, template, element).filter(|text| !text.is_empty() && text.len() <= SET_BYTES)?;
        if template.iter().any(|piece| !matches!(piece, Piece::Text(_))) {
            evaluator.met("set: a text");
            texts.insert(attribute.clone(), text);
        }
    }
    Some(texts)
}

/// A key attribute that is no usable one.
enum Unusable {
    NoValue,
    Bad,
}

/// The key of each element in DynamoDB JSON, and the bytes of its values.
fn keys(
    evaluator: &Evaluator,
    view: &View,
    elements: &[Option<String>],
    undecided: &mut BTreeSet<String>,
) -> Result<Vec<(String, usize)>, InView> {
    let mut keys = vec![(serde_json::Map::new(), 0); elements.len()];
    let mut faults = Vec::new();
    for (place, part) in view.key.iter().enumerate() {
        let mut fault = None;
        for ((key, bytes), element) in keys.iter_mut().zip(elements) {
            match usable(evaluator, place, part, element.as_deref()) {
                Ok((value, length)) => {
                    key.insert(part.attribute.clone(), value);
                    *bytes += length;
                }
                Err(why) => fault = Some((why, part.quarantine)),
            }
        }
        faults.extend(fault);
    }
    if faults.len() > 1 {
        undecided.insert(view.name.clone());
    }
    if faults.iter().any(|(_, quarantine)| *quarantine) {
        return Err(InView::Quarantined);
    }
    match faults.iter().any(|(why, _)| matches!(why, Unusable::NoValue)) {
        true => Err(InView::Not),
        false if !faults.is_empty() => Err(InView::Uncountable),
        false => Ok(keys.into_iter().map(|(key, bytes)| (Json::Object(key).to_string(), bytes)).collect()),
    }
}

/// The value of a key attribute in DynamoDB JSON, and its bytes.
fn usable(
    evaluator: &Evaluator,
    place: usize,
    part: &KeyPart,
    element: Option<&str>,
) -> Result<(Json, usize), Unusable> {
    let value = match part.template.as_slice() {
        [Piece::Hole(value)] => evaluator.value(value),
        template => text(evaluator, template, element).map(Datum::Text),
    };
    let (json, bytes) = match (part.kind.as_str(), value.ok_or(Unusable::NoValue)?) {
        ("S", Datum::Text(text)) => (json!({ "S": text }), text.len()),
        ("N", Datum::Number(number)) if number.fits_into_dynamodb() => {
            (json!({ "N": number.to_string() }), number.to_string().len())
        }
        ("B", Datum::Bytes(bytes)) => (json!({ "B": to_base64(&bytes) }), bytes.len()),
        _ => return Err(Unusable::Bad),
    };
    let limit = if place == 0 { PARTITION_KEY_BYTES } else { SORT_KEY_BYTES };
    if bytes == 0 || bytes > limit { Err(Unusable::Bad) } else { Ok((json, bytes)) }
}

/// The text of a template.
fn text(evaluator: &Evaluator, template: &[Piece], element: Option<&str>) -> Option<String> {
    let piece = |piece: &Piece| match piece {
        Piece::Text(text) => Some(text.clone()),
        Piece::Hole(value) => evaluator.value(value)?.as_text(),
        Piece::Each(_) => element.map(str::to_owned),
    };
    let pieces: Option<Vec<String>> = template.iter().map(piece).collect();
    evaluator.met(&format!("template: {}", if pieces.is_some() { "a value" } else { "none" }));
    pieces.map(|pieces| pieces.concat())
}

/// What each measure adds to which group; none if an amount is out of bounds.
fn amounts(
    evaluator: &Evaluator,
    measures: &[(String, Measure)],
) -> Option<BTreeMap<(String, Option<String>), Decimal>> {
    let mut amounts = BTreeMap::new();
    for (name, measure) in measures {
        if measure.condition.as_ref().is_some_and(|condition| !evaluator.holds(condition)) {
            continue;
        }
        let amount = match &measure.amount {
            Amount::Count => Some(Decimal::one()),
            Amount::Sum(value) => match evaluator.value(value) {
                Some(Datum::Number(number)) => Some(bounded(&number, decimals(value))?),
                _ => None,
            },
            Amount::SumEach(path) => {
                for (entry, number) in evaluator.entries(path) {
                    let amount = bounded(&number, DECIMALS)?;
                    if is_group(&entry) {
                        evaluator.met("sum each: an entry");
                        amounts.insert((name.clone(), Some(entry)), amount);
                    }
                }
                None
            }
        };
        let Some(amount) = amount else { continue };
        match groups(evaluator, measure.group.as_ref()) {
            None => {
                evaluator.met("measure: without group");
                amounts.insert((name.clone(), None), amount);
            }
            Some(groups) => {
                evaluator.met(if groups.is_empty() { "measure: ungrouped" } else { "measure: grouped" });
                for group in groups {
                    amounts.insert((name.clone(), Some(group)), amount.clone());
                }
            }
        }
    }
    Some(amounts)
}

/// The decimals that the amount of a sum has.
fn decimals(value: &Value) -> i64 {
    if let Value::Round(_, decimals) = value { *decimals } else { DECIMALS }
}

fn bounded(number: &Decimal, decimals: i64) -> Option<Decimal> {
    let rounded = number.rounded(decimals);
    if rounded.whole_digits() > DIGITS - decimals { None } else { Some(rounded) }
}

/// The groups of a measure that has some.
fn groups(evaluator: &Evaluator, group: Option<&Group>) -> Option<BTreeSet<String>> {
    Some(match group? {
        Group::By(value) => {
            let text = evaluator.value(value).and_then(|value| value.as_text());
            text.filter(|text| is_group(text)).into_iter().collect()
        }
        Group::ByEach(path) => {
            let elements = evaluator.elements(path);
            evaluator.met(&format!("by each: {}", if elements.is_empty() { "none" } else { "elements" }));
            elements
        }
    })
}
