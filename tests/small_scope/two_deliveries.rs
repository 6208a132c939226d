//! Every interleaving of two deliveries at once, request by request: two pollers with the same records, or two shards
//! with neighbouring ones.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use ddb_rollup::config::Config;
use ddb_rollup::rollup::pipeline::verdict::RetryCause;

use crate::deliveries::Case;
use crate::function::{Answer, Counted, Function, answer, config};
use crate::history::{History, Write};
use crate::line::{Gate, Passage, Script};
use crate::memory_store::MemoryStore;
use crate::schedule::Schedule;
use crate::search::Scope;
use crate::tables::Tables;

/// Longer than any wait before a retry.
const LONGER_THAN_A_BACKOFF: Duration = Duration::from_secs(1);

/// What may happen to one request of a run; all others go through.
const FAULTS: [Passage; 3] = [Passage::Conflict, Passage::AnswerLost(RetryCause::Timeout), Passage::CrashAfter];

/// Two functions whose requests wait to be let through, and one whose do not, on the same tables.
pub struct Pair {
    tables: Arc<Mutex<Tables>>,
    sides: [(Function<Gate>, Gate); 2],
    later: Function<Script>,
    /// The tables to begin with.
    start: Tables,
    pub runs: usize,
}

impl Pair {
    pub fn new(config: &Config, start: Tables) -> Self {
        let tables: Arc<Mutex<Tables>> = Arc::default();
        let definition = config.definition.clone();
        let side = |first_token| {
            let gate = Gate::default();
            let store = MemoryStore::sharing(definition.clone(), tables.clone(), gate.clone());
            (Function::new(store, config.clone(), Counted::beginning_at(first_token)), gate)
        };
        let later = MemoryStore::sharing(definition.clone(), tables.clone(), Script::default());
        let later = Function::new(later, config.clone(), Counted::beginning_at(2 << 32));
        Self { sides: [side(0), side(1 << 32)], later, tables, start, runs: 0 }
    }

    /// Makes every run of two deliveries with up to so many faults, all of them at the first delivery's requests.
    pub async fn deliver_in_every_order(&mut self, scope: &impl Scope, batches: [&[usize]; 2], faults: usize) {
        let mut schedule = Schedule::default();
        loop {
            let answers = self.run(scope, batches, faults, &mut schedule).await;
            self.check(scope, batches, &answers, &schedule).await;
            self.runs += 1;
            if !schedule.advance() {
                return;
            }
        }
    }

    /// One run: whenever both sides wait, the schedule says whose request goes on, and how.
    async fn run(
        &self,
        scope: &impl Scope,
        batches: [&[usize]; 2],
        mut faults: usize,
        schedule: &mut Schedule,
    ) -> Vec<Answer> {
        let events = batches.map(|batch| scope.event(batch));
        let mut handlers: Vec<_> = self
            .sides
            .iter()
            .zip(&events)
            .map(|((function, gate), event)| {
                function.store.restore(self.start.clone());
                gate.empty();
                Handler::begin(async { answer(function.handle(event).await) })
            })
            .collect();
        loop {
            for handler in &mut handlers {
                handler.poll().await;
            }
            let unfinished = |side: usize| matches!(handlers[side], Handler::Running { .. });
            let waiting = |side: usize| if unfinished(side) { self.sides[side].1.waiting() } else { 0 };
            if !unfinished(0) && !unfinished(1) {
                break;
            }
            if (0..2).any(|side| unfinished(side) && waiting(side) == 0) {
                tokio::time::advance(LONGER_THAN_A_BACKOFF).await;
                continue;
            }
            let request = schedule.choose(waiting(0) + waiting(1));
            let (side, place) = if request < waiting(0) { (0, request) } else { (1, request - waiting(0)) };
            let fault = if faults > 0 && side == 0 { schedule.choose(1 + FAULTS.len()) } else { 0 };
            let passage = fault.checked_sub(1).map_or(Passage::Through, |fault| FAULTS[fault]);
            self.sides[side].1.release(place, passage);
            handlers[side].poll().await;
            if passage != Passage::Through {
                faults -= 1;
                if self.sides[side].0.store.has_crashed() {
                    handlers[side] = Handler::Done(Answer::Crashed);
                }
                tokio::time::advance(LONGER_THAN_A_BACKOFF).await;
            }
        }
        handlers.into_iter().map(Handler::answer).collect()
    }

