//! A world in one thread: a source table and its streams, pollers, functions, an operator, a database, and time. One seed
//! decides all that happens in it, step by step; the auditor looks on.
//!
//! The functions are the real handler and commit loop. Everything else is a model.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use ddb_rollup::rollup::model::view::OnMissingViewItem;
use tokio::time::Instant;

mod auditor;
mod bug;
mod database;
mod disturbances;
mod function;
mod journal;
mod mapping;
mod measures;
mod misread;
mod operator;
mod planted_actions;
mod planted_bugs;
mod requests;
mod rule;
mod seeded_choices;
mod source;
mod steps;
mod stored;
mod stream;
mod traffic;
mod wire;

pub use bug::Bug;
pub use rule::{Rule, Violation};
pub use seeded_choices::{Dice, SeededChoices};

use auditor::Auditor;
use database::{Database, FaultRates};
use function::{Instance, Running};
use journal::Journal;
use mapping::{Given, Mapping, Poller};
use measures::Measures;
use requests::Request;
use rule::ensure;
use source::Source;
use stream::Streams;
use traffic::Traffic;
use wire::Wire;

/// When every run begins, in seconds since the epoch.
const BEGINNING: i64 = 1_795_000_000;

/// The most steps of a run: one that is not over by then will never be.
const MOST_STEPS: usize = 60_000;

/// What is wanted of a run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// The bug that is put in.
    pub bug: Option<Bug>,
    /// Whether tokens are not looked at, so that what comes of wrong ones is seen.
    pub tokens_ignored: bool,
    /// Whether every line of the journal is printed.
    pub verbose: bool,
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub seed: u64,
    pub steps: usize,
    /// A hash of all that happened.
    pub trace: u64,
    /// How often each kind of thing happened.
    pub happened: BTreeMap<&'static str, usize>,
    /// Whether every record that has an effect was applied in the end, so that the counters equalled the plain recount.
    pub all_applied: bool,
    pub failure: Option<Failure>,
}

/// A rule that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub violation: Violation,
    /// The last lines of the journal.
    pub last: Vec<String>,
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, steps, trace, .. } = self;
        let Some(Failure { violation, last }) = &self.failure else {
            return write!(f, "seed {seed}: {steps} steps, trace {trace:016x}, every rule held");
        };
        for line in last {
            writeln!(f, "    {line}")?;
        }
        write!(
            f,
            "seed {seed}, step {steps}, trace {trace:016x}: {violation}\n\
             again: cargo run --release --example simulate -- --first-seed {seed} --seeds 1 --verbose"
        )
    }
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Everything happens.
    Storm,
    /// Nothing is written and nothing goes wrong any more.
    Calm,
    /// All is acknowledged; the operator replays what was given up.
    Replay,
    Over,
}

struct World {
    choices: SeededChoices,
    journal: Journal,
    wanted: Wanted,
    phase: Phase,
    step: usize,
    began: Instant,
    writes_left: usize,
    /// How often hours and days pass, among what goes wrong.
    pauses: usize,
    /// Whether nothing is begun any more until hours or days have passed.
    pausing: bool,
    retention_days: u32,
    /// What is done about a view item that is not there.
    on_missing: OnMissingViewItem,
    max_in_flight: usize,
    /// What new instances count.
    deployed: Measures,
    /// How many writes are left when a view is added.
    view_added_at: Option<usize>,
    source: Source,
    streams: Streams,
    mapping: Mapping,
    pollers: Vec<Poller>,
    /// What was given up, until the operator replays it.
    given_up: Vec<Given>,
    wire: Wire,
    requests: Vec<Request>,
    request_count: usize,
    database: Database,
    fault_rates: FaultRates,
    instances: Vec<Instance>,
    instance_count: usize,
    running: Vec<Running>,
    invocation_count: usize,
    /// Quarantine replays that the operator still makes in the end.
    replays_left: usize,
    auditor: Auditor,
    traffic: Traffic,
}

/// Makes the run of a seed.
///
/// # Panics
/// When the clock of the run cannot be made.
pub fn simulate(seed: u64, wanted: Wanted) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    // The world begins inside, where the clock is the run's own.
    runtime.block_on(async { World::new(seed, wanted).run(seed).await })
}

impl World {
    fn new(seed: u64, wanted: Wanted) -> Self {
        let mut choices = SeededChoices::new(seed);
        let measures = [Measures::CountsAndSums, Measures::Counts, Measures::ThreeViews][choices.below(3)];
        let retention_days = u32::try_from(choices.between(1, 2)).unwrap_or(1);
        let streams = Streams::new(&mut choices);
        let mapping = Mapping::new(&mut choices);
        let fault_rates = FaultRates::drawn(&mut choices);
        let writes_left = choices.between(30, 150);
        let pauses = [0, 3, 12][choices.below(3)];
        let on_missing = if choices.below(4) == 0 { OnMissingViewItem::Skip } else { OnMissingViewItem::Create };
        let adds_view = measures == Measures::ThreeViews && choices.below(2) == 0;
        let view_added_at = adds_view.then(|| choices.below(writes_left));
        let mut world = Self {
            deployed: if adds_view { Measures::TwoViews } else { measures },
            view_added_at,
            journal: Journal::new(wanted.verbose),
            phase: Phase::Storm,
            step: 0,
            began: Instant::now(),
            writes_left,
            pauses,
            pausing: false,
            retention_days,
            on_missing,
            max_in_flight: choices.between(1, 6),
            source: Source::new(measures),
            pollers: Vec::new(),
            given_up: Vec::new(),
            wire: Wire::default(),
            requests: Vec::new(),
            request_count: 0,
            database: Database::new(measures, &mut choices),
            fault_rates,
            instances: Vec::new(),
            instance_count: 0,
            running: Vec::new(),
            invocation_count: 0,
            replays_left: 2,
            auditor: Auditor::new(measures, retention_days, on_missing),
            traffic: Traffic::new(wanted.tokens_ignored),
            streams,
            mapping,
            choices,
            wanted,
        };
        world.follow_shards();
        world
    }

    async fn run(mut self, seed: u64) -> Run {
        let mut failure = None;
        while failure.is_none() && self.phase != Phase::Over {
            self.step += 1;
            let step = self.step().await;
            let step = step.and_then(|()| {
                ensure(self.step < MOST_STEPS, Rule::Progress, || format!("{:?} does not come to its end", self.phase))
            });
            failure = step.err();
        }
        Run {
            seed,
            steps: self.step,
            trace: self.journal.trace,
            happened: self.journal.happened,
            all_applied: self.auditor.all_applied(),
            failure: failure.map(|violation| Failure { violation, last: self.journal.last.into() }),
        }
    }

    /// Milliseconds since the run began.
    fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Seconds since the epoch.
    fn now(&self) -> i64 {
        BEGINNING + i64::try_from(self.elapsed().as_secs()).unwrap_or(i64::MAX - BEGINNING)
    }

    fn log(&mut self, kind: &'static str, words: impl fmt::Display) {
        let line = format!("{:>6} {:>12.3} s  {kind}: {words}", self.step, self.elapsed().as_secs_f64());
        self.journal.write(kind, line);
    }
}
