//! The stored counters, and the recount of the points. The recount uses no code of the roll-up, so that an error in
//! that code cannot hide.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use super::table::SdkItem;

const MAP_ID: &str = "MapId";
const CATEGORY: &str = "Category";
const TOTAL_POINTS: &str = "TotalPoints";
const CATEGORY_COUNTS: &str = "CategoryCounts";

/// The counters of every map, by its id.
pub(super) type CountersByMap = BTreeMap<String, Counters>;

/// The counters of one map. `None` is a stored value that is not a number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Counters {
    total: Option<i64>,
    categories: BTreeMap<String, Option<i64>>,
}

/// A counter that differs from the recount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CounterDifference {
    key: String,
    measure: &'static str,
    group: Option<String>,
    stored: Option<i64>,
    recounted: i64,
}

/// The counters on the maps.
pub(super) fn stored(maps: &[SdkItem]) -> CountersByMap {
    let number = |value: &AttributeValue| value.as_n().ok().and_then(|text| text.parse().ok());
    let counters = |map: &SdkItem| Counters {
        total: map.get(TOTAL_POINTS).map_or(Some(0), number),
        categories: match map.get(CATEGORY_COUNTS) {
            Some(AttributeValue::M(categories)) => {
                categories.iter().map(|(category, count)| (category.clone(), number(count))).collect()
            }
            _ => BTreeMap::new(),
        },
    };
    maps.iter().map(|map| (text(map, MAP_ID), counters(map))).collect()
}

/// The recount of the points.
pub(super) fn recount(points: &[SdkItem]) -> CountersByMap {
    let mut maps = CountersByMap::new();
    for point in points {
        let Counters { total, categories } = maps.entry(text(point, MAP_ID)).or_default();
        *total = total.or(Some(0)).map(|total| total + 1);
        let count = categories.entry(text(point, CATEGORY)).or_insert(Some(0));
        *count = count.map(|count| count + 1);
    }
    maps
}

fn text(item: &SdkItem, attribute: &str) -> String {
    item.get(attribute).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default()
}

/// Where stored counters differ from a recount. A counter of zero equals an absent one.
pub(super) fn differences(stored: &CountersByMap, recounted: &CountersByMap) -> Vec<CounterDifference> {
    let nothing = Counters { total: Some(0), ..Counters::default() };
    let keys: BTreeSet<_> = stored.keys().chain(recounted.keys()).collect();
    let mut found = Vec::new();
    for key in keys {
        let is = stored.get(key).unwrap_or(&nothing);
        let should = recounted.get(key).unwrap_or(&nothing);
        let mut compare = |measure, group: Option<&String>, stored: Option<i64>, recounted: Option<i64>| {
            let recounted = recounted.unwrap_or_default();
            if stored != Some(recounted) {
                found.push(CounterDifference { key: key.clone(), measure, group: group.cloned(), stored, recounted });
            }
        };
        compare(TOTAL_POINTS, None, is.total, should.total);
        let categories: BTreeSet<_> = is.categories.keys().chain(should.categories.keys()).collect();
        for category in categories {
            let count = |counters: &Counters| counters.categories.get(category).copied().unwrap_or(Some(0));
            compare(CATEGORY_COUNTS, Some(category), count(is), count(should));
        }
    }
    found
}

fn number_text(count: Option<i64>) -> String {
    count.map_or_else(|| "not a number".to_owned(), |count| count.to_string())
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let categories: Vec<_> =
            self.categories.iter().map(|(category, count)| format!("{category} {}", number_text(*count))).collect();
        let open = if categories.is_empty() { "" } else { ": " };
        write!(f, "{}{open}{}", number_text(self.total), categories.join(", "))
    }
}

impl Counters {
    /// The counters in the form of a map's attributes.
    pub(super) fn json(&self) -> Value {
        json!({ TOTAL_POINTS: self.total, CATEGORY_COUNTS: self.categories })
    }
}

impl fmt::Display for CounterDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, measure, group, stored, recounted } = self;
        let dot = if group.is_some() { "." } else { "" };
        let stored = number_text(*stored);
        write!(f, "{key} {measure}{dot}{} is {stored}, recounted {recounted}", group.as_deref().unwrap_or_default())
    }
}

impl CounterDifference {
    /// The difference in the form of an audit's report.
    pub(super) fn json(&self) -> Value {
        let Self { key, measure, group, stored, recounted } = self;
        json!({ "key": key, "measure": measure, "group": group, "stored": stored, "recounted": recounted })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn s(text: &str) -> AttributeValue {
        AttributeValue::S(text.to_owned())
    }

    fn n(number: &str) -> AttributeValue {
        AttributeValue::N(number.to_owned())
    }

    fn point(map: &str, category: &str) -> SdkItem {
        HashMap::from([(MAP_ID.to_owned(), s(map)), (CATEGORY.to_owned(), s(category))])
    }

    fn map(id: &str, total: &str, categories: &[(&str, &str)]) -> SdkItem {
        let categories = categories.iter().map(|(category, count)| ((*category).to_owned(), n(count))).collect();
        HashMap::from([
            (MAP_ID.to_owned(), s(id)),
            (TOTAL_POINTS.to_owned(), n(total)),
            (CATEGORY_COUNTS.to_owned(), AttributeValue::M(categories)),
        ])
    }

    fn found(maps: &[SdkItem], points: &[SdkItem]) -> Vec<String> {
        differences(&stored(maps), &recount(points)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn equal_counters_and_zeros_are_no_difference() {
        let points = [point("a", "Bar"), point("a", "Zoo"), point("a", "Bar")];
        assert!(
            found(&[map("a", "3", &[("Bar", "2"), ("Zoo", "1"), ("Gone", "0")]), map("b", "0", &[])], &points)
                .is_empty()
        );
        assert!(found(&[HashMap::from([(MAP_ID.to_owned(), s("a"))])], &[]).is_empty(), "a map without counters");
    }

    #[test]
    fn every_kind_of_difference_is_found() {
        let points = [point("a", "Bar"), point("a", "Zoo")];
        for (maps, expected) in [
            (vec![map("a", "3", &[("Bar", "1"), ("Zoo", "1")])], "a TotalPoints is 3, recounted 2"),
            (vec![map("a", "2", &[("Bar", "2"), ("Zoo", "1")])], "a CategoryCounts.Bar is 2, recounted 1"),
            (vec![map("a", "2", &[("Bar", "1")])], "a CategoryCounts.Zoo is 0, recounted 1"),
            (
                vec![map("a", "2", &[("Bar", "1"), ("Zoo", "1"), ("Inn", "-1")])],
                "a CategoryCounts.Inn is -1, recounted 0",
            ),
            (vec![map("a", "x", &[("Bar", "1"), ("Zoo", "1")])], "a TotalPoints is not a number, recounted 2"),
            (vec![map("a", "2", &[("Bar", "1"), ("Zoo", "1")]), map("b", "1", &[])], "b TotalPoints is 1, recounted 0"),
        ] {
            assert_eq!(found(&maps, &points), [expected]);
        }
        assert_eq!(found(&[], &points).len(), 3, "a map that is not there");
    }

    #[test]
    fn counters_are_shown_and_told() {
        let maps = stored(&[map("a", "3", &[("Zoo", "1"), ("Bar", "2")]), map("b", "0", &[])]);
        assert_eq!(maps["a"].to_string(), "3: Bar 2, Zoo 1");
        assert_eq!(maps["b"].to_string(), "0");
        assert_eq!(maps["a"].json(), json!({"TotalPoints": 3, "CategoryCounts": {"Bar": 2, "Zoo": 1}}));
    }
}
