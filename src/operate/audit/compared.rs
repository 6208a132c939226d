//! Which counters are compared: those of the requested views, on the items that belong to them.

use std::collections::{BTreeSet, HashMap};

use super::error::AuditError;
use crate::rollup::check::ownership::{Evidence, owners};
use crate::rollup::model::definition::Definition;
use crate::rollup::model::measure::ViewSet;
use crate::rollup::model::view::{KeyType, ROLLUP_VERSION, TableId, View, ViewKey};
use crate::rollup::{AttributeValue, Item};

/// Which counters are compared, and set by a repair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compared {
    /// The requested views.
    pub views: ViewSet,
    /// Whether attributes with the names of measures are counters on every item whose key fits a view.
    pub adopt: bool,
}

impl Compared {
    /// The counters of the view with this name, or of all views.
    ///
    /// # Errors
    /// When no view has that name; the error lists the names.
    pub fn of(definition: &Definition, view: Option<&str>, adopt: bool) -> Result<Self, AuditError> {
        let Some(name) = view else { return Ok(Self { views: definition.all(), adopt }) };
        let known = || definition.views().iter().map(View::name).collect::<Vec<_>>().join(", ");
        let view = definition.view_named(name);
        let view = view.ok_or_else(|| AuditError::View { given: name.to_owned(), known: known() })?;
        Ok(Self { views: [view].into_iter().collect(), adopt })
    }

    /// Of the requested views, those to which an item belongs.
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

    /// The same, from the evidence alone.
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

/// Parses the key of a view item, as an operator writes it and `--json` prints it. The result includes the only table
/// of these views that can have such a key.
pub(super) fn item_key(definition: &Definition, views: ViewSet, given: &str) -> Result<ViewKey, AuditError> {
    let tables: BTreeSet<TableId> = views.iter().map(|view| definition[view].table()).collect();
    let (mut found, mut refused) = (Vec::new(), None);
    for table in tables {
        match key_of(definition, table, given) {
            Ok(key) if !definition.fitting(&key).and(views).is_empty() => found.push(key),
            Ok(_) => refused = refused.or_else(|| Some(("no view has such a key".to_owned(), ITEM_OF_A_VIEW))),
            Err(why) => refused = refused.or(Some(why)),
        }
    }
    match found.len() {
        0 => {
            let (cause, wanted) = refused.unwrap_or_else(|| ("there is no view".to_owned(), ITEM_OF_A_VIEW));
            Err(AuditError::Item { given: given.to_owned(), cause, wanted })
        }
        1 => Ok(found.remove(0)),
        _ => {
            let tables: Vec<_> = found.iter().map(|key| definition[key.table].name.as_str()).collect();
            let fitting = found.iter().flat_map(|key| definition.fitting(key).and(views).iter().collect::<Vec<_>>());
            let views: Vec<_> = fitting.map(|view| definition[view].name()).collect();
            Err(AuditError::Ambiguous { given: given.to_owned(), tables: tables.join(", "), views: views.join(", ") })
        }
    }
}

/// What is expected where a key is well-formed but fits no view.
const ITEM_OF_A_VIEW: &str = "the key of a view item, as the audit prints it";

fn key_of(definition: &Definition, table: TableId, given: &str) -> Result<ViewKey, (String, &'static str)> {
    let whole = match definition[table].key.as_slice() {
        [(attribute, KeyType::S)] => Some(attribute),
        _ => None,
    };
    let wanted =
        if whole.is_some() { "its string" } else { r#"an object of attribute to value, such as {"Id":{"N":"1"}}"# };
    let item = match whole {
        Some(attribute) => Item::from(HashMap::from([(attribute.clone(), AttributeValue::S(given.to_owned()))])),
        None => serde_json::from_str(given).map_err(|error| (error.to_string(), wanted))?,
    };
    definition.own_key(table, &item).map_err(|error| (error.to_string(), wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollup::model::definition::{Defaults, read};
    use crate::rollup::model::view::OnMissingViewItem;

    #[test]
    fn a_key_of_one_string_is_written_as_it_is() {
        let definition = Definition::points_of_maps("Point", "Map").unwrap();
        let key = |given| item_key(&definition, definition.all(), given);
        assert_eq!(key(r#"{"a":1}"#).unwrap().to_string(), r#"{"a":1}"#);
        assert!(key("").unwrap_err().to_string().contains("empty"));
    }

    #[test]
    fn a_key_that_several_tables_can_have_is_refused() {
        let view = |name: &str, table: &str, value: &str| {
            format!(
                r#"{{ "name": "{name}", "table": "{table}", "measures": {{ "N": "count" }},
                     "key": [{{ "attribute": "Id", "type": "S", "value": "{value}" }}] }}"#
            )
        };
        let views = [view("a", "One", "{A}"), view("b", "Two", "{A}"), view("c", "Three", "C#{A}")].join(",");
        let defaults = Defaults { source_table: "App", view_table: "One", on_missing: OnMissingViewItem::Create };
        let definition = read(&format!(r#"{{ "views": [{views}] }}"#), &defaults).unwrap();
        let error = item_key(&definition, definition.all(), "x").unwrap_err();
        assert!(matches!(error, AuditError::Ambiguous { .. }));
        for words in ["One, Two", "--view", "a, b"] {
            assert!(error.to_string().contains(words), "{words}: {error}");
        }
        let only = |name: &str| definition.view_named(name).into_iter().collect();
        let key = |name, given| item_key(&definition, only(name), given).map(|key| definition.named(&key));
        assert_eq!(key("b", "x").unwrap(), "Two x");
        assert_eq!(key("c", "C#x").unwrap(), "Three C#x");
        assert!(key("c", "x").unwrap_err().to_string().contains("no view has such a key"));
    }
}
