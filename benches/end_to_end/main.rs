//! Counting real stream records on an embedded engine: beside what people write instead, and how it grows.
//!
//! `cargo bench --bench end_to_end` measures, and writes what it found to `target/benchmarks/end-to-end.json`, from which
//! `.ci/benchmarks` fills `docs/benchmarks.md`. `cargo test` runs it small, to see that it still runs and counts right.
//! After `--`, `--pressure`, `--comparison`, `--scaling` and `--views` measure only that part, and print it;
//! `--record` also writes it over what an earlier run found.

#![allow(unreachable_pub, missing_docs, reason = "a bench has no users")]
#![allow(clippy::cast_precision_loss, reason = "counts are small")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a bench fails by panicking, and prints")]

mod contestants;
mod pressure;
mod scaling;
mod views;
mod world;

use std::collections::BTreeMap;
use std::{env, fs};

use chrono::Utc;
use serde_json::{Value, json};

use contestants::{Contestant, Took};
use world::{Maps, Storage, World};

/// Requests in flight, for all of them: the function's default.
const IN_FLIGHT: usize = 8;

/// The folder of the result.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/benchmarks");

/// The file of the result.
const RESULT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/benchmarks/end-to-end.json");

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    records: usize,
    maps: usize,
    rounds: usize,
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let arguments: Vec<String> = env::args().collect();
    let asked = |name: &str| arguments.iter().any(|argument| argument == name);
    if asked("--list") {
        println!("end_to_end: test");
        return;
    }
    let full = asked("--bench");
    let size = |rounds| {
        if full { Size { records: 1_000, maps: 20, rounds } } else { Size { records: 40, maps: 4, rounds: 1 } }
    };
    let comparison = async || {
        let in_memory = compare(Storage::Memory, size(20)).await;
        json!({ "memory": in_memory, "disk": compare(Storage::Disk, size(20)).await })
    };
    let parts = ["pressure", "comparison", "scaling", "views"];
    let is_asked = |part: &str| asked(&format!("--{part}"));
    let of_all = !parts.into_iter().any(is_asked);
    let mut found = recorded();
    for part in parts.into_iter().filter(|part| of_all || is_asked(part)) {
        found[part] = match part {
            "pressure" => runtime.block_on(pressure::measure(full)),
            "comparison" => runtime.block_on(comparison()),
            "scaling" => runtime.block_on(scaling::measure(full)),
            "views" => runtime.block_on(views::measure(full)),
            other => panic!("no part is called {other}"),
        };
        if !of_all {
            println!("{part}: {:#}", found[part]);
        }
    }
    if full && (of_all || asked("--record")) {
        found["date"] = json!(Utc::now().date_naive());
        found["machine"] = json!(machine());
        fs::create_dir_all(FOLDER).unwrap();
        fs::write(RESULT, format!("{found:#}\n")).unwrap();
    }
}

/// What earlier runs found.
fn recorded() -> Value {
    fs::read_to_string(RESULT).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_else(|| json!({}))
}

/// Every contestant counts the same records, in turn, on tables of its own.
async fn compare(storage: Storage, size: Size) -> Value {
    let Size { records, maps, rounds } = size;
    let inserts = world::inserts(1 + records, maps, 7).await;
    let (before, event) = (world::event(&inserts[..1]), world::event(&inserts[1..]));
    let mut took: BTreeMap<Contestant, Vec<Took>> = BTreeMap::new();
    for round in 0..rounds {
        for contestant in order(round) {
            let world = World::begin(storage, Maps { count: maps, padding: 0 }).await;
            let found = contestants::run(contestant, &world, [&before, &event]).await;
            let points = i64::try_from(inserts.len()).unwrap();
            assert_eq!(world.counted().await, (points, points), "{}", contestant.name());
            took.entry(contestant).or_default().push(found);
            world.end().await;
        }
    }
    let rollup = took[&Contestant::Rollup].clone();
    let rows: Vec<Value> = Contestant::ALL
        .into_iter()
        .map(|contestant| {
            let took = &took[&contestant];
            let ratios = took.iter().zip(&rollup).map(|(one, ours)| one.time.as_secs_f64() / ours.time.as_secs_f64());
            let of = |value: usize| value as f64 / records as f64;
            json!({
                "name": contestant.name(),
                "events_per_second": median(took.iter().map(|one| records as f64 / one.time.as_secs_f64())),
                "times_as_long": median(ratios),
                "requests_per_event": of(took[0].requests),
                "write_units_per_event": of(took[0].write_units),
            })
        })
        .collect();
    for row in &rows {
        println!("{row}");
    }
    json!({ "records": records, "maps": maps, "rounds": rounds, "in_flight": IN_FLIGHT, "contestants": rows })
}

/// The order of a round. In ten rounds, each contestant comes equally often after each other one: what one leaves to the
/// disk, it still writes while the next is measured.
fn order(round: usize) -> [Contestant; 5] {
    let mut order = [0, 1, 4, 2, 3].map(|place| Contestant::ALL[(place + round) % Contestant::ALL.len()]);
    if round / Contestant::ALL.len() % 2 == 1 {
        order.reverse();
    }
    order
}

/// The middle one.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn machine() -> String {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let names: Vec<&str> = processors
        .lines()
        .filter_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map(|(_, name)| name)
        .collect();
    format!("{} × {}", names.len(), names.first().unwrap_or(&"an unknown processor"))
}
