//! The views to which an item of a view table belongs. A shared table also has items that belong to no view, and an
//! audit must leave those alone.

use crate::rollup::model::definition::Definition;
use crate::rollup::model::measure::ViewSet;
use crate::rollup::model::view::{View, ViewKey};

/// What is known about an item of which the owner is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Evidence {
    /// The views to which source items, or records that are not applied yet, contribute on this item.
    pub contributing: ViewSet,
    /// Whether the item has a [`ROLLUP_VERSION`](crate::rollup::model::view::ROLLUP_VERSION), which only transactions
    /// of the function and repairs write.
    pub has_version: bool,
    /// Whether the operator says that, on every item whose key fits a view, attributes with the names of measures are
    /// counters.
    pub adopt: bool,
}

/// The views to which an item belongs. These are the views to which source items contribute there. The views whose key
/// templates the item's key fits are added if the operator says so with `adopt`, or if the item has a version and all
/// these views have the same literal texts in their key templates.
#[must_use]
pub fn owners(definition: &Definition, key: &ViewKey, evidence: Evidence) -> ViewSet {
    let fitting = definition.fitting(key);
    if evidence.adopt || evidence.has_version && is_of_one_kind(definition, fitting) {
        let mut owners = fitting;
        owners.extend(evidence.contributing);
        owners
    } else {
        evidence.contributing
    }
}

fn is_of_one_kind(definition: &Definition, fitting: ViewSet) -> bool {
    let literals = |view: &View| -> Vec<Vec<String>> {
        let of_part = |part: &str| part.to_owned();
        view.key().iter().map(|part| part.value.literal_parts().into_iter().map(of_part).collect()).collect()
    };
    let mut kinds = fitting.iter().map(|view| literals(&definition[view]));
    let first = kinds.next();
    kinds.all(|kind| Some(&kind) == first.as_ref())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rollup::model::definition::{Defaults, read};
    use crate::rollup::model::view::{OnMissingViewItem, TableId};

    #[test]
    fn an_item_belongs_to_the_views_that_count_for_it_or_to_those_that_alone_could_have_made_it() {
        let text = json!({ "views": [
            { "name": "Users", "key": [{ "attribute": "Id", "type": "S", "value": "USER#{A}" }], "measures": { "U": "count" } },
            { "name": "UserSums", "key": [{ "attribute": "Id", "type": "S", "value": "USER#{B}" }], "measures": { "S": "sum N" } },
            { "name": "Days", "key": [{ "attribute": "Id", "type": "S", "value": "DAY#{A}" }], "measures": { "D": "count" } },
            { "name": "Old", "key": [{ "attribute": "Id", "type": "S", "value": "DAY#{A}#OLD" }], "measures": { "O": "count" } },
        ] });
        let defaults = Defaults { source_table: "A", view_table: "B", on_missing: OnMissingViewItem::Create };
        let definition = read(&text.to_string(), &defaults).unwrap();
        let of = |id: &str, contributing: &[&str], has_version, adopt| {
            let item = serde_json::from_value(json!({ "Id": { "S": id } })).unwrap();
            let key = definition.own_key(TableId(0), &item).unwrap();
            let contributing = contributing.iter().filter_map(|name| definition.view_named(name)).collect();
            let owners = owners(&definition, &key, Evidence { contributing, has_version, adopt });
            owners.iter().map(|view| definition[view].name().to_owned()).collect::<Vec<_>>().join(" ")
        };
        for (id, contributing, has_version, adopt, expected) in [
            ("USER#1", &["Users"][..], false, false, "Users"),
            ("USER#1", &["Users"], true, false, "Users UserSums"),
            ("USER#1", &[], true, false, "Users UserSums"),
            ("USER#1", &[], false, false, ""),
            ("USER#1", &[], false, true, "Users UserSums"),
            ("DAY#1", &[], true, false, "Days"),
            ("DAY#1#OLD", &[], true, false, ""),
            ("DAY#1#OLD", &["Old"], true, false, "Old"),
            ("DAY#1#OLD", &[], false, true, "Days Old"),
            ("OTHER", &[], true, true, ""),
        ] {
            assert_eq!(of(id, contributing, has_version, adopt), expected, "{id} {contributing:?}");
        }
    }
}
