//! Every way in which Lambda may deliver every small history: in any batches, again, overlapping, out of order, with
//! the function dying at any request.

use std::collections::BTreeSet;

use ddb_rollup::rollup::Item;
use ddb_rollup::rollup::model::view::TableId;

use crate::function::{Seen, config};
use crate::history::{History, Map, Write};
use crate::search::{Delivery, Faults, Scope, Search};
use crate::tables::Tables;

/// A history, on tables to begin with.
pub struct Case<'h> {
    history: &'h History,
    /// A view item whose total is not a number.
    spoilt: Option<Map>,
}

impl<'h> Case<'h> {
    pub fn of(history: &'h History) -> Self {
        Self { history, spoilt: None }
    }

    fn beside_a_spoilt_total(history: &'h History) -> Self {
        Self { history, spoilt: Some(Map::N) }
    }
}

/// Puts a text in the place of the total of the map `N`.
fn spoil_a_total(tables: &mut Tables) {
    let item: Item = serde_json::from_str(r#"{"MapId":{"S":"N"},"TotalPoints":{"S":"many"}}"#).unwrap();
    let key = serde_json::from_str(r#"{"MapId":{"S":"N"}}"#).unwrap();
    tables.put_view(TableId(0), &key, item);
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

    /// The counters are those of the records that are marked as applied, whatever happened; and those of the source when
    /// all that have an effect are.
    fn check_state(&self, seen: &Seen, told: &str) {
        let history = self.history;
        let applied = seen.markers.iter().filter(|(_, outcome)| *outcome == "APPLIED");
        let applied: BTreeSet<&str> = applied.map(|(sequence_number, _)| sequence_number.as_str()).collect();
        assert_eq!(seen.counts, history.count_of(&applied), "counters against markers: {told}");
        let mut counting = history.records.iter().filter(|record| record.effective() && !record.poison);
        if counting.all(|record| applied.contains(record.sequence_number.as_str())) {
            assert_eq!(seen.counts, history.recount(), "counters against the source: {told}");
        }
    }

    fn check_acknowledged(&self, position: usize, seen: &Seen, told: &str) {
        let record = &self.history.records[position];
        let marked = seen.markers.contains_key(&record.sequence_number);
        assert_eq!(marked, record.effective(), "{} is acknowledged: {told}", record.sequence_number);
    }

    fn check_delivery(&self, delivery: &Delivery<'_, Seen>, told: &str) {
        self.check_step(delivery, told);
        self.check_answer(delivery, told);
    }

    fn name(&self) -> String {
        format!("{:?}", self.history.writes)
    }
}

impl Case<'_> {
    /// Markers are only added, each for a record of the batch that has an effect; versions grow where, and only where,
    /// such a record is newly applied.
    fn check_step(&self, Delivery { batch, before, after, .. }: &Delivery<'_, Seen>, told: &str) {
        let mut touched = BTreeSet::new();
        for (sequence_number, outcome) in &after.markers {
            if let Some(known) = before.markers.get(sequence_number) {
                assert_eq!(outcome, known, "a marker stays as it is: {told}");
                continue;
            }
            let mut record = batch.iter().map(|&position| &self.history.records[position]);
            let record = record.find(|record| record.sequence_number == *sequence_number);
            let record = record.unwrap_or_else(|| panic!("the marker of a record that was not delivered: {told}"));
            assert!(record.effective(), "the marker of a record without effect: {told}");
            match outcome.as_str() {
                "APPLIED" if !record.poison => touched.extend(record.maps()),
                "QUARANTINED" if record.poison => {}
                "QUARANTINED" if record.maps().iter().any(|map| Some(*map) == self.spoilt) => {}
                other => panic!("{sequence_number} is {other}: {told}"),
            }
        }
        assert!(before.markers.keys().all(|marker| after.markers.contains_key(marker)), "a marker is lost: {told}");
        for map in [Map::M, Map::N] {
            let [was, is] = [before, after].map(|seen| seen.versions.get(&map).copied());
            if touched.contains(&map) {
                assert!(is > was.or(Some(0)), "the version of {map:?} must grow from {was:?}, it is {is:?}: {told}");
            } else {
                assert_eq!(is, was, "the version of {map:?}, which nothing touched: {told}");
            }
        }
    }

    /// What is acknowledged has its marker; what is reported as the first failure was not dealt with.
    fn check_answer(&self, delivery: &Delivery<'_, Seen>, told: &str) {
        let Delivery { batch, before, after, .. } = delivery;
        let records = &self.history.records;
        let position_of = |reported: &str| batch.iter().position(|&at| records[at].sequence_number == *reported);
        let newly_marked = |number: &str| after.markers.contains_key(number) && !before.markers.contains_key(number);
        for &position in &batch[..delivery.acknowledged(position_of, newly_marked, told)] {
            self.check_acknowledged(position, after, told);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn up_to_three_writes_count_exactly_whatever_is_delivered_when() {
    let mut search = Search::new(config(), Faults::Crashes);
    let (mut histories, mut states) = (0, 0);
    let all = (1..=2).flat_map(|length| History::all_of(length, |_| true));
    // Of three writes, one at the most is of a kind that changes no counter.
    let three = History::all_of(3, |_| true).into_iter();
    let three = three.filter(|history| history.writes.iter().filter(|write| !write.counts()).count() <= 1);
    for history in all.chain(three) {
        states += search.deliver_anything_ever(&Case::of(&history)).await;
        histories += 1;
    }
    println!("{histories} histories, {states} states, {} deliveries", search.deliveries);
    assert!(histories >= 140 && states > 1_000 && search.deliveries > 5_000);
}

#[tokio::test(start_paused = true)]
async fn two_writes_count_exactly_whatever_happens_to_any_request() {
    let mut search = Search::new(config(), Faults::All);
    let mut histories = 0;
    for one_process in [false, true] {
        if one_process {
            search = search.of_one_process();
        }
        for history in History::all_of(2, |_| true) {
            search.deliver_anything_ever(&Case::of(&history)).await;
            histories += 1;
        }
    }
    println!("{histories} histories, {} deliveries", search.deliveries);
    assert!(histories >= 40 && search.deliveries > 1_000);
}

#[tokio::test(start_paused = true)]
async fn four_writes_that_count_are_counted_exactly_in_every_split() {
    let mut search = Search::new(config(), Faults::Crashes);
    let mut histories = 0;
    for history in History::all_of(4, Write::counts) {
        search.deliver_every_split(&Case::of(&history)).await;
        histories += 1;
    }
    println!("{histories} histories, {} deliveries", search.deliveries);
    assert!(histories >= 300 && search.deliveries > 3_000);
}

#[tokio::test(start_paused = true)]
async fn up_to_three_writes_count_exactly_beside_a_view_item_that_cannot_be_counted_on() {
    let mut search = Search::new(config(), Faults::Crashes);
    spoil_a_total(&mut search.tables);
    let mut histories = 0;
    for terse in [false, true] {
        if terse {
            search.tables.become_terse();
            search.forget();
        }
        for history in History::all_of(2, |_| true) {
            search.deliver_anything_ever(&Case::beside_a_spoilt_total(&history)).await;
            histories += 1;
        }
    }
    for history in History::all_of(3, Write::counts) {
        search.deliver_every_split(&Case::beside_a_spoilt_total(&history)).await;
        histories += 1;
    }
    println!("{histories} histories, {} deliveries", search.deliveries);
    assert!(histories >= 100 && search.deliveries > 1_000);
}
