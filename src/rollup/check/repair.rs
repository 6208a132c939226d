//! What a repair writes: the counters of a view item, on the condition that the item is as it was read; and a record of
//! the repair in the idempotency table.

use std::collections::HashMap;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use crate::rollup::check::judge::{Difference, StoredValue};
use crate::rollup::model::change::Sums;
use crate::rollup::model::definition::Definition;
use crate::rollup::model::item_size::bytes;
use crate::rollup::model::limits;
use crate::rollup::model::marker::{self, MarkerOutcome};
use crate::rollup::model::measure::{Measure, MeasureId};
use crate::rollup::model::number::Number;
use crate::rollup::model::view::{REPAIR_CLAIM, ROLLUP_VERSION, TableId, ViewKey};
use crate::rollup::pipeline::coalesce::TouchedItem;
use crate::rollup::pipeline::update::Update;
use crate::rollup::{AttributeValue, Item};

/// Prefix of the sequence number of a repair's record; the identifier of the repair follows.
pub const REPAIR: &str = "repair-";
/// Attribute of a repair's record: the view items that one transaction set, a map of the following for each.
pub const ITEMS: &str = "Items";
/// In `Items`: the key of the view item.
pub const ITEM: &str = "Item";
/// In `Items`: the changed counters before the repair, in the form of `Deltas`; absent if the repair created the item.
pub const FROM: &str = "From";
/// In `Items`: the changed counters after the repair, in the form of `Deltas`; absent if the repair created the item.
pub const TO: &str = "To";
/// Attribute of a repair's record: who ran the repair.
pub const WHO: &str = "Who";
/// Attribute of a discarded marker: the run of the repair whose counters include the record.
pub const REPAIRED_BY: &str = "RepairedBy";

/// A put with its condition, as DynamoDB takes it; the values are in the form that the caller needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Creation<V> {
    /// The whole item, with its key.
    pub item: HashMap<String, V>,
    /// The condition.
    pub condition: String,
    /// The attribute names behind the placeholders of the condition.
    pub names: HashMap<String, String>,
}

/// What creates a view item with every measure of these views, their texts and the first version. Its condition is that
/// the item is still absent. An engine does less for it than for an update, and an adoption creates many items.
#[must_use]
pub fn create<V: marker::StoredValue>(definition: &Definition, item: &TouchedItem, wanted: &Sums) -> Creation<V> {
    let TouchedItem { key, views, texts } = item;
    let mut attributes = definition.key_attributes(key);
    let measures = definition.measures(*views);
    attributes.extend(measures.map(|(id, measure)| (measure.attribute.clone(), value(id, measure, wanted))));
    let of_views = definition.set(*views);
    attributes.extend(of_views.filter_map(|set| Some((set.attribute.clone(), set.on(texts)?.into()))));
    attributes.insert(ROLLUP_VERSION.to_owned(), AttributeValue::N("1".to_owned()).into());
    Creation {
        item: attributes,
        condition: "attribute_not_exists(#key)".to_owned(),
        names: HashMap::from([("#key".to_owned(), definition[key.table].key[0].0.clone())]),
    }
}

