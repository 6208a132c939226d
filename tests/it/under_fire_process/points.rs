//! Source items of four views, which are put, changed, moved from one view item to another and deleted.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;

use crate::engine::{Engine, s};
use crate::four_views::{Counts, Point, TABLES};

/// Tags that points have; the last one has no item.
pub const TAGS: u8 = 4;

/// Points of one writer.
const POINTS: u8 = 15;

/// One who writes points, and knows what they are.
pub struct Writer {
    rng: Rng,
    number: u64,
    points: BTreeMap<String, Point>,
}

impl Writer {
    pub fn new(seed: u64, number: u64) -> Self {
        Self { rng: Rng::with_seed(seed * 2 + number), number, points: BTreeMap::new() }
    }

    fn point(&mut self) -> Point {
        let rng = &mut self.rng;
        let map = |rng: &mut Rng| (rng.u8(..5) > 0).then(|| format!("h{}", rng.u8(..3)));
        Point {
            home: map(rng),
            seen: map(rng),
            open: rng.bool(),
            category: rng.choice([None, Some("Park"), Some("Zoo")]).unwrap().map(str::to_owned),
            tags: (0..TAGS).filter(|_| rng.u8(..3) == 0).map(|tag| format!("t{tag}")).collect(),
            weight: rng.bool().then(|| rng.i64(-3..9)),
            touches: usize::from(rng.u8(..200)),
        }
    }

    async fn put(&mut self, engine: &Engine, id: String) {
        let point = self.point();
        let image: ddb_rollup::rollup::Item = serde_json::from_value(point.image(&id)).unwrap();
        engine.db.put_item().table_name("Point").set_item(Some(image.into())).send().await.unwrap();
        self.points.insert(id, point);
    }

    /// Puts each of its points.
    pub async fn put_all(&mut self, engine: &Engine) {
        for point in 0..POINTS {
            self.put(engine, format!("p{}-{point}", self.number)).await;
        }
    }

    /// Puts a point anew, or deletes it.
    pub async fn write(&mut self, engine: &Engine) {
        let id = format!("p{}-{}", self.number, self.rng.u8(..POINTS));
        if self.rng.u8(..5) > 0 {
            return self.put(engine, id).await;
        }
        let delete = engine.db.delete_item().table_name("Point").key("MapId", s("points"));
        delete.key("PointId", s(&id)).send().await.unwrap();
        self.points.remove(&id);
    }

    pub fn pause(&mut self) -> Duration {
        Duration::from_millis(self.rng.u64(60..240))
    }

    /// What its points count as.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.points.values().for_each(|point| counts.add_all(&point.counts(), 1));
        counts
    }
}

/// What all view items hold.
pub async fn stored(engine: &Engine) -> Counts {
    let mut counts = Counts::default();
    for table in TABLES {
        for item in engine.scan(table).await {
            if table != "Point" || super::text(&item["PointId"]) == "TOTAL" {
                counts.add_all(&Counts::of_item(table, &item.into()), 1);
            }
        }
    }
    counts
}
