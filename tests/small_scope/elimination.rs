//! Looks at a view item that is written meanwhile, in every order of what the reader, the writer and the function do: what
//! they tell about the counters is true, and several of them tell what one alone cannot.

use std::collections::BTreeSet;

use ddb_rollup::rollup::check::elimination::{AtMoment, Elimination, Look, ReadAt};
use ddb_rollup::rollup::check::judge::{NotApplied, PendingRecord, StoredCounters, StoredValue, expected};
use ddb_rollup::rollup::model::change::{self, Counter, Sums};
use ddb_rollup::rollup::model::definition::Definition;
use ddb_rollup::rollup::model::measure::{MeasureId, ViewSet};
use ddb_rollup::rollup::model::number::Number;
use ddb_rollup::rollup::model::record::RecordId;

/// What a record does: to the total, and to two groups.
type Delta = [i64; 3];

const INSERT: Delta = [1, 1, 0];
const MOVE: Delta = [0, -1, 1];
const REMOVE: Delta = [-1, 0, -1];

/// What happens, beside the steps of the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// The record is written, and in the stream.
    Written(usize),
    /// Its marker is written with the counters.
    Applied(usize),
}

/// The steps of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Page,
    Moment,
    AskEnd,
    ReadOn,
    Markers,
}

const STEPS: [Step; 5] = [Step::Page, Step::Moment, Step::AskEnd, Step::ReadOn, Step::Markers];

/// One who looks.
#[derive(Debug, Default, Clone)]
struct Reader {
    known: BTreeSet<usize>,
    closed: BTreeSet<usize>,
    asked: BTreeSet<usize>,
    stored: Sums,
    version: usize,
    open: Vec<usize>,
    end: usize,
    elimination: Elimination,
}

struct World<'a> {
    deltas: &'a [Delta],
    /// What the counters are off by.
    off: Delta,
    /// Markers that fit beside the item.
    fitting: usize,
    views: ViewSet,
    written: usize,
    applied: BTreeSet<usize>,
    reader: Reader,
    told: Told,
}

/// How many looks told what the counters are off by.
#[derive(Debug, Default, Clone, Copy)]
struct Told {
    by_one: usize,
    by_several: usize,
    nothing: usize,
}

fn sums(delta: Delta) -> Sums {
    let counter =
        |place, group: Option<&str>| Counter { measure: MeasureId::first_view(place), group: group.map(str::to_owned) };
    let counters = [counter(0, None), counter(1, Some("A")), counter(1, Some("B"))];
    let amounts = counters.into_iter().zip(delta).filter(|(_, amount)| *amount != 0);
    amounts.map(|(counter, amount)| (counter, Number::from(amount))).collect()
}

impl World<'_> {
    fn total(&self, records: impl IntoIterator<Item = usize>, more: Delta) -> Sums {
        let mut total = sums(more);
        for record in records {
            for (counter, amount) in sums(self.deltas[record]) {
                change::add(&mut total, &counter, &amount);
            }
        }
        total
    }

    fn record(&self, record: usize) -> PendingRecord {
        let id = RecordId { sequence_number: record.to_string(), stream: "s".to_owned() };
        PendingRecord { id, waiting: NotApplied::Unmarked, sums: sums(self.deltas[record]) }
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Written(record) => self.written = record + 1,
            Event::Applied(record) => drop(self.applied.insert(record)),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Page | Step::ReadOn => self.reader.known = (0..self.written).collect(),
            Step::Moment => {
                let open = self.reader.known.difference(&self.reader.closed);
                self.reader.asked = open.copied().take(self.fitting).collect();
                self.reader.open = self.reader.asked.difference(&self.applied).copied().collect();
                self.reader.stored = self.total(self.applied.iter().copied(), self.off);
                self.reader.version = self.applied.len();
            }
            Step::AskEnd => self.reader.end = self.written,
            Step::Markers => self.conclude(),
        }
    }

    fn conclude(&mut self) {
        let (mut open, mut unsure) = (self.reader.open.clone(), Vec::new());
        for record in self.reader.known.clone() {
            if self.reader.asked.contains(&record) || self.reader.closed.contains(&record) {
                continue;
            }
            let read = if record < self.reader.end { ReadAt::Unordered } else { ReadAt::After };
            match AtMoment::of(read, self.applied.contains(&record)) {
                AtMoment::Open => open.push(record),
                AtMoment::Unsure => unsure.push(record),
                AtMoment::Closed => {}
            }
        }
        let asked = self.reader.asked.difference(&self.reader.open.iter().copied().collect()).copied().collect();
        let met: BTreeSet<usize> = self.reader.known.difference(&self.reader.asked).copied().collect();
        let met = met.intersection(&self.applied).copied().collect();
        self.reader.closed = [&self.reader.closed, &asked, &met].into_iter().flatten().copied().collect();
        self.judge(&open, &unsure);
    }

    fn judge(&mut self, open: &[usize], unsure: &[usize]) {
        let number = |(counter, amount): (&Counter, &Number)| (counter.clone(), StoredValue::Number(amount.clone()));
        let counters = self.reader.stored.iter().map(number).collect();
        let stored = StoredCounters { counters, has_counters: true, ..StoredCounters::default() };
        let truth = self.total(self.reader.known.iter().copied(), [0; 3]);
        let open: Vec<_> = open.iter().map(|record| self.record(*record)).collect();
        let of_look: Vec<_> = unsure.iter().map(|record| self.record(*record)).collect();
        let version = Some(Number::from(i64::try_from(self.reader.version).unwrap()));
        let look = Look { version, stored: &stored, truth: &truth, open: &open, unsure: &of_look, views: self.views };
        let Some(more) = self.reader.elimination.take(&look) else {
            self.told.nothing += 1;
            return;
        };
        let mut found = self.reader.stored.clone();
        for (counter, amount) in expected(&truth, open.iter().chain(&more)).iter() {
            change::add(&mut found, counter, &-amount.clone());
        }
        assert_eq!(found, sums(self.off));
        *(if unsure.is_empty() { &mut self.told.by_one } else { &mut self.told.by_several }) += 1;
    }
}

