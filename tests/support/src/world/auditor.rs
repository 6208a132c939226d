//! The auditor: it knows what was written to the source, and the requests and answers that cross the border of the
//! database and of the function. From that it tells whether the invariants hold, after every step and in the end.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use ddb_rollup::rollup::model::marker::{
    DELTAS, EXPIRES_AT, FINGERPRINT, ITEM, MEASURES, OUTCOME, REASON, SEQUENCE_NUMBER, STREAM, VIEW,
};
use ddb_rollup::rollup::model::view::OnMissingViewItem;
use ddb_rollup::rollup::pipeline::plan::{Action, Transaction};
use ddb_rollup::rollup::{AttributeValue, Item};

use super::measures::{Amounts, Effect, Measures, SET, table_of, view_item_at, view_of};
use super::rule::{Checked, Rule, Violation, ensure};
use super::source::Record;
use super::stored::{counters, kept_record, number, text, version};

/// Seconds of a day.
const DAY: i64 = 86_400;

/// What the auditor knows of a record.
#[derive(Debug, Clone, Default)]
struct Standing {
    applied: bool,
    kept: Option<Kept>,
    acknowledged: bool,
    /// The stream let go of it before it was acknowledged, or it was acknowledged under a definition by which it changes
    /// nothing.
    needs_no_marker: bool,
}

/// That a record was not applied, or was so long ago that it was not known any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    Quarantined,
    /// An operator decided that it does not count.
    Discarded,
}

/// A transaction that was carried out.
pub struct Commit<'a> {
    pub transaction: &'a Transaction<'static>,
    /// Whether it is an operator's.
    pub operator: bool,
    /// The view items that it touched: the key, before and after.
    pub views: Vec<(&'static str, Option<Item>, Option<Item>)>,
    /// Seconds since the epoch.
    pub now: i64,
    /// The longest that an invocation may take, in seconds.
    pub longest: i64,
}

/// The auditor of one run.
pub struct Auditor {
    measures: Measures,
    /// The definitions that a record may be judged by, by their fingerprints.
    definitions: BTreeMap<String, Measures>,
    retention_days: u32,
    records: Vec<Rc<Record>>,
    known: HashMap<(String, String), usize>,
    standing: Vec<Standing>,
    /// The part of each total that is in no group, by what was applied.
    ungrouped: Amounts,
    /// What is not in the counters, though it was applied: what a user dropped, what was for a view item that was not there
    /// and is not to be created, and what was for a view that was added later.
    missing: Effect,
    on_missing: OnMissingViewItem,
    /// View items that could not be written at some time.
    in_trouble: BTreeSet<&'static str>,
}

impl Auditor {
    pub fn new(measures: Measures, retention_days: u32, on_missing: OnMissingViewItem) -> Self {
        let earlier = measures.has_several_views().then_some(Measures::TwoViews);
        let definitions = earlier.into_iter().chain([measures]);
        let by_fingerprint = |of: Measures| of.fingerprints().map(|fingerprint| (fingerprint, of));
        Self {
            measures,
            definitions: definitions.flat_map(by_fingerprint).collect(),
            retention_days,
            missing: Effect::default(),
            on_missing,
            records: Vec::new(),
            known: HashMap::new(),
            standing: Vec::new(),
            ungrouped: Amounts::new(),
            in_trouble: BTreeSet::new(),
        }
    }

    /// A record was written to a stream.
    pub fn recorded(&mut self, record: Rc<Record>) {
        self.known.insert((record.sequence_number.clone(), record.stream.clone()), self.records.len());
        self.records.push(record);
        self.standing.push(Standing::default());
    }

    /// The stream let go of a record.
    pub fn trimmed(&mut self, record: usize) {
        let standing = &mut self.standing[record];
        standing.needs_no_marker |= !standing.acknowledged;
    }

    /// A view item cannot be written for a while.
    pub fn troubled(&mut self, map: &'static str) {
        self.in_trouble.insert(map);
    }

    /// A user dropped the counters of a view item.
    pub fn replaced(&mut self, map: &'static str, before: Option<&Item>) {
        let counters = counters(self.measures, map, before);
        self.missing.add(&Effect { counters, ungrouped: Amounts::new() }, 1);
        self.ungrouped.retain(|(of, ..), _| *of != map);
    }

