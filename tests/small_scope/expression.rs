//! The expressions that the tables in memory understand, and what they refuse.

use ddb_rollup::rollup::pipeline::update::Update;
use ddb_rollup::rollup::{AttributeValue, Item};
use support::expression::{Expressions, add, words};

fn update(expression: &str, condition: Option<&str>) -> Update {
    let number = |number: i64| AttributeValue::N(number.to_string());
    let names = [("#m", "Counts"), ("#g", "Park"), ("#a", "Total")];
    let values = [(":z", number(0)), (":v", number(5)), (":t", AttributeValue::S("M".to_owned()))];
    let all = format!("{expression} {}", condition.unwrap_or_default());
    let used = |placeholder: &str| words(&all).is_ok_and(|words| words.contains(&placeholder));
    Update {
        expression: expression.to_owned(),
        condition: condition.map(str::to_owned),
        names: names.into_iter().filter(|(n, _)| used(n)).map(|(n, to)| (n.to_owned(), to.to_owned())).collect(),
        values: values.into_iter().filter(|(n, _)| used(n)).map(|(n, to)| (n.to_owned(), to)).collect(),
    }
}

#[test]
fn what_is_not_understood_is_refused_in_words() {
    for (expression, condition) in [
        ("REMOVE #a", None),
        ("SET #a", None),
        ("SET #a=:v,", None),
        ("SET #a=:v ADD", None),
        ("SET #a=:v-:z", None),
        ("SET #a=:missing", None),
        ("SET Total=:v", None),
        ("SET #a=:v,#a=:z", None),
        ("SET #m=:v,#m.#g=:z", None),
        ("ADD #a :v;", None),
        ("ADD #a :v", Some("")),
        ("ADD #a :v", Some("size(#a)")),
        ("ADD #a :v", Some("attribute_exists(#a) OR attribute_exists(#m)")),
    ] {
        assert!(Expressions::read(&update(expression, condition)).is_err(), "{expression} if {condition:?}");
    }
    let mut unused = update("ADD #a :v", None);
    unused.names.insert("#never".to_owned(), "Never".to_owned());
    assert!(Expressions::read(&unused).is_err());
}

#[test]
fn additions_start_from_what_is_there() {
    let expressions = Expressions::read(&update("SET #m.#g=if_not_exists(#m.#g,:z)+:v ADD #a :v", None)).unwrap();
    assert_eq!(expressions.operators, 2);
    let item = |text: &str| serde_json::from_str::<Item>(text).unwrap();
    let after = expressions.apply(&item(r#"{"Counts":{"M":{}},"Total":{"N":"-7"}}"#)).unwrap();
    assert_eq!(after, item(r#"{"Counts":{"M":{"Park":{"N":"5"}}},"Total":{"N":"-2"}}"#));
    for unfit in [r"{}", r#"{"Counts":{"S":"x"}}"#, r#"{"Counts":{"M":{}},"Total":{"S":"x"}}"#] {
        assert!(expressions.apply(&item(unfit)).is_err(), "{unfit}");
    }
    let nines = "9".repeat(38);
    assert!(add(&AttributeValue::N(nines), &AttributeValue::N("0.1".to_owned())).is_err(), "39 digits");
}
