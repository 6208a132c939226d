//! What lies between the functions and the database: every request waits here for what the run does with it.

use std::sync::{Arc, Mutex};

use ddb_rollup::commit::{FoundMarkers, LookedUp};
use ddb_rollup::rollup::Item;
use ddb_rollup::rollup::model::record::RecordId;
use ddb_rollup::rollup::model::view::ViewKey;
use ddb_rollup::rollup::pipeline::plan::Transaction;
use ddb_rollup::rollup::pipeline::verdict::{Failure, RetryCause};
use tokio::sync::oneshot;
use uuid::Uuid;

/// What is asked of the database.
#[derive(Debug, Clone)]
pub enum Body {
    /// A transaction.
    Transact {
        transaction: Arc<Transaction<'static>>,
        token: Uuid,
        /// Whether the markers' conditions are looked at: they are, unless somebody planted that bug.
        guarded: bool,
    },
    /// A view item.
    Read(ViewKey),
    /// The shapes of some view items.
    LookUp(Vec<ViewKey>),
    /// Some markers.
    LookUpMarkers(Vec<RecordId>),
}

/// What is answered.
#[derive(Debug, Clone)]
pub enum Reply {
    Transacted(Result<(), Failure>),
    Read(Result<Option<Item>, Failure>),
    LookedUp(Result<LookedUp, Failure>),
    MarkersLookedUp(Result<FoundMarkers, Failure>),
}

impl Reply {
    /// A failure, as an answer to such a request.
    pub fn failure(body: &Body, failure: Failure) -> Self {
        match body {
            Body::Transact { .. } => Self::Transacted(Err(failure)),
            Body::Read(_) => Self::Read(Err(failure)),
            Body::LookUp(_) => Self::LookedUp(Err(failure)),
            Body::LookUpMarkers(_) => Self::MarkersLookedUp(Err(failure)),
        }
    }
}

/// A request that a function just sent.
pub struct Sent {
    pub instance: usize,
    pub body: Body,
    pub reply: oneshot::Sender<Reply>,
}

/// What was sent and not yet taken off. Clones have the same wire.
#[derive(Clone, Default)]
pub struct Wire(Arc<Mutex<Vec<Sent>>>);

impl Wire {
    /// What was sent since the last time.
    pub fn take(&self) -> Vec<Sent> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// One function instance's end of the wire.
#[derive(Clone)]
pub struct Border {
    wire: Wire,
    instance: usize,
}

impl Border {
    pub fn new(wire: Wire, instance: usize) -> Self {
        Self { wire, instance }
    }

    /// The instance whose end it is.
    pub fn instance(&self) -> usize {
        self.instance
    }

    async fn request(&self, body: Body) -> Option<Reply> {
        let (reply, answered) = oneshot::channel();
        self.wire.0.lock().unwrap().push(Sent { instance: self.instance, body, reply });
        answered.await.ok()
    }

    /// Sends a transaction.
    pub async fn transact(&self, transaction: Transaction<'static>, token: Uuid, guarded: bool) -> Result<(), Failure> {
        let body = Body::Transact { transaction: Arc::new(transaction), token, guarded };
        match self.request(body).await {
            Some(Reply::Transacted(result)) => result,
            _ => Err(Failure::Transient(RetryCause::Connection)),
        }
    }

    /// Asks for the shapes of some view items.
    pub async fn look_up(&self, keys: &[ViewKey]) -> Result<LookedUp, Failure> {
        match self.request(Body::LookUp(keys.to_vec())).await {
            Some(Reply::LookedUp(result)) => result,
            _ => Err(Failure::Transient(RetryCause::Connection)),
        }
    }

    /// Asks for some markers.
    pub async fn look_up_markers(&self, ids: &[RecordId]) -> Result<FoundMarkers, Failure> {
        match self.request(Body::LookUpMarkers(ids.to_vec())).await {
            Some(Reply::MarkersLookedUp(result)) => result,
            _ => Err(Failure::Transient(RetryCause::Connection)),
        }
    }

    /// Asks for a view item.
    pub async fn view_item(&self, key: &ViewKey) -> Result<Option<Item>, Failure> {
        match self.request(Body::Read(key.clone())).await {
            Some(Reply::Read(result)) => result,
            _ => Err(Failure::Transient(RetryCause::Connection)),
        }
    }
}
