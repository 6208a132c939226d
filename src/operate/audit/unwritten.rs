//! View items of which the stream has no record since the first pass began. The recount of the first pass still holds
//! for them, so their source items are not read again.

use std::collections::{HashMap, HashSet};

use rayon::iter::{IntoParallelIterator, ParallelIterator};
use tokio::time::Instant;

use super::Audit;
use super::error::AuditError;
use super::examine::{AfterLook, Examined, Examiner, Suspect, chunks_at_rest};
use super::judged::JudgedItem;
use crate::operate::progress::Progress;
use crate::operate::stop::Stop;
use crate::operate::stream_reader::Reach;
use crate::rollup::Item;
use crate::rollup::check::balance::ReadBefore;
use crate::rollup::check::judge::{PendingRecord, StoredCounters};
use crate::rollup::check::repair::version;
use crate::rollup::model::definition::Definition;
use crate::rollup::model::digest::ContentDigest;
use crate::rollup::model::measure::ViewSet;
use crate::rollup::model::number::Number;
use crate::rollup::model::view::{OnMissingViewItem, ViewKey};

/// View items that are judged together, on all processors. What is read of them is in memory at once.
const JUDGED_TOGETHER: usize = 4_096;

impl Audit {
    /// Examines the view items that were not written since the first pass; returns those that must be recounted.
    ///
    /// A difference counts only when it is seen twice, because a record may take longer than the settling time. All
    /// items wait together.
    pub(super) async fn examine_unwritten(
        &mut self,
        suspects: &[Suspect],
        stop: &Stop,
        after: &mut impl AfterLook,
    ) -> Result<Vec<Suspect>, AuditError> {
        let is_known = |suspect: &Suspect| self.balances.read_before(&suspect.key).is_some();
        let (mut left, mut written): (Vec<_>, Vec<_>) = suspects.iter().cloned().partition(is_known);
        let progress = Progress::reading("view items", u64::try_from(left.len()).unwrap_or_default());
        let Self { tables, records, compared, settle, balances, examined, seen_at, .. } = &mut *self;
        let definition = tables.definition();
        let mut examiner = Examiner { tables, scope: *compared, records, balances, settle: *settle, stop };
        for look in [Look::First, Look::Again] {
            let looked_at = std::mem::take(&mut left);
            if looked_at.is_empty() || stop.requested() {
                break;
            }
            // The look itself reads what has reached the stream.
            examiner.wait_for_stream(*seen_at).await;
            for chunk in chunks_at_rest(&looked_at) {
                if stop.requested() {
                    break;
                }
                let SeenAtRest { still_differ, exact, examined: mut seen } = examiner.look_at_rest(chunk, look).await?;
                *seen_at = Instant::now();
                let is_unseen = |suspect: &&Suspect| {
                    let key = &suspect.key;
                    !still_differ.contains(key) && !exact.contains_key(key) && !seen.contains_key(key)
                };
                written.extend(chunk.iter().filter(is_unseen).cloned());
                progress.add(u64::try_from(exact.len()).unwrap_or_default());
                examined.extend(exact);
                if look == Look::Again {
                    let changed = after.at_rest(&mut examiner, &mut seen).await?;
                    written.extend(chunk.iter().filter(|suspect| changed.contains(&suspect.key)).cloned());
                }
                for suspect in chunk {
                    match seen.get(&suspect.key) {
                        None if still_differ.contains(&suspect.key) => left.push(suspect.clone()),
                        None => {}
                        Some(found) if found.is_drifted() && look == Look::First => left.push(suspect.clone()),
                        Some(found) => {
                            examined.insert(suspect.key.clone(), JudgedItem::of(definition, found));
                            progress.add(1);
                        }
                    }
                }
            }
        }
        progress.finish();
        Ok(written)
    }
}

/// The first or a later look at a view item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    First,
    Again,
}

/// The result of a look at view items, without those that changed since they were read before. Most need no [`Examined`]
/// value, which has copies of all counters.
struct SeenAtRest {
    /// View items that differed from their recount in the first pass and are unchanged since. Only in a first look.
    still_differ: HashSet<ViewKey>,
    /// View items whose counters equal their recount.
    exact: HashMap<ViewKey, JudgedItem>,
    /// The others.
    examined: HashMap<ViewKey, Examined>,
}

/// A view item that did not change since it was read before.
struct ReadAtRest {
    key: ViewKey,
    item: Option<Item>,
    /// The records that are not applied.
    open: Vec<PendingRecord>,
    /// Its counters; `None` if it still differs as in the first pass, and is not judged.
    counters: Option<StoredCounters>,
}

/// What a look says of a view item that did not change since it was read before.
enum AtRest {
    StillDiffers,
    Exact(JudgedItem),
    Examined(Examined),
}

