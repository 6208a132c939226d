//! A source table with a history, under one view or under four.

use std::collections::BTreeMap;
use std::path::Path;

use ddb_rollup::rollup::Item;
use serde_json::Value;

use crate::engine::{Engine, s};
use crate::four_views::{Counts, ItemName, Point, TOO_HEAVY, four_views, has_what_open_sets};
use crate::function::Function;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Views {
    /// The points of a map, in all and by category.
    One,
    /// Two that share view items, one of them under a condition; one with a view item for each tag; and one in the source
    /// table itself.
    Four,
}

/// An engine with a history.
pub struct Stage {
    pub engine: Engine,
    views: Views,
    /// The source items in the end, under four views.
    points: BTreeMap<String, Point>,
    /// How many records change a counter.
    pub effective: usize,
}

impl Stage {
    /// Writes a history with every kind of change.
    pub async fn new(views: Views) -> Self {
        Self::on(Engine::start().await, views).await
    }

    /// The same on an engine without one.
    pub async fn on(engine: Engine, views: Views) -> Self {
        let mut stage = Self { engine, views, points: BTreeMap::new(), effective: 0 };
        match views {
            Views::One => stage.write_points_of_maps().await,
            Views::Four => {
                stage.engine.create_table("Tag", &["MapId"], false).await;
                stage.engine.put("Tag", [("MapId", s("a"))]).await;
                for (id, point) in history_of_four_views() {
                    stage.write(id, point).await;
                }
            }
        }
        stage
    }

    /// The same after a restart of its engine, which keeps its tables in this file.
    pub async fn restarted_on(self, file: &Path) -> Self {
        let Self { engine, views, points, effective } = self;
        drop(engine);
        Self { engine: Engine::start_on(file).await, views, points, effective }
    }

    /// Inserts, changes of category, deletes, re-inserts, points without category.
    async fn write_points_of_maps(&mut self) {
        let engine = &self.engine;
        for map in ["m", "n", "o"] {
            for point in 0..8 {
                let category = ["Landmark", "Restaurant", "Park"][point % 3];
                engine.put_point(map, &format!("p{point}"), Some(category)).await;
            }
            engine.put_point(map, "p0", Some("Park")).await;
            engine.put_point(map, "p1", None).await;
            engine.delete_point(map, "p2").await;
            engine.put_point(map, "p2", Some("Museum")).await;
            engine.delete_point(map, "p3").await;
        }
        self.effective = engine.stream_records().await.len();
    }

    async fn write(&mut self, id: String, point: Option<Point>) {
        let old = self.points.remove(&id);
        self.effective += usize::from(!Counts::of_change(old.as_ref(), point.as_ref()).0.is_empty());
        match &point {
            Some(point) => {
                let item: Item = serde_json::from_value(point.image(&id)).unwrap();
                self.engine.db.put_item().table_name("Point").set_item(Some(item.into())).send().await.unwrap();
            }
            None => self.engine.delete_point("points", &id).await,
        }
        self.points.extend(point.map(|point| (id, point)));
    }

    /// The records of the history, in order.
    pub async fn records(&self) -> Vec<Value> {
        self.engine.stream_records().await
    }

    pub fn function(&self) -> Function {
        self.function_in_flight(None)
    }

    /// The function with so many requests at once.
    pub fn function_in_flight(&self, most: Option<usize>) -> Function {
        self.engine.function_with(|config| {
            if self.views == Views::Four {
                config.definition = four_views();
            }
            config.max_in_flight = most.unwrap_or(config.max_in_flight);
        })
    }

    /// Every counter of every view equals a recount.
    pub async fn assert_exact(&self) {
        if self.views == Views::One {
            return self.engine.assert_exact().await;
        }
        let mut counted = Counts::default();
        for (table, item) in self.items().await {
            let source = table == "Point" && item["PointId"] != serde_dynamo::AttributeValue::S("TOTAL".to_owned());
            if table != "Idempotency" && !source {
                counted.add_all(&Counts::of_item(table, &item), 1);
                assert_eq!(has_what_open_sets(&item), item.contains_key("OpenByTag"), "{item:?}");
            }
        }
        let mut recounted = Counts::default();
        self.points.values().for_each(|point| recounted.add_all(&point.counts(), 1));
        let passed_over = |(table, tag): &ItemName| *table == "Tag" && tag != "a";
        assert_eq!(counted, recounted.without(passed_over), "counters against a recount");
    }

    async fn items(&self) -> Vec<(&'static str, Item)> {
        let tables = match self.views {
            Views::One => &["Map", "Point", "Idempotency"][..],
            Views::Four => &["Map", "Tag", "Point", "Idempotency"],
        };
        let mut items = Vec::new();
        for table in tables {
            items.extend(self.engine.scan(table).await.into_iter().map(|item| (*table, Item::from(item))));
        }
        items
    }

    /// Every item of every table, by its table and its key.
    pub async fn everything(&self) -> BTreeMap<String, Item> {
        let name = |table: &str, item: &Item| {
            let key = ["MapId", "PointId", "SequenceNumber", "Stream"].map(|attribute| item.get(attribute));
            format!("{table} {key:?}")
        };
        self.items().await.into_iter().map(|(table, item)| (name(table, &item), item)).collect()
    }
}

/// Points enter and leave views, move between view items, get and lose tags, become uncountable and countable again.
fn history_of_four_views() -> Vec<(String, Option<Point>)> {
    let text = |text: &str| Some(text.to_owned());
    let tags = |tags: &[&str]| tags.iter().map(|&tag| tag.to_owned()).collect();
    let first = |n: usize| Point {
        home: text(["m", "n"][n % 2]),
        seen: text(["m", "n"][n / 2 % 2]),
        open: n.is_multiple_of(3),
        category: [None, text("Park"), text("Cafe")][n % 3].clone(),
        tags: tags([&[][..], &["a"], &["a", "b"]][n % 3]),
        weight: Some(i64::try_from(n).unwrap()),
        touches: 0,
    };
    let mut writes: Vec<_> = (0..12).map(|n| (n, Some(first(n)))).collect();
    writes.extend([
        (0, Some(Point { open: false, ..first(0) })),
        (1, Some(Point { open: true, ..first(1) })),
        (2, Some(Point { home: text("n"), ..first(2) })),
        (3, Some(Point { seen: text("m"), ..first(3) })),
        (4, Some(Point { tags: tags(&["b", "c"]), ..first(4) })),
        (6, Some(Point { weight: Some(TOO_HEAVY), ..first(6) })),
        (6, Some(Point { weight: Some(7), ..first(6) })),
        (9, Some(Point { weight: Some(-TOO_HEAVY), tags: tags(&["a"]), ..first(9) })),
        (1, Some(Point { home: None, open: true, ..first(1) })),
        (2, Some(Point { home: text("o"), seen: text("o"), open: true, tags: tags(&["a"]), ..first(2) })),
        (5, Some(Point { touches: 1, ..first(5) })),
        (3, None),
        (3, Some(first(3))),
        (7, None),
        (0, Some(first(0))),
    ]);
    writes.into_iter().map(|(n, point)| (format!("p{n}"), point)).collect()
}
