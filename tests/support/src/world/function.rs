//! Function instances and their invocations: the real handler, polled by hand.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use aws_lambda_events::event::streams::DynamoDbEventResponse;
use chrono::DateTime;
use ddb_rollup::config::{Config, Tables as TableNames};
use ddb_rollup::handler::{Invocation, InvocationError, Rollup};
use ddb_rollup::rollup::model::marker::Guard;
use tokio::time::Instant;

use super::bug::Bug;
use super::mapping::Job;
use super::measures::Measures;
use super::misread::misread;
use super::planted_bugs::PlantedBugs;
use super::seeded_choices::Dice;
use super::wire::Border;
use super::{BEGINNING, World};

/// A process that is kept from one invocation to the next.
pub struct Instance {
    pub number: usize,
    /// Which markers its records may have: the operator's command may end a quarantine.
    pub guard: Guard,
    /// What it counts.
    measures: Measures,
    rollup: Arc<Rollup<PlantedBugs, Dice>>,
    pub planted_bugs: PlantedBugs,
}

type Response = Result<DynamoDbEventResponse, InvocationError>;

/// An invocation that is not over.
pub struct Running {
    pub number: usize,
    pub instance: usize,
    /// What the instance counts.
    pub measures: Measures,
    pub job: Job,
    /// The records of its event.
    pub batch: Vec<usize>,
    pub ends_at: Instant,
    handling: Pin<Box<dyn Future<Output = Response>>>,
    woken: Arc<Woken>,
}

/// Whether an invocation can go on.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Running {
    /// Whether it can go on.
    pub fn is_awake(&self) -> bool {
        self.woken.0.load(Ordering::Relaxed)
    }

    /// Goes on until it waits.
    pub async fn go_on(&mut self) -> Option<Response> {
        while self.woken.0.swap(false, Ordering::Relaxed) {
            let waker = Waker::from(Arc::clone(&self.woken));
            if let Poll::Ready(response) = self.handling.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Some(response);
            }
            // Where it only let other tasks go first, the runtime wakes it when this task does the same.
            tokio::task::yield_now().await;
        }
        None
    }
}

/// What a job's records may have for a marker, as the function and the operator's command ask for it.
fn guard(job: Job) -> Guard {
    match job {
        Job::Poll { .. } => Guard::Absent,
        Job::GivenUp { .. } => Guard::AbsentOrQuarantined,
        Job::Quarantine => Guard::Quarantined,
    }
}

impl World {
    /// Invokes a function with the records of a batch; the texts are what its event carries.
    pub(super) fn invoke(&mut self, job: Job, batch: Vec<usize>, texts: &[String], time_left: Duration) {
        let instance = self.instance(guard(job));
        let bug = self.wanted.bug;
        let read: Vec<String> = texts.iter().map(|record| misread(bug, record)).collect();
        let event = format!("{{\"Records\":[{}]}}", read.join(","));
        let number = self.invocation_count;
        self.invocation_count += 1;
        let elapsed = i64::try_from(self.elapsed().as_millis()).unwrap_or(i64::MAX);
        let invocation = Invocation {
            request_id: format!("invocation-{number}"),
            now: DateTime::from_timestamp_millis(BEGINNING * 1_000 + elapsed).unwrap(),
            time_left: Bug::time_left(bug, time_left),
        };
        let Instance { number: instance, measures, rollup, planted_bugs, .. } = &self.instances[instance];
        planted_bugs.begin();
        let (rollup, instance, measures) = (Arc::clone(rollup), *instance, *measures);
        let handling = async move { rollup.handle(&event, &invocation).await };
        // Without tokio's budget, which would make it wait for a turn that no scheduler gives it.
        let handling = Box::pin(tokio::task::unconstrained(handling));
        let words = format!("{number} on instance {instance} for {job:?}: records {batch:?}, {time_left:?}");
        self.log(if guard(job) == Guard::Absent { "invocation" } else { "replay" }, words);
        let ends_at = Instant::now() + time_left;
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        self.running.push(Running { number, instance, measures, job, batch, ends_at, handling, woken });
    }

    /// An instance that is free, or a new one.
    fn instance(&mut self, guard: Guard) -> usize {
        let busy = |instance: &Instance| self.running.iter().any(|running| running.instance == instance.number);
        let measures = self.deployed;
        let free = |(_, instance): &(usize, &Instance)| {
            instance.guard == guard && instance.measures == measures && !busy(instance)
        };
        let free: Vec<usize> = self.instances.iter().enumerate().filter(free).map(|(place, _)| place).collect();
        if !free.is_empty() && self.choices.below(8) > 0 {
            return *self.choices.pick(&free);
        }
        let number = self.instance_count;
        self.instance_count += 1;
        let bug = self.wanted.bug;
        let mut config = Config::of(TableNames::default()).unwrap();
        config.definition = measures.definition();
        config.marker_retention_days = Bug::retention_days(bug, self.retention_days);
        config.definition = config.definition.with_missing(Bug::on_missing(bug, self.on_missing));
        config.max_in_flight = Bug::max_in_flight(bug, self.max_in_flight);
        config.guard = guard;
        let planted_bugs = PlantedBugs::new(Border::new(self.wire.clone(), number), bug, self.retention_days);
        let dice = Dice::new(self.choices.fork());
        let rollup = Arc::new(Rollup::new(config, planted_bugs.clone(), dice));
        self.instances.push(Instance { number, guard, measures, rollup, planted_bugs });
        self.instances.len() - 1
    }

    /// A function dies in the middle of an invocation, with all that it knew. What it has sent goes its way.
    pub(super) fn crash(&mut self, running: usize) {
        let Running { number, instance, job, batch, .. } = self.running.remove(running);
        self.log("crash", format!("of invocation {number}"));
        self.instances.retain(|known| known.number != instance);
        self.traffic.over(number);
        self.failed(job, &batch);
    }
}
