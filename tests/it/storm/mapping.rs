//! A simulated event source mapping with its process: batches in, responses out, until all is acknowledged.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use serde_json::json;

use super::auditor::Auditor;
use super::fault_plan::fault_plan;
use super::workload::{Record, acknowledged_by};
use crate::proxy::Proxy;
use crate::runtime_api::{Ended, Extensions, Sandbox, Settings};

/// Deliveries one after another that acknowledge nothing: more than that is not by faults alone.
const DELIVERIES_IN_VAIN: usize = 100;

/// The step that a storm is at, for the message of a failure; its mappings share it.
#[derive(Debug, Clone, Default)]
pub struct CurrentStep(Arc<Mutex<Step>>);

#[derive(Debug, Default)]
struct Step {
    number: usize,
    doing: String,
}

impl CurrentStep {
    pub fn next(&self, doing: impl Into<String>) {
        let mut step = self.0.lock().unwrap();
        *step = Step { number: step.number + 1, doing: doing.into() };
    }
}

impl fmt::Display for CurrentStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = self.0.lock().unwrap();
        write!(f, "{}, {}", step.number, step.doing)
    }
}

/// How often what happened, by its name.
#[derive(Debug, Default)]
pub struct EventCounts(BTreeMap<String, usize>);

impl EventCounts {
    fn count(&mut self, what: &str, times: usize) {
        *self.0.entry(what.to_owned()).or_default() += times;
    }

    pub fn add(&mut self, other: &Self) {
        for (what, times) in &other.0 {
            self.count(what, *times);
        }
    }
}

impl fmt::Display for EventCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts: Vec<_> = self.0.iter().map(|(what, times)| format!("{what} {times}")).collect();
        f.write_str(&counts.join(", "))
    }
}

/// A mapping with what it has still to deliver.
pub struct Mapping {
    auditor: Arc<Auditor>,
    records: Arc<Vec<Record>>,
    /// The places of the records that are not acknowledged, in the stream's order.
    due: Vec<usize>,
    rng: Rng,
    proxy: Proxy,
    sandbox: Option<Sandbox>,
    step: CurrentStep,
    counts: EventCounts,
}

/// When a process is killed, counted in requests of the invocation.
#[derive(Debug, Clone, Copy)]
enum KillPoint {
    Sent(usize),
    CarriedOut(usize),
}

impl Mapping {
    pub async fn start(
        auditor: Arc<Auditor>,
        records: Arc<Vec<Record>>,
        due: Vec<usize>,
        mut rng: Rng,
        step: CurrentStep,
    ) -> Self {
        let proxy = Proxy::start(&auditor.engine.url, fault_plan(rng.fork())).await;
        Self { auditor, records, due, rng, proxy, sandbox: None, step, counts: EventCounts::default() }
    }

    /// Delivers until everything is acknowledged, and nothing is on its way any more.
    pub async fn deliver_all(mut self) -> EventCounts {
        self.counts.count("records", self.due.len());
        let mut in_vain = 0;
        while !self.due.is_empty() {
            let (due, batch) = (self.due.len(), self.batch());
            let ended = self.deliver(&batch).await;
            let last = format!("{ended:?}");
            self.acknowledge(&batch, ended).await;
            in_vain = if self.due.len() < due { 0 } else { in_vain + 1 };
            assert!(in_vain < DELIVERIES_IN_VAIN, "nothing was acknowledged any more; the last delivery: {last}");
        }
        self.retire().await;
        self.proxy.settled().await;
        for (fault, times) in self.proxy.faults() {
            self.counts.count(&fault, times);
        }
        self.counts
    }

    /// Records that are due and some that are not, in the order of the delivery.
    fn batch(&mut self) -> Vec<usize> {
        let rng = &mut self.rng;
        let size = *rng.choice(&[1, 2, 5, 10, 25, 60, 150, 350]).unwrap();
        let from = if rng.u8(..5) == 0 { rng.usize(..self.due.len()) } else { 0 };
        let mut batch: Vec<usize> = self.due[from..].iter().take(rng.usize(1..=size)).copied().collect();
        if rng.u8(..3) == 0 {
            // Of the other mapping, or acknowledged: an overlap of two pollers, or a replay.
            let (extra, before) = (rng.usize(1..=size), rng.usize(..self.records.len()));
            let replayed = (before..self.records.len()).take(extra);
            let place = if rng.bool() { 0 } else { batch.len() };
            batch.splice(place..place, replayed);
        }
        if rng.u8(..4) == 0 {
            let twice = *rng.choice(&batch).unwrap();
            batch.insert(rng.usize(..=batch.len()), twice);
        }
        if rng.u8(..5) == 0 {
            rng.shuffle(&mut batch);
        }
        batch
    }

