//! The idempotency table as a ledger: what its markers say about the effect of records, and where they contradict
//! themselves or the records.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::rollup::check::judge::NotApplied;
use crate::rollup::model::change::{self, Change, Counter, Sums};
use crate::rollup::model::definition::Definition;
use crate::rollup::model::existing_marker::{self, ExistingMarker};
use crate::rollup::model::kept_record::kept_record;
use crate::rollup::model::marker::{self, MarkerOutcome};
use crate::rollup::model::measure::{MeasureId, ViewId};
use crate::rollup::model::number::Number;
use crate::rollup::model::poison::{self, Image};
use crate::rollup::model::record::{Images, RecordId, StreamRecord};
use crate::rollup::model::view::ViewKey;
use crate::rollup::pipeline::contribution::{Contribution, contribution};
use crate::rollup::pipeline::delta::{Effect, Retention, effect, unreadable};
use crate::rollup::pipeline::parse::{Parsed, parse_record};
use crate::rollup::{AttributeValue, Item};

/// The effect of a record on the views, with the contribution of each image.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditedRecord<'a> {
    /// The record.
    pub record: StreamRecord<'a>,
    /// The contribution of the old image, by view item.
    pub old: Contribution,
    /// The contribution of the new image, by view item.
    pub new: Contribution,
    /// Whether the function applies the record, ignores it, or puts it into quarantine.
    pub effect: Effect<'a>,
}

/// Reads a stream record for an audit; `None` if it does not parse.
#[must_use]
pub fn audited<'a>(definition: &Definition, raw: &'a str, retention: &Retention) -> Option<AuditedRecord<'a>> {
    let Ok(Parsed::Record(record)) = parse_record(raw) else { return None };
    if unreadable(definition, &record).is_some() {
        return None;
    }
    let of = |image, item| contribution(definition, image, item).unwrap_or_default();
    let (old, new) = match &record.images {
        Images::Inserted(new) => (Contribution::default(), of(Image::New, new)),
        Images::Removed(old) => (of(Image::Old, old), Contribution::default()),
        Images::Modified { old, new } => (of(Image::Old, old), of(Image::New, new)),
    };
    let effect = effect(definition, record.clone(), retention);
    Some(AuditedRecord { record, old, new, effect })
}

impl AuditedRecord<'_> {
    /// The view items to which either image contributes.
    #[must_use]
    pub fn items(&self) -> BTreeSet<ViewKey> {
        self.old.items().into_iter().chain(self.new.items()).cloned().collect()
    }
}

/// The effect that a record would have if it were applied, and the view items that it concerns.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OpenEffect {
    /// The view items that the record concerns, as far as they are known.
    pub items: BTreeSet<ViewKey>,
    /// Its deltas; empty if it can never be applied.
    pub deltas: BTreeMap<ViewKey, Sums>,
}

/// The effect of a quarantined record. It is computed from the record in the marker and its parts, or else from the key
/// of its source item. The record's age does not matter: the marker proves that it was not counted, unless it is in
/// quarantine because it expired.
#[must_use]
pub fn quarantined_effect(definition: &Definition, quarantined: &Item, parts: &[Item]) -> OpenEffect {
    let mut found = OpenEffect::default();
    let raw = kept_record(quarantined, parts);
    if let Some(audited) = raw.as_deref().and_then(|raw| audited(definition, raw, &Retention::KNOWN_MARKERS)) {
        found.items.extend(audited.items());
        if let (Effect::Apply(change), true) = (audited.effect, can_be_applied(quarantined)) {
            found.deltas = change.sums();
        }
    }
    if let (true, Some(AttributeValue::M(key))) = (found.items.is_empty(), quarantined.get(marker::SOURCE_KEY)) {
        let key = Item::from(key.clone());
        let items = definition.views().iter().filter_map(|view| view.items_of(&key).ok()).flatten();
        found.items.extend(items.map(|(item, _)| item));
    }
    found
}

/// Whether the record of a quarantined marker can be applied once its cause is fixed.
#[must_use]
pub fn can_be_applied(quarantined: &Item) -> bool {
    matches!(quarantined.get(marker::REASON), Some(AttributeValue::S(reason)) if poison::can_be_applied(reason))
}

