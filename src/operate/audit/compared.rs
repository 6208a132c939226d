//! Which counters are compared: those of the views that are asked for, on items that belong to them.

use crate::rollup::Item;
use crate::rollup::check::ownership::{Evidence, owners};
use crate::rollup::model::definition::Definition;
use crate::rollup::model::measure::ViewSet;
use crate::rollup::model::view::{ROLLUP_VERSION, ViewKey};

/// Whose counters are compared, and set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compared {
    /// The views that are asked for.
    pub views: ViewSet,
    /// Whether attributes with the names of measures are counters, whoever wrote them.
    pub adopt: bool,
}

impl Compared {
    /// The views that an item belongs to, of those that are asked for.
    pub(super) fn owners(
        self,
        definition: &Definition,
        key: &ViewKey,
        item: Option<&Item>,
        contributing: ViewSet,
    ) -> ViewSet {
        let has_version = item.is_some_and(|item| item.contains_key(ROLLUP_VERSION));
        self.owners_of(definition, key, has_version, contributing)
    }

    /// The same, of an item of which only that is known.
    pub(super) fn owners_of(
        self,
        definition: &Definition,
        key: &ViewKey,
        has_version: bool,
        contributing: ViewSet,
    ) -> ViewSet {
        let evidence = Evidence { contributing, has_version, adopt: self.adopt };
        owners(definition, key, evidence).and(self.views)
    }
}
