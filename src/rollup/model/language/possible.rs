//! Whether a condition could be true for an item of which only a part is known, such as one that is not written yet.
//!
//! What is not known may be anything. So "it could" may be wrong, but "it could not" never is.

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::rollup::model::language::datum::Datum;
use crate::rollup::model::language::evaluate::concat;
use crate::rollup::model::language::syntax::{Comparator, Condition, Literal, Path, Value};

/// What is known of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Known<'a> {
    /// There is none.
    Absent,
    Value(Datum<'a>),
    /// It is a text that begins like this, and may be longer.
    Beginning(Cow<'a, str>),
    /// It exists, with any type and value.
    Something,
    /// Nothing: it may exist or not.
    Nothing,
}

/// What is known of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Truth {
    True,
    False,
    Open,
}

impl From<bool> for Truth {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}

impl Truth {
    fn not(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Open => Self::Open,
        }
    }

    /// The truth of all together.
    fn all(truths: impl Iterator<Item = Self>) -> Self {
        truths.fold(Self::True, |all, one| match (all, one) {
            (Self::False, _) | (_, Self::False) => Self::False,
            (Self::True, Self::True) => Self::True,
            _ => Self::Open,
        })
    }

    /// The truth of one of them at least.
    fn any(truths: impl Iterator<Item = Self>) -> Self {
        Self::all(truths.map(Self::not)).not()
    }
}

impl Condition {
    /// Whether the condition could be true for an item, given what is known of each attribute. `false` is certain.
    #[must_use]
    pub fn could_hold<'k>(&self, known: &impl Fn(&str) -> Known<'k>) -> bool {
        self.truth(known) != Truth::False
    }

    fn truth<'k>(&self, known: &impl Fn(&str) -> Known<'k>) -> Truth {
        match self {
            Self::Compare(left, comparator, right) => compare(&left.known(known), *comparator, &right.known(known)),
            Self::In(value, literals) => {
                let value = value.known(known);
                Truth::any(literals.iter().map(|literal| compare(&value, Comparator::Equal, &literal.known())))
            }
            Self::Between(value, low, high) => {
                let value = value.known(known);
                let bounds = [(Comparator::GreaterOrEqual, low), (Comparator::LessOrEqual, high)];
                Truth::all(bounds.into_iter().map(|(comparator, bound)| compare(&value, comparator, &bound.known())))
            }
            Self::BeginsWith(value, beginning) => match value.known(known) {
                Known::Value(Datum::Text(text)) => text.starts_with(beginning.as_str()).into(),
                Known::Beginning(text) if text.starts_with(beginning.as_str()) => Truth::True,
                Known::Beginning(text) if beginning.starts_with(&*text) => Truth::Open,
                Known::Absent | Known::Value(_) | Known::Beginning(_) => Truth::False,
                Known::Something | Known::Nothing => Truth::Open,
            },
            Self::Contains(path, literal) => match (path.known(known), literal) {
                (Known::Absent, _) => Truth::False,
                (Known::Value(Datum::Text(text)), Literal::Text(part)) => text.contains(part.as_str()).into(),
                (Known::Beginning(text), Literal::Text(part)) if text.contains(part.as_str()) => Truth::True,
                (Known::Value(Datum::Text(_)) | Known::Beginning(_), Literal::Number(_) | Literal::Bool(_)) => {
                    Truth::False
                }
                _ => Truth::Open,
            },
            Self::Exists(path) => exists(&path.known(known)),
            Self::NotExists(path) => exists(&path.known(known)).not(),
            Self::Type(path, kind) => match path.known(known) {
                Known::Absent => Truth::False,
                Known::Value(Datum::Text(_)) | Known::Beginning(_) => (*kind == "S").into(),
                Known::Value(Datum::Number(_)) => (*kind == "N").into(),
                Known::Value(Datum::Bool(_)) => (*kind == "BOOL").into(),
                Known::Value(_) | Known::Something | Known::Nothing => Truth::Open,
            },
            Self::Size(path, comparator, _) => match path.known(known) {
                Known::Absent => (*comparator == Comparator::NotEqual).into(),
                _ => Truth::Open,
            },
            Self::Not(condition) => condition.truth(known).not(),
            Self::And(conditions) => Truth::all(conditions.iter().map(|condition| condition.truth(known))),
            Self::Or(conditions) => Truth::any(conditions.iter().map(|condition| condition.truth(known))),
        }
    }
}

fn exists(known: &Known<'_>) -> Truth {
    match known {
        Known::Absent => Truth::False,
        Known::Value(_) | Known::Beginning(_) | Known::Something => Truth::True,
        Known::Nothing => Truth::Open,
    }
}

