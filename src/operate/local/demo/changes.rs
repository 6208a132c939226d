//! Writes, changes, deletes and restores the tutorial's points and lets one expire, while the counters follow.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use super::observed_stack::ObservedStack;
use super::output::{DemoOutput, word_counts};
use super::recount::differences;
use super::table::{DemoTableError, SdkItem, items_of, refused, text};
use crate::operate::local::error::LocalError;
use crate::operate::printable::counted;

/// The tutorial's items.
const MAPS: &str = include_str!("../../../../tests/fixtures/maps.json");
const POINTS: &str = include_str!("../../../../tests/fixtures/points.json");

/// How long the counters may take to follow the points. If they take longer, the remaining changes are left out.
const FOLLOW_TIMEOUT: Duration = Duration::from_secs(5);

/// How often to check whether the counters have followed.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// The attribute that holds the expiry time of a point in the demo.
const EXPIRES_AT: &str = "ExpiresAt";

/// How far the engine's clock is moved for a point to expire.
const AN_HOUR: Duration = Duration::from_hours(1);

/// The tutorial's items.
struct Tutorial {
    maps: Vec<SdkItem>,
    points: Vec<SdkItem>,
}

impl Tutorial {
    async fn load(&self, stack: &ObservedStack<'_>) -> Result<(), DemoTableError> {
        for map in &self.maps {
            stack.maps.put(map.clone()).await?;
        }
        for point in &self.points {
            stack.points.put(point.clone()).await?;
        }
        Ok(())
    }
}

/// A change of the tables, made when `make` is awaited.
struct DemoChange<'a> {
    title: String,
    note: Option<&'static str>,
    /// Number of records that the change writes to the stream.
    records: usize,
    make: LocalBoxFuture<'a, Result<(), DemoTableError>>,
}

impl<'a> DemoChange<'a> {
    /// A change that writes one record.
    fn new(title: &str, make: impl Future<Output = Result<(), DemoTableError>> + 'a) -> Self {
        Self { title: title.to_owned(), note: None, records: 1, make: make.boxed_local() }
    }
}

impl Tutorial {
    fn changes<'a>(&'a self, stack: &'a ObservedStack<'_>) -> [DemoChange<'a>; 5] {
        let (maps, points) = (self.maps.len(), self.points.len());
        let hospital = self.points.iter().find(|point| point.get("PointId") == Some(&text("OldHospital")));
        let hospital = hospital.cloned().unwrap_or_default();
        let load = format!("Load the tutorial's {maps} maps and {points} points");
        let expire = "Pizza by the Sea in Townsville is set to expire; an hour later it is deleted by TTL";
        [
            DemoChange { records: points, ..DemoChange::new(&load, self.load(stack)) },
            DemoChange::new(
                "Palace Kitchen in Seattle turns from a restaurant into a bar",
                stack.points.set("SeattleMapId", "PalaceKitchenId", "Category", text("Bar")),
            ),
            DemoChange::new(
                "The Old Hospital in Townsville is deleted",
                stack.points.delete("TownsvilleMapId", "OldHospital"),
            ),
            DemoChange::new("The Old Hospital is put back, the same as before", stack.points.put(hospital)),
            DemoChange {
                note: Some("To set the expiry changes no counter, and takes no transaction"),
                records: 2,
                ..DemoChange::new(expire, expire_now(stack, "TownsvilleMapId", "PizzaByTheSea"))
            },
        ]
    }
}

/// Makes the changes until the counters do not follow one. Returns the number of stream records.
pub(super) async fn make(stack: &ObservedStack<'_>, output: &mut DemoOutput) -> Result<usize, LocalError> {
    let tutorial = Tutorial { maps: items_of(MAPS)?, points: items_of(POINTS)? };
    let mut written = 0;
    for DemoChange { title, note, records, make } in tutorial.changes(stack) {
        let counters = stack.counters().await?;
        let (deliveries, committed) = (stack.function().deliveries().len(), stack.function().counts().committed());
        make.await?;
        written += records;
        let follow = counters_follow(stack, written).await?;

        let deliveries = &stack.function().deliveries()[deliveries..];
        let mut seen = vec![format!(
            "The stream carried {} in {}; {} committed",
            word_counts(&deliveries.concat()),
            counted(deliveries.len(), "batch", "batches"),
            counted(stack.function().counts().committed() - committed, "transaction", "transactions"),
        )];
        seen.extend(note.map(str::to_owned));
        if !follow {
            seen.push("The counters do not follow".to_owned());
        }
        output.step(&title, &seen, &counters, &stack.counters().await?)?;
        if !follow {
            break;
        }
    }
    Ok(written)
}

/// Waits until every write is delivered and counted. Returns whether that happened in time.
async fn counters_follow(stack: &ObservedStack<'_>, written: usize) -> Result<bool, LocalError> {
    let deadline = Instant::now() + FOLLOW_TIMEOUT;
    loop {
        if stack.delivered_records() >= written
            && differences(&stack.counters().await?, &stack.recounted().await?).is_empty()
        {
            return Ok(true);
        }
        if Instant::now() > deadline {
            return Ok(false);
        }
        sleep(LOOK_INTERVAL).await;
    }
}

/// Sets a point to expire now, moves the clock by an hour, and lets the engine delete what has expired.
async fn expire_now(stack: &ObservedStack<'_>, map: &str, point: &str) -> Result<(), DemoTableError> {
    stack.points.switch_on_expiry(EXPIRES_AT).await?;
    let now = AttributeValue::N(stack.now().timestamp().to_string());
    stack.points.set(map, point, EXPIRES_AT, now).await?;
    stack.clock.tick(AN_HOUR);
    let database = stack.stack.database.clone();
    let deleted = spawn_blocking(move || database.sweep_ttl()).await;
    deleted.map_err(|e| refused("delete what has expired", e))?.map_err(|e| refused("delete what has expired", e))?;
    Ok(())
}
