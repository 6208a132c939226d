//! The hash that splits a hot view item into several. It must never change: every counter that was split would be
//! wrong.

/// FNV-1a, 64 bits: its offset basis.
const BASIS: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a, 64 bits: its prime.
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// The number of a text's shard, from 0 to `shards` - 1. All arithmetic is on unsigned 64 bits, without overflow checks:
///
/// 1. `h = 0xcbf29ce484222325`; for each byte of the text in UTF-8: `h = (h xor byte) * 0x100000001b3` (FNV-1a).
/// 2. `h = (h xor (h >> 33)) * 0xff51afd7ed558ccd`; `h = (h xor (h >> 33)) * 0xc4ceb9fe1a85ec53`;
///    `h = h xor (h >> 33)` (the finaliser of `MurmurHash3`: FNV alone spreads short texts badly).
/// 3. The shard is `h mod shards`.
#[must_use]
pub fn shard(text: &str, shards: u32) -> u64 {
    let hash = text.bytes().fold(BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    // None is not asked for: the parser sees to it.
    (hash ^ (hash >> 33)).checked_rem(u64::from(shards)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed by another program from the description above.
    const GOLDEN: [(&str, u64, u64, u64); 5] =
        [("", 0, 2, 342), ("USER#1", 1, 9, 639), ("1000", 1, 7, 77), ("true", 1, 9, 9), ("\u{e4}", 0, 2, 302)];

    #[test]
    fn the_shard_of_a_text_never_changes() {
        for (text, of_two, of_ten, of_a_thousand) in GOLDEN {
            assert_eq!(
                (shard(text, 2), shard(text, 10), shard(text, 1_000)),
                (of_two, of_ten, of_a_thousand),
                "{text:?}"
            );
        }
    }

    #[test]
    fn texts_spread_evenly() {
        for shards in [2_u32, 7, 10, 100] {
            let mut sizes = vec![0_u32; shards as usize];
            for number in 0..shards * 1_000 {
                sizes[usize::try_from(shard(&format!("USER#{number}"), shards)).unwrap()] += 1;
            }
            assert!(sizes.iter().all(|size| (850..1_150).contains(size)), "{sizes:?}");
        }
    }
}
