//! Every way in which Lambda may deliver every small history: in any batches, again, overlapping, out of order, with
//! the function dying at any request.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use ddb_rollup::rollup::Item;
use ddb_rollup::rollup::model::view::TableId;
use ddb_rollup::rollup::pipeline::verdict::RetryCause;

use crate::function::{Answer, Counted, Function, Seen, config, name_of};
use crate::history::{History, Map, Write};
use crate::line::{Passage, Script};
use crate::memory_store::MemoryStore;
use crate::tables::Tables;

/// The tables, at some point of a search.
struct State {
    name: String,
    tables: Tables,
    seen: Seen,
}

/// What happens to the requests of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Luck {
    Good,
    Fault(usize, Passage),
    SilentFrom(usize),
}

/// How much is tried at every delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Faults {
    /// The function dies after each request.
    Crashes,
    /// Everything that can happen to a request, at each request.
    All,
}

/// The function, and what is known of deliveries that were made already.
struct Search {
    function: Function<Script>,
    script: Script,
    faults: Faults,
    /// The states that a delivery leads to, by the state before it and the event.
    known: HashMap<(String, String), Vec<Rc<State>>>,
    deliveries: usize,
    /// The tables to begin with.
    tables: Tables,
    /// A view item whose total is not a number.
    spoilt: Option<Map>,
}

