//! Every small history under four views, in every way in which it may be delivered: views that share view items, that an
//! item enters and leaves, of several view items an item, on several tables, some of which are created and others passed
//! over.

use std::collections::{BTreeMap, BTreeSet};

use ddb_rollup::config::Config;
use ddb_rollup::rollup::model::marker::{DELTAS, OUTCOME, SEQUENCE_NUMBER};
use ddb_rollup::rollup::model::view::{ROLLUP_VERSION, TableId};
use ddb_rollup::rollup::{AttributeValue, Item};

use crate::four_views::{Counts, ItemName, TABLES, four_views, has_what_open_sets, tables_of_views, view_of};
use crate::function::config;
use crate::history_of_four_views::{History, Record, Write};
use crate::search::{Delivery, Faults, Scope, Search};
use crate::tables::Tables;
use crate::two_deliveries::Pair;

/// What is in the view tables to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// Nothing: no tag is counted.
    Empty,
    /// A view item with the map of the one view, another one with the map of the other, and one of two tags.
    HalfMade,
    /// Both tags, one of them with its map, and a view item whose number of open points is a text.
    Spoilt,
}

impl Start {
    /// The tags that have view items.
    fn tags(self) -> &'static [&'static str] {
        match self {
            Self::Empty => &[],
            Self::HalfMade => &["a"],
            Self::Spoilt => &["a", "b"],
        }
    }

    fn tables(self) -> Tables {
        let mut tables = Tables::default();
        let mut put = |table: usize, name: &str, rest: &str| {
            let key: Item = serde_json::from_str(&format!(r#"{{"MapId":{{"S":"{name}"}}}}"#)).unwrap();
            let item = serde_json::from_str(&format!(r#"{{"MapId":{{"S":"{name}"}}{rest}}}"#)).unwrap();
            tables.put_view(TableId(table), &key, item);
        };
        match self {
            Self::Empty => {}
            Self::HalfMade => {
                put(0, "m", r#","City":{"S":"x"},"PointsByCategory":{"M":{}}"#);
                put(0, "n", r#","OpenByTag":{"M":{"a":{"N":"0"}}}"#);
                put(1, "a", "");
            }
            Self::Spoilt => {
                put(0, "n", r#","OpenPoints":{"S":"many"}"#);
                put(1, "a", r#","TaggedByHome":{"M":{}}"#);
                put(1, "b", "");
            }
        }
        tables
    }

    /// Whether a view item is passed over.
    fn passes_over(self, (table, name): &ItemName) -> bool {
        *table == "Tag" && !self.tags().contains(&name.as_str())
    }

    /// Whether a record cannot be applied, unless another one makes up for it in the same transaction.
    fn spoils(self, record: &Record) -> bool {
        let is_text = |((table, name), attribute, _): &(ItemName, String, Option<String>)| {
            (*table, name.as_str(), attribute.as_str()) == ("Map", "n", "OpenPoints")
        };
        self == Self::Spoilt && record.effect.0.keys().any(is_text)
    }
}

/// What can be seen in the tables.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Seen {
    counts: Counts,
    versions: BTreeMap<ItemName, i64>,
    /// The view items on which `Open` has set its attributes.
    set: BTreeSet<ItemName>,
    /// What each marker says, by sequence number.
    markers: BTreeMap<String, Told>,
}

/// What a marker says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    Applied(Counts),
    Quarantined,
}

impl Seen {
    fn of(tables: &Tables) -> Self {
        let mut seen = Self::default();
        for (table, item) in tables.views_by_table() {
            let table = TABLES[table.0];
            seen.counts.add_all(&Counts::of_item(table, item), 1);
            let name = (table, text(&item["MapId"]).to_owned());
            let version = match item.get(ROLLUP_VERSION) {
                Some(AttributeValue::N(version)) => version.parse().unwrap(),
                _ => 0,
            };
            seen.versions.insert(name.clone(), version);
            if has_what_open_sets(item) {
                seen.set.insert(name);
            }
        }
        for marker in tables.markers() {
            let told = match text(&marker[OUTCOME]) {
                "APPLIED" => Told::Applied(Counts::of_deltas(&tables_of_views(), &marker[DELTAS])),
                "QUARANTINED" => Told::Quarantined,
                other => panic!("a marker says {other}"),
            };
            let before = seen.markers.insert(text(&marker[SEQUENCE_NUMBER]).to_owned(), told);
            assert_eq!(before, None, "one marker a record");
        }
        seen
    }
}

fn text(value: &AttributeValue) -> &str {
    match value {
        AttributeValue::S(text) => text,
        other => panic!("not a text: {other:?}"),
    }
}

/// A history, on tables to begin with.
struct Case<'h> {
    history: &'h History,
    start: Start,
}

impl Scope for Case<'_> {
    type Seen = Seen;

    fn length(&self) -> usize {
        self.history.records.len()
    }

    fn event(&self, batch: &[usize]) -> String {
        self.history.event(batch)
    }

    fn see(&self, tables: &Tables) -> Seen {
        Seen::of(tables)
    }

    /// Every counter of every view is what the applied records add, or what the source has when all are applied; and each
    /// marker tells what its record adds to which view.
    fn check_state(&self, seen: &Seen, told: &str) {
        let applied = seen.markers.iter().filter(|(_, told)| matches!(told, Told::Applied(_)));
        let applied: BTreeSet<&str> = applied.map(|(sequence_number, _)| sequence_number.as_str()).collect();
        let counted = |counts: Counts| counts.without(|item| self.start.passes_over(item));
        assert_eq!(seen.counts, counted(self.history.count_of(&applied)), "counters against markers: {told}");
        let records = &self.history.records;
        for record in records {
            let Some(Told::Applied(deltas)) = seen.markers.get(&record.sequence_number) else { continue };
            assert_eq!(*deltas, counted(record.effect.clone()), "what a marker says: {told}");
            for (item, attribute, _) in counted(record.effect.clone()).0.keys() {
                let set = view_of(attribute) != "Open" || seen.set.contains(item);
                assert!(set, "an attribute that is to be set on {item:?}: {told}");
            }
        }
        let mut counting = records.iter().filter(|record| record.effective() && !record.poison);
        if counting.all(|record| applied.contains(record.sequence_number.as_str())) {
            assert_eq!(seen.counts, counted(self.history.recount()), "counters against the source: {told}");
        }
    }

    fn check_acknowledged(&self, position: usize, seen: &Seen, told: &str) {
        let record = &self.history.records[position];
        let marked = seen.markers.contains_key(&record.sequence_number);
        assert_eq!(marked, record.effective(), "{} is acknowledged: {told}", record.sequence_number);
    }

    fn check_delivery(&self, delivery: &Delivery<'_, Seen>, told: &str) {
        self.check_step(delivery, told);
        let Delivery { batch, before, after, .. } = delivery;
        let records = &self.history.records;
        let position_of = |reported: &str| batch.iter().position(|&at| records[at].sequence_number == *reported);
        let newly_marked = |number: &str| after.markers.contains_key(number) && !before.markers.contains_key(number);
        for &position in &batch[..delivery.acknowledged(position_of, newly_marked, told)] {
            self.check_acknowledged(position, after, told);
        }
    }

    fn name(&self) -> String {
        format!("{:?} on {:?}", self.history.writes, self.start)
    }
}

impl Case<'_> {
    /// Markers are only added, each for a record of the batch that has an effect; versions grow where, and only where,
    /// such a record is newly applied.
    fn check_step(&self, Delivery { batch, before, after, .. }: &Delivery<'_, Seen>, told: &str) {
        let mut touched = BTreeSet::new();
        for (sequence_number, marker) in &after.markers {
            if let Some(known) = before.markers.get(sequence_number) {
                assert_eq!(marker, known, "a marker stays as it is: {told}");
                continue;
            }
            let mut record = batch.iter().map(|&position| &self.history.records[position]);
            let record = record.find(|record| record.sequence_number == *sequence_number);
            let record = record.unwrap_or_else(|| panic!("the marker of a record that was not delivered: {told}"));
            assert!(record.effective(), "the marker of a record without effect: {told}");
            match marker {
                Told::Applied(_) if !record.poison => touched.extend(record.effect.items()),
                Told::Quarantined if record.poison || self.start.spoils(record) => {}
                other => panic!("{sequence_number} is {other:?}: {told}"),
            }
        }
        assert!(before.markers.keys().all(|marker| after.markers.contains_key(marker)), "a marker is lost: {told}");
        touched.retain(|item| !self.start.passes_over(item));
        for (item, is) in &after.versions {
            let was = before.versions.get(item).copied().unwrap_or_default();
            let grows = touched.remove(item);
            assert_eq!(*is > was, grows, "the version of {item:?} goes from {was} to {is}: {told}");
        }
        assert!(touched.is_empty(), "{touched:?} are touched, and not there: {told}");
    }
}

fn config_of_four_views() -> Config {
    Config { definition: four_views(), ..config() }
}

fn search(faults: Faults, start: Start) -> Search<Seen> {
    let mut search = Search::new(config_of_four_views(), faults);
    search.tables = start.tables();
    search
}

const STARTS: [Start; 3] = [Start::Empty, Start::HalfMade, Start::Spoilt];

#[tokio::test(start_paused = true)]
async fn two_writes_are_counted_exactly_in_each_view_whatever_happens_to_any_request() {
    let (mut histories, mut states, mut deliveries) = (0, 0, 0);
    for start in STARTS {
        let mut search = search(Faults::All, start);
        for history in History::all_of(2, |_| true) {
            states += search.deliver_anything_ever(&Case { history: &history, start }).await;
            histories += 1;
        }
        deliveries += search.deliveries;
    }
    println!("{histories} histories, {states} states, {deliveries} deliveries");
    assert!(histories >= 90 && states > 400 && deliveries > 10_000);
}

#[tokio::test(start_paused = true)]
async fn two_writes_are_counted_exactly_by_one_process_that_remembers_wrong_shapes() {
    let (mut histories, mut deliveries) = (0, 0);
    for start in STARTS {
        let mut search = search(Faults::Crashes, start).of_one_process();
        for history in History::all_of(2, Write::counts) {
            search.deliver_anything_ever(&Case { history: &history, start }).await;
            histories += 1;
        }
        deliveries += search.deliveries;
    }
    println!("{histories} histories, {deliveries} deliveries");
    assert!(histories >= 60 && deliveries > 500);
}

#[tokio::test(start_paused = true)]
async fn three_writes_that_count_are_counted_exactly_in_each_view_in_every_split() {
    let (mut histories, mut deliveries) = (0, 0);
    for start in [Start::Empty, Start::HalfMade] {
        let mut search = search(Faults::Crashes, start);
        for history in History::all_of(3, Write::counts) {
            search.deliver_every_split(&Case { history: &history, start }).await;
            histories += 1;
        }
        deliveries += search.deliveries;
    }
    println!("{histories} histories, {deliveries} deliveries");
    assert!(histories >= 300 && deliveries > 3_000);
}

/// Puts beside what is half made: first touches of shared view items, by two deliveries at once.
#[tokio::test(start_paused = true)]
async fn two_deliveries_are_counted_exactly_in_each_view_in_every_order() {
    let start = Start::HalfMade;
    let mut pair = Pair::new(&config_of_four_views(), start.tables());
    for history in History::all_of(2, Write::counts) {
        let case = Case { history: &history, start };
        pair.deliver_in_every_order(&case, [&[0, 1], &[0, 1]], 0).await;
        pair.deliver_in_every_order(&case, [&[0], &[1]], 0).await;
    }
    let without_faults = pair.runs;
    for history in History::all_of(2, |write| matches!(write, Write::Insert(..))) {
        pair.deliver_in_every_order(&Case { history: &history, start }, [&[0, 1], &[0, 1]], 1).await;
    }
    println!("{} runs, {without_faults} of them without faults", pair.runs);
    assert!(without_faults > 300 && pair.runs > 500);
}
