//! The same workload, while the engine is killed at random, and the function with it: an engine in a process of its own,
//! on a file. What was acknowledged survives, and what was not is delivered again, until all is exact.
//!
//! `DDB_ROLLUP_STORM_ENGINE_KILLS` says how often the engine is killed for each seed (4); the seeds are those of the
//! storm.

use std::collections::HashSet;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::sleep;

use super::auditor::Auditor;
use super::workload::{self, Record, acknowledged_by};
use super::{setting, tell};
use crate::engine::{Engine, without_embedded_engine};
use crate::runtime_api::{Ended, Sandbox, Settings, in_time};

/// Where the variables are that make this test program an engine.
const FILE: &str = "DDB_ROLLUP_STORM_ENGINE_FILE";
const PORT: &str = "DDB_ROLLUP_STORM_ENGINE_PORT";

/// The engine of the test below, which starts this program again for it: without its variables there is nothing to do.
#[tokio::test]
async fn an_engine_for_the_other_test() {
    let (Ok(file), Ok(port)) = (env::var(FILE), env::var(PORT)) else { return };
    let database = dynoxide::Database::new(&file).unwrap();
    let listener = TcpListener::bind(("127.0.0.1", port.parse().unwrap())).await.unwrap();
    dynoxide::server::serve_with_shutdown(listener, database, std::future::pending()).await.unwrap();
}

/// An engine in a process of its own.
struct EngineProcess {
    file: PathBuf,
    port: u16,
    process: Child,
}

impl EngineProcess {
    async fn start(file: &Path, port: u16) -> Self {
        let process = Command::new(env::current_exe().unwrap())
            .args(["--exact", "storm::engine_killed::an_engine_for_the_other_test", "--nocapture"])
            .env(FILE, file)
            .env(PORT, port.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        in_time("the engine", async {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        Self { file: file.to_owned(), port, process }
    }

    /// Ends it at once, and starts another one on its file after a pause.
    async fn kill_and_restart(&mut self, pause: Duration) {
        self.process.kill().await.unwrap();
        sleep(pause).await;
        *self = Self::start(&self.file.clone(), self.port).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_is_killed_at_random_loses_nothing_and_counts_nothing_twice() {
    if without_embedded_engine("it is the embedded engine that is killed") {
        return;
    }
    let (first, seeds) = (setting("DDB_ROLLUP_STORM_FIRST_SEED", 1), setting("DDB_ROLLUP_STORM_SEEDS", 1));
    let kills = setting("DDB_ROLLUP_STORM_ENGINE_KILLS", 4);
    for seed in first..first + seeds {
        storm(seed, kills).await;
    }
}

async fn storm(seed: u64, kills: usize) {
    let mut rng = Rng::with_seed(seed);
    let folder = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let mut process = EngineProcess::start(&folder.path().join("engine.db"), port).await;
    let engine = Engine::at(&format!("http://127.0.0.1:{port}"));
    engine.create_tables().await;
    workload::maps(&engine).await;
    workload::write(&engine, &mut rng, setting("DDB_ROLLUP_STORM_WRITES", 250)).await;
    let records = Arc::new(workload::records(&engine, &mut rng).await);
    let auditor = Auditor::new(engine, Arc::clone(&records));

    let (mut killed, mut killed_function, mut deliveries) = (0, 0, 0);
    let mut sandbox = Sandbox::ready(&Settings::on(&auditor.engine)).await;
    let mut due: Vec<usize> = (0..records.len()).collect();
    while killed < kills || !due.is_empty() {
        if due.is_empty() {
            due = (0..records.len()).collect();
        }
        let batch: Vec<usize> = due.iter().take(rng.usize(1..150)).copied().collect();
        let event =
            json!({ "Records": batch.iter().map(|place| &records[*place].json).collect::<Vec<_>>() }).to_string();
        let (moment, pause) = (Duration::from_millis(rng.u64(..120)), Duration::from_millis(rng.u64(..400)));
        let kill_engine = killed < kills && rng.u8(..2) == 0;
        let kill_function = rng.u8(..5) == 0;
        let (ended, ()) = tokio::join!(sandbox.invoke(&event, Duration::from_secs(4)), async {
            sleep(moment).await;
            if kill_function {
                sandbox.kill().await;
            }
            if kill_engine {
                process.kill_and_restart(pause).await;
            }
        });
        (killed, killed_function) = (killed + usize::from(kill_engine), killed_function + usize::from(kill_function));
        deliveries += 1;
        let acknowledged = acknowledged(&records, &batch, &ended);
        auditor.assert_marked(&acknowledged).await;
        due.retain(|place| !acknowledged.contains(place));
        if !sandbox.lives() {
            sandbox = Sandbox::ready(&Settings::on(&auditor.engine)).await;
        }
    }
    let all: Vec<_> = records.iter().map(|record| &record.json).collect();
    let again = sandbox.invoke(&json!({ "Records": all }).to_string(), Duration::from_secs(20)).await;
    assert_eq!(again, Ended::nothing_failed(), "seed {seed}: everything once more");
    auditor.audit().await;
    tell(&format!(
        "seed {seed}: {} records, {deliveries} deliveries; the engine was killed {killed} times, the function \
         {killed_function}",
        records.len()
    ));
}

/// The places of the records that a response acknowledges.
fn acknowledged(records: &[Record], batch: &[usize], ended: &Ended) -> HashSet<usize> {
    let acknowledged = match ended {
        Ended::Response(response) => acknowledged_by(response, batch, records),
        Ended::Died => 0,
        other => panic!("an engine that is away is no reason for this: {other:?}"),
    };
    batch[..acknowledged].iter().copied().collect()
}