    /// Counters are exact for what is marked, and what is acknowledged is marked; a later delivery completes what a
    /// crash left, and moves nothing else.
    async fn check(&self, scope: &impl Scope, batches: [&[usize]; 2], answers: &[Answer], schedule: &Schedule) {
        let told = format!("{}: {batches:?}, answered {answers:?}, after {schedule:?}", scope.name());
        let seen = || scope.see(&self.tables.lock().unwrap());
        let before = seen();
        scope.check_state(&before, &told);
        for (batch, answer) in batches.iter().zip(answers).filter(|(_, answer)| **answer != Answer::Crashed) {
            assert_eq!(*answer, Answer::All, "nothing is left: {told}");
            batch.iter().for_each(|&position| scope.check_acknowledged(position, &before, &told));
        }
        let all: Vec<usize> = (0..scope.length()).collect();
        if answers.contains(&Answer::Crashed) {
            assert_eq!(self.later.deliver(&scope.event(&all)).await, Answer::All, "{told}");
        }
        let after = seen();
        scope.check_state(&after, &told);
        for position in all {
            scope.check_acknowledged(position, &after, &told);
        }
    }
}

/// A delivery that is polled by hand.
enum Handler<'f> {
    Running { handling: Pin<Box<dyn Future<Output = Answer> + 'f>>, woken: Arc<Woken> },
    Done(Answer),
}

/// Whether a delivery can go on.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<'f> Handler<'f> {
    fn begin(handling: impl Future<Output = Answer> + 'f) -> Self {
        // Without tokio's budget, which would make it wait for a turn that no scheduler gives it.
        let handling = Box::pin(tokio::task::unconstrained(handling));
        Self::Running { handling, woken: Arc::new(Woken(AtomicBool::new(true))) }
    }

    /// Goes on as far as it can without an answer or a wait.
    async fn poll(&mut self) {
        while let Self::Running { handling, woken } = self
            && woken.0.swap(false, Ordering::Relaxed)
        {
            let waker = Waker::from(woken.clone());
            if let Poll::Ready(answer) = handling.as_mut().poll(&mut Context::from_waker(&waker)) {
                *self = Self::Done(answer);
            }
            // Where it only let other tasks go first, the runtime wakes it when this task does the same.
            tokio::task::yield_now().await;
        }
    }

    fn answer(self) -> Answer {
        match self {
            Self::Running { .. } => panic!("a delivery has not come to its end"),
            Self::Done(answer) => answer,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn two_deliveries_of_up_to_three_records_count_exactly_in_every_order() {
    let mut pair = Pair::new(&config(), Tables::default());
    for history in History::all_of(2, |_| true) {
        pair.deliver_in_every_order(&Case::of(&history), [&[0, 1], &[0, 1]], 0).await;
        pair.deliver_in_every_order(&Case::of(&history), [&[0], &[1]], 0).await;
    }
    let short = pair.runs;
    for history in History::all_of(3, Write::counts) {
        for batches in [[&[0, 1, 2][..], &[0, 1, 2][..]], [&[0, 1], &[1, 2]]] {
            pair.deliver_in_every_order(&Case::of(&history), batches, 0).await;
        }
    }
    println!("{} runs, {short} of them of two records", pair.runs);
    assert!(short > 100 && pair.runs > 1_000);
}

#[tokio::test(start_paused = true)]
async fn two_deliveries_of_two_records_count_exactly_with_a_fault_at_any_request() {
    let mut pair = Pair::new(&config(), Tables::default());
    for history in History::all_of(2, Write::counts) {
        pair.deliver_in_every_order(&Case::of(&history), [&[0, 1], &[0, 1]], 1).await;
    }
    let with_poison = History::all_of(2, |write| matches!(write, Write::Insert(..) | Write::Poison));
    for history in with_poison.iter().filter(|history| history.writes[1] == Write::Poison) {
        pair.deliver_in_every_order(&Case::of(history), [&[0, 1], &[1]], 1).await;
    }
    println!("{} runs", pair.runs);
    assert!(pair.runs > 500);
}
