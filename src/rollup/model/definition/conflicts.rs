//! Views that conflict: one definition cannot have them together.

use std::collections::HashSet;

use crate::rollup::model::definition::place::Field;
use crate::rollup::model::definition::self_feeding::may_be_counted;
use crate::rollup::model::limits;
use crate::rollup::model::view::{OnMissingViewItem, View};

/// Why one definition cannot have these views together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// No view, or too many.
    #[error("the definition has {0} views; it must have 1 to {most}", most = limits::VIEWS)]
    Views(usize),
    /// Two views have the same name.
    #[error("two views have the name {0:?}; give them different names")]
    Name(String),
    /// Two views of one table do not agree on the table's key.
    #[error(
        "the views {0:?} and {1:?} are kept in one table, but their key attributes differ in name, type or order; give them the same key, \
         or another table"
    )]
    Key(String, String),
    /// Two views could write one attribute of one item.
    #[error(
        "the views {first:?} and {second:?} could both write the attribute {attribute:?} of one item of their table; give it \
         another name in one of them, or begin their keys with texts that differ"
    )]
    Attribute {
        /// One view.
        first: String,
        /// The other one.
        second: String,
        /// The attribute that both write.
        attribute: String,
    },
    /// Two views could share an item, but differ in what they do if it is missing.
    #[error(
        "the views {0:?} and {1:?} could share an item of their table, but one creates missing items and the other one skips \
         them; give both the same on_missing"
    )]
    OnMissing(String, String),
    /// Views could share an item with more counters than an update can hold.
    #[error(
        "{measures} measures could be kept on one item by the views {views}; at most {most} fit into one update of a view \
         item: begin the keys of some of the views with another text",
        most = limits::IMAGE_COUNTERS
    )]
    TooManyMeasures {
        /// How many.
        measures: usize,
        /// The views that share the item, by their names.
        views: String,
    },
    /// Views could share an item with more set attributes than an update can hold.
    #[error(
        "{attributes} attributes could be set on one item by the views {views}; at most {most} fit into one update of a view item",
        most = limits::ITEM_SET_ATTRIBUTES
    )]
    TooManySetAttributes {
        /// How many.
        attributes: usize,
        /// The views that share the item, by their names.
        views: String,
    },
    /// A view reads what a view writes on the same table.
    #[error(
        "the view {reader:?} reads the attribute {attribute:?}, which the view {writer:?} writes on items of the same table; \
         give the measure another name"
    )]
    ReadsWritten {
        /// The view that reads it.
        reader: String,
        /// The view that writes it.
        writer: String,
        attribute: String,
    },
    /// A view would count items that a view creates.
    #[error(
        "the view {reader:?} could count the items that the view {writer:?} creates in the source table; add a condition that is \
         false for them, such as begins_with on a key attribute, or set on_missing to skip"
    )]
    CountsCreated {
        /// The view that would count them.
        reader: String,
        /// The view that creates them.
        writer: String,
    },
}

impl Conflict {
    /// The name of the view to change, if it is a single one.
    pub(super) fn view(&self) -> Option<&str> {
        match self {
            Self::Views(_) | Self::TooManyMeasures { .. } | Self::TooManySetAttributes { .. } => None,
            Self::Name(view)
            | Self::Key(_, view)
            | Self::OnMissing(_, view)
            | Self::Attribute { second: view, .. }
            | Self::ReadsWritten { reader: view, .. }
            | Self::CountsCreated { reader: view, .. } => Some(view),
        }
    }

    /// The part of that view to change, if it is a single one.
    pub(super) fn field(&self, view: &View) -> Option<Field> {
        match self {
            Self::Name(_) => Some(Field::Name),
            Self::Key(..) => Some(Field::Key),
            Self::OnMissing(..) => Some(Field::OnMissing),
            Self::CountsCreated { .. } => Some(Field::Where),
            Self::Attribute { attribute, .. } if view.set().iter().any(|set| set.attribute == *attribute) => {
                Some(Field::Set(attribute.clone()))
            }
            Self::Attribute { attribute, .. } => Some(Field::Measure(attribute.clone())),
            Self::Views(_)
            | Self::TooManyMeasures { .. }
            | Self::TooManySetAttributes { .. }
            | Self::ReadsWritten { .. } => None,
        }
    }
}

