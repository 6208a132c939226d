//! The update of one view item: its expressions, for the shape that the item has.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;

use crate::rollup::model::change::{Counter, Sums};
use crate::rollup::model::expression_size::update_fits;
use crate::rollup::model::item_size::bytes;
use crate::rollup::model::limits;
use crate::rollup::model::number::Number;
use crate::rollup::model::view::{Measure, ROLLUP_VERSION, View, type_name};
use crate::rollup::{AttributeValue, Item};

/// What is known of a view item's counter maps.
///
/// A nested `SET` fails where its map is absent, so every update states the shape it was made for as its condition. An
/// item is presumed to be complete; when that was wrong, the item that comes back tells its shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// It has every map.
    Complete,
    /// It is there, but the maps of these measures are not: the update creates exactly them.
    Lacks(BTreeSet<usize>),
    /// It is not there.
    Absent,
}

/// What is done about a source item whose view item is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnMissingViewItem {
    /// It is created, with the counters alone.
    #[default]
    Create,
    /// The record is marked and not counted.
    Skip,
}

impl OnMissingViewItem {
    /// The setting's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Skip => "skip",
        }
    }
}

/// An update with its condition, as DynamoDB takes it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Update {
    /// The update expression.
    pub expression: String,
    /// The condition; none when the update needs none.
    pub condition: Option<String>,
    /// The attribute names behind the placeholders.
    pub names: HashMap<String, String>,
    /// The values behind the placeholders.
    pub values: HashMap<String, AttributeValue>,
}

/// Placeholders for one update: each name and each value once.
#[derive(Default)]
struct Placeholders<'a> {
    names: HashMap<&'a str, String>,
    values: Vec<(AttributeValue, String)>,
    numbers: HashMap<String, String>,
}

impl<'a> Placeholders<'a> {
    fn name(&mut self, name: &'a str) -> String {
        let next = format!("#{}", base36(self.names.len()));
        self.names.entry(name).or_insert(next).clone()
    }

    fn number(&mut self, number: &Number) -> String {
        let text = number.to_string();
        if let Some(placeholder) = self.numbers.get(&text) {
            return placeholder.clone();
        }
        let placeholder = self.value(AttributeValue::N(text.clone()));
        self.numbers.insert(text, placeholder.clone());
        placeholder
    }

    fn value(&mut self, value: AttributeValue) -> String {
        let placeholder = format!(":{}", base36(self.values.len()));
        self.values.push((value, placeholder.clone()));
        placeholder
    }
}

fn base36(mut number: usize) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut text = String::new();
    loop {
        text.insert(0, char::from(DIGITS[number % 36]));
        number /= 36;
        if number == 0 {
            return text;
        }
    }
}

/// The update that adds `sums` to a view item of that shape, creates the maps it lacks, and raises its version.
///
/// An absent item gets all maps; under [`OnMissingViewItem::Skip`] the caller does not update one.
#[must_use]
pub fn update(view: &View, sums: &Sums, shape: &Shape, on_missing: OnMissingViewItem) -> Update {
    let mut placeholders = Placeholders::default();
    let (mut set, mut add, mut condition) = (Vec::new(), Vec::new(), Vec::new());

    if on_missing == OnMissingViewItem::Skip {
        let key = placeholders.name(&view.key()[0].view_attribute);
        condition.push(format!("attribute_exists({key})"));
    }
    for (measure, definition) in view.grouped() {
        let name = placeholders.name(&definition.attribute);
        let lacking = match shape {
            Shape::Complete => false,
            Shape::Lacks(measures) => measures.contains(&measure),
            Shape::Absent => true,
        };
        let groups = sums.iter().filter_map(|(counter, amount)| match counter {
            Counter { measure: of, group: Some(group) } if *of == measure => Some((group, amount)),
            _ => None,
        });
        if lacking {
            condition.push(format!("attribute_not_exists({name})"));
            let map = groups.map(|(group, amount)| (group.clone(), AttributeValue::N(amount.to_string()))).collect();
            let map = placeholders.value(AttributeValue::M(map));
            set.push(format!("{name}={map}"));
        } else {
            let map_type = placeholders.value(AttributeValue::S("M".to_owned()));
            condition.push(format!("attribute_type({name},{map_type})"));
            for (group, amount) in groups {
                let (group, zero, amount) =
                    (placeholders.name(group), placeholders.number(&Number::zero()), placeholders.number(amount));
                set.push(format!("{name}.{group}=if_not_exists({name}.{group},{zero})+{amount}"));
            }
        }
    }
    for (counter, amount) in sums.iter().filter(|(counter, _)| counter.group.is_none()) {
        let name = placeholders.name(&view.measures()[counter.measure].attribute);
        let amount = placeholders.number(amount);
        add.push(format!("{name} {amount}"));
    }
    let (version, one) = (placeholders.name(ROLLUP_VERSION), placeholders.number(&Number::from(1)));
    add.push(format!("{version} {one}"));

    let mut expression = String::new();
    if !set.is_empty() {
        let _ = write!(expression, "SET {} ", set.join(","));
    }
    let _ = write!(expression, "ADD {}", add.join(","));
    debug_assert!(!update_fits(view.measures().len(), sums.len()) || expression.len() <= limits::EXPRESSION_BYTES);
    Update {
        expression,
        condition: (!condition.is_empty()).then(|| condition.join(" AND ")),
        names: placeholders.names.into_iter().map(|(name, placeholder)| (placeholder, name.to_owned())).collect(),
        values: placeholders.values.into_iter().map(|(value, placeholder)| (placeholder, value)).collect(),
    }
}