/// The state of a record according to its marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkerState {
    /// It may be added to the counters later.
    Pending(NotApplied),
    /// It is not added later: it is in the counters, or an operator discarded it.
    Closed,
}

/// The state of a record with this marker; `None` if it has no marker.
#[must_use]
pub fn marker_state(marker: Option<&Item>) -> MarkerState {
    match marker.and_then(|marker| marker.get(marker::OUTCOME)) {
        Some(AttributeValue::S(outcome)) if outcome == MarkerOutcome::Quarantined.as_str() => {
            MarkerState::Pending(NotApplied::Quarantined)
        }
        _ if marker.is_some() => MarkerState::Closed,
        _ => MarkerState::Pending(NotApplied::Unmarked),
    }
}

/// A violation of one of the invariants in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The invariant's identifier, such as `XO-1`.
    pub invariant: &'static str,
    /// The record or the view item in question.
    pub subject: String,
    /// The problem.
    pub what: String,
}

/// The deltas that an applied marker says its record had, by view item.
///
/// # Errors
/// When the marker does not hold readable deltas; the text says why.
pub fn deltas(definition: &Definition, marker: &Item) -> Result<BTreeMap<ViewKey, Sums>, String> {
    let list = match marker.get(marker::DELTAS) {
        Some(AttributeValue::L(list)) => list,
        Some(_) => return Err("its Deltas are not a list".to_owned()),
        None => return Err("it has no Deltas".to_owned()),
    };
    let mut deltas: BTreeMap<ViewKey, Sums> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for entry in list {
        let AttributeValue::M(entry) = entry else { return Err("one of its Deltas is not a map".to_owned()) };
        let (Some(AttributeValue::M(key)), Some(AttributeValue::M(measures))) =
            (entry.get(marker::ITEM), entry.get(marker::MEASURES))
        else {
            return Err("one of its Deltas lacks Item or Measures".to_owned());
        };
        let id = view_of(definition, entry)?;
        let view = &definition[id];
        let key = definition.own_key(view.table(), &Item::from(key.clone()));
        let key = key.map_err(|error| format!("one of its Deltas has {error}"))?;
        if !seen.insert((key.clone(), id)) {
            return Err("its Deltas name a view item twice for one view".to_owned());
        }
        let sums = deltas.entry(key).or_default();
        for (attribute, value) in measures {
            let place = view.measures().iter().position(|measure| measure.attribute == *attribute);
            let place = place.ok_or_else(|| {
                format!("its Deltas name {attribute}, which is not a measure of the view {}", view.name())
            })?;
            let measure = MeasureId { view: id, place };
            let mut put = |group: Option<String>, value: &AttributeValue| {
                let number = match value {
                    AttributeValue::N(text) => text.parse::<Number>().ok(),
                    _ => None,
                };
                let number =
                    number.ok_or_else(|| format!("its Deltas of {attribute} hold a value that is not a number"))?;
                change::add(sums, &Counter { measure, group }, &number);
                Ok::<_, String>(())
            };
            match (value, view.measures()[place].is_grouped()) {
                (AttributeValue::M(groups), true) => {
                    for (group, value) in groups {
                        put(Some(group.clone()), value)?;
                    }
                }
                (value, false) => put(None, value)?,
                (_, true) => return Err(format!("its Deltas of {attribute} are not by group")),
            }
        }
    }
    Ok(deltas)
}

/// The view of an entry of a marker's deltas. Without a view's name in the entry, it is the definition's only view:
/// releases in which views had no names wrote none.
fn view_of(definition: &Definition, entry: &HashMap<String, AttributeValue>) -> Result<ViewId, String> {
    match entry.get(marker::VIEW) {
        Some(AttributeValue::S(name)) => definition
            .view_named(name)
            .ok_or_else(|| format!("one of its Deltas names the view {name}, which the definition does not have")),
        Some(_) => Err("one of its Deltas has a View that is not a text".to_owned()),
        None if definition.views().len() == 1 => Ok(ViewId(0)),
        None => Err("one of its Deltas names no view, and the definition has several".to_owned()),
    }
}

