//! What a definition changes compared with the previous one, and what to do when it is deployed.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use crate::operate::commands::Commands;
use crate::operate::shell_option::option;
use crate::rollup::model::arn::table_name;
use crate::rollup::model::definition::Definition;
use crate::rollup::model::view::View;

/// The changes from the previous definition.
#[derive(Debug, Clone)]
pub(super) struct Changes {
    added: Vec<String>,
    removed: Vec<String>,
    /// The changed views, each with the members that differ.
    changed: BTreeMap<String, Vec<&'static str>>,
    left: Vec<LeftBehind>,
    repair: Repair,
    /// The options that all commands in the report share.
    commands: Commands,
}

/// Attributes on view items that no view updates any longer.
#[derive(Debug, Clone, PartialEq, Eq)]
struct LeftBehind {
    /// The view that wrote them.
    view: String,
    table: String,
    /// The templates of its items' key.
    key: Vec<String>,
    attributes: Vec<String>,
}

/// Which counters must be set when the definition is deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Repair {
    /// Those of these views; possibly none.
    Views(Vec<String>),
    /// Those of all views, because views with `each` share the limits of an image.
    All,
}

impl Changes {
    /// The changes from one definition to another.
    pub(super) fn between(old: &Definition, new: &Definition, commands: Commands) -> Self {
        let names = |definition: &Definition, other: &Definition| {
            let views = definition.views().iter().map(View::name);
            views.filter(|name| other.view_named(name).is_none()).map(str::to_owned).collect::<Vec<_>>()
        };
        let (added, removed) = (names(new, old), names(old, new));
        let pairs = new.views().iter().filter_map(|view| Some((&old[old.view_named(view.name())?], view)));
        let changed = pairs.map(|(before, view)| (view.name().to_owned(), differences(before, view)));
        let changed: BTreeMap<_, _> = changed.filter(|(_, members)| !members.is_empty()).collect();
        let to_set: Vec<String> = {
            let is_to_set =
                |view: &&View| changed.contains_key(view.name()) || added.iter().any(|name| name == view.name());
            new.views().iter().filter(is_to_set).map(|view| view.name().to_owned()).collect()
        };
        let is_same = to_set.is_empty() && removed.is_empty();
        let has_each = [old, new].iter().any(|definition| definition.views().iter().any(View::has_each));
        let repair = if has_each && !is_same { Repair::All } else { Repair::Views(to_set) };
        let left = old.views().iter().filter_map(|view| left_behind(view, new)).collect();
        Self { added, removed, changed, left, repair, commands }
    }

    fn commands(&self) -> Vec<String> {
        match &self.repair {
            Repair::Views(views) => {
                views.iter().map(|view| self.commands.run("repair") + &option("--view", view)).collect()
            }
            Repair::All => vec![self.commands.run("repair")],
        }
    }

    pub(super) fn json(&self) -> Value {
        let changed = self.changed.iter().map(|(view, members)| json!({ "view": view, "members": members }));
        let left = self.left.iter().map(|LeftBehind { view, table, key, attributes }| {
            json!({ "view": view, "table": table, "key": key, "attributes": attributes })
        });
        json!({
            "added": self.added,
            "removed": self.removed,
            "changed": changed.collect::<Vec<_>>(),
            "left_behind": left.collect::<Vec<_>>(),
            "repair": self.commands(),
        })
    }
}

/// The members in which two views with one name differ. The order of measures and of `set` has no meaning.
fn differences(old: &View, new: &View) -> Vec<&'static str> {
    let measures = |view: &View| {
        let each = view.measures().iter().map(|one| (one.attribute.clone(), one.expression.to_string()));
        each.collect::<BTreeMap<_, _>>()
    };
    let set = |view: &View| {
        let each = view.set().iter().map(|one| (one.attribute.clone(), one.value.to_string()));
        each.collect::<BTreeMap<_, _>>()
    };
    let members = [
        ("table", table_name(old.view_table()) != table_name(new.view_table())),
        ("where", old.condition() != new.condition()),
        ("key", old.key() != new.key()),
        ("on_missing", old.on_missing() != new.on_missing()),
        ("measures", measures(old) != measures(new)),
        ("set", set(old) != set(new)),
    ];
    members.into_iter().filter(|(_, differs)| *differs).map(|(member, _)| member).collect()
}

/// What an old view wrote, and no new view writes on items that may be the same.
fn left_behind(old: &View, new: &Definition) -> Option<LeftBehind> {
    let sharing: Vec<&View> = new.views().iter().filter(|view| view.may_share_items_with(old)).collect();
    let is_kept = |attribute: &str| sharing.iter().any(|view| view.writes().any(|kept| kept == attribute));
    let attributes: Vec<String> = old.writes().filter(|one| !is_kept(one)).map(str::to_owned).collect();
    (!attributes.is_empty()).then(|| LeftBehind {
        view: old.name().to_owned(),
        table: old.view_table().to_owned(),
        key: old.key().iter().map(|part| part.value.to_string()).collect(),
        attributes,
    })
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Changes from the previous definition")?;
        self.added.iter().try_for_each(|view| writeln!(f, "  added    view {view}"))?;
        self.removed.iter().try_for_each(|view| writeln!(f, "  removed  view {view}"))?;
        for (view, members) in &self.changed {
            writeln!(f, "  changed  view {view}: {}", members.join(", "))?;
        }
        for LeftBehind { view, table, key, attributes } in &self.left {
            let (attributes, key) = (attributes.join(", "), key.join(", "));
            writeln!(
                f,
                "  left     {attributes} on the items {key} of the table {table}: the view {view} no longer keeps"
            )?;
            writeln!(f, "           them, so they stay as they are; you can remove them")?;
        }
        let commands = self.commands();
        if commands.is_empty() {
            return writeln!(f, "  no repair is needed");
        }
        writeln!(f, "When the deployment is finished, wait one time-out of the function; then run")?;
        commands.iter().try_for_each(|command| writeln!(f, "  {command}"))
    }
}
