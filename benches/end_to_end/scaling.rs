//! How the roll-up grows: one thing changed at a time, from 1,000 records over 20 view items.

use serde_json::{Value, json};

use crate::contestants::{Process, Took};
use crate::world::{self, Maps, Storage, World};
use crate::{IN_FLIGHT, median};

/// One point of a series.
#[derive(Debug, Clone, Copy)]
struct Load {
    records: usize,
    maps: usize,
    categories: usize,
    in_flight: usize,
    padding: usize,
}

impl Load {
    const BASE: Self = Self { records: 1_000, maps: 20, categories: 7, in_flight: IN_FLIGHT, padding: 0 };

    /// The started KB of a view item.
    fn item_kb(self) -> usize {
        // A key, two counters, a version; a category is a name and a number.
        (self.padding + 80 + 16 * self.categories).div_ceil(1024)
    }
}

/// Every series; small when it is only to be seen that they run.
pub async fn measure(full: bool) -> Value {
    let rounds = if full { 3 } else { 1 };
    let few = |values: &[usize]| -> Vec<usize> { if full { values.to_vec() } else { values[..1].to_vec() } };
    let base = Load { records: if full { 1_000 } else { 30 }, ..Load::BASE };
    let mut series = Vec::new();
    for (name, loads) in [
        (
            "view items",
            few(&[1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000]).iter().map(|&maps| Load { maps, ..base }).collect(),
        ),
        ("groups an item", few(&[1, 3, 10, 20, 50]).iter().map(|&categories| Load { categories, ..base }).collect()),
        (
            "transactions in flight",
            few(&[1, 2, 4, 8, 16, 32])
                .iter()
                .map(|&in_flight| Load { in_flight, maps: 100.min(base.records), ..base })
                .collect(),
        ),
        (
            "bytes of an item",
            few(&[0, 1_024, 4_096, 16_384, 65_536]).iter().map(|&padding| Load { padding, ..base }).collect(),
        ),
    ] as [(&str, Vec<Load>); 4]
    {
        let mut points = Vec::new();
        for load in loads {
            let point = point(load, rounds).await;
            println!("{name}: {point}");
            points.push(point);
        }
        series.push(json!({ "name": name, "points": points }));
    }
    let redelivery = redelivery(base, rounds).await;
    println!("redelivery: {redelivery}");
    json!({ "records": base.records, "series": series, "redelivery": redelivery })
}

async fn point(load: Load, rounds: usize) -> Value {
    let event = world::event(&world::inserts(load.records, load.maps, load.categories).await);
    let mut took = Vec::new();
    for _ in 0..rounds {
        let world = World::begin(Storage::Memory, Maps { count: load.maps, padding: load.padding }).await;
        took.push(Process::begin(&world, load.in_flight, load.item_kb()).deliver(&event).await);
        world.end().await;
    }
    json!({
        "view_items": load.maps, "groups": load.categories, "in_flight": load.in_flight, "bytes": load.padding,
        "took": tell(load.records, &took),
    })
}

fn tell(records: usize, took: &[Took]) -> Value {
    let records = records as f64;
    json!({
        "events_per_second": median(took.iter().map(|one| records / one.time.as_secs_f64())),
        "requests_per_event": took[0].requests as f64 / records,
        "write_units_per_event": took[0].write_units as f64 / records,
    })
}

/// Which records of a batch were counted before it is delivered.
#[derive(Debug, Clone, Copy)]
enum Counted {
    None,
    All,
    EverySecond,
    EveryTenth,
    /// As after a crash in the middle.
    FirstHalf,
}

impl Counted {
    const ALL: [Self; 5] = [Self::None, Self::All, Self::EverySecond, Self::EveryTenth, Self::FirstHalf];

    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::All => "all",
            Self::EverySecond => "every second one",
            Self::EveryTenth => "every tenth one",
            Self::FirstHalf => "the first half",
        }
    }

    fn has(self, place: usize, records: usize) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::EverySecond => place % 2 == 1,
            Self::EveryTenth => place % 10 == 9,
            Self::FirstHalf => place < records / 2,
        }
    }
}

/// A batch of which some was counted before, delivered to a process that is new.
async fn redelivery(load: Load, rounds: usize) -> Value {
    let records = world::inserts(load.records, load.maps, load.categories).await;
    let event = world::event(&records);
    let mut rows = Vec::new();
    for counted in Counted::ALL {
        let before = records.iter().enumerate().filter(|(place, _)| counted.has(*place, records.len()));
        let before: Vec<Value> = before.map(|(_, record)| record.clone()).collect();
        let mut took = Vec::new();
        for _ in 0..rounds {
            let world = World::begin(Storage::Memory, Maps { count: load.maps, padding: 0 }).await;
            if !before.is_empty() {
                Process::begin(&world, load.in_flight, 1).deliver(&world::event(&before)).await;
            }
            took.push(Process::begin(&world, load.in_flight, 1).deliver(&event).await);
            let points = i64::try_from(records.len()).unwrap();
            assert_eq!(world.counted().await, (points, points), "{}", counted.name());
            world.end().await;
        }
        let mut row = tell(load.records, &took);
        row["counted_before"] = json!(counted.name());
        row["read_units_per_event"] = json!(took[0].markers_read as f64 / 2.0 / load.records as f64);
        rows.push(row);
    }
    json!(rows)
}
