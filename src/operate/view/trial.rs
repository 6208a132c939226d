//! What one item, or one change of an item, does to the views.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use crate::operate::audit::report::{key_json, number_json};
use crate::operate::printable::printable;
use crate::rollup::Item;
use crate::rollup::model::change::{Sums, UncountableImage};
use crate::rollup::model::definition::Definition;
use crate::rollup::model::measure::ViewSet;
use crate::rollup::model::poison::{Image, Reason};
use crate::rollup::model::set_attribute::SetTexts;
use crate::rollup::model::view::{View, ViewKey};
use crate::rollup::pipeline::contribution::contribution;
use crate::rollup::pipeline::delta::difference;

/// What one item, or one change of an item, does to the views.
pub(super) struct Trial<'d> {
    definition: &'d Definition,
    deltas: BTreeMap<ViewKey, Sums>,
    texts: BTreeMap<ViewKey, SetTexts>,
    /// The views that one of the images is in.
    views: ViewSet,
    uncountable: Vec<UncountableImage>,
    quarantined: Option<Reason>,
}

impl<'d> Trial<'d> {
    /// The change from one item to another; none is one that is not there.
    pub(super) fn of(definition: &'d Definition, old: Option<&Item>, new: Option<&Item>) -> Self {
        let mut trial = Self {
            definition,
            deltas: BTreeMap::new(),
            texts: BTreeMap::new(),
            views: ViewSet::default(),
            uncountable: Vec::new(),
            quarantined: None,
        };
        let of = |image, item: Option<&Item>| {
            item.map(|item| contribution(definition, image, item)).transpose().map(Option::unwrap_or_default)
        };
        match of(Image::Old, old).and_then(|old| Ok((old, of(Image::New, new)?))) {
            Ok((old, new)) => {
                for (image, found) in [(Image::Old, &old), (Image::New, &new)] {
                    found.parts.iter().for_each(|part| trial.views.insert(part.view));
                    found.uncountable.iter().for_each(|(view, _)| trial.views.insert(*view));
                    trial.uncountable.extend(found.uncountable_as(image));
                }
                (trial.deltas, trial.texts) = difference(old, new);
            }
            Err(reason) => trial.quarantined = Some(reason),
        }
        trial
    }

    fn not_in(&self) -> Vec<&'d str> {
        let views = self.definition.ids().filter(|(view, _)| !self.views.contains(*view));
        if self.quarantined.is_some() { Vec::new() } else { views.map(|(_, view)| View::name(view)).collect() }
    }

    pub(super) fn json(&self) -> Value {
        let definition = self.definition;
        let deltas = self.deltas.iter().flat_map(|(key, sums)| {
            sums.iter().map(move |(counter, amount)| {
                json!({
                    "view": definition[counter.measure.view].name(),
                    "table": definition[key.table].name,
                    "key": key_json(definition, key),
                    "measure": definition[counter.measure].attribute,
                    "group": counter.group,
                    "amount": number_json(amount),
                })
            })
        });
        let mut object = json!({ "deltas": deltas.collect::<Vec<_>>(), "not_in": self.not_in() });
        if !self.texts.is_empty() {
            let set = self.texts.iter().map(|(key, texts)| {
                json!({ "table": definition[key.table].name, "key": key_json(definition, key), "texts": texts })
            });
            object["set"] = set.collect();
        }
        if !self.uncountable.is_empty() {
            let reasons = self.uncountable.iter().map(|one| {
                json!({ "view": definition[one.view].name(), "image": one.image.to_string(), "reason": one.reason })
            });
            object["uncountable"] = reasons.collect();
        }
        if let Some(reason) = &self.quarantined {
            object["quarantined"] = reason.to_string().into();
        }
        object
    }
}

impl fmt::Display for Trial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, sums) in &self.deltas {
            let name = self.definition.named(key);
            for (counter, amount) in sums {
                let group = counter.group.as_ref().map_or(String::new(), |group| format!(".{group}"));
                let measure = &self.definition[counter.measure].attribute;
                let amount = amount.to_string();
                let sign = if amount.starts_with('-') { "" } else { "+" };
                writeln!(f, "{}", printable(format_args!("{name}: {measure}{group} {sign}{amount}")))?;
            }
            for (attribute, text) in self.texts.get(key).into_iter().flatten() {
                writeln!(f, "{}", printable(format_args!("{name}: {attribute} set to {text:?}")))?;
            }
        }
        let one = self.definition.views().len() == 1;
        for UncountableImage { view, image, reason } in &self.uncountable {
            let view = self.definition[*view].name();
            writeln!(f, "cannot be counted by the view {view}, the {image} item: {}", printable(reason))?;
        }
        match &self.quarantined {
            Some(reason) => writeln!(f, "goes to quarantine: {}", printable(reason))?,
            None if one && !self.not_in().is_empty() => return writeln!(f, "not in the view"),
            None if self.deltas.is_empty() && self.uncountable.is_empty() && self.not_in().is_empty() => {
                writeln!(f, "changes nothing")?;
            }
            None => {}
        }
        match self.not_in().as_slice() {
            [] => Ok(()),
            views => writeln!(f, "not in the views {}", views.join(", ")),
        }
    }
}