/// Finds a problem in a marker itself. The deltas of a marker of another definition are not checked.
#[must_use]
pub fn inspect(definition: &Definition, id: &RecordId, marker: &Item) -> Option<Finding> {
    let finding = |invariant, what| Some(Finding { invariant, subject: id.to_string(), what });
    match marker.get(marker::OUTCOME) {
        Some(AttributeValue::S(outcome)) if outcome == MarkerOutcome::Applied.as_str() => {
            if marker::is_of_another_definition(marker, definition) {
                return None;
            }
            deltas(definition, marker)
                .err()
                .and_then(|what| finding("XO-1", format!("the marker is APPLIED, but {what}")))
        }
        Some(AttributeValue::S(outcome)) if outcome == MarkerOutcome::Quarantined.as_str() => (!marker
            .contains_key(marker::REASON))
        .then(|| finding("XO-6", "the marker is QUARANTINED, but has no Reason".to_owned()))
        .flatten(),
        Some(AttributeValue::S(outcome))
            if [MarkerOutcome::Discarded, MarkerOutcome::Repaired].iter().any(|known| known.as_str() == outcome) =>
        {
            None
        }
        _ => finding("XO-1", "the marker has no known Outcome".to_owned()),
    }
}

/// Finds a contradiction between a marker and its record.
#[must_use]
pub fn contradiction(definition: &Definition, change: &Change<'_>, marker: &Item) -> Option<Finding> {
    let finding = |invariant, what: String| Some(Finding { invariant, subject: change.head.id.to_string(), what });
    if existing_marker::existing(Some(marker), &change.head) == ExistingMarker::Collision {
        return finding("XO-3", "the marker of this sequence number is of another event or another item".to_owned());
    }
    if !matches!(marker.get(marker::OUTCOME), Some(AttributeValue::S(outcome)) if outcome == MarkerOutcome::Applied.as_str())
    {
        return None;
    }
    // [`inspect`] reports problems in the marker itself.
    if marker::is_of_another_definition(marker, definition) {
        return None;
    }
    let told = deltas(definition, marker).ok()?;
    // If the definition skips missing view items, the marker may lack the item that was missing.
    let done = change.sums();
    let wrong = told.iter().find(|(key, sums)| done.get(*key) != Some(*sums));
    wrong.and_then(|(key, _)| finding("XO-1", format!("the marker's Deltas of {key} are not what the record does")))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::DateTime;
    use serde_json::{Value, json};

    use super::*;
    use crate::rollup::check::example::{definition, item, point};
    use crate::rollup::model::marker::{Marker, Stamp};

    fn retention() -> Retention {
        Retention { days: 14, until: DateTime::from_timestamp(1_800_000_000, 0).unwrap() }
    }

    fn record(old: Option<&str>, new: Option<&str>) -> String {
        let mut change = json!({
            "SequenceNumber": "1", "SizeBytes": 1, "Keys": {"MapId": {"S": "m"}, "PointId": {"S": "p"}},
            "ApproximateCreationDateTime": 1_799_999_999,
        });
        for (name, category) in [("OldImage", old), ("NewImage", new)] {
            if let Some(category) = category {
                change[name] = point("p", category);
            }
        }
        json!({"eventID": "e", "eventName": "X", "awsRegion": "r", "eventSourceARN": "s", "dynamodb": change})
            .to_string()
    }

    fn change(raw: &str) -> Arc<Change<'_>> {
        match audited(&definition(), raw, &retention()).unwrap().effect {
            Effect::Apply(change) => change,
            other => panic!("{other:?}"),
        }
    }

    fn marker_of(change: &Arc<Change<'_>>) -> Item {
        let stamp = Stamp::new(retention().until, "r", 14);
        let (definition, change) = (&definition(), Arc::clone(change));
        Marker::Applied { change, left_alone: Arc::default(), definition, stamp: &stamp }.item().into_owned()
    }

    #[test]
    fn a_marker_is_read_as_it_was_written() {
        for raw in [record(None, Some("A")), record(Some("A"), Some("B")), record(Some("A"), None)] {
            let change = change(&raw);
            let marker = marker_of(&change);
            assert_eq!(deltas(&definition(), &marker).unwrap(), change.sums());
            assert_eq!(
                (inspect(&definition(), &change.head.id, &marker), contradiction(&definition(), &change, &marker)),
                (None, None)
            );
            assert_eq!(marker_state(Some(&marker)), MarkerState::Closed);
        }
        assert_eq!(marker_state(None), MarkerState::Pending(NotApplied::Unmarked));
    }

    #[test]
    fn a_marker_in_quarantine_is_open_and_has_a_reason() {
        let quarantined = item(json!({"Outcome": {"S": "QUARANTINED"}, "Reason": {"S": "no image"}}));
        let id = RecordId { sequence_number: "1".into(), stream: "s".into() };
        assert_eq!(marker_state(Some(&quarantined)), MarkerState::Pending(NotApplied::Quarantined));
        assert_eq!(inspect(&definition(), &id, &quarantined), None);
        let bare = item(json!({"Outcome": {"S": "QUARANTINED"}}));
        assert_eq!(inspect(&definition(), &id, &bare).map(|finding| finding.invariant), Some("XO-6"));
        for closed in ["DISCARDED", "REPAIRED"] {
            let marker = item(json!({"Outcome": {"S": closed}}));
            assert_eq!(
                (marker_state(Some(&marker)), inspect(&definition(), &id, &marker)),
                (MarkerState::Closed, None)
            );
        }
    }

    #[test]
    fn a_marker_that_contradicts_its_record_is_found() {
        let (one, other) = (record(None, Some("A")), record(None, Some("B")));
        let mut wrong = marker_of(&change(&one));
        wrong.extend(marker_of(&change(&other)).remove_entry(marker::DELTAS));
        let found = contradiction(&definition(), &change(&one), &wrong).unwrap();
        assert_eq!(found.invariant, "XO-1");
        let mut foreign = marker_of(&change(&one));
        foreign.insert(marker::DIGEST.to_owned(), AttributeValue::S("another".to_owned()));
        assert_eq!(contradiction(&definition(), &change(&one), &foreign).unwrap().invariant, "XO-3");
    }

    #[test]
    fn every_way_of_not_telling_the_deltas_is_found() {
        let id = RecordId { sequence_number: "1".into(), stream: "s".into() };
        let delta = |measures: Value| json!({"L": [{"M": {"Item": {"M": {"MapId": {"S": "m"}}}, "Measures": {"M": measures}}}]});
        for (deltas, expected) in [
            (None, "no Deltas"),
            (Some(json!({"S": "x"})), "not a list"),
            (Some(json!({"L": [{"S": "x"}]})), "not a map"),
            (Some(json!({"L": [{"M": {}}]})), "lacks Item"),
            (Some(delta(json!({"Other": {"N": "1"}}))), "not a measure"),
            (Some(delta(json!({"TotalPoints": {"S": "1"}}))), "not a number"),
            (Some(delta(json!({"CategoryCounts": {"N": "1"}}))), "not by group"),
        ] {
            let mut marker = item(json!({"Outcome": {"S": "APPLIED"}}));
            if let Some(deltas) = deltas {
                marker.insert(marker::DELTAS.to_owned(), serde_json::from_value(deltas).unwrap());
            }
            let found = inspect(&definition(), &id, &marker).unwrap();
            assert!(found.invariant == "XO-1" && found.what.contains(expected), "{found:?}");
        }
        for (outcome, clean) in [("DISCARDED", true), ("REPAIRED", true), ("QUARANTINED", false), ("", false)] {
            assert_eq!(
                inspect(&definition(), &id, &item(json!({"Outcome": {"S": outcome}}))).is_none(),
                clean,
                "{outcome}"
            );
        }
    }

    #[test]
    fn quarantine_concerns_a_view_item_even_without_a_usable_record() {
        for (reason, deltas) in [
            ("the view item m cannot be updated: it is full", 1),
            ("expired: created at 2026-01-01, and markers are kept for 14 days; repair the view item", 0),
        ] {
            let whole = item(json!({"Record": {"S": record(None, Some("A"))}, "Reason": {"S": reason}}));
            let found = quarantined_effect(&definition(), &whole, &[]);
            assert_eq!((found.items.len(), found.deltas.len()), (1, deltas), "{reason}");
        }
        let keys =
            item(json!({"Record": {"S": "{"}, "SourceKey": {"M": {"MapId": {"S": "m"}, "PointId": {"S": "p"}}}}));
        let found = quarantined_effect(&definition(), &keys, &[]);
        assert_eq!((found.items.len(), found.deltas.len()), (1, 0));
        assert_eq!(quarantined_effect(&definition(), &item(json!({"Record": {"S": "{"}})), &[]), OpenEffect::default());
    }
}