fn compare(left: &Known<'_>, comparator: Comparator, right: &Known<'_>) -> Truth {
    let unequal = comparator == Comparator::NotEqual;
    match (left, right) {
        (Known::Value(left), Known::Value(right)) => comparator.holds(Some(left), Some(right)).into(),
        (Known::Beginning(beginning), Known::Value(Datum::Text(text))) => {
            compare_beginning(beginning, comparator, text)
        }
        (Known::Value(Datum::Text(text)), Known::Beginning(beginning)) => {
            compare_beginning(beginning, comparator.reversed(), text)
        }
        (Known::Absent, _)
        | (_, Known::Absent)
        | (Known::Beginning(_), Known::Value(_))
        | (Known::Value(_), Known::Beginning(_)) => unequal.into(),
        _ => Truth::Open,
    }
}

/// Compares a text with a known beginning to a known text. The result is certain if they differ within the beginning.
fn compare_beginning(beginning: &str, comparator: Comparator, text: &str) -> Truth {
    if text.starts_with(beginning) {
        // Equal or longer, if the known text ends here; otherwise it may be anything.
        return match comparator {
            Comparator::GreaterOrEqual if text == beginning => Truth::True,
            Comparator::Less if text == beginning => Truth::False,
            _ => Truth::Open,
        };
    }
    let order = beginning.cmp(text);
    match comparator {
        Comparator::Equal => false,
        Comparator::NotEqual => true,
        Comparator::Less | Comparator::LessOrEqual => order == Ordering::Less,
        Comparator::Greater | Comparator::GreaterOrEqual => order == Ordering::Greater,
    }
    .into()
}

impl Comparator {
    /// The comparator of the operands in the other order.
    fn reversed(self) -> Self {
        match self {
            Self::Equal | Self::NotEqual => self,
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
        }
    }
}

impl Literal {
    fn known(&self) -> Known<'_> {
        Known::Value(self.datum())
    }
}

impl Path {
    fn known<'k>(&self, known: &impl Fn(&str) -> Known<'k>) -> Known<'k> {
        let attribute = known(&self.attribute);
        if self.steps.is_empty() {
            return attribute;
        }
        match attribute {
            Known::Value(Datum::Document(_)) | Known::Something | Known::Nothing => Known::Nothing,
            Known::Absent | Known::Beginning(_) | Known::Value(_) => Known::Absent,
        }
    }
}

impl Value {
    /// What is known of the value: of a function or arithmetic only what follows from absent operands and beginnings.
    fn known<'v, 'k: 'v>(&'v self, known: &impl Fn(&str) -> Known<'k>) -> Known<'v> {
        match self {
            Self::Path(path) => path.known(known),
            Self::Literal(literal) => literal.known(),
            Self::Before(value, mark) => text_part(value.known(known), |text| {
                text.find(mark.as_str()).map(|place| Known::Value(Datum::Text(text[..place].to_owned().into())))
            }),
            Self::After(value, mark) => text_part(value.known(known), |text| {
                text.split_once(mark.as_str()).map(|(_, after)| Known::Beginning(after.to_owned().into()))
            }),
            Self::Concat(parts) => known_concat(parts.iter().map(|part| part.known(known)).collect()),
            Self::Sum(..)
            | Self::Product(_)
            | Self::Negative(_)
            | Self::Time { .. }
            | Self::Lower(_)
            | Self::Round(..)
            | Self::Shard(..) => {
                // Each of them has no value if one operand has none.
                let absent = |path: &&Path| path.known(known) == Known::Absent;
                if self.paths().iter().any(absent) { Known::Absent } else { Known::Nothing }
            }
        }
    }
}

/// The part of a text that its known beginning tells.
fn text_part<'a>(value: Known<'a>, part: impl Fn(&str) -> Option<Known<'a>>) -> Known<'a> {
    match value {
        Known::Absent => Known::Absent,
        Known::Beginning(text) => part(&text).unwrap_or(Known::Nothing),
        Known::Value(_) | Known::Something | Known::Nothing => Known::Nothing,
    }
}

