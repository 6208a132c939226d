//! Properties, on batches, numbers and texts that are made up: what no table of cases thinks of.
//!
//! A failure is made smaller and printed as values that can be put into a test of its own. `PROPTEST_CASES` raises the
//! number of cases for a long run, and `PROPTEST_RNG_SEED` makes them others.

#![allow(unreachable_pub, reason = "a test binary has no users")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use support::{four_views, line, memory_store, service_limits, tables};

mod algebra;
mod deliveries;
mod evaluator;
mod filter;
mod language;
#[cfg(feature = "cli")]
mod language_engine;
mod made_up;
mod number;
mod parse;
mod plan;
mod several_views;
mod telescoping;

use proptest::test_runner::{Config, RngSeed};

/// So many cases of each property, the same in each run, unless the environment says otherwise. A failure prints its
/// values, so no file keeps it.
fn cases(usual: u32) -> Config {
    let set = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    Config {
        cases: set("PROPTEST_CASES").map_or(usual, |cases| cases.try_into().unwrap()),
        rng_seed: RngSeed::Fixed(set("PROPTEST_RNG_SEED").unwrap_or(1)),
        failure_persistence: None,
        ..Config::default()
    }
}
