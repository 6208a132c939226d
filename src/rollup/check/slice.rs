//! A slice of the view items, by a hash of their keys, so that a table that is too large for one run is audited in
//! parts.

use std::fmt;
use std::str::FromStr;

use crate::rollup::model::language::shard;
use crate::rollup::model::view::ViewKey;

/// The most slices of one table.
pub const SLICES: u32 = 10_000;

/// One of several slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    number: u32,
    of: u32,
}

impl Slice {
    /// All slices, in order.
    pub fn all(of: u32) -> impl Iterator<Item = Self> {
        (1..=of).map(move |number| Self { number, of })
    }

    /// The slice's number, from 1.
    #[must_use]
    pub fn number(self) -> u32 {
        self.number
    }

    /// The number of slices.
    #[must_use]
    pub fn of(self) -> u32 {
        self.of
    }

    /// The first half of a slice. The slice of a key is the remainder of its hash, so the Kth of N slices consists of
    /// the Kth and the (K+N)th of 2N. `None` if there would be more slices than [`SLICES`].
    #[must_use]
    pub fn first_half(self) -> Option<Self> {
        let of = self.of * 2;
        (of <= SLICES).then_some(Self { of, ..self })
    }

    /// The slice after this one, in a pass that began with `began_with` slices and has halved what was left of them,
    /// possibly several times, to this one. Together the slices of a pass cover every view item once.
    #[must_use]
    pub fn next(self, began_with: u32) -> Option<Self> {
        let (mut before, mut of) = (self.number - 1, self.of);
        while of > began_with {
            of /= 2;
            if before < of {
                return Some(Self { number: before + of + 1, ..self });
            }
            before -= of;
        }
        (before + 1 < of).then_some(Self { number: before + 2, ..self })
    }

    /// Whether a view item is in the slice.
    #[must_use]
    pub fn contains(self, key: &ViewKey) -> bool {
        shard(&key.to_string(), self.of) == u64::from(self.number - 1)
    }
}

impl fmt::Display for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl FromStr for Slice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, of) = text.split_once('/').unwrap_or_default();
        match (number.parse(), of.parse()) {
            (Ok(number @ 1..), Ok(of @ 1..=SLICES)) if number <= of => Ok(Self { number, of }),
            _ => Err(format!("expected a slice and how many there are, up to {SLICES}, as 3/8")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rollup::model::definition::Definition;
    use crate::rollup::model::view::TableId;

    #[test]
    fn each_view_item_is_in_one_slice() {
        let definition = Definition::points_of_maps("Point", "Map").unwrap();
        let mut sizes = [0; 7];
        for map in 0..700 {
            let item = serde_json::from_value(json!({"MapId": {"S": format!("m{map}")}})).unwrap();
            let key = definition.own_key(TableId(0), &item).unwrap();
            let of: Vec<Slice> = Slice::all(7).filter(|slice| slice.contains(&key)).collect();
            assert_eq!(of.len(), 1, "{key}");
            sizes[of[0].number() as usize - 1] += 1;
        }
        assert!(sizes.iter().all(|size| (60..140).contains(size)), "{sizes:?}");
    }

    #[test]
    fn a_pass_that_halves_what_is_left_sees_every_view_item_once() {
        // Every way to halve up to twice, before any of the first slices.
        for began_with in 1..=5_u32 {
            for halved in (0..64_u32).map(|places| places.wrapping_mul(0x9e37_79b9)) {
                let mut seen = [0; 60];
                let mut slice = Slice::all(began_with).next();
                let mut step = 0;
                while let Some(now) = slice {
                    step += 1;
                    let wanted = halved >> (step % 32) & 1 == 1 && now.of() < began_with * 4;
                    if let Some(half) = now.first_half().filter(|_| wanted) {
                        slice = Some(half);
                        continue;
                    }
                    let holds = |hash: &usize| hash % now.of() as usize == now.number() as usize - 1;
                    (0..seen.len()).filter(holds).for_each(|hash| seen[hash] += 1);
                    slice = now.next(began_with);
                }
                assert!(seen.iter().all(|times| *times == 1), "{began_with}, {halved:b}: {seen:?}");
            }
        }
        assert_eq!("1/5001".parse::<Slice>().unwrap().first_half(), None);
    }

    #[test]
    fn a_slice_is_one_of_so_many() {
        assert_eq!("3/8".parse::<Slice>().unwrap().to_string(), "3/8");
        for text in ["", "3", "0/8", "9/8", "1/0", "1/10001", "a/b", "-1/2"] {
            assert!(text.parse::<Slice>().is_err(), "{text}");
        }
    }
}
