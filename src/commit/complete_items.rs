//! The view items that are known to have all their counter maps. A function remembers them between invocations.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::{Mutex, PoisonError};

use crate::rollup::model::limits;
use crate::rollup::pipeline::coalesce::TouchedItem;

/// View items that had all their counter maps when they were last seen.
///
/// The memory may be wrong, because anyone can remove the maps of an item, and it forgets items. It affects only the
/// cost of a request, never a counter: every update has the assumed shape as its condition. Keys are kept as hashes, so
/// that each view of an item takes 8 bytes, however long the key is.
#[derive(Debug, Default)]
pub struct CompleteItems(Mutex<Generations>);

/// Two generations bound the memory without a timestamp for each item. When the recent one is full, it becomes the
/// older one, and the previous older one is forgotten.
#[derive(Debug, Default)]
struct Generations {
    recent: HashSet<u64>,
    older: HashSet<u64>,
}

impl CompleteItems {
    /// Whether a view item is remembered as complete for the views that touch it.
    #[must_use]
    pub fn contains(&self, item: &TouchedItem) -> bool {
        self.with(|generations| {
            names(item).all(|name| generations.recent.contains(&name) || generations.older.contains(&name))
        })
    }

    /// Remembers a view item as complete.
    pub fn insert(&self, item: &TouchedItem) {
        self.with(|generations| {
            for name in names(item) {
                if generations.recent.len() == limits::COMPLETE_VIEW_ITEMS {
                    generations.older = std::mem::take(&mut generations.recent);
                }
                generations.recent.insert(name);
            }
        });
    }

    /// Forgets a view item that turned out not to be complete.
    pub fn remove(&self, item: &TouchedItem) {
        self.with(|generations| {
            for name in names(item) {
                generations.recent.remove(&name);
                generations.older.remove(&name);
            }
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut Generations) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The hashes by which an item is remembered: one for each view, because each view needs other maps.
fn names(item: &TouchedItem) -> impl Iterator<Item = u64> {
    let name = |view| BuildHasherDefault::<DefaultHasher>::default().hash_one((&item.key, view));
    item.views.iter().map(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollup::model::definition::Definition;
    use crate::rollup::model::measure::{ViewId, ViewSet};
    use crate::rollup::model::set_attribute::SetTexts;
    use crate::rollup::model::view::TableId;

    fn touched(number: usize, views: &[usize]) -> TouchedItem {
        let image = serde_json::json!({ "MapId": { "S": format!("map{number}") } });
        let definition = Definition::points_of_maps("Point", "Map").unwrap();
        let key = definition.own_key(TableId(0), &serde_json::from_value(image).unwrap()).unwrap();
        let views: ViewSet = views.iter().copied().map(ViewId).collect();
        TouchedItem { key, views, texts: SetTexts::new() }
    }

    fn item(number: usize) -> TouchedItem {
        touched(number, &[0])
    }

    #[test]
    fn what_is_added_is_known_until_it_is_forgotten() {
        let items = CompleteItems::default();
        assert!(!items.contains(&item(1)));
        items.insert(&item(1));
        items.insert(&item(1));
        assert!(items.contains(&item(1)) && !items.contains(&item(2)));
        items.remove(&item(1));
        assert!(!items.contains(&item(1)));
    }

    #[test]
    fn an_item_is_complete_for_the_views_that_it_was_seen_with() {
        let items = CompleteItems::default();
        items.insert(&touched(1, &[0, 2]));
        assert!([&[0][..], &[2], &[0, 2]].iter().all(|views| items.contains(&touched(1, views))));
        assert!(!items.contains(&touched(1, &[1])) && !items.contains(&touched(1, &[0, 1])));
        items.remove(&touched(1, &[2]));
        assert!(items.contains(&touched(1, &[0])) && !items.contains(&touched(1, &[0, 2])));
    }

    #[test]
    fn it_remembers_the_last_ones_and_never_more_than_twice_the_limit() {
        let items = CompleteItems::default();
        let added = 2 * limits::COMPLETE_VIEW_ITEMS + 1;
        (0..added).for_each(|number| items.insert(&item(number)));
        let of = |from: usize, to: usize| (from..to).filter(|number| items.contains(&item(*number))).count();
        assert_eq!(of(added - limits::COMPLETE_VIEW_ITEMS, added), limits::COMPLETE_VIEW_ITEMS);
        assert_eq!(of(0, added), limits::COMPLETE_VIEW_ITEMS + 1);
        items.remove(&item(added - 2));
        assert!(!items.contains(&item(added - 2)), "an older one is forgotten too");
    }
}
