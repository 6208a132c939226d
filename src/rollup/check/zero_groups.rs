//! Groups of a `count by` that count nothing any more. They stay on the view item until they are removed, and every
//! update of the item pays for their bytes.

use std::collections::HashMap;

use crate::rollup::check::judge::StoredValue;
use crate::rollup::model::definition::Definition;
use crate::rollup::model::item_size::value_bytes;
use crate::rollup::model::language::MeasureKind;
use crate::rollup::model::measure::{MeasureId, ViewSet};
use crate::rollup::model::view::ROLLUP_VERSION;
use crate::rollup::pipeline::update::Update;
use crate::rollup::{AttributeValue, Item};

/// The most groups that one update removes. Its condition names each of them and must stay within
/// [`EXPRESSION_BYTES`](crate::rollup::model::limits::EXPRESSION_BYTES).
const REMOVED_AT_ONCE: usize = 100;

/// A group that counts nothing: its measure, its name, and its stored value.
type ZeroGroup<'a> = (MeasureId, &'a String, &'a AttributeValue);

/// The number of such groups, and their size in bytes on the item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ZeroGroups {
    pub groups: usize,
    pub bytes: usize,
}

impl ZeroGroups {
    /// Counts the groups of these views on a view item.
    #[must_use]
    pub fn of(definition: &Definition, views: ViewSet, item: &Item) -> Self {
        Self::sum(&zero_groups(definition, views, item).collect::<Vec<_>>())
    }

    fn sum(groups: &[ZeroGroup<'_>]) -> Self {
        let bytes = groups.iter().map(|(_, group, value)| group.len() + value_bytes(value) + 1).sum();
        Self { groups: groups.len(), bytes }
    }

    /// Adds the groups of another item.
    pub fn add(&mut self, other: Self) {
        self.groups += other.groups;
        self.bytes += other.bytes;
    }
}

/// The groups of these views on a view item that count nothing, each with its stored value.
fn zero_groups<'a>(definition: &'a Definition, views: ViewSet, item: &'a Item) -> impl Iterator<Item = ZeroGroup<'a>> {
    let counts = definition.grouped(views).filter(|(_, measure)| matches!(measure.expression.kind, MeasureKind::Count));
    counts.flat_map(|(id, measure)| {
        let groups = match item.get(&measure.attribute) {
            Some(AttributeValue::M(groups)) => Some(groups),
            _ => None,
        };
        let zero = |value: &AttributeValue| StoredValue::of(value).is_zero();
        groups.into_iter().flatten().filter(move |(_, value)| zero(value)).map(move |(group, value)| (id, group, value))
    })
}

/// An update that removes groups that count nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Removal {
    /// The groups that it removes.
    pub removed: ZeroGroups,
    /// The update.
    pub update: Update,
}

/// The updates that remove the groups of these views that count nothing, each on the condition that all of its groups
/// still count nothing. The function creates a removed group again when it counts, so neither writers nor the function
/// need to pause.
#[must_use]
pub fn removals(definition: &Definition, views: ViewSet, item: &Item) -> Vec<Removal> {
    let groups: Vec<_> = zero_groups(definition, views, item).collect();
    let removal = |some: &[_]| Removal { removed: ZeroGroups::sum(some), update: removal(definition, some) };
    groups.chunks(REMOVED_AT_ONCE).map(removal).collect()
}

fn removal(definition: &Definition, groups: &[ZeroGroup<'_>]) -> Update {
    let mut names = HashMap::from([("#v".to_owned(), ROLLUP_VERSION.to_owned())]);
    let mut places = Vec::new();
    for (place, (measure, group, _)) in groups.iter().enumerate() {
        let of_measure = format!("#m{}_{}", measure.view.0, measure.place);
        names.insert(of_measure.clone(), definition[*measure].attribute.clone());
        names.insert(format!("#g{place}"), (*group).clone());
        places.push(format!("{of_measure}.#g{place}"));
    }
    let number = |text: &str| AttributeValue::N(text.to_owned());
    let is_zero: Vec<String> = places.iter().map(|place| format!("{place}=:z")).collect();
    Update {
        expression: format!("REMOVE {} ADD #v :n", places.join(",")),
        condition: Some(is_zero.join(" AND ")),
        names,
        values: HashMap::from([(":z".to_owned(), number("0")), (":n".to_owned(), number("1"))]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rollup::check::example::{definition, item};
    use crate::rollup::model::limits;

    #[test]
    fn groups_of_a_count_at_zero_are_found_and_removed_by_name() {
        let definition = definition();
        let counts = json!({"Gone": {"N": "0"}, "Bar": {"N": "2"}, "Odd": {"S": "0"}, "Less": {"N": "-1"}});
        let item = item(json!({"TotalPoints": {"N": "0"}, "CategoryCounts": {"M": counts}}));
        let found = ZeroGroups::of(&definition, definition.all(), &item);
        assert_eq!(found, ZeroGroups { groups: 1, bytes: "Gone".len() + 2 + 1 });
        let [Removal { update, .. }] = &*removals(&definition, definition.all(), &item) else {
            panic!("one is enough")
        };
        assert_eq!(update.expression, "REMOVE #m0_1.#g0 ADD #v :n");
        assert_eq!(update.condition.as_deref(), Some("#m0_1.#g0=:z"));
        assert_eq!((&*update.names["#m0_1"], &*update.names["#g0"]), ("CategoryCounts", "Gone"));
        assert_eq!(ZeroGroups::of(&definition, ViewSet::default(), &item), ZeroGroups::default());
    }

    #[test]
    fn a_sum_at_zero_may_have_source_items_and_stays() {
        let words = [("Sums", "sum Price by Category"), ("Counts", "count by Category")];
        let view = crate::rollup::model::view::View::points_of_maps("Point", "Map").unwrap();
        let measures = words.map(|(name, words)| crate::rollup::model::measure::Measure::parse(name, words).unwrap());
        let view = crate::rollup::model::view::View::new("Point", "Map", None, view.key().to_vec(), measures.to_vec());
        let definition = Definition::new(vec![view.unwrap()]).unwrap();
        let zeros = json!({"M": {"A": {"N": "0"}}});
        let found = ZeroGroups::of(&definition, definition.all(), &item(json!({"Sums": zeros, "Counts": zeros})));
        assert_eq!(found.groups, 1);
    }

    #[test]
    fn many_groups_are_removed_by_updates_that_fit() {
        let definition = definition();
        let groups: serde_json::Map<String, serde_json::Value> =
            (0..950).map(|number| (format!("g{number}"), json!({"N": "0"}))).collect();
        let updates = removals(&definition, definition.all(), &item(json!({"CategoryCounts": {"M": groups}})));
        assert_eq!(updates.len(), 10);
        for Removal { update, .. } in updates {
            let condition = update.condition.unwrap();
            assert!(update.expression.len() <= limits::EXPRESSION_BYTES && condition.len() <= limits::EXPRESSION_BYTES);
            assert!(condition.matches(['=', 'A']).count() <= limits::EXPRESSION_OPERATORS);
        }
    }
}
