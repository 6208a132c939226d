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
pub struct Known(Mutex<Generations>);

/// When the recent ones are as many as are remembered, they become the older ones, and those are forgotten.
#[derive(Debug, Default)]
struct Generations {
    recent: HashSet<u64>,
    older: HashSet<u64>,
}

impl Known {
    /// Whether a view item is remembered as complete.
    #[must_use]
    pub fn has(&self, key: &ViewKey) -> bool {
        let name = name(key);
        self.with(|known| known.recent.contains(&name) || known.older.contains(&name))
    }

    /// Remembers a view item as complete.
    pub fn add(&self, key: &ViewKey) {
        self.with(|known| {
            if known.recent.len() == limits::KNOWN_VIEW_ITEMS {
                known.older = std::mem::take(&mut known.recent);
            }
            known.recent.insert(name(key));
        });
    }

    /// Forgets a view item that turned out not to be complete.
    pub fn forget(&self, key: &ViewKey) {
        let name = name(key);
        self.with(|known| {
            known.recent.remove(&name);
            known.older.remove(&name);
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
        let known = Known::default();
        assert!(!known.has(&key(1)));
        known.add(&key(1));
        known.add(&key(1));
        assert!(known.has(&key(1)) && !known.has(&key(2)));
        known.forget(&key(1));
        assert!(!known.has(&key(1)));
    }

    #[test]
    fn it_remembers_the_last_ones_and_never_more_than_twice_the_limit() {
        let known = Known::default();
        let added = 2 * limits::KNOWN_VIEW_ITEMS + 1;
        (0..added).for_each(|number| known.add(&key(number)));
        let of = |from: usize, to: usize| (from..to).filter(|number| known.has(&key(*number))).count();
        assert_eq!(of(added - limits::KNOWN_VIEW_ITEMS, added), limits::KNOWN_VIEW_ITEMS);
        assert_eq!(of(0, added), limits::KNOWN_VIEW_ITEMS + 1);
        known.forget(&key(added - 2));
        assert!(!known.has(&key(added - 2)), "an older one is forgotten too");
    }
}
