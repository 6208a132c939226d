//! A part of the view items, told by a hash of their keys: what is too large for one run is audited part by part.

use std::fmt;
use std::str::FromStr;

use crate::rollup::model::language::shard;
use crate::rollup::model::view::ViewKey;

/// The most slices.
const SLICES: u32 = 10_000;

/// One of so many slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    number: u32,
    of: u32,
}

impl Slice {
    /// All slices, in their order.
    pub fn all(of: u32) -> impl Iterator<Item = Self> {
        (1..=of).map(move |number| Self { number, of })
    }

    /// Which one it is, from 1 on.
    #[must_use]
    pub fn number(self) -> u32 {
        self.number
    }

    /// How many there are.
    #[must_use]
    pub fn of(self) -> u32 {
        self.of
    }

    /// Whether a view item is in it.
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
    fn a_slice_is_one_of_so_many() {
        assert_eq!("3/8".parse::<Slice>().unwrap().to_string(), "3/8");
        for text in ["", "3", "0/8", "9/8", "1/0", "1/10001", "a/b", "-1/2"] {
            assert!(text.parse::<Slice>().is_err(), "{text}");
        }
    }
}
