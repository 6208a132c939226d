//! A few seeds in every test run; `cargo run --release --example simulate` makes many.

use crate::world::{Wanted, simulate};

/// The seeds of a test run: from 1 to this.
pub const SEEDS: u64 = 40;

#[test]
fn every_rule_holds_at_the_first_seeds() {
    let mut steps = 0;
    for seed in 1..=SEEDS {
        let run = simulate(seed, Wanted::default());
        assert!(run.failure.is_none(), "{run}");
        steps += run.steps;
    }
    println!("{SEEDS} seeds, {steps} steps");
}

#[test]
fn a_seed_is_the_same_run_each_time() {
    for seed in 1..=3 {
        assert_eq!(simulate(seed, Wanted::default()), simulate(seed, Wanted::default()));
    }
}
