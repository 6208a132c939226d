//! What a returned view item shows: which counter maps it lacks, and why it cannot take an update.

use std::collections::BTreeSet;

use crate::rollup::model::attribute_type::type_name;
use crate::rollup::model::change::{Counter, Sums};
use crate::rollup::model::definition::Definition;
use crate::rollup::model::item_size::bytes;
use crate::rollup::model::limits;
use crate::rollup::model::measure::{Measure, MeasureId, ViewSet};
use crate::rollup::model::number::Number;
use crate::rollup::model::view::{ROLLUP_VERSION, TableId};
use crate::rollup::{AttributeValue, Item};

/// What is known of a view item's counter maps.
///
/// A nested `SET` fails if its map is absent, so every update has the shape that it was made for as its condition. An
/// item is assumed to be complete. If that was wrong, the item that DynamoDB returns shows its shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// It has every map.
    Complete,
    /// It exists without the maps of these measures: the update creates exactly these maps.
    Lacks(BTreeSet<MeasureId>),
    /// It does not exist.
    Absent,
}

impl Shape {
    /// Whether an update has to create the map of this measure.
    #[must_use]
    pub fn lacks(&self, measure: MeasureId) -> bool {
        match self {
            Self::Complete => false,
            Self::Lacks(measures) => measures.contains(&measure),
            Self::Absent => true,
        }
    }
}

/// The shape of a returned view item, for these views.
///
/// # Errors
/// When a measure's attribute exists and is not a map; the text names the attribute and its type.
pub fn shape(definition: &Definition, views: ViewSet, item: Option<&Item>) -> Result<Shape, String> {
    let Some(item) = item else { return Ok(Shape::Absent) };
    let mut lacking = BTreeSet::new();
    for (id, measure) in definition.grouped(views) {
        match item.get(&measure.attribute) {
            Some(AttributeValue::M(_)) => {}
            Some(other) => return Err(not_a(&measure.attribute, other, "map")),
            None => {
                lacking.insert(id);
            }
        }
    }
    Ok(if lacking.is_empty() { Shape::Complete } else { Shape::Lacks(lacking) })
}

/// Why an existing view item cannot take an addition to a counter; `None` if no reason is found.
#[must_use]
pub fn fault(definition: &Definition, item: &Item, counter: &Counter) -> Option<String> {
    if let Some(other) = item.get(ROLLUP_VERSION).filter(|value| !matches!(value, AttributeValue::N(_))) {
        return Some(not_a(ROLLUP_VERSION, other, "number"));
    }
    let attribute = &definition[counter.measure].attribute;
    match (item.get(attribute)?, &counter.group) {
        (AttributeValue::N(_), None) => None,
        (other, None) => Some(not_a(attribute, other, "number")),
        (AttributeValue::M(groups), Some(group)) => match groups.get(group)? {
            AttributeValue::N(_) => None,
            other => Some(not_a(&format!("{attribute}.{group}"), other, "number")),
        },
        (other, Some(_)) => Some(not_a(attribute, other, "map")),
    }
}

/// Why a view item that refused an update cannot take these sums: a number would be outside DynamoDB's bounds.
#[must_use]
pub fn out_of_bounds(definition: &Definition, item: &Item, sums: &Sums) -> Option<String> {
    sums.iter().find_map(|(Counter { measure, group }, amount)| {
        let attribute = &definition[*measure].attribute;
        let (name, stored) = match (item.get(attribute)?, group) {
            (AttributeValue::M(groups), Some(group)) => (format!("{attribute}.{group}"), groups.get(group)?),
            (stored, _) => (attribute.clone(), stored),
        };
        let AttributeValue::N(text) = stored else { return None };
        let sum = &text.parse::<Number>().ok()? + amount;
        (!sum.is_storable())
            .then(|| format!("its {name} is {text}, and adding {amount} gives a number that an item cannot hold"))
    })
}

/// Why a view item that refused an update is too large for these sums: they add a group to it, and it is nearly full.
#[must_use]
pub fn overflow(definition: &Definition, item: &Item, sums: &Sums) -> Option<String> {
    let new_group = |counter: &&Counter| {
        let Some(group) = &counter.group else { return false };
        match item.get(&definition[counter.measure].attribute) {
            Some(AttributeValue::M(groups)) => !groups.contains_key(group),
            _ => true,
        }
    };
    let growth: usize =
        sums.keys().filter(new_group).filter_map(|counter| counter.group.as_ref()).map(String::len).sum();
    let bytes = bytes(item);
    (growth > 0 && bytes + growth + limits::ITEM_ESTIMATE_BYTES > limits::ITEM_BYTES)
        .then(|| format!("it has {bytes} of {} bytes, and a new group does not fit", limits::ITEM_BYTES))
}

/// How many counters of a view item are wrongly below zero, for all views of its table. Sums of numbers may be below
/// zero.
#[must_use]
pub fn negative_counters(definition: &Definition, table: TableId, item: &Item) -> usize {
    let negative = |value: &AttributeValue| matches!(value, AttributeValue::N(text) if text.starts_with('-'));
    let of = |measure: &Measure| match item.get(&measure.attribute) {
        Some(AttributeValue::M(groups)) => groups.values().filter(|value| negative(value)).count(),
        Some(value) => usize::from(negative(value)),
        None => 0,
    };
    let counts = definition.measures(definition.of_table(table)).filter(|(_, measure)| measure.is_count());
    counts.map(|(_, measure)| of(measure)).sum()
}

