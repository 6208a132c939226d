//! Whether a condition is true for an item, as in a DynamoDB filter.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::hash::Hash;

use crate::rollup::model::attribute_type::type_name;
use crate::rollup::model::language::datum::Datum;
use crate::rollup::model::language::syntax::{Comparator, Condition, Literal};
use crate::rollup::model::number::Number;
use crate::rollup::{AttributeValue, Item};

impl Condition {
    /// Whether the condition is true for an item.
    #[must_use]
    pub fn holds(&self, item: &Item) -> bool {
        match self {
            Self::Compare(left, comparator, right) => comparator.holds(left.of(item).as_ref(), right.of(item).as_ref()),
            Self::In(value, literals) => {
                let value = value.of(item);
                literals.iter().any(|literal| Comparator::Equal.holds(value.as_ref(), Some(&literal.datum())))
            }
            Self::Between(value, low, high) => {
                let value = value.of(item);
                let bound = |comparator: Comparator, literal: &Literal| {
                    comparator.holds(value.as_ref(), Some(&literal.datum()))
                };
                bound(Comparator::GreaterOrEqual, low) && bound(Comparator::LessOrEqual, high)
            }
            Self::BeginsWith(value, beginning) => {
                matches!(value.of(item), Some(Datum::Text(text)) if text.starts_with(beginning.as_str()))
            }
            Self::Contains(path, literal) => path.of(item).is_some_and(|value| contains(value, literal)),
            Self::Exists(path) => path.of(item).is_some(),
            Self::NotExists(path) => path.of(item).is_none(),
            Self::Type(path, kind) => path.of(item).is_some_and(|value| type_name(value) == *kind),
            Self::Size(path, comparator, number) => {
                let size = path.of(item).and_then(size).map(Datum::Number);
                comparator.holds(size.as_ref(), Some(&Datum::Number(number.clone())))
            }
            Self::Not(condition) => !condition.holds(item),
            Self::And(conditions) => conditions.iter().all(|condition| condition.holds(item)),
            Self::Or(conditions) => conditions.iter().any(|condition| condition.holds(item)),
        }
    }
}

impl Comparator {
    /// Whether the comparison is true. If an operand is absent or the types differ, only `<>` is true.
    #[must_use]
    pub fn holds(self, left: Option<&Datum<'_>>, right: Option<&Datum<'_>>) -> bool {
        let (Some(left), Some(right)) = (left, right) else { return self == Self::NotEqual };
        match self {
            Self::Equal => equal(left, right),
            Self::NotEqual => !equal(left, right),
            Self::Less => order(left, right).is_some_and(Ordering::is_lt),
            Self::LessOrEqual => order(left, right).is_some_and(Ordering::is_le),
            Self::Greater => order(left, right).is_some_and(Ordering::is_gt),
            Self::GreaterOrEqual => order(left, right).is_some_and(Ordering::is_ge),
        }
    }
}

fn equal(left: &Datum<'_>, right: &Datum<'_>) -> bool {
    match (left, right) {
        (Datum::Text(left), Datum::Text(right)) => left == right,
        (Datum::Number(left), Datum::Number(right)) => left == right,
        (Datum::Bool(left), Datum::Bool(right)) => left == right,
        (Datum::Bytes(left), Datum::Bytes(right)) => left == right,
        (Datum::Null, Datum::Null) => true,
        (Datum::Document(left), Datum::Document(right)) => equal_documents(left, right),
        _ => false,
    }
}

