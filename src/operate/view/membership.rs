//! Whether an image is in a view, and if not, why.

use std::collections::BTreeMap;
use std::fmt;

use crate::rollup::Item;
use crate::rollup::model::change::Sums;
use crate::rollup::model::definition::Definition;
use crate::rollup::model::language::{Amounts, Condition, Datum, Group, Hole, MeasureExpression, MeasureKind, Path};
use crate::rollup::model::measure::{MeasureId, ViewId};
use crate::rollup::model::poison::Reason;
use crate::rollup::model::view::{KeyPart, View, ViewKey};
use crate::rollup::pipeline::contribution::Contribution;

/// The relation of an image to a view.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Membership {
    /// It is in the view.
    In {
        /// What it adds to which view item, including zeros.
        amounts: BTreeMap<ViewKey, Sums>,
        /// Number of values that cannot name a group, by measure.
        ungrouped: BTreeMap<MeasureId, usize>,
        /// The measures to which it adds nothing, and why.
        left_out: Vec<(MeasureId, LeftOut)>,
    },
    /// It is not in the view.
    NotIn(NotIn),
    /// It is in the view, but cannot be counted. The text is the reason.
    Uncountable(String),
    /// Its record goes to quarantine, so nothing in it counts.
    Quarantined,
}

/// Why an image is not in a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NotIn {
    /// These parts of the view's condition are not true.
    Condition(Vec<String>),
    /// A key attribute of the view item has no value.
    Key {
        attribute: String,
        /// The template of the attribute.
        template: String,
        /// The hole of the template that has no value.
        hole: String,
    },
}

impl fmt::Display for NotIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Condition(parts) => write!(f, "its condition is not true: {}", parts.join("; ")),
            Self::Key { attribute, template, hole } => {
                write!(f, "the key attribute {attribute} = {template} has no value: {hole} has none")
            }
        }
    }
}

/// Why an image in a view adds nothing to one of its measures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LeftOut {
    /// These parts of the measure's condition are not true.
    Condition(Vec<String>),
    /// These paths of the sum are not numbers, or the sum itself has no value.
    NoNumber(Vec<String>),
    /// The list, set or map has no element that counts.
    NoElement(String),
}

impl LeftOut {
    fn of(measure: &MeasureExpression, item: &Item) -> Option<Self> {
        if let Some(condition) = measure.condition.as_ref().filter(|condition| !condition.holds(item)) {
            return Some(Self::Condition(untrue(condition, item)));
        }
        if measure.of(item).ok()? != Amounts::default() {
            return None;
        }
        Some(match (&measure.kind, &measure.by) {
            (MeasureKind::Sum(value), _) if !matches!(value.of(item), Some(Datum::Number(_))) => {
                let lacking = value.paths().into_iter().filter(|path| !is_number(path, item));
                let mut lacking: Vec<String> = lacking.map(ToString::to_string).collect();
                lacking.dedup();
                Self::NoNumber(if lacking.is_empty() { vec![value.to_string()] } else { lacking })
            }
            (MeasureKind::SumEach(path), _) | (_, Some(Group::Each(path))) => Self::NoElement(path.to_string()),
            _ => return None,
        })
    }
}

fn is_number(path: &Path, item: &Item) -> bool {
    path.of(item).is_some_and(|value| matches!(Datum::of_attribute(value), Datum::Number(_)))
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Condition(parts) => write!(f, "its condition is not true: {}", parts.join("; ")),
            Self::NoNumber(values) => write!(f, "no number in {}", values.join(", ")),
            Self::NoElement(path) => write!(f, "no element of {path} counts"),
        }
    }
}

impl Membership {
    /// The relation of an image to each view, derived from what it contributes.
    pub(super) fn of_all(
        definition: &Definition,
        item: &Item,
        contribution: &Result<Contribution, Reason>,
    ) -> Vec<(ViewId, Self)> {
        definition.ids().map(|(id, view)| (id, Self::of(id, view, item, contribution.as_ref().ok()))).collect()
    }

    fn of(id: ViewId, view: &View, item: &Item, contribution: Option<&Contribution>) -> Self {
        if let Some(condition) = view.condition().filter(|condition| !condition.holds(item)) {
            return Self::NotIn(NotIn::Condition(untrue(condition, item)));
        }
        let Some(contribution) = contribution else { return Self::Quarantined };
        if let Some((_, reason)) = contribution.uncountable.iter().find(|(view, _)| *view == id) {
            return Self::Uncountable(reason.to_string());
        }
        let Some(part) = contribution.parts.iter().find(|part| part.view == id) else {
            return Self::NotIn(without_value(view, item));
        };
        let measures = view.measures().iter().enumerate();
        let measures = measures.map(|(place, measure)| (MeasureId { view: id, place }, &measure.expression));
        let ungrouped = measures.clone().filter_map(|(measure, expression)| {
            let ungrouped = expression.of(item).map_or(0, |amounts| amounts.ungrouped);
            (ungrouped > 0).then_some((measure, ungrouped))
        });
        let left_out =
            measures.clone().filter_map(|(measure, expression)| Some((measure, LeftOut::of(expression, item)?)));
        let sums: Sums = part.amounts.iter().map(|(counter, amount)| (counter.clone(), amount.clone())).collect();
        Self::In {
            amounts: part.items.iter().map(|(key, _)| (key.clone(), sums.clone())).collect(),
            ungrouped: ungrouped.collect(),
            left_out: left_out.collect(),
        }
    }
}

/// The parts of a condition that are not true. One of them is enough to make the condition false.
fn untrue(condition: &Condition, item: &Item) -> Vec<String> {
    match condition {
        Condition::And(parts) => parts.iter().filter(|part| !part.holds(item)).map(ToString::to_string).collect(),
        other => vec![other.to_string()],
    }
}

/// The first key attribute without a value. There is one, because the image has no view item in this view.
fn without_value(view: &View, item: &Item) -> NotIn {
    let lacking = |part: &KeyPart| part.value.holes().find(|hole| has_no_value(part, hole, item)).map(Hole::to_string);
    let found = view.key().iter().find_map(|part| lacking(part).map(|hole| (part, hole)));
    let (attribute, template, hole) =
        found.map_or_else(Default::default, |(part, hole)| (part.view_attribute.clone(), part.value.to_string(), hole));
    NotIn::Key { attribute, template, hole }
}

fn has_no_value(part: &KeyPart, hole: &Hole, item: &Item) -> bool {
    match hole {
        Hole::Each(_) => part.value.elements(item).is_empty(),
        Hole::Of(value) => match value.of(item) {
            None | Some(Datum::Null) => true,
            // Next to other text, only a value that can be written as text counts. Alone, any value does.
            Some(Datum::Bytes(_) | Datum::Document(_)) => !part.value.is_single_hole(),
            Some(Datum::Text(_) | Datum::Number(_) | Datum::Bool(_) | Datum::OutOfBounds) => false,
        },
    }
}
