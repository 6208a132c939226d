//! What an audit found in addition to its verdicts: about source items, and about the sizes of view items.

use super::remedies::{Remedies, Remedy};
use super::uncountable::UncountableItem;
use crate::operate::printable::counted;
use crate::rollup::check::zero_groups::ZeroGroups;
use crate::rollup::model::limits;
use crate::rollup::model::view::ViewKey;

/// The most findings of one kind that are shown to people; `--json` has all.
pub(super) const LINES: usize = 20;

/// A finding, and how to fix it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    /// What was found.
    pub(super) text: String,
    /// How to fix it; `None` if a neighbouring note has the same remedy.
    pub(super) remedy: Option<Remedy>,
}

impl Note {
    fn new(text: String, remedy: Remedy) -> Self {
        Self { text, remedy: Some(remedy) }
    }
}

/// The notes on a report.
#[must_use]
pub(super) fn notes(of: Remedies<'_>) -> Vec<Note> {
    let each = [zero_groups(of), large(of), orphans(of), unreadable(of)].into_iter().flatten();
    each.chain(uncountable(of)).chain(others(of)).chain(no_stream(of)).collect()
}

fn zero_groups(of: Remedies<'_>) -> Option<Note> {
    let ZeroGroups { groups, bytes } = of.report.sizes.zero_groups;
    let verbs = if groups == 1 { "counts nothing and takes" } else { "count nothing and take" };
    let items = counted(of.report.sizes.with_zero_groups.len(), "view item", "view items");
    let (groups_text, bytes) = (counted(groups, "group", "groups"), counted(bytes, "byte", "bytes"));
    (groups > 0).then(|| Note::new(format!("{groups_text} of {items} {verbs} {bytes}"), of.of_zero_groups()))
}

fn large(of: Remedies<'_>) -> Option<Note> {
    let (key, bytes) = of.report.large_item()?;
    let (name, most) = (of.report.item_name(key), limits::ITEM_BYTES);
    Some(Note::new(
        format!("large     {name} has {bytes} bytes of counters; an item can have {most}"),
        of.of_large(key),
    ))
}

fn orphans(of: Remedies<'_>) -> Option<Note> {
    let (alone, missing) = (of.report.orphans.without_sources.len(), of.report.orphans.without_view_item.len());
    let texts = [
        (alone, format!("{} counters and no source items", counted(alone, "view item has", "view items have"))),
        (
            missing,
            format!("source items belong to {} missing", counted(missing, "view item that is", "view items that are")),
        ),
    ];
    let texts: Vec<String> = texts.into_iter().filter(|(count, _)| *count > 0).map(|(_, text)| text).collect();
    (!texts.is_empty()).then(|| Note::new(texts.join("; "), of.of_orphans()))
}

fn unreadable(of: Remedies<'_>) -> Option<Note> {
    let count = of.report.unreadable_source_items;
    let key = if count == 1 { "its key is" } else { "their keys are" };
    let items = counted(count, "source item belongs", "source items belong");
    (count > 0).then(|| Note::new(format!("{items} to no view item: {key} not usable"), of.of_unreadable()))
}

fn uncountable(of: Remedies<'_>) -> Vec<Note> {
    let all = &of.report.uncountable;
    let note = |item: &UncountableItem| {
        let UncountableItem { view, reason, .. } = item;
        Note::new(format!("uncountable  {} in the view {view}: {reason}", item.key_text()), of.of_uncountable(item))
    };
    all.iter().take(LINES).map(note).chain(more(all.len(), "source items that a view cannot count")).collect()
}

fn others(of: Remedies<'_>) -> Vec<Note> {
    let others = &of.report.others;
    let note = |key: &ViewKey| {
        let what = "it belongs to no view, but has attributes with the names of measures";
        Note { text: format!("not counted  {}: {what}", of.report.item_name(key)), remedy: None }
    };
    let mut notes: Vec<Note> = others.iter().take(LINES).map(note).collect();
    notes.extend(more(others.len(), "items that are not counted"));
    if let Some(last) = notes.last_mut() {
        last.remedy = Some(of.of_others());
    }
    notes
}

fn no_stream(of: Remedies<'_>) -> Option<Note> {
    let table = of.report.definition.source_table();
    let text =
        format!("{table} has no stream: this report is correct only if nothing wrote to the table during the audit");
    of.report.stream_records.is_none().then(|| Note::new(text, of.of_no_stream()))
}

fn more(count: usize, what: &str) -> Option<Note> {
    (count > LINES).then(|| Note { text: format!("... and {} more {what}", count - LINES), remedy: None })
}
