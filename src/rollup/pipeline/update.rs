//! The update of one view item: its expressions, for the shape that the item has.

use std::collections::HashMap;

use crate::rollup::AttributeValue;
use crate::rollup::model::change::{Counter, Sums};
use crate::rollup::model::definition::{Definition, ViewTable};
use crate::rollup::model::expression_size::{PLACEHOLDER_DIGITS, WrittenAttributes, update_fits};
use crate::rollup::model::limits;
use crate::rollup::model::measure::ViewSet;
use crate::rollup::model::number::Number;
use crate::rollup::model::view::{OnMissingViewItem, ROLLUP_VERSION};
use crate::rollup::pipeline::coalesce::TouchedItem;
use crate::rollup::pipeline::view_item::Shape;

/// An update with its condition, as DynamoDB takes it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Update {
    /// The update expression.
    pub expression: String,
    /// The condition; `None` if the update needs none.
    pub condition: Option<String>,
    /// The attribute names behind the placeholders.
    pub names: HashMap<String, String>,
    /// The values behind the placeholders.
    pub values: HashMap<String, AttributeValue>,
}

/// An update that is being written: its clauses, with placeholders for each name and each value.
#[derive(Default)]
struct Draft<'a> {
    set: Vec<String>,
    add: Vec<String>,
    conditions: Vec<String>,
    names: HashMap<&'a str, String>,
    values: Vec<(AttributeValue, String)>,
    numbers: HashMap<String, String>,
    map_type: Option<String>,
}

impl<'a> Draft<'a> {
    fn name(&mut self, name: &'a str) -> String {
        let next = self.names.len();
        self.names.entry(name).or_insert_with(|| format!("#{}", base62(next))).clone()
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
        let placeholder = format!(":{}", base62(self.values.len()));
        self.values.push((value, placeholder.clone()));
        placeholder
    }

    fn map_type(&mut self) -> String {
        if self.map_type.is_none() {
            self.map_type = Some(self.value(AttributeValue::S("M".to_owned())));
        }
        self.map_type.clone().unwrap_or_default()
    }

    /// Gives the shortest placeholders to the names and values that an update repeats most. DynamoDB refuses a
    /// placeholder that is not used.
    fn name_what_recurs(&mut self, definition: &'a Definition, views: ViewSet, sums: &Sums, shape: &Shape) {
        self.name(ROLLUP_VERSION);
        for (_, measure) in definition.grouped(views) {
            self.name(&measure.attribute);
        }
        if sums.keys().any(|counter| counter.group.is_some() && !shape.lacks(counter.measure)) {
            self.number(&Number::zero());
        }
    }

    /// Creates a counter map that must be absent, with the groups that the record adds to.
    fn create_map(&mut self, attribute: &'a str, groups: impl Iterator<Item = (&'a String, &'a Number)>) {
        let name = self.name(attribute);
        self.conditions.push(format!("attribute_not_exists({name})"));
        let map = groups.map(|(group, amount)| (group.clone(), AttributeValue::N(amount.to_string()))).collect();
        let map = self.value(AttributeValue::M(map));
        self.set.push(format!("{name}={map}"));
    }

    /// Adds to groups of a counter map that must be there.
    fn add_to_map(&mut self, attribute: &'a str, groups: impl Iterator<Item = (&'a String, &'a Number)>) {
        let (name, map_type) = (self.name(attribute), self.map_type());
        self.conditions.push(format!("attribute_type({name},{map_type})"));
        let mut groups = groups.peekable();
        let zero = groups.peek().map(|_| self.number(&Number::zero())).unwrap_or_default();
        for (group, amount) in groups {
            let (group, amount) = (self.name(group), self.number(amount));
            self.set.push(format!("{name}.{group}=if_not_exists({name}.{group},{zero})+{amount}"));
        }
    }

    fn set(&mut self, attribute: &'a str, value: AttributeValue) {
        let (name, value) = (self.name(attribute), self.value(value));
        self.set.push(format!("{name}={value}"));
    }