/// The update that sets every measure of these views on a view item, sets their texts, and raises the version. Its
/// condition is that the item still has the version and the measures of `seen`. The version alone is not enough: a user,
/// or a function that has no version, may have changed the measures.
#[must_use]
pub fn set(definition: &Definition, item: &TouchedItem, seen: &Item, wanted: &Sums) -> Update {
    let TouchedItem { key, views, texts } = item;
    let (mut names, mut values) = (HashMap::new(), HashMap::new());
    let (mut set, mut condition) = (Vec::new(), vec!["attribute_exists(#key)".to_owned()]);
    names.insert("#key".to_owned(), definition[key.table].key[0].0.clone());

    let mut attribute = |place: &str, name: &str, value: AttributeValue| {
        names.insert(format!("#{place}"), name.to_owned());
        values.insert(format!(":{place}"), value);
        set.push(format!("#{place} = :{place}"));
        match seen.get(name) {
            Some(was) => {
                values.insert(format!(":{place}was"), was.clone());
                condition.push(format!("#{place} = :{place}was"));
            }
            None => condition.push(format!("attribute_not_exists(#{place})")),
        }
    };
    for (place, (id, measure)) in definition.measures(*views).enumerate() {
        attribute(&format!("m{place}"), &measure.attribute, value(id, measure, wanted));
    }
    let mut next = Number::from(1);
    next += &version(Some(seen));
    attribute("v", ROLLUP_VERSION, AttributeValue::N(next.to_string()));
    for (place, set_attribute) in definition.set(*views).enumerate() {
        let Some(value) = set_attribute.on(texts) else { continue };
        names.insert(format!("#s{place}"), set_attribute.attribute.clone());
        values.insert(format!(":s{place}"), value);
        set.push(format!("#s{place} = :s{place}"));
    }
    // Removing the claim makes a repair that is correcting this item read it again.
    names.insert("#claim".to_owned(), REPAIR_CLAIM.to_owned());
    Update {
        expression: format!("SET {} REMOVE #claim", set.join(", ")),
        condition: Some(condition.join(" AND ")),
        names,
        values,
    }
}

/// The value of a measure's attribute: a number, or a map of them by group.
fn value<V: marker::StoredValue>(id: MeasureId, measure: &Measure, wanted: &Sums) -> V {
    let of = wanted.iter().filter(|(counter, _)| counter.measure == id);
    let number = |number: &Number| V::from(AttributeValue::N(number.to_string()));
    if measure.is_grouped() {
        let groups = of.filter_map(|(counter, amount)| Some((counter.group.clone()?, number(amount))));
        V::map(groups.collect())
    } else {
        number(&of.map(|(_, amount)| amount.clone()).next().unwrap_or_default())
    }
}

/// A view item's version; zero if it has none.
#[must_use]
pub fn version(item: Option<&Item>) -> Number {
    match item.and_then(|item| item.get(ROLLUP_VERSION)) {
        Some(AttributeValue::N(text)) => text.parse().unwrap_or_default(),
        _ => Number::zero(),
    }
}

/// What the record of a repair holds, in addition to the counters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair<'a> {
    /// The identifier of the repair, which begins with [`REPAIR`].
    pub id: &'a str,
    /// Who asked for it.
    pub who: &'a str,
    /// The run of the command, which may have made several repairs.
    pub run: &'a str,
    /// When the repair was made.
    pub at: DateTime<Utc>,
    /// How long the record is kept, in days.
    pub retention_days: u32,
}

/// A view item that a repair sets, as its record tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetItem<'a> {
    /// Its key.
    pub key: &'a ViewKey,
    /// Whether it was there before.
    pub existed: bool,
    /// The counters that change.
    pub differences: &'a [Difference],
}

/// Values of the changed counters, in the form of `Deltas`.
fn counters(
    definition: &Definition,
    differences: &[Difference],
    value: fn(&Difference) -> AttributeValue,
) -> AttributeValue {
    let mut measures: HashMap<String, AttributeValue> = HashMap::new();
    for difference in differences {
        let attribute = definition[difference.counter.measure].attribute.clone();
        match &difference.counter.group {
            None => {
                measures.insert(attribute, value(difference));
            }
            Some(group) => {
                let groups = measures.entry(attribute).or_insert_with(|| AttributeValue::M(HashMap::new()));
                if let AttributeValue::M(groups) = groups {
                    groups.insert(group.clone(), value(difference));
                }
            }
        }
    }
    AttributeValue::M(measures)
}

impl SetItem<'_> {
    /// What the record says of it. Values that do not fit are left out. So are those of an item that is created: an
    /// adoption creates many, and their record would be as large as they are.
    fn entry(&self, definition: &Definition, with_values: bool) -> AttributeValue {
        let mut entry = HashMap::from([(ITEM.to_owned(), AttributeValue::M(definition.key_item(self.key).into()))]);
        if with_values && self.existed {
            let from = |difference: &Difference| match &difference.stored {
                StoredValue::Number(number) => AttributeValue::N(number.to_string()),
                StoredValue::Other(kind) => AttributeValue::S(format!("of type {kind}")),
            };
            let to = |difference: &Difference| AttributeValue::N(difference.expected.to_string());
            entry.insert(FROM.to_owned(), counters(definition, self.differences, from));
            entry.insert(TO.to_owned(), counters(definition, self.differences, to));
        }
        AttributeValue::M(entry)
    }
}