impl Examiner<'_> {
    /// One look at view items whose recount is known. Returns those that did not change since they were read before.
    ///
    /// As in every look, the counters are read first, then the stream and the markers, and the counters again at the
    /// end. For the first look, the reading of the first pass counts as the first one. For an item that a repair has
    /// set, the repair's write counts, because every transaction of the function raises the version.
    async fn look_at_rest(&mut self, suspects: &[Suspect], look: Look) -> Result<SeenAtRest, AuditError> {
        let before: Vec<(ViewKey, ReadBefore)> = suspects
            .iter()
            .filter_map(|suspect| Some((suspect.key.clone(), self.balances.read_before(&suspect.key)?)))
            .collect();
        let is_to_read =
            |(key, read): &&(ViewKey, ReadBefore)| *read == ReadBefore::AnyTime && self.records.is_unwritten(key);
        let to_read: Vec<ViewKey> = before.iter().filter(is_to_read).map(|(key, _)| key.clone()).collect();
        let read = self.tables.view_items(&to_read).await?;
        self.records.catch_up(self.tables, Reach::Thorough).await?;
        let keys: Vec<ViewKey> = suspects.iter().map(|suspect| suspect.key.clone()).collect();
        self.records.look_again(self.tables, &keys).await?;
        let keys: Vec<ViewKey> = keys.into_iter().filter(|key| self.records.is_unwritten(key)).collect();
        let mut after = self.tables.view_items(&keys).await?;
        let definition = self.tables.definition();
        let is_at_rest = |key: &ViewKey, item: Option<&Item>, before: ReadBefore| match before {
            ReadBefore::InThePass(content) => content == item.and_then(|item| content_of(definition, key, item)),
            ReadBefore::AnyTime => read.get(key) == item,
            ReadBefore::Set(to) => version(item) == Number::from(to),
        };
        let items = before.into_iter().map(|(key, before)| {
            let item = after.remove(&key);
            (key, before, item)
        });
        Ok(self.judge_unchanged(items, is_at_rest, look))
    }

    /// Judges those of the view items that did not change since they were read before. Only what changes the sums of the
    /// first pass is done by one thread.
    fn judge_unchanged(
        &mut self,
        mut items: impl Iterator<Item = (ViewKey, ReadBefore, Option<Item>)>,
        is_at_rest: impl Fn(&ViewKey, Option<&Item>, ReadBefore) -> bool + Sync,
        look: Look,
    ) -> SeenAtRest {
        let (mut still_differ, mut exact, mut others) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            let together: Vec<_> = items.by_ref().take(JUDGED_TOGETHER).collect();
            if together.is_empty() {
                // Tables that grow with every block would move all that they hold each time.
                let (still_differ, exact) = (still_differ.into_iter().collect(), exact.into_iter().collect());
                return SeenAtRest { still_differ, exact, examined: others.into_iter().collect() };
            }
            let examiner = &*self;
            let at_rest = together.into_par_iter().filter(|(key, before, item)| {
                examiner.records.is_unwritten(key) && is_at_rest(key, item.as_ref(), *before)
            });
            let read: Vec<_> = at_rest.map(|(key, _, item)| examiner.read_at_rest(key, item, look)).collect();
            let of_read = read.iter().filter_map(|read| Some((&read.key, read.counters.as_ref()?)));
            of_read.for_each(|(key, counters)| self.balances.add_back(key, counters));
            let examiner = &*self;
            let judged: Vec<_> = read.into_par_iter().filter_map(|read| examiner.judge_at_rest(read)).collect();
            for (key, judged) in judged {
                match judged {
                    AtRest::StillDiffers => still_differ.push(key),
                    AtRest::Exact(item) => exact.push((key, item)),
                    AtRest::Examined(item) => others.push((key, item)),
                }
            }
        }
    }

    /// Reads the counters of a view item that is unchanged, if it must be judged.
    fn read_at_rest(&self, key: ViewKey, item: Option<Item>, look: Look) -> ReadAtRest {
        let (definition, open) = (self.tables.definition(), self.records.open.of(&key));
        let still_differs = look == Look::First && open.is_empty() && self.differed_in_the_pass(&key, item.as_ref());
        let counters = || StoredCounters::read(definition, definition.fitting(&key), item.as_ref());
        ReadAtRest { counters: (!still_differs).then(counters), key, item, open }
    }

    /// Judges a view item that is unchanged, by its recount.
    fn judge_at_rest(&self, read: ReadAtRest) -> Option<(ViewKey, AtRest)> {
        let ReadAtRest { key, item, open, counters } = read;
        let Some(counters) = counters else { return Some((key, AtRest::StillDiffers)) };
        if let Some(item) = item.as_ref().filter(|_| open.is_empty()) {
            let views = self.views_at_rest(&key, Some(item));
            if self.balances.is_recount(&key, &counters, views) {
                let exact = JudgedItem::exact(self.tables.definition(), views, item);
                return Some((key, AtRest::Exact(exact)));
            }
        }
        let truth = self.balances.truth(&key)?;
        let examined = self.judge(&key, item, truth, open);
        Some((key, AtRest::Examined(examined)))
    }

    /// Whether a view item that is as the first pass read it, and has no open record, differed from its recount in the
    /// pass.
    fn differed_in_the_pass(&self, key: &ViewKey, item: Option<&Item>) -> bool {
        let Some(balance) = self.balances.of(key) else { return false };
        let views = self.views_at_rest(key, item);
        let is_skipped = item.is_none() && self.tables.definition().on_missing(views) == OnMissingViewItem::Skip;
        matches!(self.balances.read_before(key), Some(ReadBefore::InThePass(_)))
            && !is_skipped
            && self.balances.differs(balance, views)
    }

    /// The views to which a view item without open records belongs.
    fn views_at_rest(&self, key: &ViewKey, item: Option<&Item>) -> ViewSet {
        let contributing = self.balances.of(key).map(|balance| balance.contributing).unwrap_or_default();
        self.scope.owners(self.tables.definition(), key, item, contributing)
    }
}

/// A digest of the attributes of the views that the first pass used. In a table that is both source and view table, the
/// pass treated an item without an attribute of a view as a source item.
fn content_of(definition: &Definition, key: &ViewKey, item: &Item) -> Option<ContentDigest> {
    let counters = || StoredCounters::read(definition, definition.fitting(key), Some(item));
    let is_taken = !definition.is_source(key.table) || counters().has_counters;
    is_taken.then(|| ContentDigest::of(None, Some(item)))
}