    fn add(&mut self, attribute: &'a str, amount: &Number) {
        let (name, amount) = (self.name(attribute), self.number(amount));
        self.add.push(format!("{name} {amount}"));
    }

    fn finish(self) -> Update {
        let clause = |verb: &str, terms: &[String]| (!terms.is_empty()).then(|| format!("{verb} {}", terms.join(",")));
        let clauses = [clause("SET", &self.set), clause("ADD", &self.add)];
        Update {
            expression: clauses.into_iter().flatten().collect::<Vec<_>>().join(" "),
            condition: (!self.conditions.is_empty()).then(|| self.conditions.join(" AND ")),
            names: self.names.into_iter().map(|(name, placeholder)| (placeholder, name.to_owned())).collect(),
            values: self.values.into_iter().map(|(value, placeholder)| (placeholder, value)).collect(),
        }
    }
}

fn base62(mut number: usize) -> String {
    const BASE: usize = PLACEHOLDER_DIGITS.len();
    let mut text = String::new();
    loop {
        text.insert(0, char::from(PLACEHOLDER_DIGITS[number % BASE]));
        number /= BASE;
        if number == 0 {
            return text;
        }
    }
}

/// The update that adds `sums` to a view item of this shape, creates the maps that it lacks, sets the attributes of
/// `set`, and raises its version.
///
/// An absent item gets all maps. Under [`OnMissingViewItem::Skip`] the caller does not update an absent item.
#[must_use]
pub fn update(definition: &Definition, item: &TouchedItem, sums: &Sums, shape: &Shape) -> Update {
    stated(definition, item, sums, shape, definition.on_missing(item.views))
}

/// The same, on the condition that the item exists.
#[must_use]
pub fn of_existing(definition: &Definition, item: &TouchedItem, sums: &Sums, shape: &Shape) -> Update {
    stated(definition, item, sums, shape, OnMissingViewItem::Skip)
}

fn stated(
    definition: &Definition,
    item: &TouchedItem,
    sums: &Sums,
    shape: &Shape,
    on_missing: OnMissingViewItem,
) -> Update {
    let TouchedItem { key, views, texts } = item;
    let mut draft = Draft::default();
    draft.name_what_recurs(definition, *views, sums, shape);
    if on_missing == OnMissingViewItem::Skip {
        let key = draft.name(&definition[key.table].key[0].0);
        draft.conditions.push(format!("attribute_exists({key})"));
    }
    for (id, measure) in definition.grouped(*views) {
        let groups = sums.iter().filter_map(|(counter, amount)| match counter {
            Counter { measure: of, group: Some(group) } if *of == id => Some((group, amount)),
            _ => None,
        });
        if shape.lacks(id) {
            draft.create_map(&measure.attribute, groups);
        } else {
            draft.add_to_map(&measure.attribute, groups);
        }
    }
    for (counter, amount) in sums.iter().filter(|(counter, _)| counter.group.is_none()) {
        draft.add(&definition[counter.measure].attribute, amount);
    }
    for (attribute, value) in definition.set(*views).filter_map(|set| Some((&set.attribute, set.on(texts)?))) {
        draft.set(attribute, value);
    }
    draft.add(ROLLUP_VERSION, &Number::from(1));
    let update = draft.finish();
    debug_assert!(
        !update_fits(written(definition, *views), sums.len()) || update.expression.len() <= limits::EXPRESSION_BYTES
    );
    update
}

/// How many attributes an update of an item of these views writes, without its version.
#[must_use]
pub fn written(definition: &Definition, views: ViewSet) -> WrittenAttributes {
    WrittenAttributes { measures: definition.measures(views).count(), set: definition.set(views).count() }
}

/// The condition that a view item still does not exist, for a record that is marked without being counted.
#[must_use]
pub fn still_absent(table: &ViewTable) -> Update {
    let mut draft = Draft::default();
    let key = draft.name(&table.key[0].0);
    draft.conditions.push(format!("attribute_not_exists({key})"));
    draft.finish()
}
