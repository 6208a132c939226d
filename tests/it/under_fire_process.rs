//! Audits and repairs beside the real process, which is killed in the middle of its work and gets records twice, while source
//! items of four views move between view items.
//!
//! An episode has an engine of its own: a stream that grows without end would make the engine slow, and not the audits. The
//! budget is raised by the environment:
//!
//! - `DDB_ROLLUP_FIRE_EPISODES`: how many episodes (1);
//! - `DDB_ROLLUP_FIRE_AUDITS`: audits in each of them (24).

mod mapping;
mod points;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use ddb_rollup::config::{Config, Tables};
use ddb_rollup::operate::args::Pace;
use ddb_rollup::operate::audit::report::AuditReport;
use ddb_rollup::operate::audit::{AuditScope, audit};
use ddb_rollup::operate::repair::repair;
use ddb_rollup::operate::repair::report::RepairReport;
use ddb_rollup::operate::stop;
use ddb_rollup::rollup::check::judge::StoredValue;
use futures_util::future::join_all;
use tokio::sync::Mutex;

use crate::command::run_with;
use crate::engine::{Engine, n, s};
use crate::four_views::{FOUR_VIEWS, four_views};
use mapping::{Counts, Mapping};
use points::Writer;

/// Audits at the same time: most of their time they wait.
const AT_ONCE: usize = 4;

/// One round in so many looks for a counter that was tampered with, and mends it.
const TAMPERED_EVERY: usize = 3;

/// Counters that are tampered with, one after another: table, partition key, sort key, measure.
const TAMPERED: [(&str, &str, Option<&str>, &str); 4] = [
    ("Map", "h0", None, "Points"),
    ("Point", "h1", Some("TOTAL"), "TotalWeight"),
    ("Tag", "t0", None, "Tagged"),
    ("Map", "h2", None, "OpenWeight"),
];

/// A counter that an audit calls wrong, and by how much: `Map h0 Points 3`.
fn drift(report: &AuditReport) -> Vec<String> {
    let of_item = |item: &ddb_rollup::operate::audit::report::Drifted| {
        let table = &report.definition[item.key.table].name;
        let counter = |counter: &ddb_rollup::operate::audit::judged::DriftedCounter| {
            let difference = &counter.difference;
            let StoredValue::Number(stored) = &difference.stored else { panic!("{difference:?}") };
            let mut off = stored.clone();
            off += &-difference.expected.clone();
            let measure = &report.definition[difference.counter.measure].attribute;
            format!("{table} {} {measure} {:?} {off}", item.key, difference.counter.group)
        };
        item.counters.iter().map(counter).collect::<Vec<_>>()
    };
    report.drifted.iter().flat_map(of_item).collect()
}

fn config() -> Config {
    Config { definition: four_views(), ..Config::of(Tables::default()).unwrap() }
}

fn scope() -> AuditScope {
    AuditScope { pace: Pace { settle: Duration::from_millis(50), ..Pace::default() }, ..AuditScope::default() }
}

async fn audited(engine: &Engine) -> AuditReport {
    let (_stopper, stop) = stop::stop();
    Box::pin(audit(&engine.sdk, config(), &scope(), &stop)).await.unwrap()
}

async fn repaired(engine: &Engine) -> RepairReport {
    let (_stopper, stop) = stop::stop();
    Box::pin(repair(&engine.sdk, config(), &scope(), "ann", &stop)).await.unwrap()
}

/// Writers, the process with its mapping, and repairs that find nothing to do, but apply records beside the process.
struct Fire {
    engine: Arc<Engine>,
    stop: Arc<AtomicBool>,
    /// Held while nothing is to be repaired.
    repairs: Arc<Mutex<usize>>,
    writers: Vec<tokio::task::JoinHandle<Writer>>,
    mapping: tokio::task::JoinHandle<Counts>,
    repairer: tokio::task::JoinHandle<()>,
}

