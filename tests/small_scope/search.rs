//! The search for a state that is wrong: a history is delivered in every way, and every state that comes of it is checked.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use ddb_rollup::config::Config;
use ddb_rollup::rollup::pipeline::verdict::RetryCause;

use crate::function::{Answer, Counted, Function, name_of};
use crate::line::{Passage, Script};
use crate::memory_store::MemoryStore;
use crate::tables::Tables;

/// What is delivered, and what must hold of the tables.
pub trait Scope {
    /// What is looked at in the tables.
    type Seen;

    /// How many records there are.
    fn length(&self) -> usize;

    /// The event that carries the records at these positions.
    fn event(&self, batch: &[usize]) -> String;

    /// Looks at the tables.
    fn see(&self, tables: &Tables) -> Self::Seen;

    /// What must hold whenever nothing is under way.
    fn check_state(&self, seen: &Self::Seen, told: &str);

    /// What must hold of the record at a position that is acknowledged.
    fn check_acknowledged(&self, position: usize, seen: &Self::Seen, told: &str);

    /// What must hold of a delivery besides.
    fn check_delivery(&self, delivery: &Delivery<'_, Self::Seen>, told: &str);

    /// In words.
    fn name(&self) -> String;
}

/// One delivery, as it is checked.
pub struct Delivery<'d, S> {
    pub batch: &'d [usize],
    pub luck: Luck,
    pub answer: &'d Answer,
    pub before: &'d S,
    pub after: &'d S,
}

/// The tables, at some point of a search.
pub struct State<S> {
    name: String,
    tables: Tables,
    seen: S,
}

/// What happens to the requests of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Luck {
    Good,
    Fault(usize, Passage),
    SilentFrom(usize),
}

/// How much is tried at every delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Faults {
    /// The function dies after each request.
    Crashes,
    /// Everything that can happen to a request, at each request.
    All,
}

/// The function, and what is known of deliveries that were made already.
pub struct Search<S> {
    pub function: Function<Script>,
    script: Script,
    faults: Faults,
    /// The states that a delivery leads to, by the state before it and the event.
    known: HashMap<(String, String), Vec<Rc<State<S>>>>,
    pub deliveries: usize,
    /// The tables to begin with.
    pub tables: Tables,
}

impl<S> Search<S> {
    pub fn new(config: Config, faults: Faults) -> Self {
        let script = Script::default();
        let store = MemoryStore::new(config.definition.clone(), script.clone());
        let function = Function::new(store, config, Counted::default());
        Self { function, script, faults, known: HashMap::new(), deliveries: 0, tables: Tables::default() }
    }

    /// All deliveries are to one process from now on.
    pub fn of_one_process(mut self) -> Self {
        self.function = self.function.of_one_process();
        self.forget();
        self
    }

    /// Forgets what deliveries lead to, as something is different now.
    pub fn forget(&mut self) {
        self.known.clear();
    }

    fn state(&self, scope: &impl Scope<Seen = S>) -> State<S> {
        let tables = self.function.store.tables();
        State { name: name_of(&tables), seen: scope.see(&tables), tables }
    }

    /// The states to which a delivery may lead: by an answer first, then by crashes.
    async fn deliver(&mut self, scope: &impl Scope<Seen = S>, from: &State<S>, batch: &[usize]) -> Vec<Rc<State<S>>> {
        let event = scope.event(batch);
        let key = (from.name.clone(), event);
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let after = self.run(scope, from, batch, &key.1, Luck::Good).await;
        let requests = self.script.requests();
        let mut states = vec![Rc::new(after)];
        for luck in self.lucks(requests) {
            let after = self.run(scope, from, batch, &key.1, luck).await;
            if states.iter().all(|state| state.name != after.name) {
                states.push(Rc::new(after));
            }
        }
        self.known.insert(key, states.clone());
        states
    }

    /// What else may happen to a delivery that needs so many requests.
    fn lucks(&self, requests: usize) -> Vec<Luck> {
        match self.faults {
            // After the last request the tables are as they are without a crash.
            Faults::Crashes => {
                (0..requests.saturating_sub(1)).map(|request| Luck::Fault(request, Passage::CrashAfter)).collect()
            }
            Faults::All => {
                let each = |request| {
                    let faults = [
                        Passage::CrashBefore,
                        Passage::CrashAfter,
                        Passage::Fails(RetryCause::Throttled),
                        Passage::AnswerLost(RetryCause::Timeout),
                        Passage::Conflict,
                    ];
                    let faults = faults.into_iter().map(move |fault| Luck::Fault(request, fault));
                    faults.chain([Luck::SilentFrom(request)])
                };
                (0..requests).flat_map(each).collect()
            }
        }
    }

