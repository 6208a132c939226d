//! The groups that an item belongs to.

use std::collections::BTreeSet;
use std::fmt;

use crate::rollup::Item;
use crate::rollup::model::language::datum::{Datum, TextDatum};
use crate::rollup::model::language::elements::{Elements, is_group_name};
use crate::rollup::model::language::syntax::{Path, Value, attributes};

/// How a measure is divided into groups.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Group {
    /// One group: the value's text.
    Of(Value),
    /// A group for each distinct element of a list or set, or for each name of a map.
    Each(Path),
}

/// The groups of one item.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Groups {
    /// Their names: texts of 1 to 1,024 bytes, each once, in the order of their bytes.
    pub names: Vec<String>,
    /// How many values could not name a group, because they are absent, empty, too long or of another type. With
    /// `each`, how many elements are skipped: a value that has no elements counts as one, an empty list or map as 0.
    pub ungrouped: usize,
}

impl Group {
    /// The groups that an item belongs to.
    #[must_use]
    pub fn of(&self, item: &Item) -> Groups {
        match self {
            Self::Of(value) => match value.of(item).and_then(Datum::into_text) {
                Some(TextDatum::Text(name)) if is_group_name(&name) => {
                    Groups { names: vec![name.into_owned()], ungrouped: 0 }
                }
                _ => Groups { names: Vec::new(), ungrouped: 1 },
            },
            Self::Each(path) => {
                let Elements { names, skipped } = Elements::of(path, item);
                Groups { names: names.into_iter().collect(), ungrouped: skipped }
            }
        }
    }

    /// Every path that the group reads, in the order of the text.
    #[must_use]
    pub fn paths(&self) -> Vec<&Path> {
        match self {
            Self::Of(value) => value.paths(),
            Self::Each(path) => vec![path],
        }
    }

    /// The item's attributes that the group reads.
    #[must_use]
    pub fn reads(&self) -> BTreeSet<&str> {
        attributes(self.paths())
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(value) => value.fmt(f),
            Self::Each(path) => write!(f, "each {path}"),
        }
    }
}
