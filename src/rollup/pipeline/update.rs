//! The update of one view item: its expressions, for the shape that the item has.

use std::collections::HashMap;

use crate::rollup::AttributeValue;
use crate::rollup::model::change::{Counter, Sums};
use crate::rollup::model::expression_size::update_fits;
use crate::rollup::model::limits;
use crate::rollup::model::number::Number;
use crate::rollup::model::view::{OnMissingViewItem, ROLLUP_VERSION, View};
use crate::rollup::pipeline::view_item::Shape;

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

/// An update that is being written: its clauses, with placeholders for each name and each value.
#[derive(Default)]
struct Draft<'a> {
    set: Vec<String>,
    add: Vec<String>,
    conditions: Vec<String>,
    names: HashMap<&'a str, String>,
    values: Vec<(AttributeValue, String)>,
    numbers: HashMap<String, String>,
}

impl<'a> Draft<'a> {
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
        let (name, map_type) = (self.name(attribute), self.value(AttributeValue::S("M".to_owned())));
        self.conditions.push(format!("attribute_type({name},{map_type})"));
        for (group, amount) in groups {
            let (group, zero, amount) = (self.name(group), self.number(&Number::zero()), self.number(amount));
            self.set.push(format!("{name}.{group}=if_not_exists({name}.{group},{zero})+{amount}"));
        }
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
    let mut draft = Draft::default();
    if on_missing == OnMissingViewItem::Skip {
        let key = draft.name(&view.key()[0].view_attribute);
        draft.conditions.push(format!("attribute_exists({key})"));
    }
    for (measure, definition) in view.grouped() {
        let groups = sums.iter().filter_map(|(counter, amount)| match counter {
            Counter { measure: of, group: Some(group) } if *of == measure => Some((group, amount)),
            _ => None,
        });
        if shape.lacks(measure) {
            draft.create_map(&definition.attribute, groups);
        } else {
            draft.add_to_map(&definition.attribute, groups);
        }
    }
    for (counter, amount) in sums.iter().filter(|(counter, _)| counter.group.is_none()) {
        draft.add(&view.measures()[counter.measure].attribute, amount);
    }
    draft.add(ROLLUP_VERSION, &Number::from(1));
    let update = draft.finish();
    debug_assert!(
        !update_fits(view.measures().len(), sums.len()) || update.expression.len() <= limits::EXPRESSION_BYTES
    );
    update
}

/// The condition that a view item is still not there, for a record that is marked without being counted.
#[must_use]
pub fn still_absent(view: &View) -> Update {
    let mut draft = Draft::default();
    let key = draft.name(&view.key()[0].view_attribute);
    draft.conditions.push(format!("attribute_not_exists({key})"));
    draft.finish()
}