    /// An operator gave a record up.
    pub fn discarded(&mut self, marker: &Item) {
        if let Some(record) = self.record_of(marker) {
            self.standing[record].kept = Some(Kept::Discarded);
        }
    }

    fn record_of(&self, marker: &Item) -> Option<usize> {
        let part = |name: &str| marker.get(name).and_then(text).map(str::to_owned);
        self.known.get(&(part(SEQUENCE_NUMBER)?, part(STREAM)?)).copied()
    }

    fn name(&self, record: usize) -> String {
        let Record { sequence_number, stream, .. } = &*self.records[record];
        format!("record {record} ({sequence_number} of stream {})", stream.chars().last().unwrap_or_default())
    }

    /// XO-1, XO-2, XO-5, XO-6 and the versions, of one transaction that was carried out.
    pub fn committed(&mut self, commit: &Commit<'_>) -> Checked {
        let absent = self.checked_absent(commit)?;
        let mut expected = Effect::default();
        let (mut touched, mut opened) = (BTreeSet::new(), BTreeSet::new());
        for action in &commit.transaction.actions {
            let Action::PutMarker { marker, .. } = action else { continue };
            let marker = &marker.item();
            let Some(record) = self.record_of(marker) else {
                let words =
                    format!("a marker of no record: {:?} {:?}", marker.get(SEQUENCE_NUMBER), marker.get(STREAM));
                return Err(Violation { rule: Rule::Xo1, words });
            };
            match marker.get(OUTCOME).and_then(text) {
                Some("APPLIED") => {
                    self.applied(record, marker, commit.operator)?;
                    let (judged, later) = self.definition_of(record, marker)?.parted(&self.records[record].effect);
                    let (skipped, counted) = judged.parted(|item| absent.contains(item));
                    self.check_ledger(record, marker, &counted)?;
                    self.missing.add(&skipped, 1);
                    self.missing.add(&later, 1);
                    touched.extend(counted.view_items());
                    let of_open = counted.counters.keys().filter(|(_, attribute, _)| view_of(attribute) == "open");
                    opened.extend(of_open.map(|(item, ..)| *item));
                    expected.add(&counted, 1);
                }
                Some("QUARANTINED") => self.quarantined(record, marker, commit)?,
                other => {
                    return Err(Violation { rule: Rule::Xo6, words: format!("{} is {other:?}", self.name(record)) });
                }
            }
        }
        let mut changed = Amounts::new();
        for (map, before, after) in &commit.views {
            for (item, sign) in [(before, -1), (after, 1)] {
                for (counter, amount) in counters(self.measures, map, item.as_ref()) {
                    *changed.entry(counter).or_default() += sign * amount;
                }
            }
        }
        changed.retain(|_, amount| *amount != 0);
        ensure(changed == expected.counters, Rule::Xo1, || {
            format!("the counters change by {changed:?}, the records that are marked add {:?}", expected.counters)
        })?;
        for (counter, amount) in expected.ungrouped {
            *self.ungrouped.entry(counter).or_default() += amount;
        }
        for (map, before, after) in &commit.views {
            let [was, is] = [before, after].map(|item| version(item.as_ref()));
            let raised = i64::from(touched.remove(map));
            ensure(is == was + raised, Rule::Version, || format!("{map} goes from version {was} to {is}"))?;
            self.check_totals(map, after.as_ref())?;
        }
        ensure(touched.is_empty(), Rule::Version, || format!("{touched:?} are touched and not written"))?;
        check_what_is_set(commit, &opened)
    }

