//! The tutorial's points are written, changed, deleted, put back and left to expire; the counters follow.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use super::observed_stack::ObservedStack;
use super::output::{DemoOutput, count, word_counts};
use super::recount::differences;
use super::table::{DemoTableError, SdkItem, items_of, refused, text};
use crate::operate::local::error::LocalError;

/// The tutorial's items.
const MAPS: &str = include_str!("../../../../tests/fixtures/maps.json");
const POINTS: &str = include_str!("../../../../tests/fixtures/points.json");

/// How long the counters may take to follow the points; when they do not, the rest of the changes is left out.
const FOLLOW_TIMEOUT: Duration = Duration::from_secs(5);

/// How often it is looked whether they have.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// The attribute by which a point expires in the demo.
const EXPIRES_AT: &str = "ExpiresAt";

/// What is waited for in no time at all.
const AN_HOUR: Duration = Duration::from_hours(1);

/// A step of the demo.
#[derive(Debug, Clone, Copy)]
enum PointChange {
    Load,
    MakeBar,
    DeleteHospital,
    PutBackHospital,
    ExpirePizzeria,
}

impl PointChange {
    const ALL: [Self; 5] =
        [Self::Load, Self::MakeBar, Self::DeleteHospital, Self::PutBackHospital, Self::ExpirePizzeria];

    fn title(self, tutorial: &Tutorial) -> String {
        let Tutorial { maps, points } = tutorial;
        match self {
            Self::Load => return format!("Load the tutorial's {} maps and {} points", maps.len(), points.len()),
            Self::MakeBar => "Palace Kitchen in Seattle turns from a restaurant into a bar",
            Self::DeleteHospital => "The Old Hospital in Townsville is deleted",
            Self::PutBackHospital => "The Old Hospital is put back, the same as before",
            Self::ExpirePizzeria => {
                "Pizza by the Sea in Townsville is set to expire; an hour later it is deleted by TTL"
            }
        }
        .to_owned()
    }

    fn note(self) -> Option<&'static str> {
        matches!(self, Self::ExpirePizzeria).then_some("To set the expiry changes no counter, and takes no transaction")
    }

    /// How many records it writes to the stream.
    fn records(self, tutorial: &Tutorial) -> usize {
        match self {
            Self::Load => tutorial.points.len(),
            Self::MakeBar | Self::DeleteHospital | Self::PutBackHospital => 1,
            Self::ExpirePizzeria => 2,
        }
    }

    async fn make(self, stack: &ObservedStack<'_>, tutorial: &Tutorial) -> Result<(), DemoTableError> {
        match self {
            Self::Load => tutorial.load(stack).await,
            Self::MakeBar => stack.points.set("SeattleMapId", "PalaceKitchenId", "Category", text("Bar")).await,
            Self::DeleteHospital => stack.points.delete("TownsvilleMapId", "OldHospital").await,
            Self::PutBackHospital => {
                let hospital = tutorial.points.iter().find(|point| point.get("PointId") == Some(&text("OldHospital")));
                stack.points.put(hospital.cloned().unwrap_or_default()).await
            }
            Self::ExpirePizzeria => expire(stack, "TownsvilleMapId", "PizzaByTheSea").await,
        }
    }
}

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

/// Makes the changes, until the counters do not follow one; gives the number of stream records.
pub(super) async fn make(stack: &ObservedStack<'_>, output: &mut DemoOutput) -> Result<usize, LocalError> {
    let tutorial = Tutorial { maps: items_of(MAPS)?, points: items_of(POINTS)? };
    let mut written = 0;
    for change in PointChange::ALL {
        let counters = stack.counters().await?;
        let (deliveries, committed) = (stack.function().deliveries().len(), stack.function().counts().committed());
        change.make(stack, &tutorial).await?;
        written += change.records(&tutorial);
        let follow = counters_follow(stack, written).await?;

        let deliveries = &stack.function().deliveries()[deliveries..];
        let mut seen = vec![format!(
            "The stream carried {} in {}; {} committed",
            word_counts(&deliveries.concat()),
            count(deliveries.len(), "batch", "batches"),
            count(stack.function().counts().committed() - committed, "transaction", "transactions"),
        )];
        seen.extend(change.note().map(str::to_owned));
        if !follow {
            seen.push("The counters do not follow".to_owned());
        }
        output.step(&change.title(&tutorial), &seen, &counters, &stack.counters().await?)?;
        if !follow {
            break;
        }
    }
    Ok(written)
}

/// Waits until all that was written is delivered and counted, and tells whether it was in time.
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

/// Sets a point to expire now, lets an hour pass, and has the engine delete what has expired.
async fn expire(stack: &ObservedStack<'_>, map: &str, point: &str) -> Result<(), DemoTableError> {
    stack.points.switch_on_expiry(EXPIRES_AT).await?;
    let now = AttributeValue::N(stack.now().timestamp().to_string());
    stack.points.set(map, point, EXPIRES_AT, now).await?;
    stack.clock.tick(AN_HOUR);
    let database = stack.stack.database.clone();
    let deleted = spawn_blocking(move || database.sweep_ttl()).await;
    deleted.map_err(|e| refused("delete what has expired", e))?.map_err(|e| refused("delete what has expired", e))?;
    Ok(())
}
