//! How the roll-up grows: one thing changed at a time, from 1,000 records over 20 view items.

use aws_sdk_dynamodb::types::KeysAndAttributes;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::contestants::{Process, Took};
use crate::world::{self, Maps, Storage, World, text};
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
    let replay = replay(base).await;
    println!("replay: {replay}");
    json!({ "records": base.records, "series": series, "replay": replay })
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

/// A batch that was counted before: what it costs as it is, and what it would cost to read the markers first.
async fn replay(load: Load) -> Value {
    let records = world::inserts(load.records, load.maps, load.categories).await;
    let event = world::event(&records);
    let world = World::begin(Storage::Memory, Maps { count: load.maps, padding: 0 }).await;
    let process = Process::begin(&world, load.in_flight, 1);
    let first = process.deliver(&event).await;
    let again = process.deliver(&event).await;

    let began = Instant::now();
    let mut reads = 0;
    for records in records.chunks(100) {
        let key = |record: &Value| {
            let part = |value: &Value| text(value.as_str().unwrap());
            [
                ("SequenceNumber".to_owned(), part(&record["dynamodb"]["SequenceNumber"])),
                ("Stream".to_owned(), part(&record["eventSourceARN"])),
            ]
            .into()
        };
        let keys = KeysAndAttributes::builder().set_keys(Some(records.iter().map(key).collect())).consistent_read(true);
        let found = world.client.batch_get_item().request_items("Idempotency", keys.build().unwrap()).send().await;
        assert_eq!(found.unwrap().responses.unwrap()["Idempotency"].len(), records.len());
        reads += 1;
    }
    let look = began.elapsed().as_secs_f64();
    world.end().await;
    json!({
        "first": tell(load.records, &[first]),
        "again": tell(load.records, &[again]),
        "look": {
            "events_per_second": load.records as f64 / look,
            "requests_per_event": f64::from(reads) / load.records as f64,
            // A marker is below 4 KB, and read consistently.
            "read_units_per_event": 1,
        },
    })
}
