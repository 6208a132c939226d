//! Which view items are known to have all their maps: what a function remembers from one invocation to the next.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::{Mutex, PoisonError};

use crate::rollup::model::limits;
use crate::rollup::model::view::ViewKey;

/// View items that were complete when they were last seen.
///
/// It may be wrong, as anyone may take an item's maps away, and it forgets: every update states as its condition what
/// was presumed of its item, so it decides about a request, never about a counter. Keys are kept as hashes, so that an
/// item takes 8 bytes, however long its key is.
#[derive(Debug, Default)]
pub struct CompleteItems(Mutex<Generations>);

/// When the recent ones are as many as are remembered, they become the older ones, and those are forgotten.
#[derive(Debug, Default)]
struct Generations {
    recent: HashSet<u64>,
    older: HashSet<u64>,
}

impl CompleteItems {
    /// Whether a view item is remembered as complete.
    #[must_use]
    pub fn contains(&self, key: &ViewKey) -> bool {
        let name = name(key);
        self.with(|generations| generations.recent.contains(&name) || generations.older.contains(&name))
    }

    /// Remembers a view item as complete.
    pub fn insert(&self, key: &ViewKey) {
        self.with(|generations| {
            if generations.recent.len() == limits::COMPLETE_VIEW_ITEMS {
                generations.older = std::mem::take(&mut generations.recent);
            }
            generations.recent.insert(name(key));
        });
    }

    /// Forgets a view item that turned out not to be complete.
    pub fn remove(&self, key: &ViewKey) {
        let name = name(key);
        self.with(|generations| {
            generations.recent.remove(&name);
            generations.older.remove(&name);
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut Generations) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn name(key: &ViewKey) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollup::model::view::View;

    fn key(number: usize) -> ViewKey {
        let image = serde_json::json!({ "MapId": { "S": format!("map{number}") } });
        View::points_of_maps("Point", "Map").unwrap().key_of(&serde_json::from_value(image).unwrap()).unwrap()
    }

    #[test]
    fn what_is_added_is_known_until_it_is_forgotten() {
        let items = CompleteItems::default();
        assert!(!items.contains(&key(1)));
        items.insert(&key(1));
        items.insert(&key(1));
        assert!(items.contains(&key(1)) && !items.contains(&key(2)));
        items.remove(&key(1));
        assert!(!items.contains(&key(1)));
    }

    #[test]
    fn it_remembers_the_last_ones_and_never_more_than_twice_the_limit() {
        let items = CompleteItems::default();
        let added = 2 * limits::COMPLETE_VIEW_ITEMS + 1;
        (0..added).for_each(|number| items.insert(&key(number)));
        let of = |from: usize, to: usize| (from..to).filter(|number| items.contains(&key(*number))).count();
        assert_eq!(of(added - limits::COMPLETE_VIEW_ITEMS, added), limits::COMPLETE_VIEW_ITEMS);
        assert_eq!(of(0, added), limits::COMPLETE_VIEW_ITEMS + 1);
        items.remove(&key(added - 2));
        assert!(!items.contains(&key(added - 2)), "an older one is forgotten too");
    }
}
