//! The text about a valid definition.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use super::changes::Changes;
use super::needs::{NeededTable, Right};
use crate::config::Config;
use crate::rollup::model::view::{MissingKey, OnMissingViewItem, View};

/// The text about a valid definition.
pub(super) struct Checked<'c> {
    pub(super) config: &'c Config,
    /// The changes from the previous definition, if one is given.
    pub(super) changes: Option<Changes>,
}

impl Checked<'_> {
    pub(super) fn json(&self) -> Value {
        let definition = &self.config.definition;
        let views = definition.views().iter().map(view_json).collect::<Vec<_>>();
        let tables: Vec<_> = definition.tables().iter().map(|table| &table.name).collect();
        let rights = Right::all(self.config).into_iter();
        let rights = rights.map(|right| json!({ "resource": right.resource, "actions": right.actions }));
        let mut object = json!({
            "fingerprint": definition.fingerprint().as_str(),
            "source_table": definition.source_table(),
            "view_tables": tables,
            "tables": NeededTable::all(self.config).iter().map(NeededTable::json).collect::<Vec<_>>(),
            "rights": rights.collect::<Vec<_>>(),
            "idempotency_table": self.config.idempotency_table,
            "views": views,
        });
        if let Some(changes) = &self.changes {
            object["against"] = changes.json();
        }
        object
    }
}

fn view_json(view: &View) -> Value {
    let key = view.key().iter().map(|part| {
        let missing = if part.missing == MissingKey::Quarantine { "quarantine" } else { "sparse" };
        json!({
            "attribute": part.view_attribute,
            "type": part.key_type.to_string(),
            "value": part.value.to_string(),
            "missing": missing,
        })
    });
    let measures = view.measures().iter().map(|measure| (measure.attribute.clone(), measure.expression.to_string()));
    let set = view.set().iter().map(|set| (set.attribute.clone(), set.value.to_string()));
    json!({
        "name": view.name(),
        "table": view.view_table(),
        "where": view.condition().map(ToString::to_string),
        "key": key.collect::<Vec<_>>(),
        "on_missing": view.on_missing().as_str(),
        "measures": measures.collect::<BTreeMap<_, _>>(),
        "set": set.collect::<BTreeMap<_, _>>(),
    })
}

impl fmt::Display for Checked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let definition = &self.config.definition;
        definition.views().iter().try_for_each(|view| show_view(f, view))?;
        writeln!(f, "Tables")?;
        NeededTable::all(self.config).iter().try_for_each(|table| writeln!(f, "  {table}"))?;
        writeln!(f, "Rights of the function on them")?;
        for Right { resource, actions } in Right::all(self.config) {
            writeln!(f, "  {resource}: {}", actions.join(", "))?;
        }
        writeln!(f, "Fingerprint {}", definition.fingerprint())?;
        self.changes.iter().try_for_each(|changes| changes.fmt(f))
    }
}

fn show_view(f: &mut fmt::Formatter<'_>, view: &View) -> fmt::Result {
    let (name, source, table) = (view.name(), view.source_table(), view.view_table());
    writeln!(f, "View {name:?} of the table {source}, kept in the table {table}")?;
    match view.condition() {
        Some(condition) => writeln!(f, "  items       where {condition}")?,
        None => writeln!(f, "  items       all")?,
    }
    for part in view.key() {
        let missing = match part.missing {
            MissingKey::Sparse => "without it an item is not in the view",
            MissingKey::Quarantine => "without it the record goes to quarantine",
        };
        writeln!(f, "  key         {} ({}) = {}; {missing}", part.view_attribute, part.key_type, part.value)?;
    }
    for measure in view.measures() {
        writeln!(f, "  measure     {} = {}", measure.attribute, measure.expression)?;
    }
    for set in view.set() {
        writeln!(f, "  set         {} = {}", set.attribute, set.value)?;
    }
    match view.on_missing() {
        OnMissingViewItem::Create => writeln!(f, "  on missing  create"),
        OnMissingViewItem::Skip => writeln!(f, "  on missing  skip"),
    }
}
