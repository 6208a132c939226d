//! `ddb-rollup local --demo`: a story that shows the counters follow the points, and that nothing counts twice.
//!
//! The engine's clock stands still and is moved by hand, so that a point can expire without anybody waiting.

pub mod items;
pub mod recorder;
pub mod recount;
pub mod story;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use dynoxide::Database;
use dynoxide::storage_backend::ManualClock;
use serde_json::{Map, Value, json};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use self::items::{Item, Items, ItemsError, items, refused, s};
use self::recorder::Recorder;
use self::recount::{Maps, differences, recount, stored};
use self::story::{Story, count, tally};
use super::args::Shared;
use super::deployment::Table;
use super::engine::EngineError;
use super::function::LocalFunction;
use super::local::{Args, LocalError, Stage};
use super::poller::destination::Destination;
use super::poller::event::{EventRecord, event};
use super::poller::stream::{Cursor, DynamoStream, Stream, StreamError};
use super::poller::{Clock, Function, Poller};
use super::stop;

/// The tutorial's items.
const MAPS: &str = include_str!("../../../tests/fixtures/maps.json");
const POINTS: &str = include_str!("../../../tests/fixtures/points.json");

/// How long the counters may take to follow the points, in the whole story.
const PATIENCE: Duration = Duration::from_secs(6);

/// How often the story looks whether they have, and the poller for new records.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// The attribute by which a point expires in the story.
const EXPIRES_AT: &str = "ExpiresAt";

/// What the story waits for in no time at all.
const AN_HOUR: Duration = Duration::from_hours(1);

/// Why the story cannot be told to its end.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The pipeline does not run.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// The stream cannot be read.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The engine refuses something.
    #[error(transparent)]
    Items(#[from] ItemsError),
    /// The output cannot be written.
    #[error(transparent)]
    Output(#[from] io::Error),
}

/// Tells the story, and whether it ends as it should: every counter is what a recount says, and nothing moved when all
/// records came again.
///
/// # Errors
/// When it cannot be told to its end.
pub async fn run(shared: &Shared, args: &Args) -> Result<bool, DemoError> {
    let began = Instant::now();
    let clock = ManualClock::new(u64::try_from(Utc::now().timestamp()).unwrap_or_default());
    let database = Database::memory_with_clock(clock.arc());
    let database = database.map_err(|error| LocalError::Engine(EngineError::Memory(error.to_string())))?;
    let mut parameters = shared.parameters();
    // The story has no time to wait for a batch to fill up.
    parameters.insert("MaximumBatchingWindowInSeconds".to_owned(), "0".to_owned());
    parameters.extend(args.parameters.iter().cloned());
    let stage = Stage::set(database, args.port.unwrap_or(0), shared.region.as_deref(), &parameters).await?;

    let time = clock.clone();
    let now: Clock = Arc::new(move || tell_time(&time));
    let function = LocalFunction::new(stage.config.clone(), &stage.sdk, Arc::clone(&now));
    let poller = Poller {
        stream: stage.stream(),
        function: Recorder::new(function),
        mapping: stage.deployment.mapping.clone(),
        destination: Destination::at(&args.failures),
        clock: now,
        interval: LOOK_INTERVAL,
    };
    let client = Client::new(&stage.sdk);
    let table = |table: &Table| Items::new(client.clone(), &table.name);
    let demo = Demo {
        stage: &stage,
        points: table(&stage.deployment.source),
        maps: table(&stage.deployment.view),
        markers: table(&stage.deployment.idempotency),
        clock,
        recorder: &poller.function,
        time_limit: poller.mapping.time_limit,
        deadline: began + PATIENCE,
    };
    let (stopper, stop) = stop::stop();
    let telling = async {
        let told = demo.tell(Story::new(shared.json), began).await;
        stopper.stop();
        told
    };
    let ((), told) = tokio::join!(poller.run(&stop), telling);
    stage.engine.stop().await;
    told
}

fn tell_time(clock: &ManualClock) -> DateTime<Utc> {
    use dynoxide::storage_backend::Clock as _;
    let seconds = i64::try_from(clock.now_unix_secs()).unwrap_or(i64::MAX);
    DateTime::from_timestamp(seconds, 0).unwrap_or_default()
}

struct Demo<'a> {
    stage: &'a Stage,
    points: Items,
    maps: Items,
    markers: Items,
    clock: ManualClock,
    recorder: &'a Recorder,
    time_limit: Duration,
    /// When the counters should have followed.
    deadline: Instant,
}

/// Where the story stood before a step.
struct Before {
    counters: Maps,
    deliveries: usize,
    committed: usize,
}

