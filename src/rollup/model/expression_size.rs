//! How much of an update expression the counters of a view item take.

use crate::rollup::model::limits;

/// The longest that one placeholder is: its mark and two digits of base 36.
const PLACEHOLDER_BYTES: usize = 3;

/// The longest text of one group's term, `#m.#g=if_not_exists(#m.#g,:z)+:v,`.
const GROUP_TERM_BYTES: usize = 4 * PLACEHOLDER_BYTES + ".=if_not_exists(.,:z0)+:v0,".len();

const _: () = {
    /// The operators and functions of one group's term.
    const OPERATORS: usize = 2;
    let most = limits::EXPRESSION_BYTES / GROUP_TERM_BYTES;
    assert!(
        most * OPERATORS <= limits::EXPRESSION_OPERATORS,
        "an expression is full by its bytes before its operators"
    );
};

/// The longest text of one term of a measure, `#m=:v,` or `#m :v,`.
const MEASURE_TERM_BYTES: usize = 2 * PLACEHOLDER_BYTES + "=,".len();

/// Whether an update of so many counters, in a view of so many measures, stays within the limits of an expression,
/// whatever maps its view item lacks.
#[must_use]
pub fn update_fits(measures: usize, counters: usize) -> bool {
    let fixed = "SET  ADD ".len() + (measures + 1) * MEASURE_TERM_BYTES;
    fixed + counters * GROUP_TERM_BYTES <= limits::EXPRESSION_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_takes_as_many_counters_as_the_longest_terms_leave_room_for() {
        for measures in 1..=20 {
            let of_measures = "#zz=:zz,".repeat(measures + 1);
            for counters in 0..200 {
                let terms = "#zz.#zz=if_not_exists(#zz.#zz,:z0)+:v0,".repeat(counters);
                let longest = format!("SET  ADD {of_measures}{terms}").len();
                assert_eq!(
                    update_fits(measures, counters),
                    longest <= limits::EXPRESSION_BYTES,
                    "{counters} of {measures}"
                );
            }
        }
    }
}
