//! What a value or a condition gives for one item.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::datum::{Attributes, Datum};
use super::decimal::Decimal;
use super::syntax::{Comparator, Condition, Literal, Path, Step, Unit, Value};
use super::time;

/// How often something was met.
pub type Tally = BTreeMap<String, u64>;

/// One item, and what was met while it was evaluated.
pub struct Evaluator {
    attributes: Attributes,
    tally: RefCell<Tally>,
}

/// The text or the names that `each` goes through.
const LONGEST_TEXT: usize = 1_024;

/// Whether a text can be a group, or an element of `each`.
pub fn is_group(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST_TEXT
}

fn literal(literal: &Literal) -> Datum {
    match literal {
        Literal::Text(text) => Datum::Text(text.clone()),
        Literal::Number(number) => Datum::Number(number.clone()),
        Literal::Bool(flag) => Datum::Bool(*flag),
    }
}

fn shard(text: &str, count: u64) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    (hash ^ (hash >> 33)) % count
}

/// Whether a comparison is true of two operands.
fn compare(left: Option<&Datum>, comparator: Comparator, right: Option<&Datum>) -> bool {
    let equal = left.is_some() && left == right;
    let order = match (left, right) {
        (Some(Datum::Text(left)), Some(Datum::Text(right))) => Some(left.as_bytes().cmp(right.as_bytes())),
        (Some(Datum::Number(left)), Some(Datum::Number(right))) => Some(left.cmp(right)),
        (Some(Datum::Bytes(left)), Some(Datum::Bytes(right))) => Some(left.cmp(right)),
        _ => None,
    };
    match comparator {
        Comparator::Equal => equal,
        Comparator::Unequal => !equal,
        Comparator::Less => order.is_some_and(Ordering::is_lt),
        Comparator::LessOrEqual => order.is_some_and(Ordering::is_le),
        Comparator::Greater => order.is_some_and(Ordering::is_gt),
        Comparator::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
    }
}

impl Evaluator {
    pub fn new(attributes: Attributes) -> Self {
        Self { attributes, tally: RefCell::default() }
    }

    pub fn into_tally(self) -> Tally {
        self.tally.into_inner()
    }

    pub fn met(&self, what: &str) {
        *self.tally.borrow_mut().entry(what.to_owned()).or_default() += 1;
    }

    fn met_value<T>(&self, what: &str, value: Option<T>) -> Option<T> {
        self.met(&format!("{what}: {}", if value.is_some() { "a value" } else { "none" }));
        value
    }

    fn met_condition(&self, what: &str, holds: bool) -> bool {
        self.met(&format!("{what}: {holds}"));
        holds
    }

    /// What is at a path, NULL included.
    fn at(&self, path: &Path) -> Option<&Datum> {
        let (first, rest) = path.split_first()?;
        let Step::Name(first) = first else { return None };
        let mut found = self.attributes.get(first)?;
        for step in rest {
            found = match (step, found) {
                (Step::Name(name), Datum::Map(map)) => map.get(name)?,
                (Step::Index(index), Datum::List(list)) => list.get(*index)?,
                _ => return None,
            };
        }
        Some(found)
    }

    /// What a value gives where NULL is a type: in a condition.
    fn operand(&self, value: &Value) -> Option<Datum> {
        let number = |value: &Value| match self.value(value) {
            Some(Datum::Number(number)) => Some(number),
            _ => None,
        };
        let text = |value: &Value| match self.value(value) {
            Some(Datum::Text(text)) => Some(text),
            _ => None,
        };
        let as_text = |value: &Value| self.value(value).and_then(|value| value.as_text());
        let pair = |left, right, of: fn(&Decimal, &Decimal) -> Decimal| {
            Some(Datum::Number(of(&number(left)?, &number(right)?)))
        };
        match value {
            Value::Path(path) => self.at(path).cloned(),
            Value::Literal(value) => Some(literal(value)),
            Value::Time { unit, time, offset_minutes } => {
                let part = self.value(time).and_then(|time| time::part(unit, &time, *offset_minutes));
                self.met_value(unit_name(unit), part).map(Datum::Text)
            }
            Value::Before(value, mark) => {
                let before = text(value).and_then(|text| Some(text.split_once(mark.as_str())?.0.to_owned()));
                self.met_value("before", before).map(Datum::Text)
            }
            Value::After(value, mark) => {
                let after = text(value).and_then(|text| Some(text.split_once(mark.as_str())?.1.to_owned()));
                self.met_value("after", after).map(Datum::Text)
            }
            Value::Lower(value) => self.met_value("lower", text(value)).map(|text| Datum::Text(text.to_lowercase())),
            Value::Concat(parts) => {
                let parts: Option<Vec<String>> = parts.iter().map(as_text).collect();
                self.met_value("concat", parts).map(|parts| Datum::Text(parts.concat()))
            }
            Value::Round(value, decimals) => {
                let rounded = number(value).map(|number| number.rounded(*decimals));
                self.met_value("round", rounded).map(Datum::Number)
            }
            Value::Shard(value, count) => {
                let shard = as_text(value).map(|text| shard(&text, *count).to_string());
                self.met_value("shard", shard).map(Datum::Text)
            }
            Value::Times(left, right) => self.met_value("*", pair(left, right, Decimal::times)),
            Value::Plus(left, right) => self.met_value("+", pair(left, right, Decimal::plus)),
            Value::Minus(left, right) => self.met_value("-", pair(left, right, Decimal::minus)),
            Value::Negated(value) => {
                self.met_value("negation", number(value).map(|number| Datum::Number(number.negated())))
            }
        }
    }

