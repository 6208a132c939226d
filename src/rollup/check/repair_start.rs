//! When repairs began. A replay from outside the stream must not count again what a repair counted.
//!
//! A repair sets counters to the recount. For a record in the stream, the repair knows whether it is applied. For a
//! record that is kept elsewhere, it does not know. Such a record is in the recount if it was created before the repair
//! began.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, SecondsFormat, Utc};

use crate::rollup::check::slice::Slice;
use crate::rollup::model::change::Sums;
use crate::rollup::model::definition::{Definition, views_of};
use crate::rollup::model::marker::{self, MarkerOutcome};
use crate::rollup::model::view::ViewKey;
use crate::rollup::{AttributeValue, Item};

/// The sequence number of the items that store when repairs began; no stream record has it. The sort key is the name of
/// the view and, if only one view item was repaired, a digest of its key.
pub const REPAIRED: &str = "repaired";

/// Attribute: when the repair began, in RFC 3339, UTC, with milliseconds.
pub const BEGAN_AT: &str = "BeganAt";

/// Attribute: the slice that was repaired, as `3/8`.
pub const SLICE: &str = "Slice";

/// When the last repair of a view, or of one of its items, began.
#[derive(Debug, Clone, PartialEq)]
pub struct RepairStart {
    /// The view's name.
    pub view: String,
    /// The key of the only view item that was repaired; `None` if all were.
    pub item: Option<Item>,
    /// The only slice that was repaired; `None` if all were.
    pub slice: Option<Slice>,
    /// When it began.
    pub began: DateTime<Utc>,
}

impl RepairStart {
    /// The item that stores it.
    #[must_use]
    pub fn stored(&self) -> Item {
        let text = AttributeValue::S;
        let mut stored = HashMap::from([
            (marker::SEQUENCE_NUMBER.to_owned(), text(REPAIRED.to_owned())),
            (marker::STREAM.to_owned(), text(self.place())),
            (marker::OUTCOME.to_owned(), text(MarkerOutcome::Repaired.as_str().to_owned())),
            (marker::VIEW.to_owned(), text(self.view.clone())),
            (BEGAN_AT.to_owned(), text(self.began_at())),
        ]);
        if let Some(slice) = self.slice {
            stored.insert(SLICE.to_owned(), text(slice.to_string()));
        }
        if let Some(item) = &self.item {
            stored.insert(marker::ITEM.to_owned(), AttributeValue::M(item.clone().into()));
        }
        Item::from(stored)
    }

    /// The beginning as it is stored. Texts of this form sort in the order of time.
    #[must_use]
    pub fn began_at(&self) -> String {
        self.began.to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    fn place(&self) -> String {
        if let Some(slice) = self.slice {
            return format!("{}#{slice}", self.view);
        }
        let Some(item) = &self.item else { return self.view.clone() };
        let key: BTreeMap<&String, String> = item.iter().map(|(name, value)| (name, format!("{value:?}"))).collect();
        let digest = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, format!("{key:?}").as_bytes());
        format!("{}#{}", self.view, digest.simple())
    }

    /// Reads a stored item; `None` if it is another kind of item.
    #[must_use]
    pub fn read(stored: &Item) -> Option<Self> {
        let text = |name: &str| match stored.get(name) {
            Some(AttributeValue::S(text)) => Some(text),
            _ => None,
        };
        let item = match stored.get(marker::ITEM) {
            Some(AttributeValue::M(item)) => Some(Item::from(item.clone())),
            _ => None,
        };
        let slice = text(SLICE).map(|slice| slice.parse()).transpose().ok()?;
        Some(Self { view: text(marker::VIEW)?.clone(), item, slice, began: text(BEGAN_AT)?.parse().ok()? })
    }
}

