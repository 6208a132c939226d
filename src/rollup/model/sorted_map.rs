//! A map of few entries, in one allocation.

use std::borrow::Borrow;
use std::slice;
use std::vec;

/// A map of few entries, in the order of their keys.
///
/// A batch has thousands of these with one or two entries each, and a node of a
/// [`BTreeMap`](std::collections::BTreeMap) has room for eleven. The time to insert grows with the number of entries.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SortedMap<K, V>(Vec<(K, V)>);

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord, V> SortedMap<K, V> {
    /// A map without entries.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a key.
    #[must_use]
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.place(key).ok().map(|place| &self.0[place].1)
    }

    /// Whether a key has a value.
    #[must_use]
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.place(key).is_ok()
    }

    /// The value of a key, which gets one if it has none.
    pub fn or_insert_with(&mut self, key: K, value: impl FnOnce() -> V) -> &mut V {
        let place = match self.place(&key) {
            Ok(place) => place,
            Err(place) => {
                self.0.insert(place, (key, value()));
                place
            }
        };
        &mut self.0[place].1
    }

    /// The entries, in the order of their keys.
    #[must_use]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> + ExactSizeIterator {
        self.into_iter()
    }

    /// The entries, in the order of their keys.
    #[must_use]
    pub fn as_slice(&self) -> &[(K, V)] {
        &self.0
    }

    /// The keys, in their order.
    #[must_use]
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + ExactSizeIterator {
        self.iter().map(|(key, _)| key)
    }

    /// The values, in the order of their keys.
    #[must_use]
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + ExactSizeIterator {
        self.iter().map(|(_, value)| value)
    }

    /// The values, in the order of their keys, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    /// Keeps only the wanted entries.
    pub fn retain(&mut self, wanted: impl Fn(&K, &V) -> bool) {
        self.0.retain(|(key, value)| wanted(key, value));
    }

    fn place<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        // Most keys come in their order.
        match self.0.last() {
            Some((last, _)) if last.borrow() < key => Err(self.0.len()),
            _ => self.0.binary_search_by(|(found, _)| found.borrow().cmp(key)),
        }
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for SortedMap<K, V> {
    /// Of a key that comes twice, the last value stays.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::new();
        map.extend(entries);
        map
    }
}

impl<K: Ord, V> Extend<(K, V)> for SortedMap<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        let entries = entries.into_iter();
        // Thousands of these are kept at once, so none has room for entries that never come.
        self.0.reserve_exact(entries.size_hint().0);
        for (key, value) in entries {
            match self.place(&key) {
                Ok(place) => self.0[place].1 = value,
                Err(place) => self.0.insert(place, (key, value)),
            }
        }
    }
}

impl<'m, K, V> IntoIterator for &'m SortedMap<K, V> {
    type Item = (&'m K, &'m V);
    type IntoIter = std::iter::Map<slice::Iter<'m, (K, V)>, fn(&'m (K, V)) -> (&'m K, &'m V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(|(key, value)| (key, value))
    }
}

impl<K, V> IntoIterator for SortedMap<K, V> {
    type Item = (K, V);
    type IntoIter = vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn it_is_what_a_tree_is() {
        let mut random = fastrand::Rng::with_seed(1);
        for entries in 0..40 {
            let all: Vec<(u8, u8)> = (0..entries).map(|_| (random.u8(..20), random.u8(..))).collect();
            let (mut map, mut tree): (SortedMap<_, _>, BTreeMap<_, _>) =
                (all.iter().copied().collect(), all.into_iter().collect());
            *map.or_insert_with(7, || 0) ^= 1;
            *tree.entry(7).or_insert(0) ^= 1;
            assert!(map.iter().eq(&tree) && map.keys().eq(tree.keys()) && map.values().eq(tree.values()));
            assert!(
                (0..20).all(|key| map.get(&key) == tree.get(&key) && map.contains_key(&key) == tree.contains_key(&key))
            );
            map.retain(|key, value| (key ^ value) % 2 == 0);
            tree.retain(|key, value| (*key ^ *value) % 2 == 0);
            assert_eq!((map.len(), map.is_empty()), (tree.len(), tree.is_empty()));
            map.values_mut().for_each(|value| *value /= 2);
            for value in tree.values_mut() {
                *value /= 2;
            }
            assert!(map.into_iter().eq(tree));
        }
    }

    #[test]
    fn entries_that_come_together_take_no_room_to_spare() {
        let mut map = SortedMap::new();
        map.extend([(1, "one")]);
        assert_eq!(map.0.capacity(), 1);
        map.extend([(2, "two"), (0, "zero")]);
        assert_eq!((map.len(), map.0.capacity()), (3, 3));
    }
}
