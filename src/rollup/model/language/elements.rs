//! The elements that `each` goes over.

use std::collections::BTreeSet;

use crate::rollup::model::language::syntax::Path;
use crate::rollup::model::limits;
use crate::rollup::model::number::Number;
use crate::rollup::{AttributeValue, Item};

/// The distinct elements of a list or set as texts, or the names of a map, in the order of their bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Elements {
    /// The texts that can name a group.
    pub(super) names: BTreeSet<String>,
    /// How many elements cannot. It is one if the value is not a list, set or map.
    pub(super) skipped: usize,
}

impl Elements {
    /// The elements of what is at a path.
    pub(super) fn of(path: &Path, item: &Item) -> Self {
        let mut found = Self::default();
        match path.of(item) {
            Some(AttributeValue::L(list)) => list.iter().for_each(|element| found.add(name(element))),
            Some(AttributeValue::Ss(texts)) => texts.iter().for_each(|text| found.add(Some(text.clone()))),
            Some(AttributeValue::Ns(texts)) => texts.iter().for_each(|text| found.add(canonical(text))),
            Some(AttributeValue::Bs(bytes)) => found.skipped = bytes.len(),
            Some(AttributeValue::M(map)) => map.keys().for_each(|name| found.add(Some(name.clone()))),
            _ => found.skipped = 1,
        }
        found
    }

    fn add(&mut self, name: Option<String>) {
        match name.filter(|name| is_group_name(name)) {
            Some(name) => drop(self.names.insert(name)),
            None => self.skipped += 1,
        }
    }
}

/// Whether a text can name a group.
pub(super) fn is_group_name(text: &str) -> bool {
    (1..=limits::GROUP_NAME_BYTES).contains(&text.len())
}

fn name(element: &AttributeValue) -> Option<String> {
    match element {
        AttributeValue::S(text) => Some(text.clone()),
        AttributeValue::N(text) => canonical(text),
        _ => None,
    }
}

fn canonical(text: &str) -> Option<String> {
    text.parse::<Number>().ok().map(|number| number.to_string())
}