/// The record of a repair's transaction, as an item of the idempotency table. Its sequence number begins with
/// [`REPAIR`], so its key is never that of a marker; the name of the view table is in place of the stream.
#[must_use]
pub fn repaired(definition: &Definition, repair: &Repair<'_>, table: TableId, items: &[SetItem<'_>]) -> Item {
    let text = |value: &str| AttributeValue::S(value.to_owned());
    let expires_at = repair.at + TimeDelta::days(i64::from(repair.retention_days));
    let entries =
        |with_values: bool| AttributeValue::L(items.iter().map(|item| item.entry(definition, with_values)).collect());
    let mut item = HashMap::from([
        (marker::SEQUENCE_NUMBER.to_owned(), text(repair.id)),
        (marker::STREAM.to_owned(), text(&definition[table].name)),
        (marker::OUTCOME.to_owned(), text(MarkerOutcome::Repaired.as_str())),
        (ITEMS.to_owned(), entries(true)),
        (WHO.to_owned(), text(repair.who)),
        (marker::REQUEST_ID.to_owned(), text(repair.run)),
        (marker::RECORDED_AT.to_owned(), text(&repair.at.to_rfc3339_opts(SecondsFormat::Millis, true))),
        (marker::EXPIRES_AT.to_owned(), AttributeValue::N(expires_at.timestamp().to_string())),
    ]);
    if bytes(&item) > limits::ITEM_BYTES - limits::ITEM_MARGIN_BYTES {
        // The groups do not fit into one item: leave out their values, because the record of the repair matters more.
        item.insert(ITEMS.to_owned(), entries(false));
    }
    Item::from(item)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::rollup::check::example::{definition, item, map_key};
    use crate::rollup::model::change::Counter;
    use crate::rollup::model::measure::MeasureId;
    use crate::rollup::model::set_attribute::SetTexts;

    fn touched() -> TouchedItem {
        TouchedItem { key: map_key(), views: definition().all(), texts: SetTexts::new() }
    }

    fn written(seen: Value, wanted: &Sums) -> (String, HashMap<String, AttributeValue>) {
        let update = set(&definition(), &touched(), &item(seen), wanted);
        assert_eq!(update.expression, "SET #m0 = :m0, #m1 = :m1, #v = :v REMOVE #claim");
        (update.condition.unwrap(), update.values)
    }

    #[test]
    fn an_absent_item_is_created_whole_on_the_condition_that_it_is_absent() {
        let wanted = Sums::from([
            (Counter { measure: MeasureId::first_view(0), group: None }, Number::from(2)),
            (Counter { measure: MeasureId::first_view(1), group: Some("A".into()) }, Number::from(2)),
        ]);
        let created = |wanted| Item::from(create::<AttributeValue>(&definition(), &touched(), wanted).item);
        assert_eq!(
            created(&wanted),
            item(json!({
                "MapId": {"S": "m"}, "TotalPoints": {"N": "2"}, "CategoryCounts": {"M": {"A": {"N": "2"}}},
                "RollupVersion": {"N": "1"},
            }))
        );
        let nothing = item(json!({
            "MapId": {"S": "m"}, "TotalPoints": {"N": "0"}, "CategoryCounts": {"M": {}}, "RollupVersion": {"N": "1"},
        }));
        assert_eq!(created(&Sums::new()), nothing);
        let Creation::<AttributeValue> { condition, names, .. } = create(&definition(), &touched(), &wanted);
        assert_eq!((condition.as_str(), names["#key"].as_str()), ("attribute_not_exists(#key)", "MapId"));
    }

    #[test]
    fn what_was_seen_is_the_condition() {
        let seen = json!({"TotalPoints": {"S": "x"}, "RollupVersion": {"N": "41"}});
        let (condition, values) = written(seen, &Sums::new());
        assert_eq!(condition, "attribute_exists(#key) AND #m0 = :m0was AND attribute_not_exists(#m1) AND #v = :vwas");
        assert_eq!((&values[":v"], &values[":m0"]), (&AttributeValue::N("42".into()), &AttributeValue::N("0".into())));
        assert_eq!(values[":m0was"], AttributeValue::S("x".into()));
        assert_eq!(values[":m1"], AttributeValue::M(HashMap::new()));
        let seen = json!({"TotalPoints": {"N": "1"}, "CategoryCounts": {"M": {}}});
        let (condition, values) = written(seen, &Sums::new());
        assert_eq!(condition, "attribute_exists(#key) AND #m0 = :m0was AND #m1 = :m1was AND attribute_not_exists(#v)");
        assert_eq!(values[":v"], AttributeValue::N("1".into()));
    }

    fn at() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    #[test]
    fn the_record_of_a_repair_says_from_what_to_what() {
        let key = map_key();
        let difference = |group: Option<&str>, stored, expected| Difference {
            counter: Counter {
                measure: MeasureId::first_view(usize::from(group.is_some())),
                group: group.map(str::to_owned),
            },
            stored,
            expected: Number::from(expected),
        };
        let differences = [
            difference(None, StoredValue::Other("S"), 3),
            difference(Some("A"), StoredValue::Number(Number::from(-1)), 2),
        ];
        let repair = Repair { id: "repair-1", who: "ada@host", run: "run", at: at(), retention_days: 14 };
        let set = |existed| SetItem { key: &key, existed, differences: &differences };
        let written = repaired(&definition(), &repair, key.table, &[set(true), set(false)]);
        let from = json!({"M": {"TotalPoints": {"S": "of type S"}, "CategoryCounts": {"M": {"A": {"N": "-1"}}}}});
        let to = json!({"M": {"TotalPoints": {"N": "3"}, "CategoryCounts": {"M": {"A": {"N": "2"}}}}});
        let expected = item(json!({
            "SequenceNumber": {"S": "repair-1"}, "Stream": {"S": "Map"}, "Outcome": {"S": "REPAIRED"},
            "Items": {"L": [
                {"M": {"Item": {"M": {"MapId": {"S": "m"}}}, "From": from, "To": to}},
                {"M": {"Item": {"M": {"MapId": {"S": "m"}}}}},
            ]},
            "Who": {"S": "ada@host"}, "RequestId": {"S": "run"},
            "RecordedAt": {"S": "2027-01-15T08:00:00.000Z"}, "ExpiresAt": {"N": "1801209600"},
        }));
        assert_eq!(written, expected);
    }

    #[test]
    fn a_repair_of_more_groups_than_an_item_holds_is_recorded_without_them() {
        let key = map_key();
        let written = |group: usize, who: &str| {
            let number = Number::from(1);
            let counter = Counter { measure: MeasureId::first_view(1), group: Some("g".repeat(group)) };
            let difference = Difference { counter, stored: StoredValue::Number(number.clone()), expected: number };
            let repair = Repair { id: "repair-1", who, run: "run", at: at(), retention_days: 14 };
            let set = SetItem { key: &key, existed: true, differences: &[difference] };
            repaired(&definition(), &repair, key.table, &[set])
        };
        let has_values = |written: &Item| {
            let Some(AttributeValue::L(entries)) = written.get(ITEMS) else { panic!("{written:?}") };
            let Some(AttributeValue::M(entry)) = entries.first() else { panic!("{entries:?}") };
            [ITEM, FROM, TO].map(|name| entry.contains_key(name))
        };
        // The record has the group's name twice.
        let most = limits::ITEM_BYTES - limits::ITEM_MARGIN_BYTES;
        let room = most - bytes(&written(0, "ada"));
        let who = if room.is_multiple_of(2) { "ada" } else { "ada!" };
        let fits = written(room / 2, who);
        assert_eq!((bytes(&fits), has_values(&fits)), (most, [true, true, true]));
        let too_many = written(room / 2, &format!("{who}!"));
        assert_eq!((has_values(&too_many), too_many.contains_key(WHO)), ([true, false, false], true));
    }
}
