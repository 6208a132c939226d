//! The tables as the function knows them, behind a line.

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use ddb_rollup::commit::{FoundMarkers, LookedUp, Store};
use ddb_rollup::rollup::Item;
use ddb_rollup::rollup::model::definition::Definition;
use ddb_rollup::rollup::model::marker::marker_key;
use ddb_rollup::rollup::model::record::RecordId;
use ddb_rollup::rollup::model::view::ViewKey;
use ddb_rollup::rollup::pipeline::plan::Transaction;
use ddb_rollup::rollup::pipeline::verdict::{self, Failure, RetryCause};
use uuid::Uuid;

use crate::line::{Line, Passage};
use crate::tables::{Tables, reason};

/// The most keys of one `BatchGetItem`.
const MAX_KEYS: usize = 100;

/// The tables behind a line, as the function knows them. Clones have the same tables.
#[derive(Debug, Clone)]
pub struct MemoryStore<L> {
    definition: Definition,
    tables: Arc<Mutex<Tables>>,
    line: L,
    crashed: Arc<AtomicBool>,
}

impl<L: Line> MemoryStore<L> {
    /// Empty tables for a definition.
    pub fn new(definition: Definition, line: L) -> Self {
        Self::sharing(definition, Arc::default(), line)
    }

    /// The same tables as others have, behind a line of its own.
    pub fn sharing(definition: Definition, tables: Arc<Mutex<Tables>>, line: L) -> Self {
        Self { definition, tables, line, crashed: Arc::default() }
    }

    /// What is in the tables.
    pub fn tables(&self) -> Tables {
        self.tables.lock().unwrap().clone()
    }

    /// Replaces what is in the tables, and makes good a crash.
    pub fn restore(&self, tables: Tables) {
        *self.tables.lock().unwrap() = tables;
        self.crashed.store(false, Ordering::Relaxed);
    }

    /// Whether the line has let the function crash: none of its requests goes on from then.
    pub fn has_crashed(&self) -> bool {
        self.crashed.load(Ordering::Relaxed)
    }

    /// A request without its answer: none is given when the function is dead.
    async fn request<T>(
        &self,
        conflict: impl FnOnce() -> Failure + Send,
        carry_out: impl FnOnce(&mut Tables) -> Result<T, Failure> + Send,
    ) -> Result<T, Failure> {
        if self.has_crashed() {
            return pending().await;
        }
        let passage = self.line.passage().await;
        if self.has_crashed() {
            return pending().await;
        }
        match passage {
            Passage::Through => carry_out(&mut self.tables.lock().unwrap()),
            Passage::Fails(cause) => Err(Failure::Transient(cause)),
            Passage::AnswerLost(cause) => {
                carry_out(&mut self.tables.lock().unwrap()).ok();
                Err(Failure::Transient(cause))
            }
            Passage::Conflict => Err(conflict()),
            Passage::CrashBefore => {
                self.crashed.store(true, Ordering::Relaxed);
                pending().await
            }
            Passage::CrashAfter => {
                carry_out(&mut self.tables.lock().unwrap()).ok();
                self.crashed.store(true, Ordering::Relaxed);
                pending().await
            }
        }
    }
}

impl<L: Line + Send> Store for MemoryStore<L> {
    async fn transact(&self, transaction: &Transaction<'_>, token: Uuid) -> Result<(), Failure> {
        let conflict = || {
            let mut reasons = vec![reason("None", "", None); transaction.actions.len()];
            if let Some(first) = reasons.first_mut() {
                *first = reason("TransactionConflict", "Transaction is ongoing for the item", None);
            }
            verdict::cancelled(reasons, transaction.actions.len())
        };
        self.request(conflict, |tables| tables.transact(transaction, token)).await
    }

    async fn view_item(&self, key: &ViewKey) -> Result<Option<Item>, Failure> {
        let (table, key) = (key.table, self.definition.key_item(key));
        self.request(|| Failure::Transient(RetryCause::Conflict), |tables| Ok(tables.view(table, &key).cloned())).await
    }

    async fn look_up(&self, keys: &[ViewKey]) -> Result<LookedUp, Failure> {
        assert!((1..=MAX_KEYS).contains(&keys.len()), "{} keys in one request", keys.len());
        let found = |tables: &Tables| {
            let item = |key: &ViewKey| tables.view(key.table, &self.definition.key_item(key)).cloned();
            keys.iter().map(|key| (key.clone(), item(key))).collect::<LookedUp>()
        };
        self.request(|| Failure::Transient(RetryCause::Conflict), |tables| Ok(found(tables))).await
    }

    async fn look_up_markers(&self, ids: &[RecordId]) -> Result<FoundMarkers, Failure> {
        assert!((1..=MAX_KEYS).contains(&ids.len()), "{} keys in one request", ids.len());
        let found = |tables: &Tables| {
            let marker = |id: &RecordId| Some((id.clone(), tables.marker(&marker_key(id))?.clone()));
            ids.iter().filter_map(marker).collect::<FoundMarkers>()
        };
        self.request(|| Failure::Transient(RetryCause::Conflict), |tables| Ok(found(tables))).await
    }
}
