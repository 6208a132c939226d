//! The one write of a repair: the counters of a view item as they should be, on the condition that they are what was
//! seen.

use std::collections::HashMap;

use super::delta::Sums;
use super::number::Number;
use super::update::Update;
use super::view::{ROLLUP_VERSION, View};
use super::{AttributeValue, Item};

/// The update that sets every measure of a view item, and raises its version. Its condition is that the item is still
/// there or still absent, and that version and measures are those of `seen`: a function that knows no version, or a user,
/// may have written them too.
#[must_use]
pub fn set(view: &View, seen: Option<&Item>, wanted: &Sums) -> Update {
    let (mut names, mut values) = (HashMap::new(), HashMap::new());
    let (mut set, mut condition) = (Vec::new(), Vec::new());
    names.insert("#key".to_owned(), view.key()[0].view_attribute.clone());
    condition.push(if seen.is_some() { "attribute_exists(#key)" } else { "attribute_not_exists(#key)" }.to_owned());

    let mut attribute = |place: &str, name: &str, value: AttributeValue| {
        names.insert(format!("#{place}"), name.to_owned());
        values.insert(format!(":{place}"), value);
        set.push(format!("#{place} = :{place}"));
        match seen.and_then(|item| item.get(name)) {
            Some(was) => {
                values.insert(format!(":{place}was"), was.clone());
                condition.push(format!("#{place} = :{place}was"));
            }
            None => condition.push(format!("attribute_not_exists(#{place})")),
        }
    };
    for (measure, definition) in view.measures().iter().enumerate() {
        let of = wanted.iter().filter(|(counter, _)| counter.measure == measure);
        let number = |number: &Number| AttributeValue::N(number.to_string());
        let value = if definition.by.is_some() {
            let groups = of.filter_map(|(counter, amount)| Some((counter.group.clone()?, number(amount))));
            AttributeValue::M(groups.collect())
        } else {
            number(&of.map(|(_, amount)| amount.clone()).next().unwrap_or_default())
        };
        attribute(&format!("m{measure}"), &definition.attribute, value);
    }
    let version = match seen.and_then(|item| item.get(ROLLUP_VERSION)) {
        Some(AttributeValue::N(text)) => text.parse::<Number>().unwrap_or_default(),
        _ => Number::zero(),
    };
    let mut next = Number::from(1);
    next += &version;
    attribute("v", ROLLUP_VERSION, AttributeValue::N(next.to_string()));
    Update { expression: format!("SET {}", set.join(", ")), condition: Some(condition.join(" AND ")), names, values }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::rollup::delta::Counter;

    fn view() -> View {
        View::points_of_maps("Point", "Map").unwrap()
    }

    fn written(seen: Option<Value>, wanted: &Sums) -> (String, HashMap<String, AttributeValue>) {
        let seen = seen.map(|seen| serde_json::from_value::<Item>(seen).unwrap());
        let update = set(&view(), seen.as_ref(), wanted);
        assert_eq!(update.expression, "SET #m0 = :m0, #m1 = :m1, #v = :v");
        (update.condition.unwrap(), update.values)
    }

    #[test]
    fn what_was_seen_is_the_condition() {
        let wanted = Sums::from([
            (Counter { measure: 0, group: None }, Number::from(2)),
            (Counter { measure: 1, group: Some("A".into()) }, Number::from(2)),
        ]);
        let (condition, values) = written(None, &wanted);
        assert_eq!(
            condition,
            "attribute_not_exists(#key) AND attribute_not_exists(#m0) AND attribute_not_exists(#m1) AND attribute_not_exists(#v)"
        );
        assert_eq!(values[":v"], AttributeValue::N("1".into()));
        assert_eq!(values[":m0"], AttributeValue::N("2".into()));
        let map = AttributeValue::M(HashMap::from([("A".to_owned(), AttributeValue::N("2".into()))]));
        assert_eq!(values[":m1"], map);

        let seen = json!({"TotalPoints": {"S": "x"}, "RollupVersion": {"N": "41"}});
        let (condition, values) = written(Some(seen), &Sums::new());
        assert_eq!(condition, "attribute_exists(#key) AND #m0 = :m0was AND attribute_not_exists(#m1) AND #v = :vwas");
        assert_eq!((&values[":v"], &values[":m0"]), (&AttributeValue::N("42".into()), &AttributeValue::N("0".into())));
        assert_eq!(values[":m0was"], AttributeValue::S("x".into()));
        assert_eq!(values[":m1"], AttributeValue::M(HashMap::new()));
    }
}