    /// What a value gives in a hole, a group, an amount or a function: NULL is none.
    pub fn value(&self, value: &Value) -> Option<Datum> {
        self.operand(value).filter(|found| *found != Datum::Null)
    }

    /// The distinct texts that `each` goes through.
    pub fn elements(&self, path: &Path) -> BTreeSet<String> {
        let texts: Vec<String> = match self.at(path) {
            Some(Datum::TextSet(set)) => set.iter().cloned().collect(),
            Some(Datum::NumberSet(set)) => set.iter().map(ToString::to_string).collect(),
            Some(Datum::Map(map)) => map.keys().cloned().collect(),
            Some(Datum::List(list)) => {
                let countable = list.iter().filter(|element| matches!(element, Datum::Text(_) | Datum::Number(_)));
                countable.filter_map(Datum::as_text).collect()
            }
            _ => Vec::new(),
        };
        texts.into_iter().filter(|text| is_group(text)).collect()
    }

    /// The numbers of a map, by their names.
    pub fn entries(&self, path: &Path) -> Vec<(String, Decimal)> {
        let Some(Datum::Map(map)) = self.at(path) else { return Vec::new() };
        let number = |(name, value): (&String, &Datum)| match value {
            Datum::Number(number) => Some((name.clone(), number.clone())),
            _ => None,
        };
        map.iter().filter_map(number).collect()
    }

    pub fn holds(&self, condition: &Condition) -> bool {
        match condition {
            Condition::Compare(left, comparator, right) => {
                let holds = compare(self.operand(left).as_ref(), *comparator, self.operand(right).as_ref());
                self.met_condition(&format!("{comparator:?}"), holds)
            }
            Condition::Size(path, comparator, number) => {
                let size = self.at(path).and_then(Datum::size);
                let size = size.map(|size| Datum::Number(Decimal::read(&size.to_string()).unwrap()));
                let holds = compare(size.as_ref(), *comparator, Some(&Datum::Number(number.clone())));
                self.met_condition("size", holds)
            }
            Condition::In(value, literals) => {
                let value = self.operand(value);
                let holds = literals.iter().any(|one| value == Some(literal(one)));
                self.met_condition("IN", holds)
            }
            Condition::Between(value, low, high) => {
                let (value, low, high) = (self.operand(value), literal(low), literal(high));
                let holds = compare(value.as_ref(), Comparator::GreaterOrEqual, Some(&low))
                    && compare(value.as_ref(), Comparator::LessOrEqual, Some(&high));
                self.met_condition("BETWEEN", holds)
            }
            Condition::BeginsWith(value, beginning) => {
                let holds = matches!(self.operand(value), Some(Datum::Text(text)) if text.starts_with(beginning));
                self.met_condition("begins_with", holds)
            }
            Condition::Contains(path, part) => {
                let holds = match (self.at(path), literal(part)) {
                    (Some(Datum::Text(text)), Datum::Text(part)) => text.contains(&part),
                    (Some(Datum::TextSet(set)), Datum::Text(part)) => set.contains(&part),
                    (Some(Datum::NumberSet(set)), Datum::Number(part)) => set.contains(&part),
                    (Some(Datum::List(list)), part) => list.contains(&part),
                    _ => false,
                };
                self.met_condition("contains", holds)
            }
            Condition::Exists(path) => self.met_condition("attribute_exists", self.at(path).is_some()),
            Condition::NotExists(path) => self.met_condition("attribute_not_exists", self.at(path).is_none()),
            Condition::HasType(path, name) => {
                let holds = self.at(path).is_some_and(|found| found.type_name() == name);
                self.met_condition("attribute_type", holds)
            }
            Condition::Not(inner) => self.met_condition("NOT", !self.holds(inner)),
            Condition::And(left, right) => {
                let (left, right) = (self.holds(left), self.holds(right));
                self.met_condition("AND", left && right)
            }
            Condition::Or(left, right) => {
                let (left, right) = (self.holds(left), self.holds(right));
                self.met_condition("OR", left || right)
            }
        }
    }
}

fn unit_name(unit: &Unit) -> &'static str {
    match unit {
        Unit::Minute => "minute",
        Unit::Hour => "hour",
        Unit::Day => "day",
        Unit::Week => "week",
        Unit::Month => "month",
        Unit::Year => "year",
    }
}

#[test]
fn shards_are_those_of_the_reference() {
    for (text, of) in
        [("", [0, 2, 342]), ("USER#1", [1, 9, 639]), ("1000", [1, 7, 77]), ("true", [1, 9, 9]), ("ä", [0, 2, 302])]
    {
        assert_eq!([2, 10, 1_000].map(|count| shard(text, count)), of, "{text}");
    }
}
