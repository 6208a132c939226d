//! How much memory an adoption takes, beside one of ten times as many points over as many maps, in one run. Small by itself;
//! the size comes from the environment: `AUDIT_MEMORY_ITEMS=1000 AUDIT_MEMORY_POINTS=100000`.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use crate::audit_speed::{load, setting};
use crate::engine::Engine;

/// By how much the memory may grow where the points grow tenfold. Of a point that is looked at,
/// a digest of its key is kept, and what it contributes once for all that contribute the same.
const GROWTH_MAX: f64 = 2.5;

/// The largest resident memory that a process had so far, in KiB; none where the system does not tell, or it has ended.
fn peak_kib(id: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

async fn adoption(maps: usize, points: usize) -> Option<u64> {
    let engine = Engine::start().await;
    load(&engine, maps, points, false).await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_ddb-rollup"));
    command.args(["repair", "--json", "--settle", "0"]).env_clear().stdout(Stdio::piped()).kill_on_drop(true);
    command.envs([("AWS_SECRET_ACCESS_KEY", "local"), ("AWS_REGION", "eu-west-1")]);
    command.envs([("AWS_ACCESS_KEY_ID", &engine.access_key), ("AWS_ENDPOINT_URL", &engine.url)]);
    let child = command.spawn().unwrap();
    let id = child.id().unwrap();
    let mut peak = None;
    let mut ended = std::pin::pin!(child.wait_with_output());
    let output = loop {
        tokio::select! {
            output = &mut ended => break output.unwrap(),
            () = tokio::time::sleep(Duration::from_millis(5)) => peak = peak.max(peak_kib(id)),
        }
    };
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((report["exact"].as_u64(), report["repaired"].as_u64()), (Some(maps as u64), Some(maps as u64)));
    assert_eq!(report["source_items"].as_u64(), Some(points as u64));
    peak
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adoption_takes_memory_by_view_items_and_not_by_points() {
    let maps = setting("AUDIT_MEMORY_ITEMS").unwrap_or(20);
    let points: usize = setting("AUDIT_MEMORY_POINTS").unwrap_or(2_000);
    let (few, many) = (adoption(maps, points / 10).await, adoption(maps, points).await);
    let (Some(few), Some(many)) = (few, many) else { return };
    #[allow(clippy::cast_precision_loss, reason = "a ratio")]
    let growth = many as f64 / few as f64;
    let told = format!("{maps} view items: {} points {few} KiB, {points} points {many} KiB", points / 10);
    assert!(growth <= GROWTH_MAX, "{told}");
    if let Some(file) = setting::<String>("AUDIT_MEMORY_REPORT") {
        std::fs::write(file, told).unwrap();
    }
}