impl Fire {
    async fn light(seed: u64) -> Self {
        let engine = Engine::start().await;
        engine.create_table("Tag", &["MapId"], false).await;
        for tag in 0..points::TAGS - 1 {
            engine.put("Tag", [("MapId", s(&format!("t{tag}")))]).await;
        }
        let (engine, stop) = (Arc::new(engine), Arc::<AtomicBool>::default());
        let mut writers: Vec<Writer> = (0..2).map(|number| Writer::new(seed, number)).collect();
        for writer in &mut writers {
            writer.put_all(&engine).await;
        }
        let mapping = Mapping::start(Arc::clone(&engine), Arc::clone(&stop), seed).await;
        let repairs = Arc::<Mutex<usize>>::default();
        let (of, stopped, counted) = (Arc::clone(&engine), Arc::clone(&stop), Arc::clone(&repairs));
        let repairer = tokio::spawn(async move {
            while !stopped.load(Ordering::Relaxed) {
                let mut count = counted.lock().await;
                let definition = [("ROLLUP_VIEW_DEFINITION", FOUR_VIEWS)];
                let ran = run_with(&of, &["repair", "--json", "--settle", "0.05"], &definition).await;
                let json = ran.json();
                assert_eq!((&json["repaired"], &json["drifted"]), (&0.into(), &0.into()), "{ran:?}");
                *count += 1;
                drop(count);
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        });
        let write = |mut writer: Writer| {
            let (engine, stop) = (Arc::clone(&engine), Arc::clone(&stop));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    writer.write(&engine).await;
                    tokio::time::sleep(writer.pause()).await;
                }
                writer
            })
        };
        let writers = writers.into_iter().map(write).collect();
        Self { engine, stop, repairs, writers, mapping, repairer }
    }

    /// Waits until the counter's view item is there, and adds to it.
    async fn tamper(&self, (table, key, sort_key, measure): (&str, &str, Option<&str>, &str), amount: i64) {
        loop {
            let update = self.engine.db.update_item().table_name(table).key("MapId", s(key));
            let update = update.set_expression_attribute_names(Some([("#m".to_owned(), measure.to_owned())].into()));
            let update = match sort_key {
                Some(sort_key) => update.key("PointId", s(sort_key)),
                None => update,
            };
            let update = update.update_expression("ADD #m :v").condition_expression("attribute_exists(#m)");
            if update.expression_attribute_values(":v", n(amount)).send().await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// One counter is tampered with: it is found to the number, and two repairs at once mend it once. Gives the number of
    /// audits.
    async fn tampered(&self, round: usize) -> usize {
        let _nothing_else = self.repairs.lock().await;
        let (table, key, sort_key, measure) = TAMPERED[round % TAMPERED.len()];
        let amount = [3, -2, 1][round % 3];
        self.tamper((table, key, sort_key, measure), amount).await;
        let key = [Some(key), sort_key].into_iter().flatten().collect::<Vec<_>>().join(", ");
        let expected = vec![format!("{table} {key} {measure} None {amount}")];
        let report = audited(&self.engine).await;
        assert_eq!(drift(&report), expected, "{report:?}");
        let (one, other, beside) = tokio::join!(repaired(&self.engine), repaired(&self.engine), audited(&self.engine));
        let beside = drift(&beside);
        assert!(beside.is_empty() || beside == expected, "{beside:?}");
        assert_eq!((drift(&one.audit), drift(&other.audit)), (Vec::new(), Vec::new()));
        assert!(one.repaired + other.repaired >= 1, "{one:?} {other:?}");
        2
    }

    /// Ends it, once all is acknowledged.
    async fn put_out(self) -> (Arc<Engine>, Counts, usize) {
        self.stop.store(true, Ordering::Relaxed);
        self.repairer.await.unwrap();
        let mut expected = crate::four_views::Counts::default();
        for writer in self.writers {
            expected.add_all(&writer.await.unwrap().counts(), 1);
        }
        let counts = self.mapping.await.unwrap();
        // Nobody creates the item of the last tag.
        let expected = expected.without(|(table, key)| *table == "Tag" && *key == format!("t{}", points::TAGS - 1));
        assert_eq!(points::stored(&self.engine).await, expected, "XO-4: the counters against what was written");
        let repairs = *self.repairs.lock().await;
        (self.engine, counts, repairs)
    }
}

async fn episode(seed: u64, audits: usize) -> (usize, usize, Counts) {
    let fire = Fire::light(seed).await;
    let (mut done, mut unstable) = (0, 0);
    for round in 0.. {
        if done >= audits {
            break;
        }
        if round % TAMPERED_EVERY == 1 {
            done += fire.tampered(round / TAMPERED_EVERY + usize::try_from(seed).unwrap()).await;
            continue;
        }
        for report in join_all((0..AT_ONCE).map(|_| audited(&fire.engine))).await {
            assert_eq!((drift(&report), report.quarantined), (Vec::new(), 0), "seed {seed}: {report:?}");
            assert!(report.findings.is_empty(), "seed {seed}: {:?}", report.findings);
            unstable += report.unstable.len();
            done += 1;
        }
    }
    let (engine, counts, repairs) = fire.put_out().await;
    let report = audited(&engine).await;
    assert_eq!((report.exact, report.is_clean()), (report.view_items(), true), "seed {seed}: {report:?}");
    tell(&format!("seed {seed}: {done} audits, {unstable} unstable items, {repairs} repairs beside, {counts:?}"));
    (done, unstable, counts)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_audit_beside_a_process_that_is_killed_is_wrong_and_none_misses_what_is() {
    let setting = |name: &str, default| std::env::var(name).map_or(default, |value| value.parse().unwrap());
    let (episodes, audits) = (setting("DDB_ROLLUP_FIRE_EPISODES", 1), setting("DDB_ROLLUP_FIRE_AUDITS", 24));
    let (mut all, mut kills) = (0, 0);
    for seed in 0..episodes {
        let (done, _, counts) = episode(u64::try_from(seed).unwrap(), audits).await;
        assert!(counts.kills > 0 && counts.twice > 0, "{counts:?}");
        (all, kills) = (all + done, kills + counts.kills);
    }
    tell(&format!("{all} audits beside {kills} kills"));
}

#[allow(clippy::print_stderr, reason = "what a long run did is worth a line")]
fn tell(line: &str) {
    eprintln!("under fire: {line}");
}

/// A number of an item, by its text.
fn text(attribute: &AttributeValue) -> String {
    attribute.as_s().unwrap().clone()
}