    async fn run(
        &mut self,
        scope: &impl Scope<Seen = S>,
        from: &State<S>,
        batch: &[usize],
        event: &str,
        luck: Luck,
    ) -> State<S> {
        match luck {
            Luck::Good => self.script.begin([]),
            Luck::Fault(request, passage) => self.script.begin([(request, passage)]),
            Luck::SilentFrom(request) => self.script.begin_silent_from(request),
        }
        self.function.store.restore(from.tables.clone());
        let answer = self.function.deliver(event).await;
        self.deliveries += 1;
        let mut after = self.state(scope);
        after.tables.forget_tokens();
        let told = format!("{}: {batch:?} with {luck:?} on {}", scope.name(), from.name);
        let delivery = Delivery { batch, luck, answer: &answer, before: &from.seen, after: &after.seen };
        scope.check_delivery(&delivery, &told);
        scope.check_state(&after.seen, &told);
        after
    }
}

impl<S> Delivery<'_, S> {
    /// How many records of the batch the answer acknowledges.
    pub fn acknowledged(
        &self,
        position_of: impl Fn(&str) -> Option<usize>,
        newly_marked: impl Fn(&str) -> bool,
        told: &str,
    ) -> usize {
        match self.answer {
            Answer::Crashed => {
                assert!(matches!(self.luck, Luck::Fault(_, Passage::CrashBefore | Passage::CrashAfter)), "{told}");
                0
            }
            Answer::All => self.batch.len(),
            Answer::Before(reported) => {
                assert!(matches!(self.luck, Luck::SilentFrom(_)), "nothing may be left: {told}");
                assert!(!newly_marked(reported), "{reported} is dealt with, and reported: {told}");
                position_of(reported).unwrap_or_else(|| panic!("{reported} was not delivered: {told}"))
            }
        }
    }
}

/// Every batch of neighbouring records, and the whole backwards.
fn all_batches(length: usize) -> Vec<Vec<usize>> {
    let ranges = (0..length).flat_map(|begin| (begin + 1..=length).map(move |end| (begin..end).collect()));
    let backwards = (length > 1).then(|| (0..length).rev().collect());
    ranges.chain(backwards).collect()
}

impl<S> Search<S> {
    /// Delivers every batch in every state that any deliveries lead to. Every split, bisection, redelivery and overlap is
    /// one path through these states. Gives the number of states.
    pub async fn deliver_anything_ever(&mut self, scope: &impl Scope<Seen = S>) -> usize {
        self.function.store.restore(self.tables.clone());
        let mut waiting = vec![Rc::new(self.state(scope))];
        let mut reached: HashSet<String> = waiting.iter().map(|state| state.name.clone()).collect();
        while let Some(state) = waiting.pop() {
            scope.check_state(&state.seen, &scope.name());
            for batch in all_batches(scope.length()) {
                for next in self.deliver(scope, &state, &batch).await {
                    if reached.insert(next.name.clone()) {
                        waiting.push(next);
                    }
                }
            }
        }
        reached.len()
    }

    /// Delivers as Lambda does to one poller: any batch from the checkpoint; after a crash the checkpoint stays, otherwise
    /// it moves behind the batch. Then everything once more, backwards.
    pub async fn deliver_every_split(&mut self, scope: &impl Scope<Seen = S>) {
        let length = scope.length();
        self.function.store.restore(self.tables.clone());
        let mut waiting = vec![(0, Rc::new(self.state(scope)))];
        let mut reached = HashSet::new();
        while let Some((checkpoint, state)) = waiting.pop() {
            scope.check_state(&state.seen, &scope.name());
            if !reached.insert((checkpoint, state.name.clone())) {
                continue;
            }
            if checkpoint == length {
                let again = self.deliver(scope, &state, &(0..length).rev().collect::<Vec<_>>()).await;
                let moved = again.iter().find(|after| after.tables != state.tables);
                assert!(moved.is_none(), "a replay moves something: {}", scope.name());
            }
            for end in checkpoint + 1..=length {
                let after = self.deliver(scope, &state, &(checkpoint..end).collect::<Vec<_>>()).await;
                let checkpoints = std::iter::once(end).chain(std::iter::repeat(checkpoint));
                waiting.extend(checkpoints.zip(after));
            }
        }
    }
}
