//! The real process, fed with the stream as it grows: killed in the middle of invocations, and given records twice.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::engine::{Engine, sequence_number};
use crate::four_views::FOUR_VIEWS;
use crate::runtime_api::{Ended, Sandbox, Settings};

/// Time for an invocation that is not killed.
const AMPLE: Duration = Duration::from_secs(30);

/// Records that were acknowledged, and may be delivered once more.
const REMEMBERED: usize = 40;

/// What happened to the process.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counts {
    pub invocations: usize,
    pub kills: usize,
    /// Records that were delivered although they had been acknowledged.
    pub twice: usize,
}

pub struct Mapping {
    engine: Arc<Engine>,
    rng: Rng,
    sandbox: Option<Sandbox>,
    due: VecDeque<Value>,
    acknowledged: VecDeque<Value>,
    counts: Counts,
}

impl Mapping {
    /// Delivers what is in the stream, and what gets there from now on, until it is to stop and all is acknowledged.
    pub async fn start(engine: Arc<Engine>, stop: Arc<AtomicBool>, seed: u64) -> JoinHandle<Counts> {
        let due = engine.stream_records().await.into();
        let (sandbox, acknowledged, counts) = (None, VecDeque::new(), Counts::default());
        let rng = Rng::with_seed(seed.wrapping_add(1_000));
        let mut mapping = Self { engine: Arc::clone(&engine), rng, sandbox, due, acknowledged, counts };
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(async move {
            let mut reader = engine.reader().await;
            ready.send(()).unwrap();
            loop {
                let is_stopped = stop.load(Ordering::Relaxed);
                mapping.due.extend(reader.next().await);
                if is_stopped && mapping.due.is_empty() {
                    return mapping.counts;
                }
                if !mapping.due.is_empty() {
                    mapping.deliver().await;
                }
                tokio::time::sleep(Duration::from_millis(mapping.rng.u64(30..250))).await;
            }
        });
        is_ready.await.unwrap();
        task
    }

    async fn deliver(&mut self) {
        let again = if self.rng.u8(..3) == 0 { self.rng.usize(..=self.acknowledged.len()) } else { 0 };
        let size = self.rng.usize(1..60);
        let old = self.acknowledged.iter().skip(self.acknowledged.len() - again);
        let batch: Vec<Value> = old.chain(self.due.iter().take(size)).cloned().collect();
        let event = json!({ "Records": batch }).to_string();
        let settings = Settings::on(&self.engine).with("ROLLUP_VIEW_DEFINITION", FOUR_VIEWS);
        let sandbox = match self.sandbox.take_if(|sandbox| sandbox.lives()) {
            Some(sandbox) => sandbox,
            None => Sandbox::ready(&settings).await,
        };
        self.counts.invocations += 1;
        self.counts.twice += again;
        let kill_after = (self.rng.u8(..3) == 0).then(|| Duration::from_millis(self.rng.u64(1..60)));
        let kill = async {
            match kill_after {
                Some(after) => tokio::time::sleep(after).await,
                None => std::future::pending().await,
            }
            sandbox.kill().await
        };
        let ended = {
            let mut invocation = std::pin::pin!(sandbox.invoke(&event, AMPLE));
            tokio::select! {
                ended = &mut invocation => ended,
                _ = kill => {
                    self.counts.kills += 1;
                    invocation.await
                }
            }
        };
        self.sandbox = Some(sandbox);
        let done = match ended {
            Ended::Response(response) => acknowledged(&response, &batch),
            Ended::Died => 0,
            other => panic!("{other:?}"),
        };
        let done = self.due.drain(..done.saturating_sub(again));
        self.acknowledged.extend(done);
        let old = self.acknowledged.len().saturating_sub(REMEMBERED);
        self.acknowledged.drain(..old);
    }
}

/// How many records of a batch a response acknowledges.
fn acknowledged(response: &Value, batch: &[Value]) -> usize {
    match response["batchItemFailures"].as_array().unwrap().first() {
        Some(first) => batch.iter().position(|record| sequence_number(record) == first["itemIdentifier"]).unwrap(),
        None => batch.len(),
    }
}
