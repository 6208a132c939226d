//! An item that is written without pause: the verdict comes all the same, and is right.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::audit::{numbers, settled};
use crate::engine::{Engine, n, s};
use crate::proxy::{Fault, Proxy};

/// How often a point of the item is written, and how often the item itself.
const INTERVAL: Duration = Duration::from_millis(10);

/// A writer and a function that never pause.
struct Hot {
    stop: Arc<AtomicBool>,
    writer: JoinHandle<()>,
    function: JoinHandle<()>,
}

async fn version(engine: &Engine) -> i64 {
    let item = engine.db.get_item().table_name("Map").key("MapId", s("hot")).consistent_read(true).send();
    item.await.unwrap().item.map_or(0, |item| item["RollupVersion"].as_n().unwrap().parse().unwrap())
}

impl Hot {
    fn run(engine: &Arc<Engine>) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let (written, stopped) = (Arc::clone(engine), Arc::clone(&stop));
        let writer = tokio::spawn(async move {
            let mut tick = interval(INTERVAL);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            for number in 0_usize.. {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let point = format!("p{}", number % 7);
                match number % 5 {
                    0 => written.delete_point("hot", &point).await,
                    place => written.put_point("hot", &point, ["Bar", "Zoo"].get(place - 1).copied()).await,
                }
                tick.tick().await;
            }
        });
        let (applied, stopped) = (Arc::clone(engine), Arc::clone(&stop));
        let function = tokio::spawn(async move {
            let mut reader = applied.reader().await;
            while !stopped.load(Ordering::Relaxed) {
                // Each record by itself, so that the item is written as often as its points.
                for record in reader.next().await {
                    applied.function().deliver(&[record]).await;
                }
            }
        });
        Self { stop, writer, function }
    }

    /// Ends it; every record is delivered once more.
    async fn end(self, engine: &Engine) {
        self.stop.store(true, Ordering::Relaxed);
        self.writer.await.unwrap();
        self.function.await.unwrap();
        engine.function().deliver(&engine.stream_records().await).await;
    }
}

async fn engine() -> Arc<Engine> {
    let engine = Engine::start().await;
    for point in 0..7 {
        engine.put_point("hot", &format!("p{point}"), Some("Bar")).await;
    }
    engine.function().deliver(&engine.stream_records().await).await;
    Arc::new(engine)
}

/// Repairs the item, over a connection where each answer comes so late.
async fn is_repaired(late: Duration) {
    let engine = engine().await;
    let hot = Hot::run(&engine);
    let update = engine.db.update_item().table_name("Map").key("MapId", s("hot"));
    let update = update.update_expression("ADD TotalPoints :v SET CategoryCounts.Gone = :v");
    update.expression_attribute_values(":v", n(7)).send().await.unwrap();
    let slow = Proxy::always(&engine.url, Fault::AnswerLate(late)).await;
    let before = version(&engine).await;
    let ran = settled(&engine, "repair", &["--item", "hot", "--endpoint-url", &slow.url]).await;
    let json = ran.json();
    assert_eq!(
        (ran.code, &json["repaired"], &json["drifted"], &json["unstable"]),
        (0, &1.into(), &0.into(), &0.into()),
        "{ran:?}"
    );
    assert!(version(&engine).await - before >= WRITES, "it was written meanwhile");
    hot.end(&engine).await;
    engine.assert_exact().await;
    let item = engine.scan("Map").await.remove(0);
    assert!(!item.contains_key("RollupRepair"), "the claim is taken away");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn such_an_item_is_repaired_while_it_is_written() {
    is_repaired(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_repaired_over_a_connection_that_takes_longer_than_it_ever_rests() {
    is_repaired(2 * INTERVAL).await;
}

/// Writes of the view item while a command ran that are enough to call it written without pause.
const WRITES: i64 = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_item_that_is_written_without_pause_gets_its_verdict_at_each_audit() {
    let engine = engine().await;
    let hot = Hot::run(&engine);
    for late in [Duration::ZERO, INTERVAL, 2 * INTERVAL] {
        let slow = Proxy::always(&engine.url, Fault::AnswerLate(late)).await;
        let before = version(&engine).await;
        let ran = settled(&engine, "audit", &["--endpoint-url", &slow.url]).await;
        let [view_items, exact, behind, unstable, drifted, _] = numbers(&ran.json());
        assert_eq!((view_items, exact + behind, unstable, drifted), (1, 1, 0, 0), "{ran:?}");
        let writes = version(&engine).await - before;
        assert!(writes >= WRITES, "it was written {writes} times");
    }
    hot.end(&engine).await;
    engine.assert_exact().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drift_of_such_an_item_is_found_to_the_number() {
    let engine = engine().await;
    let hot = Hot::run(&engine);
    let update = engine.db.update_item().table_name("Map").key("MapId", s("hot"));
    let update = update.update_expression("ADD TotalPoints :v").expression_attribute_values(":v", n(-2));
    update.send().await.unwrap();
    let slow = Proxy::always(&engine.url, Fault::AnswerLate(2 * INTERVAL)).await;
    for options in [&[][..], &["--item", "hot"], &["--endpoint-url", &slow.url]] {
        let before = version(&engine).await;
        let ran = settled(&engine, "audit", options).await;
        let drift = &ran.json()["drift"];
        assert_eq!((ran.code, drift.as_array().unwrap().len()), (1, 1), "{ran:?}");
        let difference = drift[0]["stored"].as_i64().unwrap() - drift[0]["recounted"].as_i64().unwrap();
        assert_eq!((difference, &drift[0]["measure"]), (-2, &"TotalPoints".into()), "{ran:?}");
        assert!(version(&engine).await - before >= WRITES, "it was written meanwhile");
    }
    hot.end(&engine).await;
    let ran = settled(&engine, "repair", &[]).await;
    assert_eq!((ran.code, numbers(&ran.json())), (0, [1, 1, 0, 0, 0, 0]), "{ran:?}");
    engine.assert_exact().await;
}
