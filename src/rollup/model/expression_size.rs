//! How much of an update expression the counters of a view item take.

use crate::rollup::model::limits;

/// The longest that a placeholder of one of the first [`PLACEHOLDER_DIGITS`] names or values is: its mark and a digit.
const EARLY_PLACEHOLDER_BYTES: usize = 2;

/// The longest that any placeholder of an update is: its mark and two digits.
const PLACEHOLDER_BYTES: usize = 3;

/// The digits of placeholders. Attribute names of measures and the number zero take the first ones.
pub const PLACEHOLDER_DIGITS: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// The longest text of one group's term, `#m.#gg=if_not_exists(#m.#gg,:z)+:vv,`.
const GROUP_TERM_BYTES: usize = 3 * EARLY_PLACEHOLDER_BYTES + 3 * PLACEHOLDER_BYTES + ".=if_not_exists(.,)+,".len();

const _: () = {
    /// The operators and functions of one group's term.
    const OPERATORS: usize = 2;
    let most = limits::EXPRESSION_BYTES / GROUP_TERM_BYTES;
    assert!(
        most * OPERATORS <= limits::EXPRESSION_OPERATORS,
        "an expression is full by its bytes before its operators"
    );
    assert!(limits::IMAGE_COUNTERS + 2 < PLACEHOLDER_DIGITS.len(), "measures and zero have placeholders of one digit");
    let most = WrittenAttributes { measures: limits::IMAGE_COUNTERS, set: limits::ITEM_SET_ATTRIBUTES };
    assert!(update_fits(most, 2 * limits::IMAGE_COUNTERS), "every change fits into one update");
};

/// The longest text of one term of a measure, `#m=:vv,` or `#m :vv,`.
const MEASURE_TERM_BYTES: usize = EARLY_PLACEHOLDER_BYTES + PLACEHOLDER_BYTES + "=,".len();

/// The longest text of a term that sets an attribute, `#ss=:vv,`.
const SET_TERM_BYTES: usize = 2 * PLACEHOLDER_BYTES + "=,".len();

/// How many attributes of a view item an update writes, without its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrittenAttributes {
    pub measures: usize,
    /// What is set in addition to them.
    pub set: usize,
}

/// Whether an update of this many counters and attributes stays within the limits of an expression, whichever maps its
/// view item lacks.
#[must_use]
pub const fn update_fits(written: WrittenAttributes, counters: usize) -> bool {
    let fixed = "SET  ADD ".len() + (written.measures + 1) * MEASURE_TERM_BYTES + written.set * SET_TERM_BYTES;
    fixed + counters * GROUP_TERM_BYTES <= limits::EXPRESSION_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_takes_as_many_counters_as_the_longest_terms_leave_room_for() {
        for (measures, set) in (1..=20).flat_map(|measures| [(measures, 0), (measures, 3), (measures, 16)]) {
            let of_measures = "#m=:zz,".repeat(measures + 1) + &"#ss=:zz,".repeat(set);
            for counters in 0..200 {
                let terms = "#m.#zz=if_not_exists(#m.#zz,:0)+:v0,".repeat(counters);
                let longest = format!("SET  ADD {of_measures}{terms}").len();
                assert_eq!(
                    update_fits(WrittenAttributes { measures, set }, counters),
                    longest <= limits::EXPRESSION_BYTES,
                    "{counters} of {measures} and {set}"
                );
            }
        }
    }
}
