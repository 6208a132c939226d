//! What the commit loop needs from outside: a database, and randomness.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use uuid::Uuid;

use crate::rollup::Item;
use crate::rollup::model::record::RecordId;
use crate::rollup::model::view::ViewKey;
use crate::rollup::pipeline::plan::Transaction;
use crate::rollup::pipeline::verdict::Failure;

/// What the commit loop needs of a database.
pub trait Store: Sync {
    /// Carries out a transaction at most once for a token.
    fn transact(&self, transaction: &Transaction<'_>, token: Uuid) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Puts the item of [`definition_item`](crate::rollup::model::marker::definition_item), unless an environment
    /// that started at the same time or later has put it. A store without a ledger keeps none.
    fn put_definition(&self, item: &Item) -> impl Future<Output = Result<(), Failure>> + Send {
        let _ = item;
        async { Ok(()) }
    }

    /// Reads a view item as it is now; `None` if it is not there.
    fn view_item(&self, key: &ViewKey) -> impl Future<Output = Result<Option<Item>, Failure>> + Send;

    /// Asks in one request for the key and the counter maps of some view items, [`limits::BATCH_GET_KEYS`] at most.
    ///
    /// The answer has an entry for each item that it tells of, without an item where there is none. It may leave some
    /// out, and it may be a little old.
    ///
    /// [`limits::BATCH_GET_KEYS`]: crate::rollup::model::limits::BATCH_GET_KEYS
    fn look_up(&self, keys: &[ViewKey]) -> impl Future<Output = Result<LookedUp, Failure>> + Send;

    /// Asks in one request for some markers, [`limits::BATCH_GET_KEYS`] at most, each with the attributes of
    /// [`JUDGED_BY`](crate::rollup::model::existing_marker::JUDGED_BY).
    ///
    /// The answer holds markers that were found. It may leave some out, and it may be a little old. A store without a
    /// ledger finds none.
    ///
    /// [`limits::BATCH_GET_KEYS`]: crate::rollup::model::limits::BATCH_GET_KEYS
    fn look_up_markers(&self, ids: &[RecordId]) -> impl Future<Output = Result<FoundMarkers, Failure>> + Send {
        let _ = ids;
        async { Ok(FoundMarkers::new()) }
    }
}

/// View items as they were found, each `None` if it does not exist.
pub type LookedUp = BTreeMap<ViewKey, Option<Item>>;

/// Markers that were found.
pub type FoundMarkers = BTreeMap<RecordId, Item>;

/// Where randomness comes from.
pub trait Randomness: Sync {
    /// A token that no other transaction ever had.
    fn token(&self) -> Uuid;

    /// A time between zero and `limit`, every one as likely as the others.
    fn up_to(&self, limit: Duration) -> Duration;
}