    /// The view items that are passed over, as they are not there.
    fn checked_absent(&self, commit: &Commit<'_>) -> Result<BTreeSet<&'static str>, Violation> {
        let mut absent = BTreeSet::new();
        for action in &commit.transaction.actions {
            let Action::CheckAbsent { table, key, .. } = action else { continue };
            absent.extend(view_item_at(*table, key));
        }
        for (map, before, after) in &commit.views {
            let (was, is) = (before.is_some(), after.is_some());
            let right = match self.on_missing {
                OnMissingViewItem::Create => is && !absent.contains(map),
                OnMissingViewItem::Skip => was == is && was != absent.contains(map),
            };
            let words = || format!("{map} was there: {was}, is there: {is}, passed over: {absent:?}");
            ensure(right, Rule::Missing, words)?;
        }
        Ok(absent)
    }

    /// The definition that a record was judged by.
    fn definition_of(&self, record: usize, marker: &Item) -> Result<Measures, Violation> {
        let fingerprint = marker.get(FINGERPRINT).and_then(text).unwrap_or_default();
        let words = || format!("the marker of {} is of no definition: {fingerprint:?}", self.name(record));
        self.definitions.get(fingerprint).copied().ok_or_else(|| Violation { rule: Rule::Xo1, words: words() })
    }

    /// XO-1: what a marker says of its record is what the record does to each view.
    fn check_ledger(&self, record: usize, marker: &Item, counted: &Effect) -> Checked {
        let mut told = Amounts::new();
        let Some(AttributeValue::L(deltas)) = marker.get(DELTAS) else {
            return ensure(false, Rule::Xo1, || format!("the marker of {} tells no deltas", self.name(record)));
        };
        for delta in deltas {
            let AttributeValue::M(delta) = delta else { continue };
            let view = delta.get(VIEW).and_then(text).unwrap_or_default();
            let (Some(AttributeValue::M(key)), Some(AttributeValue::M(measures))) =
                (delta.get(ITEM), delta.get(MEASURES))
            else {
                continue;
            };
            if let Some(item) = view_item_at(table_of(view), key) {
                let of_view = counters(self.measures, item, Some(&Item::from(measures.clone()))).into_iter();
                // One view has the name that its definition does not give.
                let of_view = of_view.filter(|((_, attribute, _), _)| view == "default" || view_of(attribute) == view);
                told.extend(of_view);
            }
        }
        ensure(told == counted.counters, Rule::Xo1, || {
            format!("the marker of {} tells {told:?}, and it is {:?}", self.name(record), counted.counters)
        })
    }

    fn applied(&mut self, record: usize, marker: &Item, operator: bool) -> Checked {
        let Standing { applied, kept, .. } = self.standing[record];
        let name = self.name(record);
        ensure(!applied, Rule::Xo2, || format!("{name} is applied again"))?;
        ensure(kept != Some(Kept::Discarded), Rule::Xo2, || format!("{name} was discarded, and is applied"))?;
        ensure(!self.records[record].poison, Rule::Xo6, || format!("{name} is poison, and is applied"))?;
        ensure(operator || kept.is_none(), Rule::Xo6, || format!("{name} leaves quarantine without an operator"))?;
        let expires_at = marker.get(EXPIRES_AT).and_then(number).unwrap_or(i64::MIN);
        let needed = self.records[record].created_at + i64::from(self.retention_days) * DAY;
        ensure(expires_at >= needed, Rule::Xo2, || {
            format!("the marker of {name} expires at {expires_at}, and it may be delivered until {needed}")
        })?;
        self.standing[record].applied = true;
        self.standing[record].kept = None;
        Ok(())
    }

    fn quarantined(&mut self, record: usize, marker: &Item, commit: &Commit<'_>) -> Checked {
        let name = self.name(record);
        let Record { json, poison, created_at, effect, .. } = &*self.records[record];
        let kept = kept_record(marker, commit.transaction);
        ensure(kept.as_ref() == Some(json), Rule::Xo6, || format!("{name} is not kept whole: {kept:?}"))?;
        let reason = marker.get(REASON).and_then(text).unwrap_or_default();
        ensure(!reason.is_empty(), Rule::Xo6, || format!("{name} is in quarantine without a reason"))?;
        ensure(!marker.contains_key(EXPIRES_AT), Rule::Xo6, || format!("{name} in quarantine would expire"))?;
        let old = commit.now + commit.longest - created_at >= i64::from(self.retention_days) * DAY;
        let trouble = effect.view_items().iter().any(|map| self.in_trouble.contains(map));
        ensure(*poison || old || trouble, Rule::Xo6, || format!("nothing is wrong with {name}, and yet: {reason}"))?;
        let kept = &mut self.standing[record].kept;
        // A discarded record is forgotten after a time, like any other, and what is that old is never applied.
        let known = kept.is_some_and(|kept| kept == Kept::Quarantined || !old);
        ensure(!known, Rule::Xo2, || format!("{name} is put into quarantine again"))?;
        *kept = Some(Kept::Quarantined);
        Ok(())
    }

    /// XO-3: a batch was answered, and so many of its first records are acknowledged by that.
    pub fn acknowledged(&mut self, records: &[usize], under: Measures) -> Checked {
        for &record in records {
            self.standing[record].acknowledged = true;
            let Standing { applied, kept, .. } = self.standing[record];
            let Record { effect, poison, .. } = &*self.records[record];
            let nothing_to_do = under.parted(effect).0.counters.is_empty() && !poison;
            self.standing[record].needs_no_marker |= nothing_to_do;
            ensure(applied || kept.is_some() || nothing_to_do, Rule::Xo3, || {
                format!("{} is acknowledged, and has no marker", self.name(record))
            })?;
        }
        Ok(())
    }

    /// XO-4, XO-5, XO-6: all is acknowledged, and the operator has replayed what can be replayed.
    pub fn ended<'a>(&self, recount: &Effect, now: i64, view: impl Fn(&str) -> Option<&'a Item>) -> Checked {
        let mut expected = recount.clone();
        for (record, standing) in self.standing.iter().enumerate() {
            let Record { effect, poison, created_at, .. } = &*self.records[record];
            if standing.applied || effect.counters.is_empty() && !poison {
                continue;
            }
            let old = now - created_at + DAY / 2 >= i64::from(self.retention_days) * DAY;
            let rightly = match standing.kept {
                None => standing.needs_no_marker,
                Some(Kept::Quarantined) => *poison || old,
                Some(Kept::Discarded) => true,
            };
            ensure(rightly, Rule::Xo6, || format!("{} could be applied, and is {standing:?}", self.name(record)))?;
            expected.add(effect, -1);
        }
        expected.add(&self.missing, -1);
        let mut found = Amounts::new();
        for map in self.measures.view_items() {
            found.extend(counters(self.measures, map, view(map)));
            self.check_totals(map, view(map))?;
        }
        ensure(found == expected.counters, Rule::Xo4, || {
            let differ = |of: &Amounts, other: &Amounts| -> BTreeMap<_, _> {
                of.iter().filter(|(name, n)| other.get(*name) != Some(*n)).map(|(k, n)| (k.clone(), *n)).collect()
            };
            let (is, should) = (differ(&found, &expected.counters), differ(&expected.counters, &found));
            format!("of the counters {is:?} should be {should:?} (in tenths)")
        })
    }

