//! View items that a first pass does not explain, looked at until their counters and their records are seen as of one
//! moment.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::sleep;

use super::AuditError;
use super::progress::Progress;
use super::tables::Tables;
use super::trail::{Reach, Trail};
use crate::commit::Randomness;
use crate::operate::stop::Stop;
use crate::randomness::OsRandomness;
use crate::rollup::Item;
use crate::rollup::check::judge::{ItemVerdict, NotApplied, PendingRecord, StoredCounters, expected, judge};
use crate::rollup::check::recount::SourceTotals;
use crate::rollup::model::view::OnMissingViewItem;
use crate::rollup::model::view::ViewKey;

/// Source items whose contributions are kept in memory at once, unless one view item has more.
const SOURCES_AT_ONCE: u64 = 20_000;

/// Looks at many view items at once; after them each is looked at alone, for which it need not rest.
const JOINT_LOOKS: usize = 2;

/// Looks at one view item alone, before it is called unstable.
const LOOKS: usize = 40;

/// The longest wait between two looks, so that they do not keep step with a writer.
const PAUSE_MAX: Duration = Duration::from_millis(40);

/// A view item as it was seen at one moment, with all that explains it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The item; none when it is not there.
    pub item: Option<Item>,
    /// Its source items.
    pub truth: SourceTotals,
    /// The records that are not applied.
    pub open: Vec<PendingRecord>,
    /// What follows.
    pub verdict: ItemVerdict,
}

/// What is done about an item that is not as it should be.
pub trait Mend {
    /// Sets the counters of a view item, unless it has changed since it was seen; tells whether it did.
    fn mend(&mut self, tables: &Tables, key: &ViewKey, seen: &Seen)
    -> impl Future<Output = Result<Mended, AuditError>>;
}

/// How mending one view item ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mended {
    /// It is set.
    Set,
    /// The item was changed by somebody: it is to be looked at again.
    Changed,
    /// There is more of the same item to do.
    More,
    /// It cannot be set.
    Refused,
}

/// Mends nothing: an audit.
#[derive(Debug, Clone, Copy)]
pub struct LookOnly;

impl Mend for LookOnly {
    async fn mend(&mut self, _: &Tables, _: &ViewKey, _: &Seen) -> Result<Mended, AuditError> {
        Ok(Mended::Refused)
    }
}

/// What looking at view items needs.
pub struct Examiner<'a> {
    /// Where they are.
    pub tables: &'a Tables,
    /// Their records.
    pub trail: &'a mut Trail,
    /// How long a record may take from its write to the stream.
    pub settle: Duration,
    /// Whether to stop between view items.
    pub stop: &'a Stop,
}