/// Of the views that a record changes, those that were repaired after the record was created: their counters may
/// include it already. If the record has no creation time, every repair is taken to be later.
#[must_use]
pub fn repaired_later<'a>(
    starts: &'a [RepairStart],
    definition: &Definition,
    deltas: &BTreeMap<ViewKey, Sums>,
    created_at: Option<DateTime<Utc>>,
) -> BTreeSet<&'a str> {
    let mut views = BTreeSet::new();
    for (key, sums) in deltas {
        let (item, changed) = (definition.key_item(key), views_of(sums));
        let covers = |start: &&RepairStart| {
            definition.view_named(&start.view).is_some_and(|view| changed.contains(view))
                && start.slice.is_none_or(|slice| slice.contains(key))
                && start.item.as_ref().is_none_or(|only| *only == item)
                && created_at.is_none_or(|created_at| created_at <= start.began)
        };
        views.extend(starts.iter().filter(covers).map(|start| start.view.as_str()));
    }
    views
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rollup::model::change::Counter;
    use crate::rollup::model::measure::MeasureId;
    use crate::rollup::model::number::Number;
    use crate::rollup::model::view::TableId;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn item(map: &str) -> Item {
        serde_json::from_value(json!({"MapId": {"S": map}})).unwrap()
    }

    #[test]
    fn what_is_stored_is_read_again() {
        let all = RepairStart { view: "default".into(), item: None, slice: None, began: at(0) };
        assert_eq!(
            serde_json::to_value(all.stored()).unwrap(),
            json!({
                "SequenceNumber": {"S": "repaired"}, "Stream": {"S": "default"}, "Outcome": {"S": "REPAIRED"}, "View": {"S": "default"},
                "BeganAt": {"S": "2027-01-15T08:00:00.000Z"},
            })
        );
        let one = RepairStart { item: Some(item("m")), ..all.clone() };
        let other = RepairStart { item: Some(item("n")), ..all.clone() };
        let part = RepairStart { slice: "2/3".parse().ok(), ..all.clone() };
        for start in [&all, &one, &part] {
            assert_eq!(RepairStart::read(&start.stored()).as_ref(), Some(start));
        }
        let places = [&all, &one, &other, &part].map(RepairStart::place);
        assert_eq!(BTreeSet::from(places).len(), 4);
        assert_eq!(RepairStart::read(&item("m")), None);
    }

    #[test]
    fn a_record_is_covered_by_a_later_repair_of_what_it_changes() {
        let definition = Definition::points_of_maps("Point", "Map").unwrap();
        let key = |map: &str| definition.own_key(TableId(0), &item(map)).unwrap();
        let sums = Sums::from([(Counter { measure: MeasureId::first_view(0), group: None }, Number::from(1))]);
        let deltas = BTreeMap::from([(key("m"), sums.clone()), (key("n"), sums)]);
        let start =
            |view: &str, item, began| RepairStart { view: view.to_owned(), item, slice: None, began: at(began) };
        let covered = |starts: &[RepairStart], created_at| {
            repaired_later(starts, &definition, &deltas, created_at).into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(covered(&[start("default", None, 5)], Some(at(5))), ["default"]);
        assert_eq!(covered(&[start("default", None, 5)], Some(at(6))), Vec::<String>::new());
        assert_eq!(covered(&[start("default", None, 5)], None), ["default"]);
        let slices = |wanted: bool| {
            let is_wanted = |slice: &Slice| deltas.keys().any(|key| slice.contains(key)) == wanted;
            let of = Slice::all(50).filter(is_wanted);
            of.map(|slice| RepairStart { slice: Some(slice), ..start("default", None, 5) }).collect::<Vec<_>>()
        };
        assert!(slices(true).iter().all(|start| covered(std::slice::from_ref(start), Some(at(5))) == ["default"]));
        assert_eq!(covered(&slices(false), Some(at(5))), Vec::<String>::new());
        assert_eq!(covered(&[start("gone", None, 5)], Some(at(1))), Vec::<String>::new());
        assert_eq!(covered(&[start("default", Some(item("n")), 5)], Some(at(1))), ["default"]);
        assert_eq!(covered(&[start("default", Some(item("o")), 5)], Some(at(1))), Vec::<String>::new());
    }
}