fn not_a(attribute: &str, found: &AttributeValue, wanted: &str) -> String {
    format!("its {attribute} is of type {}, not a {wanted}", type_name(found))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::iter::once;

    use super::*;

    #[test]
    fn a_new_group_overflows_an_item_that_is_as_good_as_full()
    -> Result<(), crate::rollup::model::definition::DefinitionError> {
        let definition = Definition::points_of_maps("Point", "Map")?;
        let of = |bytes_of_it: usize| {
            let filler = |length| {
                let text = AttributeValue::S("x".repeat(length));
                Item::from(once(("Filler".to_owned(), text)).collect::<HashMap<_, _>>())
            };
            filler(bytes_of_it - bytes(&filler(0)))
        };
        let group = Counter { measure: MeasureId::first_view(1), group: Some("Park".to_owned()) };
        let sums = Sums::from([(group, Number::from(1))]);
        let full = limits::ITEM_BYTES - limits::ITEM_ESTIMATE_BYTES - "Park".len();
        assert_eq!(overflow(&definition, &of(full), &sums), None);
        assert!(
            overflow(&definition, &of(full + 1), &sums).is_some_and(|words| words.contains(&(full + 1).to_string()))
        );
        let total = Counter { measure: MeasureId::first_view(0), group: None };
        assert_eq!(overflow(&definition, &of(limits::ITEM_BYTES), &Sums::from([(total, Number::from(1))])), None);
        let mut with_group = of(full);
        let groups = HashMap::from([("Park".to_owned(), AttributeValue::N("1".to_owned()))]);
        with_group.insert("CategoryCounts".to_owned(), AttributeValue::M(groups));
        assert_eq!(overflow(&definition, &with_group, &sums), None, "the group is there already");
        Ok(())
    }

    /// A map's item with these attributes.
    fn item<const N: usize>(attributes: [(&str, AttributeValue); N]) -> Item {
        Item::from(HashMap::from(attributes.map(|(name, value)| (name.to_owned(), value))))
    }

    fn number(text: &str) -> AttributeValue {
        AttributeValue::N(text.to_owned())
    }

    fn groups<const N: usize>(groups: [(&str, AttributeValue); N]) -> AttributeValue {
        AttributeValue::M(item(groups).into())
    }

    #[test]
    fn what_is_wrong_with_a_counter_is_said_by_its_name_and_type() {
        let definition = Definition::points_of_maps("Point", "Map").unwrap();
        let text = || AttributeValue::S("many".to_owned());
        let total = Counter { measure: MeasureId::first_view(0), group: None };
        let park = Counter { measure: MeasureId::first_view(1), group: Some("Park".to_owned()) };
        for (item, counter, expected) in [
            (item([]), &total, None),
            (item([("TotalPoints", number("1"))]), &total, None),
            (item([("TotalPoints", text())]), &total, Some("its TotalPoints is of type S, not a number")),
            (item([("TotalPoints", text())]), &park, None),
            (item([("CategoryCounts", number("1"))]), &park, Some("its CategoryCounts is of type N, not a map")),
            (item([("CategoryCounts", groups([]))]), &park, None),
            (item([("CategoryCounts", groups([("Park", number("1")), ("Cafe", text())]))]), &park, None),
            (
                item([("CategoryCounts", groups([("Park", text())]))]),
                &park,
                Some("its CategoryCounts.Park is of type S, not a number"),
            ),
            (item([(ROLLUP_VERSION, number("1"))]), &total, None),
            (item([(ROLLUP_VERSION, text())]), &total, Some("its RollupVersion is of type S, not a number")),
        ] {
            assert_eq!(fault(&definition, &item, counter).as_deref(), expected, "{item:?}");
        }
    }

    #[test]
    fn a_sum_that_an_item_cannot_hold_is_out_of_bounds() {
        let definition = Definition::points_of_maps("Point", "Map").unwrap();
        let one = |place, group: Option<&str>| {
            let counter = Counter { measure: MeasureId::first_view(place), group: group.map(str::to_owned) };
            Sums::from([(counter, Number::from(1))])
        };
        let (total, park) = (one(0, None), one(1, Some("Park")));
        let large = "1".repeat(39);
        for (item, sums, expected) in [
            (item([]), &total, None),
            (item([("TotalPoints", number(&"9".repeat(38)))]), &total, None),
            (item([("TotalPoints", number("1E38"))]), &total, Some("TotalPoints")),
            (item([("TotalPoints", number("1E38"))]), &park, None),
            (item([("CategoryCounts", groups([("Park", number("7")), ("Cafe", number(&large))]))]), &park, None),
            (item([("CategoryCounts", groups([("Park", number("1E-38"))]))]), &park, Some("CategoryCounts.Park")),
        ] {
            let found = out_of_bounds(&definition, &item, sums);
            assert_eq!(found.is_some(), expected.is_some(), "{item:?}: {found:?}");
            assert!(found.is_none_or(|words| words.contains(expected.unwrap_or_default())));
        }
    }

    #[test]
    fn counters_below_zero_are_counted() {
        let definition = Definition::points_of_maps("Point", "Map").unwrap();
        for (item, expected) in [
            (item([]), 0),
            (item([("TotalPoints", number("0")), ("CategoryCounts", groups([("Park", number("3"))]))]), 0),
            (item([("TotalPoints", number("-1")), ("Balance", number("-7"))]), 1),
            (
                item([
                    ("TotalPoints", number("-1")),
                    ("CategoryCounts", groups([("Park", number("-3")), ("Cafe", number("2")), ("", number("-1"))])),
                ]),
                3,
            ),
        ] {
            assert_eq!(negative_counters(&definition, TableId(0), &item), expected, "{item:?}");
        }
    }
}