impl Demo<'_> {
    async fn tell(&self, mut story: Story, began: Instant) -> Result<bool, DemoError> {
        story.headline("Counters that follow a table, each change counted once")?;
        story.say(&format!(
            "DynamoDB {}, tables and event source mapping as template.json declares them",
            self.stage.engine.url()
        ))?;
        let records = self.change(&mut story).await?;
        let unmoved = self.deliver_again(&mut story, records).await?;
        self.recount(story, records, unmoved, began).await
    }

    /// The points are written, changed, deleted, put back and left to expire; gives the number of stream records.
    async fn change(&self, story: &mut Story) -> Result<usize, DemoError> {
        let (maps, points) = (items(MAPS)?, items(POINTS)?);
        let mut written = points.len();
        let title = format!("Load the tutorial's {} maps and {} points", maps.len(), points.len());
        let before = self.before().await?;
        for map in maps {
            self.maps.put(map).await?;
        }
        for point in &points {
            self.points.put(point.clone()).await?;
        }
        self.after(story, &title, &[], before, written).await?;

        let before = self.before().await?;
        self.points.set("SeattleMapId", "PalaceKitchenId", "Category", s("Bar")).await?;
        written += 1;
        let title = "Palace Kitchen in Seattle turns from a restaurant into a bar";
        self.after(story, title, &[], before, written).await?;

        let before = self.before().await?;
        self.points.delete("TownsvilleMapId", "OldHospital").await?;
        written += 1;
        self.after(story, "The Old Hospital in Townsville is deleted", &[], before, written).await?;

        let before = self.before().await?;
        let hospital = points.into_iter().find(|point| point.get("PointId") == Some(&s("OldHospital")));
        self.points.put(hospital.unwrap_or_default()).await?;
        written += 1;
        self.after(story, "The Old Hospital is put back, the same as before", &[], before, written).await?;

        let before = self.before().await?;
        self.expire("TownsvilleMapId", "PizzaByTheSea").await?;
        written += 2;
        let title = "Pizza by the Sea in Townsville is set to expire; an hour later it is deleted by TTL";
        let note = "To set the expiry changes no counter, and takes no transaction";
        self.after(story, title, &[note], before, written).await?;
        Ok(written)
    }

    /// Sets a point to expire now, lets an hour pass, and has the engine delete what has expired.
    async fn expire(&self, map: &str, point: &str) -> Result<(), DemoError> {
        self.points.switch_on_expiry(EXPIRES_AT).await?;
        let at = AttributeValue::N(tell_time(&self.clock).timestamp().to_string());
        self.points.set(map, point, EXPIRES_AT, at).await?;
        self.clock.tick(AN_HOUR);
        let database = self.stage.database.clone();
        let swept = spawn_blocking(move || database.sweep_ttl()).await;
        swept.map_err(|e| refused("delete what has expired", e))?.map_err(|e| refused("delete what has expired", e))?;
        Ok(())
    }

    /// Every record of the stream comes again, three times, cut and ordered in other ways; tells whether nothing moved.
    async fn deliver_again(&self, story: &mut Story, written: usize) -> Result<bool, DemoError> {
        let records = all(&self.stage.stream()).await?;
        let before = self.counters().await?;
        let everything = self.everything().await?;
        let mut seen = Vec::new();
        let mut unmoved = true;
        for (size, order, words) in [
            (1, -1, "one by one, the newest first"),
            (5, 2, "5 at a time, every other batch first"),
            (records.len(), 1, "all at once"),
        ] {
            let counts = self.recorder.counts();
            let (committed, duplicates) = (counts.committed(), counts.duplicates());
            let batches = reordered(records.chunks(size.max(1)).collect(), order);
            let delivered = count(batches.len(), "batch", "batches");
            for batch in batches {
                let answer = self.recorder.invoke(event(batch), self.time_limit).await;
                unmoved &= answer.is_ok_and(|answer| !answer.contains("itemIdentifier"));
            }
            unmoved &= counts.committed() == committed;
            seen.push(format!(
                "{words}, in {delivered}: {} found, {} committed",
                count(counts.duplicates() - duplicates, "duplicate", "duplicates"),
                count(counts.committed() - committed, "transaction", "transactions"),
            ));
        }
        unmoved &= everything == self.everything().await? && records.len() == written;
        seen.push(if unmoved {
            "Every record found its marker, and nothing moved: both tables are what they were, to the last attribute"
                .to_owned()
        } else {
            "Something moved that should not have".to_owned()
        });
        let title = format!("Every one of the {} stream records is delivered again, three times", records.len());
        story.step(&title, &seen, &before, &self.counters().await?)?;
        Ok(unmoved)
    }

    /// The last step: the counters beside a recount, and the verdict.
    async fn recount(
        &self,
        mut story: Story,
        records: usize,
        unmoved: bool,
        began: Instant,
    ) -> Result<bool, DemoError> {
        let (stored, recounted) = (self.counters().await?, self.recounted().await?);
        let drift = differences(&stored, &recounted);
        let seen: Vec<_> = drift.iter().map(ToString::to_string).collect();
        story.step("The points are counted one by one", &seen, &stored, &stored)?;
        let rows = stored.iter().map(|(map, counters)| {
            let recounted = recounted.get(map).map_or_else(|| "0".to_owned(), ToString::to_string);
            [map.clone(), counters.to_string(), recounted]
        });
        story.say("")?;
        story.table(["map", "stored", "recounted"], rows.collect())?;

        let deliveries = self.recorder.deliveries();
        let delivered = deliveries.iter().map(Vec::len).sum::<usize>();
        let counts = self.recorder.counts();
        let exact = drift.is_empty() && unmoved;
        story.say(&format!(
            "\n{records} stream records were delivered {delivered} times in {} batches: {} committed, {} found.",
            deliveries.len(),
            count(counts.committed(), "transaction", "transactions"),
            count(counts.duplicates(), "duplicate", "duplicates"),
        ))?;
        story.headline(if exact {
            "Exact: every counter equals the recount, and nothing was counted twice."
        } else {
            "Not exact: see above."
        })?;
        let summary = json!({
            "exact": exact,
            "view_items": stored.len(),
            "drift": drift.iter().map(recount::Difference::json).collect::<Vec<_>>(),
            "moved_by_redelivery": !unmoved,
            "records": records,
            "delivered": delivered,
            "batches": deliveries.len(),
            "transactions": counts.committed(),
            "duplicates": counts.duplicates(),
            "counters": story::counters(&stored),
            "seconds": began.elapsed().as_secs_f64(),
        });
        let summary = match summary {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        story.end(summary)?;
        Ok(exact)
    }

    async fn before(&self) -> Result<Before, DemoError> {
        Ok(Before {
            counters: self.counters().await?,
            deliveries: self.recorder.deliveries().len(),
            committed: self.recorder.counts().committed(),
        })
    }

    /// Waits until all that was written is delivered and counted, and tells what was seen.
    async fn after(
        &self,
        story: &mut Story,
        title: &str,
        notes: &[&str],
        before: Before,
        written: usize,
    ) -> Result<(), DemoError> {
        let follows = loop {
            let delivered = self.recorder.deliveries().iter().map(Vec::len).sum::<usize>() >= written;
            if delivered && differences(&self.counters().await?, &self.recounted().await?).is_empty() {
                break true;
            }
            if Instant::now() > self.deadline {
                break false;
            }
            sleep(LOOK_INTERVAL).await;
        };
        let deliveries = &self.recorder.deliveries()[before.deliveries..];
        let committed = self.recorder.counts().committed() - before.committed;
        let mut seen = vec![format!(
            "The stream carried {} in {}; {} committed",
            tally(&deliveries.concat()),
            count(deliveries.len(), "batch", "batches"),
            count(committed, "transaction", "transactions"),
        )];
        seen.extend(notes.iter().map(|note| (*note).to_owned()));
        if !follows {
            seen.push("The counters do not follow".to_owned());
        }
        story.step(title, &seen, &before.counters, &self.counters().await?)?;
        Ok(())
    }

    async fn counters(&self) -> Result<Maps, DemoError> {
        Ok(stored(&self.maps.all().await?))
    }

    async fn recounted(&self) -> Result<Maps, DemoError> {
        Ok(recount(&self.points.all().await?))
    }

    /// All that the function writes.
    async fn everything(&self) -> Result<[Vec<Item>; 2], DemoError> {
        Ok([self.maps.all().await?, self.markers.all().await?])
    }
}

/// Every record that a stream holds, the oldest first.
async fn all(stream: &DynamoStream) -> Result<Vec<EventRecord>, StreamError> {
    let mut records = Vec::new();
    for shard in stream.shards().await? {
        let mut cursor = Cursor::default();
        loop {
            let page = stream.read(&shard.id, &mut cursor).await?;
            let over = page.ended || page.records.is_empty();
            records.extend(page.records);
            if over {
                break;
            }
        }
    }
    Ok(records)
}

/// The same in another order: backwards for a step below zero, otherwise every so many first, then the ones between.
fn reordered<T>(mut list: Vec<T>, step: isize) -> Vec<T> {
    let Ok(step) = usize::try_from(step) else {
        list.reverse();
        return list;
    };
    let mut rounds: Vec<Vec<T>> = (0..step.max(1)).map(|_| Vec::new()).collect();
    for (place, item) in list.into_iter().enumerate() {
        let round = place % rounds.len();
        rounds[round].push(item);
    }
    rounds.into_iter().flatten().collect()
}