    async fn deliver(&mut self, batch: &[usize]) -> Ended {
        let time = Duration::from_millis(self.rng.u64(1_000..3_000));
        let requests = 1 + self.rng.usize(..3);
        let kill_point = match self.rng.u8(..8) {
            0 => Some(KillPoint::Sent(requests)),
            1 | 2 => Some(KillPoint::CarriedOut(requests)),
            _ => None,
        };
        let terminate = self.rng.u8(..4) == 0;
        let (records, due) = (batch.len(), self.due.len());
        self.step.next(format!("{records} records, {due} due, {time:?}, to be killed at {kill_point:?}"));
        self.counts.count("deliveries", 1);
        self.counts.count("records delivered", records);

        let records: Vec<_> = batch.iter().map(|place| &self.records[*place].json).collect();
        let event = json!({ "Records": records }).to_string();
        let sandbox = self.sandbox().await;
        let ended = {
            let mut invocation = pin!(sandbox.invoke(&event, time));
            tokio::select! {
                ended = &mut invocation => ended,
                () = reached(&self.proxy, kill_point) => {
                    if terminate { sandbox.terminate().await } else { sandbox.kill().await };
                    self.counts.count(if terminate { "terminated" } else { "killed" }, 1);
                    invocation.await
                }
            }
        };
        self.sandbox = Some(sandbox);
        ended
    }

    /// The process: the one of before if it lives, else a new one.
    async fn sandbox(&mut self) -> Sandbox {
        if let Some(sandbox) = self.sandbox.take_if(|sandbox| sandbox.lives()) {
            return sandbox;
        }
        self.retire().await;
        self.counts.count("processes", 1);
        let extensions = match self.rng.u8(..10) {
            0 => Extensions::Absent,
            1 => Extensions::Failing,
            2 => Extensions::Hanging,
            _ => Extensions::Served,
        };
        let in_flight = *self.rng.choice(&["1", "2", "8", "100"]).unwrap();
        let settings = Settings::on(&self.auditor.engine).through(&self.proxy);
        let settings = settings.with("ROLLUP_MAX_IN_FLIGHT", in_flight).extensions(extensions);
        Sandbox::ready(&settings).await
    }

    /// Ends the process, which must not have panicked.
    async fn retire(&mut self) {
        if let Some(sandbox) = self.sandbox.take() {
            sandbox.kill().await;
            assert_eq!(sandbox.stderr().await, [""; 0]);
        }
    }

    /// Takes note of what the response acknowledges, by position, as Lambda does.
    async fn acknowledge(&mut self, batch: &[usize], ended: Ended) {
        let now = chrono::Utc::now();
        let acknowledged = match &ended {
            Ended::Response(response) => {
                let acknowledged = acknowledged_by(response, batch, &self.records);
                self.counts.count("partial responses", usize::from(acknowledged < batch.len()));
                acknowledged
            }
            Ended::Error { kind, message } => {
                assert_eq!(kind, "Rollup.Deployment", "{message}");
                self.counts.count("invocation errors", 1);
                0
            }
            Ended::Died => 0,
            Ended::TimedOut => {
                let words = self.sandbox.as_ref().and_then(Sandbox::last_words);
                panic!("an invocation outlived its deadline, and it is {now}; the log's last line: {words:?}")
            }
        };
        let acknowledged: HashSet<usize> = batch[..acknowledged].iter().copied().collect();
        self.auditor.assert_marked(&acknowledged).await;
        self.due.retain(|place| !acknowledged.contains(place));
    }
}

/// Waits until it is time to kill the process; without a point, for ever.
async fn reached(proxy: &Proxy, kill_point: Option<KillPoint>) {
    match kill_point {
        Some(KillPoint::Sent(requests)) => proxy.reached(requests).await,
        Some(KillPoint::CarriedOut(requests)) => proxy.carried_out(requests).await,
        None => std::future::pending().await,
    }
}
