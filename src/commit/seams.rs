//! What the commit loop needs from outside: a database, and randomness. Tests replace both.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use uuid::Uuid;

use crate::rollup::Item;
use crate::rollup::model::record::RecordId;
use crate::rollup::model::view::ViewKey;
use crate::rollup::pipeline::plan::Transaction;
use crate::rollup::pipeline::verdict::Failure;

/// The database operations of the commit loop.
pub trait Store: Sync {
    /// Carries out a transaction, at most once for each token.
    fn transact(&self, transaction: &Transaction<'_>, token: Uuid) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Puts the item of [`definition_item`](crate::rollup::model::marker::definition_item), unless an environment that
    /// started at the same time or later has already put it. A store without a ledger does nothing.
    fn put_definition(&self, item: &Item) -> impl Future<Output = Result<(), Failure>> + Send {
        let _ = item;
        async { Ok(()) }
    }

    /// Reads the current state of a view item; `None` if it does not exist.
    fn view_item(&self, key: &ViewKey) -> impl Future<Output = Result<Option<Item>, Failure>> + Send;

    /// Reads the keys and the counter maps of up to [`limits::BATCH_GET_KEYS`] view items in one request.
    ///
    /// The answer has an entry for each item that was read: `None` if the item does not exist. It may leave items out,
    /// and the reads may be eventually consistent.
    ///
    /// [`limits::BATCH_GET_KEYS`]: crate::rollup::model::limits::BATCH_GET_KEYS
    fn look_up(&self, keys: &[ViewKey]) -> impl Future<Output = Result<LookedUp, Failure>> + Send;

    /// Reads up to [`limits::BATCH_GET_KEYS`] markers in one request, each with the attributes of
    /// [`JUDGED_BY`](crate::rollup::model::existing_marker::JUDGED_BY).
    ///
    /// The answer has the markers that were found. It may leave markers out, and the reads may be eventually
    /// consistent. A store without a ledger finds none.
    ///
    /// [`limits::BATCH_GET_KEYS`]: crate::rollup::model::limits::BATCH_GET_KEYS
    fn look_up_markers(&self, ids: &[RecordId]) -> impl Future<Output = Result<FoundMarkers, Failure>> + Send {
        let _ = ids;
        async { Ok(FoundMarkers::new()) }
    }
}

/// View items by key; `None` if the item does not exist.
pub type LookedUp = BTreeMap<ViewKey, Option<Item>>;

/// The markers that were found, by record.
pub type FoundMarkers = BTreeMap<RecordId, Item>;

/// The source of randomness.
pub trait Randomness: Sync {
    /// A token that no other transaction has.
    fn token(&self) -> Uuid;

    /// A uniformly distributed time between zero and `limit`.
    fn up_to(&self, limit: Duration) -> Duration;
}
