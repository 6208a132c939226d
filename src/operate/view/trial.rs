//! What one item, or one change of an item, does to the views.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use super::membership::Membership;
use crate::operate::audit::report::{key_json, number_json};
use crate::operate::printable::printable;
use crate::rollup::Item;
use crate::rollup::model::change::{self, Counter, Sums};
use crate::rollup::model::definition::Definition;
use crate::rollup::model::measure::{MeasureId, ViewId, ViewSet};
use crate::rollup::model::number::Number;
use crate::rollup::model::poison::{Image, Reason};
use crate::rollup::model::set_attribute::SetTexts;
use crate::rollup::model::view::{View, ViewKey};
use crate::rollup::pipeline::contribution::{Contribution, contribution};
use crate::rollup::pipeline::delta::difference;

/// What one item, or one change of an item, does to the views.
pub(super) struct Trial<'d> {
    definition: &'d Definition,
    /// The changes of the counters.
    pub(super) deltas: BTreeMap<ViewKey, Sums>,
    texts: BTreeMap<ViewKey, SetTexts>,
    /// The relation of each image to each view, the old image first.
    images: Vec<(Image, Vec<(ViewId, Membership)>)>,
    quarantined: Option<Reason>,
}

impl<'d> Trial<'d> {
    /// The change from one item to another; `None` is a missing item.
    pub(super) fn of(definition: &'d Definition, old: Option<&Item>, new: Option<&Item>) -> Self {
        let mut trial =
            Self { definition, deltas: BTreeMap::new(), texts: BTreeMap::new(), images: Vec::new(), quarantined: None };
        let mut of = |image, item: Option<&Item>| {
            let Some(item) = item else { return Ok(Contribution::default()) };
            let found = contribution(definition, image, item);
            trial.images.push((image, Membership::of_all(definition, item, &found)));
            found
        };
        let (old, new) = (of(Image::Old, old), of(Image::New, new));
        match old.and_then(|old| Ok((old, new?))) {
            Ok((old, new)) => {
                let (deltas, texts) = difference(old, new);
                (trial.deltas, trial.texts) = (change::sums_of(&deltas), texts);
            }
            Err(reason) => trial.quarantined = Some(reason),
        }
        trial
    }

    /// The views of which an image is a member, even if they cannot count it.
    pub(super) fn views(&self) -> ViewSet {
        let each = self.memberships();
        each.filter(|(_, _, membership)| !matches!(membership, Membership::NotIn(_))).map(|(_, view, _)| view).collect()
    }

    fn memberships(&self) -> impl Iterator<Item = (Image, ViewId, &Membership)> {
        self.images.iter().flat_map(|(image, views)| views.iter().map(|(view, found)| (*image, *view, found)))
    }

    pub(super) fn json(&self) -> Value {
        let definition = self.definition;
        let mut object = json!({
            "deltas": amounts_json(definition, &self.deltas).collect::<Vec<_>>(),
            "not_in": if self.quarantined.is_some() { Vec::new() } else { not_in(definition, self.views()) },
        });
        let mut told: BTreeMap<&str, Vec<Value>> =
            ["contributions", "why", "uncountable", "ungrouped", "left_out"].map(|list| (list, Vec::new())).into();
        let mut tell = |list, mut entry: Value, image: Image| {
            entry["image"] = image.to_string().into();
            told.entry(list).or_default().push(entry);
        };
        for (image, view, membership) in self.memberships() {
            let name = definition[view].name();
            match membership {
                Membership::In { amounts, ungrouped, left_out } => {
                    amounts_json(definition, amounts).for_each(|amount| tell("contributions", amount, image));
                    for (measure, values) in ungrouped {
                        let measure = &definition[*measure].attribute;
                        tell("ungrouped", json!({ "view": name, "measure": measure, "values": values }), image);
                    }
                    for (measure, why) in left_out {
                        let measure = &definition[*measure].attribute;
                        let why = why.to_string();
                        tell("left_out", json!({ "view": name, "measure": measure, "reason": why }), image);
                    }
                }
                Membership::NotIn(why) => tell("why", json!({ "view": name, "reason": why.to_string() }), image),
                Membership::Uncountable(reason) => {
                    tell("uncountable", json!({ "view": name, "reason": reason }), image);
                }
                Membership::Quarantined => {}
            }
        }
        for (list, entries) in told {
            object[list] = entries.into();
        }
        if !self.texts.is_empty() {
            let set = self.texts.iter().map(|(key, texts)| {
                json!({ "table": definition[key.table].name, "key": key_json(definition, key), "texts": texts })
            });
            object["set"] = set.collect();
        }
        if let Some(reason) = &self.quarantined {
            object["quarantined"] = reason.to_string().into();
        }
        object
    }