/// Checks that views do not conflict.
pub(super) fn check(views: &[View]) -> Result<(), Conflict> {
    if !(1..=limits::VIEWS).contains(&views.len()) {
        return Err(Conflict::Views(views.len()));
    }
    let mut names = HashSet::new();
    if let Some(view) = views.iter().find(|view| !names.insert(view.name())) {
        return Err(Conflict::Name(view.name().to_owned()));
    }
    for (place, first) in views.iter().enumerate() {
        let mut of_table = views[place + 1..].iter().filter(|second| second.table == first.table);
        of_table.try_for_each(|second| pair(first, second))?;
    }
    views.iter().try_for_each(|view| room_on_items(view, views))?;
    let mut writers = views.iter().filter(|view| view.is_on_its_source());
    writers.try_for_each(|writer| feeds_none(writer, views))
}

fn pair(first: &View, second: &View) -> Result<(), Conflict> {
    let names = || (first.name().to_owned(), second.name().to_owned());
    let key =
        |view: &View| view.key().iter().map(|part| (part.view_attribute.clone(), part.key_type)).collect::<Vec<_>>();
    if key(first) != key(second) {
        let (first, second) = names();
        return Err(Conflict::Key(first, second));
    }
    if !first.may_share_items_with(second) {
        return Ok(());
    }
    if let Some(attribute) = first.defined_attributes().find(|one| second.defined_attributes().any(|two| *one == two)) {
        let ((first, second), attribute) = (names(), attribute.to_owned());
        return Err(Conflict::Attribute { first, second, attribute });
    }
    if first.on_missing() != second.on_missing() {
        let (first, second) = names();
        return Err(Conflict::OnMissing(first, second));
    }
    Ok(())
}

/// Checks the limits of shared items: for the text that the view's partition key begins with, together with each such
/// text of a sort key. An item whose key begins with both may belong to every view whose texts are a beginning of them,
/// and no item is shared by more views.
fn room_on_items(view: &View, views: &[View]) -> Result<(), Conflict> {
    let of_table: Vec<&View> = views.iter().filter(|other| other.table == view.table).collect();
    let begins = |part: usize, text: &str, other: &View| {
        other.key().get(part).is_none_or(|other| text.starts_with(other.value.literal_prefix()))
    };
    let beginning = |view: &View, part: usize| {
        view.key().get(part).map(|part| part.value.literal_prefix().to_owned()).unwrap_or_default()
    };
    let partition = beginning(view, 0);
    for sort in of_table.iter().map(|other| beginning(other, 1)) {
        let sharing: Vec<&&View> =
            of_table.iter().filter(|other| begins(0, &partition, other) && begins(1, &sort, other)).collect();
        let measures = sharing.iter().map(|view| view.measures().len()).sum();
        let attributes = sharing.iter().map(|view| view.set().len()).sum();
        let names = || sharing.iter().map(|view| view.name()).collect::<Vec<_>>().join(", ");
        if measures > limits::IMAGE_COUNTERS {
            return Err(Conflict::TooManyMeasures { measures, views: names() });
        }
        if attributes > limits::ITEM_SET_ATTRIBUTES {
            return Err(Conflict::TooManySetAttributes { attributes, views: names() });
        }
    }
    Ok(())
}