impl Search {
    /// A search in which the total of the map `N` has become a text.
    fn with_a_spoilt_total(faults: Faults) -> Self {
        let mut search = Self::new(faults);
        let item: Item = serde_json::from_str(r#"{"MapId":{"S":"N"},"TotalPoints":{"S":"many"}}"#).unwrap();
        let key = serde_json::from_str(r#"{"MapId":{"S":"N"}}"#).unwrap();
        search.tables.put_view(TableId(0), &key, item);
        search.spoilt = Some(Map::N);
        search
    }

    fn new(faults: Faults) -> Self {
        let (config, script) = (config(), Script::default());
        let store = MemoryStore::new(config.definition.clone(), script.clone());
        let function = Function::new(store, config, Counted::default());
        Self { function, script, faults, known: HashMap::new(), deliveries: 0, tables: Tables::default(), spoilt: None }
    }

    fn state(&self) -> State {
        let tables = self.function.store.tables();
        State { name: name_of(&tables), seen: Seen::of(&tables), tables }
    }

    /// The states to which a delivery may lead: by an answer first, then by crashes.
    async fn deliver(&mut self, history: &History, from: &State, batch: &[usize]) -> Vec<Rc<State>> {
        let event = history.event(batch);
        let key = (from.name.clone(), event);
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let after = self.run(history, from, batch, &key.1, Luck::Good).await;
        let requests = self.script.requests();
        let mut states = vec![Rc::new(after)];
        for luck in self.lucks(requests) {
            let after = self.run(history, from, batch, &key.1, luck).await;
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

    async fn run(&mut self, history: &History, from: &State, batch: &[usize], event: &str, luck: Luck) -> State {
        match luck {
            Luck::Good => self.script.begin([]),
            Luck::Fault(request, passage) => self.script.begin([(request, passage)]),
            Luck::SilentFrom(request) => self.script.begin_silent_from(request),
        }
        self.function.store.restore(from.tables.clone());
        let answer = self.function.deliver(event).await;
        self.deliveries += 1;
        let mut after = self.state();
        after.tables.forget_tokens();
        let told = || format!("{:?}: {batch:?} with {luck:?} on {:?}", history.writes, from.seen);
        check_step(history, self.spoilt, (&from.seen, &after.seen), batch, &told);
        check_answer(history, batch, (&answer, luck), (&from.seen, &after.seen), &told);
        check_counts(history, &after.seen, &told);
        after
    }
}

/// Markers are only added, each for a record of the batch that has an effect; versions grow where, and only where,
/// such a record is newly applied.
fn check_step(
    history: &History,
    spoilt: Option<Map>,
    (before, after): (&Seen, &Seen),
    batch: &[usize],
    told: &impl Fn() -> String,
) {
    let mut touched = BTreeSet::new();
    for (sequence_number, outcome) in &after.markers {
        if let Some(known) = before.markers.get(sequence_number) {
            assert_eq!(outcome, known, "a marker stays as it is: {}", told());
            continue;
        }
        let record = batch.iter().map(|&position| &history.records[position]);
        let record = record.clone().find(|record| record.sequence_number == *sequence_number);
        let record = record.unwrap_or_else(|| panic!("the marker of a record that was not delivered: {}", told()));
        assert!(record.effective(), "the marker of a record without effect: {}", told());
        match outcome.as_str() {
            "APPLIED" if !record.poison => touched.extend(record.maps()),
            "QUARANTINED" if record.poison => {}
            "QUARANTINED" if record.maps().iter().any(|map| Some(*map) == spoilt) => {}
            other => panic!("{sequence_number} is {other}: {}", told()),
        }
    }
    assert!(before.markers.keys().all(|marker| after.markers.contains_key(marker)), "a marker is lost: {}", told());
    for map in [Map::M, Map::N] {
        let [was, is] = [before, after].map(|seen| seen.versions.get(&map).copied());
        if touched.contains(&map) {
            assert!(is > was.or(Some(0)), "the version of {map:?} must grow from {was:?}, it is {is:?}: {}", told());
        } else {
            assert_eq!(is, was, "the version of {map:?}, which nothing touched: {}", told());
        }
    }
}

/// What is acknowledged has its marker; what is reported as the first failure was not dealt with.
fn check_answer(
    history: &History,
    batch: &[usize],
    (answer, luck): (&Answer, Luck),
    (before, after): (&Seen, &Seen),
    told: &impl Fn() -> String,
) {
    let acknowledged = match answer {
        Answer::Crashed => {
            assert!(matches!(luck, Luck::Fault(_, Passage::CrashBefore | Passage::CrashAfter)), "{}", told());
            0
        }
        Answer::All => batch.len(),
        Answer::Before(reported) => {
            assert!(matches!(luck, Luck::SilentFrom(_)), "nothing may be left: {}", told());
            let newly_marked = after.markers.contains_key(reported) && !before.markers.contains_key(reported);
            assert!(!newly_marked, "{reported} is dealt with, and reported: {}", told());
            let at = |&position: &usize| history.records[position].sequence_number == *reported;
            batch.iter().position(at).unwrap_or_else(|| panic!("{reported} was not delivered: {}", told()))
        }
    };
    for &position in &batch[..acknowledged] {
        let record = &history.records[position];
        let marked = after.markers.contains_key(&record.sequence_number);
        assert_eq!(marked, record.effective(), "{} is acknowledged: {}", record.sequence_number, told());
    }
}

/// The counters are those of the records that are marked as applied, whatever happened; and those of the source when
/// all that have an effect are.
fn check_counts(history: &History, seen: &Seen, told: &impl Fn() -> String) {
    let applied = seen.markers.iter().filter(|(_, outcome)| *outcome == "APPLIED");
    let applied: BTreeSet<&str> = applied.map(|(sequence_number, _)| sequence_number.as_str()).collect();
    assert_eq!(seen.counts, history.count_of(&applied), "counters against markers: {}", told());
    let mut counting = history.records.iter().filter(|record| record.effective() && !record.poison);
    if counting.all(|record| applied.contains(record.sequence_number.as_str())) {
        assert_eq!(seen.counts, history.recount(), "counters against the source: {}", told());
    }
}

/// Every batch of neighbouring records, and the whole backwards.
fn all_batches(length: usize) -> Vec<Vec<usize>> {
    let ranges = (0..length).flat_map(|begin| (begin + 1..=length).map(move |end| (begin..end).collect()));
    let backwards = (length > 1).then(|| (0..length).rev().collect());
    ranges.chain(backwards).collect()
}

/// Delivers every batch in every state that any deliveries lead to. Every split, bisection, redelivery and overlap is
/// one path through these states. Gives the number of states.
async fn deliver_anything_ever(search: &mut Search, history: &History) -> usize {
    search.function.store.restore(search.tables.clone());
    let mut waiting = vec![Rc::new(search.state())];
    let mut reached: HashSet<String> = waiting.iter().map(|state| state.name.clone()).collect();
    let told = || format!("{:?}", history.writes);
    while let Some(state) = waiting.pop() {
        check_counts(history, &state.seen, &told);
        for batch in all_batches(history.records.len()) {
            for next in search.deliver(history, &state, &batch).await {
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
async fn deliver_every_split(search: &mut Search, history: &History) {
    let length = history.records.len();
    search.function.store.restore(search.tables.clone());
    let mut waiting = vec![(0, Rc::new(search.state()))];
    let mut reached = HashSet::new();
    let told = || format!("{:?}", history.writes);
    while let Some((checkpoint, state)) = waiting.pop() {
        check_counts(history, &state.seen, &told);
        if !reached.insert((checkpoint, state.name.clone())) {
            continue;
        }
        if checkpoint == length {
            let again = search.deliver(history, &state, &(0..length).rev().collect::<Vec<_>>()).await;
            assert!(again.iter().all(|after| after.tables == state.tables), "a replay moves nothing: {}", told());
        }
        for end in checkpoint + 1..=length {
            let after = search.deliver(history, &state, &(checkpoint..end).collect::<Vec<_>>()).await;
            let checkpoints = std::iter::once(end).chain(std::iter::repeat(checkpoint));
            waiting.extend(checkpoints.zip(after));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn up_to_three_writes_count_exactly_whatever_is_delivered_when() {
    let mut search = Search::new(Faults::Crashes);
    let (mut histories, mut states) = (0, 0);
    let all = (1..=2).flat_map(|length| History::all_of(length, |_| true));
    // Of three writes, one at the most is of a kind that changes no counter.
    let three = History::all_of(3, |_| true).into_iter();
    let three = three.filter(|history| history.writes.iter().filter(|write| !write.counts()).count() <= 1);
    for history in all.chain(three) {
        states += deliver_anything_ever(&mut search, &history).await;
        histories += 1;
    }
    println!("{histories} histories, {states} states, {} deliveries", search.deliveries);
    assert!(histories >= 140 && states > 1_000 && search.deliveries > 5_000);
}

#[tokio::test(start_paused = true)]
async fn two_writes_count_exactly_whatever_happens_to_any_request() {
    let mut search = Search::new(Faults::All);
    let mut histories = 0;
    for one_process in [false, true] {
        if one_process {
            search.function = search.function.of_one_process();
            search.known.clear();
        }
        for history in History::all_of(2, |_| true) {
            deliver_anything_ever(&mut search, &history).await;
            histories += 1;
        }
    }
    println!("{histories} histories, {} deliveries", search.deliveries);
    assert!(histories >= 40 && search.deliveries > 1_000);
}

#[tokio::test(start_paused = true)]
async fn four_writes_that_count_are_counted_exactly_in_every_split() {
    let mut search = Search::new(Faults::Crashes);
    let mut histories = 0;
    for history in History::all_of(4, Write::counts) {
        deliver_every_split(&mut search, &history).await;
        histories += 1;
    }
    println!("{histories} histories, {} deliveries", search.deliveries);
    assert!(histories >= 300 && search.deliveries > 3_000);
}

#[tokio::test(start_paused = true)]
async fn up_to_three_writes_count_exactly_beside_a_view_item_that_cannot_be_counted_on() {
    let mut search = Search::with_a_spoilt_total(Faults::Crashes);
    let mut histories = 0;
    for terse in [false, true] {
        if terse {
            search.tables.become_terse();
            search.known.clear();
        }
        for history in History::all_of(2, |_| true) {
            deliver_anything_ever(&mut search, &history).await;
            histories += 1;
        }
    }
    for history in History::all_of(3, Write::counts) {
        deliver_every_split(&mut search, &history).await;
        histories += 1;
    }
    println!("{histories} histories, {} deliveries", search.deliveries);
    assert!(histories >= 100 && search.deliveries > 1_000);
}