impl Examiner<'_> {
    /// Looks at view items, each with about how many source items it has; mends those that need it. An item that is not in
    /// the answer was not got to before the stop.
    ///
    /// # Errors
    /// When a table or the stream cannot be read.
    pub async fn examine(
        &mut self,
        keys: &[(ViewKey, u64)],
        mender: &mut impl Mend,
        set: &mut HashSet<ViewKey>,
        progress: &Progress,
    ) -> Result<HashMap<ViewKey, Seen>, AuditError> {
        let mut all = HashMap::new();
        let mut rest = keys;
        while !rest.is_empty() && !self.stop.requested() {
            let mut sources = 0;
            let fits = |(_, count): &&(ViewKey, u64)| {
                sources += count;
                sources <= SOURCES_AT_ONCE
            };
            let many = rest.iter().take_while(fits).count().max(1);
            let (chunk, later) = rest.split_at(many);
            rest = later;
            let chunk: Vec<ViewKey> = chunk.iter().map(|(key, _)| key.clone()).collect();
            all.extend(self.chunk(&chunk, mender, set, progress).await?);
        }
        Ok(all)
    }

    async fn chunk(
        &mut self,
        keys: &[ViewKey],
        mender: &mut impl Mend,
        set: &mut HashSet<ViewKey>,
        progress: &Progress,
    ) -> Result<HashMap<ViewKey, Seen>, AuditError> {
        self.trail.catch_up(self.tables, Reach::Thorough).await?;
        self.trail.watch(keys);
        let tables = self.tables;
        let recounts = keys.iter().map(|key| async move { Ok::<_, AuditError>((key, tables.recount(key).await?)) });
        let recounts: Vec<_> = stream::iter(recounts).buffer_unordered(tables.concurrency).try_collect().await?;
        for (key, recount) in recounts {
            self.trail.recounted(key, recount);
        }
        self.settle().await?;
        let mut seen = self.looks(keys).await?;
        // What differs is believed when it differs once more: a record may have taken longer than the settling time.
        let suspects: Vec<ViewKey> = keys.iter().filter(|key| drifted(seen.get(*key))).cloned().collect();
        if !suspects.is_empty() && self.trail.is_followed() {
            self.settle().await?;
            seen.extend(self.looks(&suspects).await?);
        }
        for key in keys {
            progress.add(1);
            if seen.get(key).is_some_and(needs_mending) && !self.stop.requested() {
                self.mend(key, mender, set, &mut seen).await?;
            }
        }
        Ok(seen)
    }

    /// Sets an item that was seen, and looks again as long as others change it.
    async fn mend(
        &mut self,
        key: &ViewKey,
        mender: &mut impl Mend,
        set: &mut HashSet<ViewKey>,
        seen: &mut HashMap<ViewKey, Seen>,
    ) -> Result<(), AuditError> {
        for _ in 0..LOOKS {
            let Some(found) = seen.get(key).filter(|found| needs_mending(found)) else { return Ok(()) };
            match mender.mend(self.tables, key, found).await? {
                Mended::Set => {
                    set.insert(key.clone());
                    // What it is now is only known when it is audited again.
                    seen.remove(key);
                    return Ok(());
                }
                Mended::Refused => return Ok(()),
                Mended::More => drop(set.insert(key.clone())),
                Mended::Changed => sleep(OsRandomness.up_to(PAUSE_MAX)).await,
            }
            if let Some(again) = self.look_at_once(key).await? {
                seen.insert(key.clone(), again);
            }
        }
        Ok(())
    }

    async fn settle(&mut self) -> Result<(), AuditError> {
        if self.trail.is_followed() {
            self.stop.within(self.settle).await;
            self.trail.catch_up(self.tables, Reach::Thorough).await?;
        }
        Ok(())
    }

    /// Looks until each item was seen at rest, or often enough to call it unstable.
    async fn looks(&mut self, keys: &[ViewKey]) -> Result<HashMap<ViewKey, Seen>, AuditError> {
        let mut seen = HashMap::new();
        let mut left = keys.to_vec();
        for _ in 0..JOINT_LOOKS {
            if left.is_empty() {
                return Ok(seen);
            }
            seen.extend(self.look(&left).await?);
            left.retain(|key| !seen.contains_key(key));
        }
        for key in left {
            let mut found = None;
            for _ in 0..LOOKS {
                found = self.look_at_once(&key).await?;
                if found.is_some() {
                    break;
                }
                sleep(OsRandomness.up_to(PAUSE_MAX)).await;
            }
            let restless = || Seen {
                item: None,
                truth: SourceTotals::default(),
                open: Vec::new(),
                verdict: ItemVerdict::Unstable,
            };
            seen.insert(key, found.unwrap_or_else(restless));
        }
        Ok(seen)
    }

    /// One look at view items: those that nothing touched between its beginning and its end.
    ///
    /// The counters are read first. Whatever is in them had been in the stream before, so that the stream, read next, has
    /// it; its marker was written with it, so that the markers, read after that, show it. When the item is the same in the
    /// end, nothing was applied in between, and the markers are those that belong to the counters.
    async fn look(&mut self, keys: &[ViewKey]) -> Result<HashMap<ViewKey, Seen>, AuditError> {
        let before = self.tables.view_items(keys).await?;
        self.trail.catch_up(self.tables, Reach::Thorough).await?;
        self.trail.look_again(self.tables, keys).await?;
        let after = self.tables.view_items(keys).await?;
        let at_rest = keys.iter().filter(|key| before.get(key) == after.get(key));
        Ok(at_rest.map(|key| (key.clone(), self.seen(key, after.get(key)))).collect())
    }

    /// One look at a view item that may be written all the time.
    async fn look_at_once(&mut self, key: &ViewKey) -> Result<Option<Seen>, AuditError> {
        let found = self.trail.at_once(self.tables, key).await?;
        Ok(found.map(|item| self.seen(key, item.as_ref())))
    }

    fn seen(&self, key: &ViewKey, item: Option<&Item>) -> Seen {
        let view = self.tables.view();
        let (truth, open) = (self.trail.truth(key), self.trail.open(key));
        let skipped = item.is_none() && self.tables.config.on_missing == OnMissingViewItem::Skip;
        let verdict =
            if skipped { ItemVerdict::Exact } else { judge(&StoredCounters::read(view, item), &truth.sums, &open) };
        Seen { item: item.cloned(), truth, open, verdict }
    }
}

fn drifted(seen: Option<&Seen>) -> bool {
    seen.is_some_and(|seen| matches!(seen.verdict, ItemVerdict::Drifted(_)))
}

/// Counters that are wrong, or right only without records that are in quarantine.
fn needs_mending(seen: &Seen) -> bool {
    match &seen.verdict {
        ItemVerdict::Drifted(_) => true,
        ItemVerdict::Unstable => false,
        ItemVerdict::Exact | ItemVerdict::Behind { .. } => {
            seen.open.iter().any(|open| open.waiting == NotApplied::Quarantined)
        }
    }
}

impl Seen {
    /// The counters that a repair sets: the truth, less what the function will add, and less these records that stay in
    /// quarantine.
    #[must_use]
    pub fn wanted(&self, stay: &[&PendingRecord]) -> crate::rollup::model::change::Sums {
        let unmarked = self.open.iter().filter(|open| open.waiting == NotApplied::Unmarked);
        expected(&self.truth.sums, unmarked.chain(stay.iter().copied()))
    }
}
