//! Many runs of the simulation of `tests/support/src/world`, or the runs that find the bugs put in on purpose.
//!
//! `cargo run --release --example simulate -- --seeds 10000`

#![allow(unreachable_pub, reason = "an example has no users")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "it is a test")]
#![allow(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Parser;

use support::world::{Bug, Wanted, simulate};

/// Runs the function in a simulated world, a seed a run, and checks the invariants after every step.
#[derive(Debug, Parser)]
struct Args {
    /// How many seeds
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// The first one; the others follow it
    #[arg(long, default_value_t = 1)]
    first_seed: u64,
    /// Print every step
    #[arg(long)]
    verbose: bool,
    /// Put every bug of the list in, one after another, and print the first seed that finds each
    #[arg(long, conflicts_with = "verbose")]
    bugs: bool,
}

fn main() -> ExitCode {
    let Args { seeds, first_seed, verbose, bugs } = Args::parse();
    let seeds = first_seed..first_seed.saturating_add(seeds);
    let all_held = if bugs { find_bugs(seeds) } else { run(seeds, verbose) };
    if all_held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs until a rule does not hold.
fn run(seeds: std::ops::Range<u64>, verbose: bool) -> bool {
    let (mut runs, mut steps, mut exact) = (0_u64, 0_usize, 0_u64);
    let mut happened: BTreeMap<&'static str, usize> = BTreeMap::new();
    for seed in seeds {
        let run = simulate(seed, Wanted { verbose, ..Wanted::default() });
        if verbose || run.failure.is_some() {
            println!("{run}");
        }
        if run.failure.is_some() {
            return false;
        }
        runs += 1;
        steps += run.steps;
        exact += u64::from(run.all_applied);
        for (kind, times) in run.happened {
            *happened.entry(kind).or_default() += times;
        }
    }
    println!("{runs} seeds, {steps} steps: every rule held");
    println!("in {exact} of them every record was applied; in the others, some were too old, discarded or trimmed");
    for (kind, times) in happened {
        println!("{times:>12}  {kind}");
    }
    true
}

/// Prints the first seed at which the rule that a bug breaks complains; false when there is none.
fn find_bugs(seeds: std::ops::Range<u64>) -> bool {
    let mut all_found = true;
    for bug in Bug::ALL {
        let found = seeds.clone().find_map(|seed| {
            let violation = simulate(seed, bug.wanted()).failure?.violation;
            (violation.rule == bug.breaks()).then_some((seed, violation))
        });
        match &found {
            Some((seed, violation)) => println!("    (Bug::{bug:?}, {seed}), // {violation}"),
            None => println!("    {bug:?} is not found at these seeds"),
        }
        all_found &= found.is_some();
    }
    all_found
}