/// Texts by their bytes in UTF-8, numbers by value, bytes as unsigned; nothing else has an order.
fn order(left: &Datum<'_>, right: &Datum<'_>) -> Option<Ordering> {
    match (left, right) {
        (Datum::Text(left), Datum::Text(right)) => Some(left.cmp(right)),
        (Datum::Number(left), Datum::Number(right)) => Some(left.cmp(right)),
        (Datum::Bytes(left), Datum::Bytes(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

fn equal_documents(left: &AttributeValue, right: &AttributeValue) -> bool {
    match (left, right) {
        (AttributeValue::L(left), AttributeValue::L(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal_attributes(left, right))
        }
        (AttributeValue::M(left), AttributeValue::M(right)) => {
            let same = |(name, left)| right.get(name).is_some_and(|right| equal_attributes(left, right));
            left.len() == right.len() && left.iter().all(same)
        }
        (AttributeValue::Ss(left), AttributeValue::Ss(right)) => same_elements(left, right),
        (AttributeValue::Bs(left), AttributeValue::Bs(right)) => same_elements(left, right),
        (AttributeValue::Ns(left), AttributeValue::Ns(right)) => {
            let numbers = |texts: &[String]| texts.iter().map(|text| text.parse::<Number>().ok()).collect::<Vec<_>>();
            same_elements(&numbers(left), &numbers(right))
        }
        _ => false,
    }
}

fn equal_attributes(left: &AttributeValue, right: &AttributeValue) -> bool {
    equal(&Datum::of_attribute(left), &Datum::of_attribute(right))
}

fn same_elements<T: Eq + Hash>(left: &[T], right: &[T]) -> bool {
    left.iter().collect::<HashSet<_>>() == right.iter().collect::<HashSet<_>>()
}

/// Whether a text has the literal as a part, or a set or list has it as an element.
fn contains(value: &AttributeValue, literal: &Literal) -> bool {
    match (value, literal) {
        (AttributeValue::S(text), Literal::Text(part)) => text.contains(part.as_str()),
        (AttributeValue::Ss(texts), Literal::Text(element)) => texts.contains(element),
        (AttributeValue::Ns(texts), Literal::Number(element)) => {
            texts.iter().any(|text| text.parse::<Number>().is_ok_and(|number| number == *element))
        }
        (AttributeValue::L(list), literal) => {
            list.iter().any(|element| equal(&Datum::of_attribute(element), &literal.datum()))
        }
        _ => false,
    }
}

/// Of a text its UTF-16 units, of bytes their number, of a list, map or set its elements. Nothing else has a size.
fn size(value: &AttributeValue) -> Option<Number> {
    let size = match value {
        AttributeValue::S(text) => text.encode_utf16().count(),
        AttributeValue::B(bytes) => bytes.len(),
        AttributeValue::L(list) => list.len(),
        AttributeValue::M(map) => map.len(),
        AttributeValue::Ss(texts) | AttributeValue::Ns(texts) => texts.len(),
        AttributeValue::Bs(bytes) => bytes.len(),
        AttributeValue::N(_) | AttributeValue::Bool(_) | AttributeValue::Null(_) => return None,
    };
    i64::try_from(size).ok().map(Number::from)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn item() -> Item {
        serde_json::from_value(json!({
            "S": {"S": "ORDER#7"}, "Empty": {"S": ""}, "Face": {"S": "a\u{1F600}"}, "Digits": {"S": "5"},
            "N": {"N": "5"}, "Five": {"N": "5.00"}, "Big": {"N": "10"}, "Neg": {"N": "-0.5"},
            "T": {"BOOL": true}, "F": {"BOOL": false}, "Null": {"NULL": true}, "Null2": {"NULL": false},
            "B": {"B": "AQID"}, "B2": {"B": "AQL/"}, "B3": {"B": "AQID"},
            "L": {"L": [{"S": "a"}, {"N": "1.0"}, {"BOOL": true}, {"NULL": true}, {"L": [{"N": "2"}]}]},
            "L2": {"L": [{"S": "a"}, {"N": "1"}, {"BOOL": true}, {"NULL": true}, {"L": [{"N": "2.0"}]}]},
            "L3": {"L": [{"N": "1"}, {"S": "a"}, {"BOOL": true}, {"NULL": true}, {"L": [{"N": "2"}]}]},
            "M": {"M": {"a": {"M": {"b c": {"L": [{"N": "0"}, {"M": {"x": {"S": "deep"}}}]}}}, "n": {"N": "1"}}},
            "M2": {"M": {"n": {"N": "1.0"}, "a": {"M": {"b c": {"L": [{"N": "0"}, {"M": {"x": {"S": "deep"}}}]}}}}},
            "M3": {"M": {"n": {"N": "1"}}},
            "Ss": {"SS": ["x", "y"]}, "Ss2": {"SS": ["y", "x"]}, "Ss3": {"SS": ["x"]},
            "Ns": {"NS": ["1", "2.50"]}, "Ns2": {"NS": ["2.5", "1.0"]},
            "Bs": {"BS": ["AQID", "BA=="]}, "Bs2": {"BS": ["BA==", "AQID"]},
            "and": {"S": "keyword"}, "a.b": {"S": "dotted"}, "`": {"S": "quote"}
        }))
        .unwrap()
    }

    /// Conditions that are true of the item, and ones that are not, with `;` between them.
    fn hold(holding: &str, failing: &str) {
        let item = item();
        for (conditions, expected) in [(holding, true), (failing, false)] {
            for text in conditions.split([';', '\n']).map(str::trim).filter(|text| !text.is_empty()) {
                let condition = Condition::parse(text).unwrap_or_else(|error| panic!("{error}"));
                assert_eq!(condition.holds(&item), expected, "{text}");
                let not = Condition::parse(&format!("NOT ({text})")).unwrap();
                assert_eq!(not.holds(&item), !expected, "NOT ({text})");
                let read: Condition = Condition::parse(&condition.to_string()).unwrap();
                assert_eq!(read, condition, "{text}");
            }
        }
    }

    #[test]
    fn values_of_one_type_are_compared() {
        hold(
            "
             S = 'ORDER#7'; S <> 'ORDER#8'; S < 'ORDER#8'; S <= 'ORDER#7'; S > 'ORDER'; S >= ''; 'a' < 'b'
             Empty = ''; Face > 'a\u{ffff}'; N = 5; N = 5.00; N = Five; 5e0 = N; Big > N; N < Big; N >= Five
             N <= Five; Neg < 0; Neg = -.5; N = +5; N <> 6; T = true; F = FALSE; T <> false; B = B3; B <> B2
             B < B2; B2 > B; B <= B3; T <> F; Null = Null2
             ",
            "
             S = 'order#7'; S <> 'ORDER#7'; S < 'ORDER#7'; S > 'ORDER#7'; N <> 5; N < 5; N > Five; N > Big; T = F
             B = B2; B > B3; Null <> Null2; T = false
             ",
        );
    }

    #[test]
    fn two_types_and_an_absent_operand_are_only_unequal() {
        hold(
            "
             S <> 5; Digits <> 5; N <> '5'; T <> 'true'; Null <> 'x'; Absent <> 1; 1 <> Absent; Absent <> Absent
             L <> M; Ss <> Ns; L[9] <> 'x'; S.x <> 'x'; M[0] <> 'x'; B <> 'AQID'; Null <> Absent; L <> Ss
             S <> S * 2; year(S) <> '2026'
             ",
            "
             Digits = 5; Digits < 6; N < '6'; N >= '5'; T = 'true'; Absent = 1; Absent < 1; 1 > Absent
             Absent = Absent; Null = Absent; L[9] = 'x'; L < L2; L <= L; M >= M; Ss <= Ss; T <= T; T < true
             F < T; Null <= Null; Null = 'x'; Ss = Ns; B < 'z'; L = M
             ",
        );
    }

    #[test]
    fn documents_are_equal_by_what_is_in_them() {
        hold(
            "
             L = L2; L <> L3; M = M2; M <> M3; Ss = Ss2; Ss <> Ss3; Ns = Ns2; Bs = Bs2; L = L
             M.a.`b c`[1].x = 'deep'; M.`a`.`b c`[0] = 0; L[4][0] = 2; L[1] = M.n; L[3] = Null
             ",
            "
             L = L3; M = M3; M3 = M; Ss = Ss3; Ss <> Ss2; M <> M2; M.a = M; L[0] = 'b'
             ",
        );
    }

    #[test]
    fn in_and_between_compare_to_literals() {
        hold(
            "
             S IN ('a', 'ORDER#7'); N in (1, 5.0); T IN (true); N IN ('x', true, 5); NOT Absent IN (1, 2)
             N BETWEEN 5 AND 6; N between 4 and 5; S BETWEEN 'ORDER' AND 'ORDERZ'; Neg BETWEEN -1 AND -0.5
             N BETWEEN 1 AND 9 AND S = 'ORDER#7'
             ",
            "
             S IN ('a'); N IN ('5'); Absent IN (1); Null IN (false); N BETWEEN 6 AND 9; N BETWEEN 1 AND 4
             N BETWEEN 6 AND 4; N BETWEEN '1' AND '9'; Digits BETWEEN 1 AND 9; N BETWEEN 1 AND '9'
             T BETWEEN false AND true; Absent BETWEEN 1 AND 9; L IN (1)
             ",
        );
    }

    #[test]
    fn functions_look_into_values() {
        hold(
            "
             begins_with(S, 'ORDER#'); BEGINS_WITH(S, ''); begins_with(lower(S), 'order')
             begins_with(concat(N, '-', T), '5-t'); contains(S, 'DER'); contains(S, ''); contains(Ss, 'y')
             contains(Ns, 2.5); contains(L, 1); contains(L, 'a'); contains(L, true); attribute_exists(S)
             attribute_exists(Null); attribute_exists(M.a.`b c`[1].x); attribute_not_exists(Absent)
             attribute_not_exists(M.a.c); attribute_not_exists(L[5]); attribute_type(S, 'S')
             attribute_type(N, 'N'); attribute_type(B, 'B'); attribute_type(T, 'BOOL')
             attribute_type(Null, 'NULL'); attribute_type(L, 'L'); attribute_type(M, 'M')
             attribute_type(Ss, 'SS'); attribute_type(Ns, 'NS'); attribute_type(Bs, 'BS'); `and` = 'keyword'
             `a.b` = 'dotted'; ```` = 'quote'
             ",
            "
             begins_with(S, 'order'); begins_with(N, '5'); begins_with(Absent, ''); begins_with(B, '')
             contains(S, 'order'); contains(S, 7); contains(Ss, 'z'); contains(Ss, 1); contains(Ns, '1')
             contains(L, '1'); contains(L, 2); contains(L, false); contains(N, 5); contains(M, 'n')
             contains(Absent, 'x'); contains(B, 'x'); contains(Bs, 'AQID'); attribute_exists(Absent)
             attribute_exists(S.x); attribute_exists(L[5]); attribute_not_exists(Null); attribute_type(S, 'N')
             attribute_type(Absent, 'NULL'); a.b = 'dotted'
             ",
        );
    }

    #[test]
    fn a_size_is_in_utf_16_units_elements_or_bytes() {
        hold(
            "
             size(S) = 7; size(Empty) = 0; size(Face) = 3; size(B) = 3; size(L) = 5; size(M) = 2; size(Ss) = 2
             size(Ns) >= 2; SIZE(Bs) < 3; size(N) <> 1; size(Absent) <> 0; size(S) > -1; size(S) <= 7.0
             size(M.a.`b c`) = 2; size(Null) <> 1
             ",
            "
             size(S) <> 7; size(N) = 1; size(T) >= 0; size(Null) >= 0; size(Absent) = 0; size(S) > 7.5
             ",
        );
    }

    #[test]
    fn not_binds_more_than_and_and_and_more_than_or() {
        hold(
            "
             T = true OR T = true AND T = false; (T = true OR T = true) AND T = true; NOT T = false AND T = true
             NOT NOT T = true; not (T = false or T = false); NOT Absent = 1; NOT (Absent = 1)
             T = false AND T = false OR T = true; ((((N))) = 5); (N + 1) * 2 = 12; N + 1 * 2 = 7; (N) + 1 = 6
             ",
            "
             (T = true OR T = true) AND T = false; NOT T = true OR T = false; NOT (T = true OR T = false)
             NOT (T = false) AND T = false
             ",
        );
    }
}