/// Every order of these events: each record is written in its turn, and applied at any time after that.
fn histories(records: usize) -> Vec<Vec<Event>> {
    fn go_on(done: &[Event], written: usize, records: usize, all: &mut Vec<Vec<Event>>) {
        if done.len() == 2 * records {
            all.push(done.to_vec());
        }
        let write = (written < records).then_some(Event::Written(written));
        let applied = (0..written).map(Event::Applied).filter(|event| !done.contains(event));
        for event in write.into_iter().chain(applied) {
            let more = usize::from(matches!(event, Event::Written(_)));
            go_on(&[done, &[event]].concat(), written + more, records, all);
        }
    }
    let mut all = Vec::new();
    go_on(&[], 0, records, &mut all);
    all
}

/// Every way of spreading events over the places before, between and after so many steps.
fn spreads(events: usize, places: usize) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for _ in 0..events {
        let longer = |spread: &Vec<usize>| {
            let from = spread.last().copied().unwrap_or(0);
            (from..places).map(|place| [spread.as_slice(), &[place]].concat()).collect::<Vec<_>>()
        };
        all = all.iter().flat_map(longer).collect();
    }
    all
}

fn in_every_order(deltas: &[Delta], looks: usize, fitting: usize) -> Told {
    let definition = Definition::points_of_maps("Point", "Map").unwrap();
    let mut told = Told::default();
    let steps = looks * STEPS.len();
    for history in histories(deltas.len()) {
        for spread in spreads(history.len(), steps + 1) {
            let (written, applied, reader) = (0, BTreeSet::new(), Reader::default());
            let (off, views) = ([2, 0, -1], definition.all());
            let mut world = World { deltas, off, fitting, views, written, applied, reader, told };
            let mut events = history.iter().zip(&spread).peekable();
            for place in 0..=steps {
                while let Some((event, _)) = events.next_if(|(_, at)| **at == place) {
                    world.happens(*event);
                }
                if place < steps {
                    world.step(STEPS[place % STEPS.len()]);
                }
            }
            told = world.told;
        }
    }
    told
}

#[test]
fn what_looks_tell_is_true_in_every_order() {
    let one_look = in_every_order(&[INSERT, MOVE, REMOVE], 1, 1);
    println!("{one_look:?}");
    assert!(one_look.by_one > 0 && one_look.by_several == 0 && one_look.nothing > 0, "{one_look:?}");
    for (deltas, looks, fitting) in [([INSERT, MOVE], 3, 99), ([INSERT, INSERT], 2, 99), ([INSERT, REMOVE], 2, 1)] {
        let told = in_every_order(&deltas, looks, fitting);
        println!("{told:?}");
        assert!(told.by_one > 0 && told.by_several > 0 && told.nothing > 0, "{told:?}");
    }
}