    /// Whether every record of the run that has an effect was applied.
    pub fn all_applied(&self) -> bool {
        let mut all = self.standing.iter().zip(&self.records);
        self.missing == Effect::default()
            && all.all(|(standing, record)| standing.applied || record.effect.counters.is_empty())
    }

    /// XO-5, of one view item.
    fn check_totals(&self, map: &'static str, item: Option<&Item>) -> Checked {
        let counters = counters(self.measures, map, item);
        for (total, by) in self.measures.pairs() {
            // What is a text at the moment is neither a total nor a map of groups.
            let is_text = |name: &str| matches!(item.and_then(|item| item.get(name)), Some(AttributeValue::S(_)));
            if is_text(total) || is_text(by) {
                continue;
            }
            let stored = counters.get(&(map, *total, None)).copied().unwrap_or(0);
            let groups: i64 = counters.iter().filter(|((_, name, _), _)| name == by).map(|(_, amount)| amount).sum();
            let ungrouped = self.ungrouped.get(&(map, *total, None)).copied().unwrap_or(0);
            ensure(stored == groups + ungrouped, Rule::Xo5, || {
                format!("{total} of {map} is {stored}, its groups {groups}, ungrouped {ungrouped} (in tenths)")
            })?;
        }
        Ok(())
    }
}

/// XO-1: an update sets what the views of its counters set.
fn check_what_is_set(commit: &Commit<'_>, opened: &BTreeSet<&'static str>) -> Checked {
    let after = |item: &str| commit.views.iter().find(|(of, ..)| *of == item).and_then(|(_, _, after)| after.as_ref());
    let is_set = |item: &str| after(item).and_then(|item| item.get(SET)).and_then(text).is_some();
    let missed = opened.iter().find(|item| !is_set(item));
    ensure(missed.is_none(), Rule::Xo1, || format!("an update of {missed:?} does not set {SET}"))
}