/// The condition that a view item is still not there, for a record that is marked without being counted.
#[must_use]
pub fn still_absent(view: &View) -> Update {
    let mut placeholders = Placeholders::default();
    let key = placeholders.name(&view.key()[0].view_attribute);
    Update {
        condition: Some(format!("attribute_not_exists({key})")),
        names: placeholders.names.into_iter().map(|(name, placeholder)| (placeholder, name.to_owned())).collect(),
        ..Update::default()
    }
}

/// The shape of a view item that came back.
///
/// # Errors
/// When a measure's attribute is there and is no map; the text says which and what it is.
pub fn shape(view: &View, item: Option<&Item>) -> Result<Shape, String> {
    let Some(item) = item else { return Ok(Shape::Absent) };
    let mut lacking = BTreeSet::new();
    for (measure, definition) in view.grouped() {
        match item.get(&definition.attribute) {
            Some(AttributeValue::M(_)) => {}
            Some(other) => return Err(not_a(&definition.attribute, other, "map")),
            None => {
                lacking.insert(measure);
            }
        }
    }
    Ok(if lacking.is_empty() { Shape::Complete } else { Shape::Lacks(lacking) })
}

/// Why a view item that is there cannot take an addition to a counter; none when nothing speaks against it.
#[must_use]
pub fn fault(view: &View, item: &Item, counter: &Counter) -> Option<String> {
    if let Some(other) = item.get(ROLLUP_VERSION).filter(|value| !matches!(value, AttributeValue::N(_))) {
        return Some(not_a(ROLLUP_VERSION, other, "number"));
    }
    let attribute = &view.measures()[counter.measure].attribute;
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

/// Why a view item that refused an update is too large for these sums: they add a group to it, and it is as good as full.
#[must_use]
pub fn overflow(view: &View, item: &Item, sums: &Sums) -> Option<String> {
    let new_group = |counter: &&Counter| {
        let Some(group) = &counter.group else { return false };
        match item.get(&view.measures()[counter.measure].attribute) {
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

/// How many counters of a view item are below zero.
#[must_use]
pub fn negative_counters(view: &View, item: &Item) -> usize {
    let negative = |value: &AttributeValue| matches!(value, AttributeValue::N(text) if text.starts_with('-'));
    let of = |measure: &Measure| match item.get(&measure.attribute) {
        Some(AttributeValue::M(groups)) => groups.values().filter(|value| negative(value)).count(),
        Some(value) => usize::from(negative(value)),
        None => 0,
    };
    view.measures().iter().map(of).sum()
}

fn not_a(attribute: &str, found: &AttributeValue, wanted: &str) -> String {
    format!("its {attribute} is of type {}, not a {wanted}", type_name(found))
}

#[cfg(test)]
mod tests {
    use std::iter::once;

    use super::*;

    #[test]
    fn what_is_done_about_a_missing_view_item_has_a_name() {
        assert_eq!(
            [OnMissingViewItem::Create, OnMissingViewItem::Skip].map(OnMissingViewItem::as_str),
            ["create", "skip"]
        );
    }

    #[test]
    fn a_new_group_overflows_an_item_that_is_as_good_as_full() -> Result<(), crate::rollup::model::view::ViewError> {
        let view = View::points_of_maps("Point", "Map")?;
        let of = |bytes_of_it: usize| {
            let filler = |length| {
                let text = AttributeValue::S("x".repeat(length));
                Item::from(once(("Filler".to_owned(), text)).collect::<HashMap<_, _>>())
            };
            filler(bytes_of_it - bytes(&filler(0)))
        };
        let group = Counter { measure: 1, group: Some("Park".to_owned()) };
        let sums = Sums::from([(group, Number::from(1))]);
        let full = limits::ITEM_BYTES - limits::ITEM_ESTIMATE_BYTES - "Park".len();
        assert_eq!(overflow(&view, &of(full), &sums), None);
        assert!(overflow(&view, &of(full + 1), &sums).is_some_and(|words| words.contains(&(full + 1).to_string())));
        let total = Counter { measure: 0, group: None };
        assert_eq!(overflow(&view, &of(limits::ITEM_BYTES), &Sums::from([(total, Number::from(1))])), None);
        let mut with_group = of(full);
        let groups = HashMap::from([("Park".to_owned(), AttributeValue::N("1".to_owned()))]);
        with_group.insert("CategoryCounts".to_owned(), AttributeValue::M(groups));
        assert_eq!(overflow(&view, &with_group, &sums), None, "the group is there already");
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
        let view = View::points_of_maps("Point", "Map").unwrap();
        let text = || AttributeValue::S("many".to_owned());
        let total = Counter { measure: 0, group: None };
        let park = Counter { measure: 1, group: Some("Park".to_owned()) };
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
            assert_eq!(fault(&view, &item, counter).as_deref(), expected, "{item:?}");
        }
    }

    #[test]
    fn counters_below_zero_are_counted() {
        let view = View::points_of_maps("Point", "Map").unwrap();
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
            assert_eq!(negative_counters(&view, &item), expected, "{item:?}");
        }
    }
}