    /// The name of an image in the text. An item without a counterpart is called the item.
    fn image_name(&self, image: Image) -> String {
        if self.images.len() == 1 && image == Image::New { "the item".to_owned() } else { format!("the {image} item") }
    }

    fn show(&self, f: &mut fmt::Formatter<'_>, image: Image, view: ViewId, membership: &Membership) -> fmt::Result {
        let (item, name) = (self.image_name(image), self.definition[view].name());
        match membership {
            Membership::In { amounts, ungrouped, left_out } => {
                writeln!(f, "{item} is in the view {name}")?;
                // With a single image, they repeat the lines above.
                if self.images.len() > 1 {
                    show_amounts(f, "  ", self.definition, amounts)?;
                }
                ungrouped.iter().try_for_each(|(measure, values)| {
                    show_ungrouped(f, &item, name, &self.definition[*measure].attribute, *values)
                })?;
                left_out.iter().try_for_each(|(measure, why)| {
                    let measure = &self.definition[*measure].attribute;
                    writeln!(f, "  nothing for {}: {}", printable(measure), printable(why))
                })
            }
            Membership::NotIn(why) => writeln!(f, "{item} is not in the view {name}: {}", printable(why)),
            Membership::Uncountable(reason) => {
                writeln!(f, "{item} cannot be counted by the view {name}: {}", printable(reason))
            }
            Membership::Quarantined => Ok(()),
        }
    }
}

fn show_ungrouped(f: &mut fmt::Formatter<'_>, item: &str, view: &str, measure: &str, values: usize) -> fmt::Result {
    let values = if values == 1 { "1 value".to_owned() } else { format!("{values} values") };
    let measure = printable(measure);
    writeln!(f, "{item} is ungrouped in {measure} of the view {view}: {values} cannot name a group")
}

/// The names of the views that are not in `views`.
pub(super) fn not_in(definition: &Definition, views: ViewSet) -> Vec<&str> {
    definition.ids().filter(|(view, _)| !views.contains(*view)).map(|(_, view)| View::name(view)).collect()
}

fn each_amount(amounts: &BTreeMap<ViewKey, Sums>) -> impl Iterator<Item = (&ViewKey, &Counter, &Number)> {
    amounts.iter().flat_map(|(key, sums)| sums.iter().map(move |(counter, amount)| (key, counter, amount)))
}

/// Amounts in the form of `--json`.
pub(super) fn amounts_json(definition: &Definition, amounts: &BTreeMap<ViewKey, Sums>) -> impl Iterator<Item = Value> {
    each_amount(amounts).map(|(key, counter, amount)| {
        let MeasureId { view, .. } = counter.measure;
        json!({
            "view": definition[view].name(),
            "table": definition[key.table].name,
            "key": key_json(definition, key),
            "measure": definition[counter.measure].attribute,
            "group": counter.group,
            "amount": number_json(amount),
        })
    })
}

/// Writes amounts for a person, one per line.
pub(super) fn show_amounts(
    f: &mut fmt::Formatter<'_>,
    indent: &str,
    definition: &Definition,
    amounts: &BTreeMap<ViewKey, Sums>,
) -> fmt::Result {
    for (key, counter, amount) in each_amount(amounts) {
        let group = counter.group.as_ref().map_or(String::new(), |group| format!(".{group}"));
        let measure = &definition[counter.measure].attribute;
        let amount = amount.to_string();
        let sign = if amount.starts_with('-') { "" } else { "+" };
        let name = definition.named(key);
        writeln!(f, "{indent}{}", printable(format_args!("{name}: {measure}{group} {sign}{amount}")))?;
    }
    Ok(())
}

/// Adds amounts to a sum.
pub(super) fn add_all(sum: &mut BTreeMap<ViewKey, Sums>, amounts: &BTreeMap<ViewKey, Sums>) {
    for (key, counter, amount) in each_amount(amounts) {
        change::add(sum.entry(key.clone()).or_default(), counter, amount);
    }
}

impl fmt::Display for Trial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show_amounts(f, "", self.definition, &self.deltas)?;
        for (key, texts) in &self.texts {
            let name = self.definition.named(key);
            for (attribute, text) in texts {
                writeln!(f, "{}", printable(format_args!("{name}: {attribute} set to {text:?}")))?;
            }
        }
        match &self.quarantined {
            Some(reason) => writeln!(f, "goes to quarantine: {}", printable(reason))?,
            None if self.deltas.is_empty() => writeln!(f, "changes nothing")?,
            None => {}
        }
        self.memberships().try_for_each(|(image, view, membership)| self.show(f, image, view, membership))
    }
}