/// A text of known parts up to the first that is not known in full.
fn known_concat(parts: Vec<Known<'_>>) -> Known<'_> {
    if parts.contains(&Known::Absent) {
        return Known::Absent;
    }
    // With a part that may have no value, the whole may have none.
    let certain = |part: &Known<'_>| matches!(part, Known::Value(Datum::Text(_)) | Known::Beginning(_));
    if !parts.iter().all(certain) {
        return Known::Nothing;
    }
    let open = parts.iter().position(|part| matches!(part, Known::Beginning(_)));
    let known = parts.into_iter().take(open.map_or(usize::MAX, |open| open + 1)).map(|part| match part {
        Known::Value(datum) => Some(datum),
        Known::Beginning(text) => Some(Datum::Text(text)),
        Known::Absent | Known::Something | Known::Nothing => None,
    });
    match (concat(known), open) {
        (Some(Datum::Text(text)), Some(_)) => Known::Beginning(text),
        (Some(datum @ Datum::Text(_)), None) => Known::Value(datum),
        _ => Known::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_decides_where_it_can() {
        let known = |attribute: &str| match attribute {
            "PK" => Known::Beginning("USER#".into()),
            "Id" => Known::Something,
            "All" => Known::Value(Datum::Text("ALL".into())),
            "N" => Known::Value(Datum::Number(5.into())),
            "Open" => Known::Nothing,
            _ => Known::Absent,
        };
        for (text, truth) in [
            ("begins_with(PK, 'USER#')", Truth::True),
            ("begins_with(PK, 'USER')", Truth::True),
            ("begins_with(PK, 'USER#7')", Truth::Open),
            ("begins_with(PK, 'POST#')", Truth::False),
            ("begins_with(Id, 'POST#')", Truth::Open),
            ("begins_with(N, '5')", Truth::False),
            ("begins_with(Absent, '')", Truth::False),
            ("begins_with(All, 'A')", Truth::True),
            ("PK = 'USER#7'", Truth::Open),
            ("PK = 'POST#7'", Truth::False),
            ("PK <> 'POST#7'", Truth::True),
            ("'POST#7' <> PK", Truth::True),
            ("PK = 5", Truth::False),
            ("PK < 'A'", Truth::False),
            ("PK > 'USER'", Truth::True),
            ("'USER' < PK", Truth::True),
            ("PK >= 'USER#'", Truth::True),
            ("PK < 'USER#'", Truth::False),
            ("PK <= 'USER#'", Truth::Open),
            ("PK < 'USER#5'", Truth::Open),
            ("PK BETWEEN 'USER#' AND 'USER$'", Truth::True),
            ("PK BETWEEN 'A' AND 'B'", Truth::False),
            ("PK IN ('A', 'USER#1')", Truth::Open),
            ("PK IN ('A', 'B')", Truth::False),
            ("Id IN ('A', 'B')", Truth::Open),
            ("N IN (1, 5.0)", Truth::True),
            ("N + 1 = 6", Truth::Open),
            ("Plan = 'pro'", Truth::False),
            ("NOT Plan = 'pro'", Truth::True),
            ("Plan <> 'pro'", Truth::True),
            ("Price * Open > 1", Truth::False),
            ("year(Absent) <> '2026'", Truth::True),
            ("attribute_exists(PK)", Truth::True),
            ("attribute_exists(Id)", Truth::True),
            ("attribute_exists(Open)", Truth::Open),
            ("attribute_exists(PK.x)", Truth::False),
            ("attribute_exists(Id.x)", Truth::Open),
            ("attribute_not_exists(Plan)", Truth::True),
            ("attribute_type(PK, 'S')", Truth::True),
            ("attribute_type(PK, 'N')", Truth::False),
            ("attribute_type(Id, 'S')", Truth::Open),
            ("attribute_type(Plan, 'NULL')", Truth::False),
            ("size(Plan) > 1", Truth::False),
            ("size(Plan) <> 1", Truth::True),
            ("size(PK) > 1", Truth::Open),
            ("contains(PK, 'SER')", Truth::True),
            ("contains(PK, 'x')", Truth::Open),
            ("contains(PK, 1)", Truth::False),
            ("contains(Tags, 'x')", Truth::False),
            ("contains(Id, 'x')", Truth::Open),
            ("before(PK, '#') = 'USER'", Truth::True),
            ("before(PK, '#') = 'POST'", Truth::False),
            ("before(PK, '|') = 'POST'", Truth::Open),
            ("begins_with(after(PK, 'U'), 'SER')", Truth::True),
            ("begins_with(after(PK, '|'), 'SER')", Truth::Open),
            ("concat(All, '/', PK, 'x') > 'ALL/USER'", Truth::True),
            ("concat(All, '/', PK) = 'ALL/POST#'", Truth::False),
            ("concat(All, Plan) = 'ALL'", Truth::False),
            ("concat(All, Open) = 'x'", Truth::Open),
            ("PK = 'POST#1' OR Id = 1", Truth::Open),
            ("PK = 'POST#1' AND Id = 1", Truth::False),
            ("begins_with(PK, 'USER') OR Id = 1", Truth::True),
        ] {
            let condition = Condition::parse(text).unwrap();
            assert_eq!(condition.truth(&known), truth, "{text}");
            assert_eq!(condition.could_hold(&known), truth != Truth::False, "{text}");
        }
    }
}
