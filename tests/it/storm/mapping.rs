//! A simulated event source mapping with its process: batches in, responses out, until all is acknowledged.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use serde_json::json;

use super::auditor::Auditor;
use super::weather::weather;
use super::workload::Record;
use crate::proxy::Proxy;
use crate::runtime_api::{Ended, Extensions, Sandbox, Settings};

/// Deliveries one after another that acknowledge nothing: more than that is no weather.
const DELIVERIES_IN_VAIN: usize = 100;

/// Where a storm is, for the message of a failure.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Mutex<(usize, String)>>);

impl Progress {
    pub fn now(&self, doing: impl Into<String>) {
        let mut progress = self.0.lock().unwrap();
        *progress = (progress.0 + 1, doing.into());
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let progress = self.0.lock().unwrap();
        write!(f, "{}, {}", progress.0, progress.1)
    }
}

/// What happened, by its name.
#[derive(Debug, Default)]
pub struct Tally(BTreeMap<String, usize>);

impl Tally {
    fn count(&mut self, what: &str, times: usize) {
        *self.0.entry(what.to_owned()).or_default() += times;
    }

    pub fn add(&mut self, other: &Self) {
        for (what, times) in &other.0 {
            self.count(what, *times);
        }
    }
}

impl fmt::Display for Tally {
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
    progress: Progress,
    tally: Tally,
}

/// The moment at which a process is killed, counted in requests of the invocation.
#[derive(Debug, Clone, Copy)]
enum Moment {
    Sent(usize),
    CarriedOut(usize),
}

impl Mapping {
    pub async fn start(
        auditor: Arc<Auditor>,
        records: Arc<Vec<Record>>,
        due: Vec<usize>,
        mut rng: Rng,
        progress: Progress,
    ) -> Self {
        let proxy = Proxy::start(&auditor.engine.url, weather(rng.fork())).await;
        Self { auditor, records, due, rng, proxy, sandbox: None, progress, tally: Tally::default() }
    }

    /// Delivers until everything is acknowledged, and nothing is on its way any more.
    pub async fn deliver_all(mut self) -> Tally {
        self.tally.count("records", self.due.len());
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
            self.tally.count(&fault, times);
        }
        self.tally
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
        let moment = match self.rng.u8(..8) {
            0 => Some(Moment::Sent(requests)),
            1 | 2 => Some(Moment::CarriedOut(requests)),
            _ => None,
        };
        let gently = self.rng.u8(..4) == 0;
        let (records, due) = (batch.len(), self.due.len());
        self.progress.now(format!("{records} records, {due} due, {time:?}, to be killed at {moment:?}"));
        self.tally.count("deliveries", 1);
        self.tally.count("records delivered", records);

        let records: Vec<_> = batch.iter().map(|place| &self.records[*place].json).collect();
        let event = json!({ "Records": records }).to_string();
        let sandbox = self.sandbox().await;
        let ended = {
            let mut invocation = pin!(sandbox.invoke(&event, time));
            tokio::select! {
                ended = &mut invocation => ended,
                () = struck(&self.proxy, moment) => {
                    if gently { sandbox.terminate().await } else { sandbox.kill().await };
                    self.tally.count(if gently { "terminated" } else { "killed" }, 1);
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
        self.tally.count("processes", 1);
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
        let resolved = match &ended {
            Ended::Response(response) => {
                let failures = response["batchItemFailures"].as_array().unwrap();
                assert!(failures.len() <= 1, "{response}");
                match failures.first() {
                    None => batch.len(),
                    Some(first) => {
                        self.tally.count("partial responses", 1);
                        let failed = |place: &usize| self.records[*place].sequence_number == first["itemIdentifier"];
                        batch.iter().position(failed).unwrap()
                    }
                }
            }
            Ended::Error { kind, message } => {
                assert_eq!(kind, "Rollup.Deployment", "{message}");
                self.tally.count("invocation errors", 1);
                0
            }
            Ended::Died => 0,
            Ended::TimedOut => {
                let words = self.sandbox.as_ref().and_then(Sandbox::last_words);
                panic!("an invocation outlived its deadline, and it is {now}; the log's last line: {words:?}")
            }
        };
        let acknowledged: HashSet<usize> = batch[..resolved].iter().copied().collect();
        self.auditor.assert_marked(&acknowledged).await;
        self.due.retain(|place| !acknowledged.contains(place));
    }
}

/// Waits for the moment; without one, for ever.
async fn struck(proxy: &Proxy, moment: Option<Moment>) {
    match moment {
        Some(Moment::Sent(requests)) => proxy.reached(requests).await,
        Some(Moment::CarriedOut(requests)) => proxy.carried_out(requests).await,
        None => std::future::pending().await,
    }
}