/// What a view writes into the source table comes back in the stream, where it must not change any counter.
fn feeds_none(writer: &View, views: &[View]) -> Result<(), Conflict> {
    for reader in views {
        let reads = reader.reads();
        let names = || (reader.name().to_owned(), writer.name().to_owned());
        if let Some(attribute) = writer.writes().find(|attribute| reads.contains(attribute)) {
            let ((reader, writer), attribute) = (names(), attribute.to_owned());
            return Err(Conflict::ReadsWritten { reader, writer, attribute });
        }
        if writer.on_missing() == OnMissingViewItem::Create && may_be_counted(writer, reader) {
            let (reader, writer) = names();
            return Err(Conflict::CountsCreated { reader, writer });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::rollup::model::definition::{Defaults, read};

    /// A view with a key of one attribute, and what else it has.
    fn view(name: &str, key: &str, measures: &[&str], more: Value) -> Value {
        let measures: serde_json::Map<_, _> =
            measures.iter().map(|name| ((*name).to_owned(), json!("count"))).collect();
        let mut view = json!({ "name": name, "measures": measures,
            "key": [{ "attribute": "Id", "type": "S", "value": key }] });
        if let (Some(view), Value::Object(more)) = (view.as_object_mut(), more) {
            view.extend(more);
        }
        view
    }

    fn refusal(views: &[Value]) -> Option<String> {
        let defaults = Defaults { source_table: "App", view_table: "Stat", on_missing: OnMissingViewItem::Create };
        read(&json!({ "views": views }).to_string(), &defaults).err().map(|error| error.to_string())
    }

    #[test]
    fn views_that_cannot_be_kept_together_are_told_with_their_names_and_what_to_do() {
        let a = |key: &str, more: Value| view("A", key, &["N"], more);
        let b = |key: &str, measure: &str, more: Value| view("B", key, &[measure], more);
        let many = |name: &str, key: &str, count: usize| {
            let measures: Vec<String> = (0..count).map(|number| format!("{name}{number}")).collect();
            view(name, key, &measures.iter().map(String::as_str).collect::<Vec<_>>(), json!({}))
        };
        let own = |condition: &str| json!({ "table": "App", "where": condition });
        let set = |name: &str| json!({ "set": { name: 1 } });
        let two_parts = json!([{ "attribute": "Id", "type": "S" }, { "attribute": "Day", "type": "S" }]);
        let number = json!([{ "attribute": "Id", "type": "N" }]);
        let each_of =
            |count: usize| (0..count).map(|n| view(&format!("V{n}"), &format!("K{n}#{{X}}"), &["N"], json!({})));
        for (views, words) in [
            (vec![a("{X}", json!({})), a("{X}", json!({}))], Some("two views have the name \"A\"")),
            (each_of(20).collect(), None),
            (each_of(21).collect(), Some("21 views; it must have 1 to 20")),
            (
                vec![a("{X}", json!({})), b("{Y}", "M", json!({ "key": two_parts }))],
                Some("\"A\" and \"B\" are kept in one table"),
            ),
            (vec![a("{X}", json!({})), b("{Y}", "M", json!({ "key": number }))], Some("give them the same key")),
            (vec![a("{X}", json!({})), b("{Y}", "M", json!({ "key": number, "table": "Other" }))], None),
            (vec![a("{X}", json!({})), b("{Y}", "M", json!({}))], None),
            (vec![a("{X}", json!({})), b("{Y}", "N", json!({}))], Some("could both write the attribute \"N\"")),
            (vec![a("X#{X}", json!({})), b("Y#{Y}", "N", json!({}))], None),
            (vec![a("X#{X}", json!({})), b("X{Y}", "N", json!({}))], Some("could both write")),
            (vec![a("X#{X}", json!({})), b("{Y}", "N", json!({ "table": "Other" }))], None),
            (
                vec![a("{X}", json!({})), b("{Y}", "N", json!({ "table": "arn:aws:dynamodb:r:1:table/Stat" }))],
                Some("could both write"),
            ),
            (vec![a("{X}", set("M")), b("{Y}", "M", json!({}))], Some("could both write the attribute \"M\"")),
            (vec![a("{X}", set("S")), b("{Y}", "M", set("S"))], Some("could both write the attribute \"S\"")),
            (
                vec![a("{X}", json!({})), b("{Y}", "M", json!({ "on_missing": "skip" }))],
                Some("give both the same on_missing"),
            ),
            (vec![a("X{X}", json!({})), b("Y{Y}", "M", json!({ "on_missing": "skip" }))], None),
            (vec![many("A", "{X}", 26), many("B", "{Y}", 24)], None),
            (
                vec![many("A", "{X}", 26), many("B", "{Y}", 25)],
                Some("51 measures could be kept on one item by the views A, B"),
            ),
            (vec![many("A", "{X}", 26), many("B", "X{Y}", 20), many("C", "Y{Y}", 20)], None),
            (
                vec![a("T{X}", own("begins_with(Id, 'S')")), b("{X}", "M", json!({ "where": "N > 1" }))],
                Some("\"B\" reads the attribute \"N\", which the view \"A\" writes"),
            ),
            (
                vec![a("T{X}", own("begins_with(Id, 'S')")), b("{Id}", "M", json!({}))],
                Some("\"B\" could count the items that the view \"A\" creates"),
            ),
            (
                vec![
                    a("T{X}", own("begins_with(Id, 'S')")),
                    b("{Id}", "M", json!({ "where": "begins_with(Id, 'S')" })),
                ],
                None,
            ),
            (vec![a("T{X}", own("begins_with(Id, 'S')")), b("{Y}", "M", json!({}))], None),
            (
                vec![
                    a("T{X}", json!({ "table": "App", "where": "begins_with(Id, 'S')", "set": { "Kind": "total" } })),
                    b("{Y}", "M", json!({ "where": "Kind = 'order'" })),
                ],
                Some("reads the attribute \"Kind\""),
            ),
        ] {
            let refused = refusal(&views);
            match words {
                Some(words) => {
                    assert!(refused.as_ref().is_some_and(|said| said.contains(words)), "{words}: {refused:?}");
                }
                None => assert_eq!(refused, None, "{}", json!(views)),
            }
        }
    }

    #[test]
    fn what_is_set_is_a_constant_or_made_of_the_key() {
        let set =
            |value: Value| refusal(&[view("A", "U#{User.Id}#{each Tags}", &["N"], json!({ "set": { "S": value } }))]);
        for value in [
            json!("ALL"),
            json!(7),
            json!(true),
            json!("{User.Id}"),
            json!("{each Tags}!"),
            json!("{{x}}"),
            json!("{ User.Id }"),
        ] {
            assert_eq!(set(value.clone()), None, "{value}");
        }
        for (value, words) in [
            (json!("{Other}"), "the hole {Other} is not in the view's key"),
            (json!("{Tags}"), "the hole {Tags} is not in"),
            (json!(""), "set \"S\": \"\" cannot be set"),
            (json!("x".repeat(1_025)), "a text of 1 to 1024 bytes"),
            (json!(null), "set \"S\": null"),
            (json!([1]), "set \"S\": [1]"),
            (json!({}), "set \"S\": {}"),
            (json!("a{"), "set \"S\": at the end"),
        ] {
            let said = set(value);
            assert!(said.as_ref().is_some_and(|said| said.contains(words)), "{words}: {said:?}");
        }
        for (set, words) in [
            (json!({ "N": 1 }), "\"N\" of the view item is used twice"),
            (json!({ "Id": 1 }), "\"Id\" of the view item is used twice"),
            (json!({ "RollupVersion": 1 }), "used twice"),
            (json!({ "": 1 }), "is empty"),
            (
                (0..17).map(|n| (format!("S{n}"), json!(n))).collect::<serde_json::Map<_, _>>().into(),
                "sets 17 attributes",
            ),
        ] {
            let said = refusal(&[view("A", "{X}", &["N"], json!({ "set": set }))]);
            assert!(said.as_ref().is_some_and(|said| said.contains(words)), "{words}: {said:?}");
        }
    }
}
