//! The actions of a transaction as a function with a bug makes them.

use ddb_rollup::rollup::model::marker::{DELTAS, EXPIRES_AT, FINGERPRINT, Marker, OUTCOME, RECORDED_AT, VIEW};
use ddb_rollup::rollup::model::view::{ROLLUP_VERSION, TableId};
use ddb_rollup::rollup::pipeline::plan::Action;
use ddb_rollup::rollup::pipeline::update::Update;
use ddb_rollup::rollup::{AttributeValue, Item};

use super::bug::Bug;
use super::measures::{Measures, table_of, view_of};

/// The actions as a function with a bug would have made them that only several views can show.
pub fn with_bug_of_several_views(bug: Bug, actions: &mut Vec<Action<'_>>) {
    let of_tags = |table: &TableId| *table == table_of("tags");
    let updates_tag = |action: &Action<'_>| matches!(action, Action::UpdateView { table, .. } if of_tags(table));
    match bug {
        Bug::ViewForgotten => {
            actions.retain(|action| !updates_tag(action));
            let of_another = |delta: &AttributeValue| match delta {
                AttributeValue::M(delta) => delta[VIEW] != AttributeValue::S("tags".to_owned()),
                _ => true,
            };
            for marker in markers_mut(actions) {
                if let Some(AttributeValue::L(deltas)) = marker.get_mut(DELTAS) {
                    deltas.retain(of_another);
                }
            }
        }
        Bug::HalfADefinition => actions.retain(|action| !updates_tag(action)),
        Bug::SharedItemNotMerged => {
            let of_two_views = |action: &&Action<'_>| {
                let Action::UpdateView { update, .. } = action else { return false };
                let has = |view: &str| update.names.values().any(|name| is_measure(name) && view_of(name) == view);
                has("points") && has("open")
            };
            let second: Vec<_> = actions.iter().filter(of_two_views).cloned().collect();
            actions.extend(second);
        }
        Bug::ElementCountedTwice => {
            for action in actions {
                if let Action::UpdateView { table, update, .. } = action
                    && of_tags(table)
                {
                    update.values.values_mut().for_each(double);
                }
            }
        }
        Bug::TablesMixedUp => {
            for action in actions {
                if let Action::UpdateView { table, .. } = action {
                    *table = table_of("points");
                }
            }
        }
        Bug::FingerprintOfAnother => {
            let [fingerprint, _] = Measures::TwoViews.fingerprints();
            let of_three_views = Measures::ThreeViews.fingerprints();
            for marker in markers_mut(actions).filter(|marker| of_three_views.contains(&text(marker, FINGERPRINT))) {
                marker.insert(FINGERPRINT.to_owned(), AttributeValue::S(fingerprint.clone()));
            }
        }
        _ => {}
    }
}

/// Whether a name in an update is a measure's, and not a group's or the version's.
fn is_measure(name: &str) -> bool {
    let pairs = Measures::ThreeViews.pairs().iter().flat_map(|(total, by)| [*total, *by]);
    pairs.chain(Measures::ThreeViews.without_total().iter().copied()).any(|measure| measure == name)
}

fn double(value: &mut AttributeValue) {
    match value {
        AttributeValue::N(text) => *text = (2 * text.parse::<i64>().unwrap()).to_string(),
        AttributeValue::M(groups) => groups.values_mut().for_each(double),
        _ => {}
    }
}

pub fn markers<'a>(actions: &'a [Action<'_>]) -> impl Iterator<Item = &'a Item> {
    actions.iter().filter_map(|action| match action {
        Action::PutMarker { marker: Marker::Item(marker), .. } => Some(marker),
        _ => None,
    })
}

pub fn markers_mut<'a>(actions: &'a mut [Action<'_>]) -> impl Iterator<Item = &'a mut Item> {
    actions.iter_mut().filter_map(|action| match action {
        Action::PutMarker { marker: Marker::Item(marker), .. } => Some(marker),
        _ => None,
    })
}

pub fn expire_markers(actions: &mut [Action<'_>], seconds: i64) {
    for marker in markers_mut(actions).filter(|marker| !is_quarantined(marker)) {
        let recorded_at = chrono::DateTime::parse_from_rfc3339(&text(marker, RECORDED_AT)).unwrap().timestamp();
        marker.insert(EXPIRES_AT.to_owned(), AttributeValue::N((recorded_at + seconds).to_string()));
    }
}

pub fn updates<'a>(actions: &'a mut [Action<'_>]) -> impl Iterator<Item = &'a mut Update> {
    actions.iter_mut().filter_map(|action| match action {
        Action::UpdateView { update, .. } => Some(update),
        _ => None,
    })
}

pub fn text(item: &Item, name: &str) -> String {
    match item.get(name) {
        Some(AttributeValue::S(text)) => text.clone(),
        other => unreachable!("{name} is a text: {other:?}"),
    }
}

pub fn is_quarantined(marker: &Item) -> bool {
    text(marker, OUTCOME) == "QUARANTINED"
}

/// View items of which nothing but the version changes, and the markers of what was done to them alone.
pub fn drop_what_comes_to_zero(actions: &mut Vec<Action<'_>>) {
    let empty = |action: &Action<'_>| match action {
        Action::UpdateView { key, update, .. } if !update.expression.contains(',') => {
            (update.names.values().any(|name| name == ROLLUP_VERSION) && !update.expression.contains("SET"))
                .then(|| AttributeValue::M(key.clone().into()))
        }
        _ => None,
    };
    let empty: Vec<AttributeValue> = actions.iter().filter_map(empty).collect();
    actions.retain(|action| match action {
        Action::UpdateView { key, .. } => !empty.contains(&AttributeValue::M(key.clone().into())),
        Action::PutMarker { marker, .. } => match marker.item().get(DELTAS) {
            Some(AttributeValue::L(deltas)) => !deltas.iter().all(|delta| match delta {
                AttributeValue::M(delta) => empty.contains(&delta["Item"]),
                _ => false,
            }),
            _ => true,
        },
        Action::PutPart { .. }
        | Action::UpdateReason { .. }
        | Action::DeletePart { .. }
        | Action::CheckAbsent { .. } => true,
    });
}

pub fn forget_what_is_taken_away(value: &mut AttributeValue) {
    match value {
        AttributeValue::N(text) if text.starts_with('-') => "0".clone_into(text),
        AttributeValue::M(groups) => groups.values_mut().for_each(forget_what_is_taken_away),
        _ => {}
    }
}
