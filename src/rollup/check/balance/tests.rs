use serde_json::json;

use super::*;
use crate::rollup::check::example::{definition, item, map_key, point};
use crate::rollup::check::judge::{ItemVerdict, judge};
use crate::rollup::model::poison::Image;
use crate::rollup::model::view::TableId;
use crate::rollup::pipeline::contribution::contribution;

fn differs(points: &[&str], stored: Option<serde_json::Value>) -> bool {
    let (definition, mut balances) = (definition(), Balances::default());
    let key = map_key();
    for (number, category) in points.iter().enumerate() {
        let point = item(point(&number.to_string(), category));
        balances.add_source(&contribution(&definition, Image::New, &point).unwrap());
    }
    if let Some(stored) = stored {
        let counters = StoredCounters::read(&definition, definition.all(), Some(&item(stored)));
        balances.add_stored(&key, &counters, StoredItem::default());
    }
    let balance = balances.of(&key).unwrap();
    assert_eq!(balance.sources, points.len() as u64);
    assert!(!balances.differs(balance, ViewSet::default()), "of no view, nothing differs");
    balances.differs(balance, definition.all())
}

#[test]
fn counters_balance_when_they_are_what_the_source_items_come_to() {
    let stored = |total: i64, a: &str| {
        Some(
            json!({"TotalPoints": {"N": total.to_string()}, "CategoryCounts": {"M": {"A": {"N": a}, "Z": {"N": "0"}}}}),
        )
    };
    assert!(!differs(&["A", "A"], stored(2, "2")));
    assert!(differs(&["A", "A"], stored(3, "2")) && differs(&["A", "A"], stored(2, "1")));
    assert!(differs(&["A", "A"], stored(2, "1.5")) && differs(&["A", "B"], stored(2, "1")));
    assert!(differs(&["A"], None) && !differs(&[], stored(0, "0")));
    assert!(differs(&["A", "A"], Some(json!({"TotalPoints": {"S": "2"}, "CategoryCounts": {"M": {"A": {"N": "2"}}}}))));
    assert!(differs(&[], Some(json!({"CategoryCounts": {"N": "0"}}))), "it is no map");
}

#[test]
fn what_the_source_items_come_to_is_known_once_the_counters_are_added_back() {
    let (definition, mut balances) = (definition(), Balances::default());
    let key = definition.own_key(TableId(0), &item(json!({"MapId": {"S": "m"}}))).unwrap();
    let mut expected = SourceTotals::default();
    for (number, category) in ["A", "A", "B"].into_iter().enumerate() {
        let point = json!({"MapId": {"S": "m"}, "PointId": {"S": number.to_string()}, "Category": {"S": category}});
        let found = contribution(&definition, Image::New, &item(point)).unwrap();
        balances.add_source(&found);
        expected.add(&found.of(&key).unwrap());
    }
    let stored = item(json!({
        "MapId": {"S": "m"}, "TotalPoints": {"N": "7"}, "RollupVersion": {"N": "4"},
        "CategoryCounts": {"M": {"A": {"N": "2"}, "Gone": {"N": "1"}}},
    }));
    let counters = StoredCounters::read(&definition, definition.all(), Some(&stored));
    balances.add_stored(&key, &counters, StoredItem::of(&definition, definition.all(), &stored));
    let content = ContentDigest::of(None, Some(&stored));
    assert_eq!(balances.read_before(&key), Some(ReadBefore::InThePass(Some(content))));
    assert_eq!(balances.truth(&key), None, "a difference alone tells nothing");
    for _ in 0..2 {
        balances.add_back(&key, &counters);
        assert_eq!(balances.truth(&key).as_ref(), Some(&expected), "added back once");
    }
    assert_eq!(balances.read_before(&key), Some(ReadBefore::AnyTime));
    balances.set(&key, Some(&stored));
    assert_eq!(balances.read_before(&key), Some(ReadBefore::Set(5)));
    balances.keep(|_| false);
    assert_eq!((balances.read_before(&key), balances.truth(&key)), (None, None));
}

#[test]
fn amounts_are_exact_whatever_their_size() {
    let number = |text: &str| text.parse::<Number>().unwrap();
    let mut amount = Amount::of(&number("9223372036854775807"));
    amount.add(&Amount::of(&number("1")));
    amount.add(&Amount::of(&number("0.25")));
    amount.add(&Amount::of(&number("-9223372036854775808")));
    assert!(matches!(&amount, Amount::Exact(left) if **left == number("0.25")));
    amount.add(&Amount::of(&number("-0.25")));
    assert!(amount.is_zero());
}

#[test]
fn counters_are_the_recount_where_the_judge_finds_them_exact() {
    let definition = definition();
    let big = "12345678901234567890.5";
    let stored = |total: &str, groups: serde_json::Value| json!({ "MapId": {"S": "m"}, "TotalPoints": {"N": total}, "CategoryCounts": {"M": groups} });
    let candidates = [
        (stored("3", json!({"A": {"N": "2"}, "B": {"N": "1"}})), true),
        (stored("3.0", json!({"A": {"N": "2"}, "B": {"N": "1"}, "Zero": {"N": "0"}})), true),
        (stored("3", json!({"A": {"N": "2"}})), false),
        (stored("3", json!({"A": {"N": "2"}, "B": {"N": "1"}, "C": {"N": "1"}})), false),
        (stored("3", json!({"A": {"N": "2"}, "C": {"N": "1"}})), false),
        (stored("3", json!({"A": {"N": "2"}, "B": {"S": "1"}})), false),
        (stored("3.5", json!({"A": {"N": "2"}, "B": {"N": "1"}})), false),
        (stored(big, json!({"A": {"N": "2"}, "B": {"N": "1"}})), false),
        (json!({"MapId": {"S": "m"}, "TotalPoints": {"N": "3"}, "CategoryCounts": {"N": "3"}}), false),
        (json!({"MapId": {"S": "m"}}), false),
    ];
    for (is, exact) in candidates {
        let mut balances = Balances::default();
        for (number, category) in ["A", "A", "B"].into_iter().enumerate() {
            let point = item(point(&number.to_string(), category));
            balances.add_source(&contribution(&definition, Image::New, &point).unwrap());
        }
        let (key, item) = (map_key(), item(is.clone()));
        let counters = StoredCounters::read(&definition, definition.all(), Some(&item));
        balances.add_stored(&key, &counters, StoredItem::of(&definition, definition.all(), &item));
        assert!(!balances.is_recount(&key, &counters, definition.all()), "it is not known yet: {is}");
        balances.add_back(&key, &counters);
        assert_eq!(balances.is_recount(&key, &counters, definition.all()), exact, "{is}");
        let truth = balances.truth(&key).unwrap();
        let verdict = judge(&counters, &truth.sums, &[], definition.all());
        assert_eq!(verdict == ItemVerdict::Exact, exact, "{is}");
        assert!(balances.is_recount(&key, &counters, ViewSet::default()), "of no view, nothing differs: {is}");
    }
}
