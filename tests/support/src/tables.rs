//! Tables in memory, with `DynamoDB`'s semantics for what the roll-up sends. What it does not understand it refuses.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use ddb_rollup::rollup::model::marker::{DIGEST, Guard, Marker, OUTCOME, REASON, SEQUENCE_NUMBER, STREAM};
use ddb_rollup::rollup::model::view::TableId;
use ddb_rollup::rollup::pipeline::plan::{Action, Transaction};
use ddb_rollup::rollup::pipeline::update::Update;
use ddb_rollup::rollup::pipeline::verdict::{self, CancellationReason, ErrorAnswer, Failure};
use ddb_rollup::rollup::{AttributeValue, Item};
use uuid::Uuid;

use crate::expression::Expressions;
use crate::item_size::item_bytes;

/// The most actions of a transaction.
const MAX_ACTIONS: usize = 100;

/// The largest item, in bytes.
const MAX_ITEM_BYTES: usize = 400 * 1024;

/// The largest transaction, in bytes.
const MAX_TRANSACTION_BYTES: usize = 4 * 1024 * 1024;

/// A marker table and the view tables.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tables {
    markers: BTreeMap<String, Arc<Item>>,
    views: BTreeMap<(TableId, String), Arc<Item>>,
    /// What was committed under each token.
    committed: HashMap<Uuid, Arc<Transaction<'static>>>,
    /// Whether an action that cannot be carried out refuses the whole request without a word about which one it was,
    /// as `DynamoDB` Local does.
    terse: bool,
}

impl Tables {
    /// The markers, in the order of their keys.
    pub fn markers(&self) -> impl Iterator<Item = &Item> {
        self.markers.values().map(Arc::as_ref)
    }

    /// The view items of all tables, in the order of their keys.
    pub fn views(&self) -> impl Iterator<Item = &Item> {
        self.views.values().map(Arc::as_ref)
    }

    /// The view items, each with its table.
    pub fn views_by_table(&self) -> impl Iterator<Item = (TableId, &Item)> {
        self.views.iter().map(|((table, _), item)| (*table, item.as_ref()))
    }

    /// The view item of a key.
    pub fn view(&self, table: TableId, key: &Item) -> Option<&Item> {
        self.views.get(&(table, name(key))).map(Arc::as_ref)
    }

    /// Puts a view item, as a user would.
    pub fn put_view(&mut self, table: TableId, key: &Item, item: Item) {
        self.views.insert((table, name(key)), Arc::new(item));
    }

    /// Deletes a view item, as a user would.
    pub fn remove_view(&mut self, table: TableId, key: &Item) {
        self.views.remove(&(table, name(key)));
    }

    /// From now on an action that cannot be carried out refuses the whole request, as `DynamoDB` Local does.
    pub fn become_terse(&mut self) {
        self.terse = true;
    }

    /// The marker with this key.
    pub fn marker(&self, key: &Item) -> Option<&Item> {
        self.markers.get(&name(key)).map(Arc::as_ref)
    }

    /// Puts a marker, whatever is there.
    pub fn put_marker(&mut self, key: &Item, marker: Item) {
        self.markers.insert(name(key), Arc::new(marker));
    }

    /// Deletes a marker.
    pub fn remove_marker(&mut self, key: &Item) -> Option<Arc<Item>> {
        self.markers.remove(&name(key))
    }

    /// Whether a transaction was committed under a token that is not forgotten.
    pub fn remembers(&self, token: Uuid) -> bool {
        self.committed.contains_key(&token)
    }

    /// Forgets one token.
    pub fn forget_token(&mut self, token: Uuid) {
        self.committed.remove(&token);
    }

    /// Forgets all tokens, as `DynamoDB` does after ten minutes.
    pub fn forget_tokens(&mut self) {
        self.committed.clear();
    }

    /// Carries out a transaction, wholly or not at all.
    pub fn transact(&mut self, transaction: &Transaction<'_>, token: Uuid) -> Result<(), Failure> {
        let transaction = made(transaction);
        match self.committed.get(&token) {
            Some(committed) if **committed == transaction => return Ok(()),
            Some(_) => {
                return Err(error("IdempotentParameterMismatchException", "the token was used for another body"));
            }
            None => {}
        }
        let understood = understand(&transaction).map_err(|words| error("ValidationException", &words))?;
        let mut writes = Vec::new();
        let mut reasons = Vec::new();
        for (action, expressions) in transaction.actions.iter().zip(&understood) {
            let outcome = self.prepare(action, expressions);
            reasons.push(outcome.map_or_else(
                |reason| reason,
                |write| {
                    writes.extend(write);
                    CancellationReason { code: Some("None".to_owned()), ..CancellationReason::default() }
                },
            ));
        }
        let refused = reasons.iter().find(|reason| reason.code.as_deref() == Some("ValidationError"));
        if let Some(reason) = refused.filter(|_| self.terse) {
            return Err(error("ValidationException", reason.message.as_deref().unwrap_or_default()));
        }
        if reasons.iter().any(|reason| reason.code.as_deref() != Some("None")) {
            return Err(verdict::cancelled(reasons, transaction.actions.len()));
        }
        for write in writes {
            match write {
                Write::Marker(key, item) => self.markers.insert(key, Arc::new(item)),
                Write::NoMarker(key) => self.markers.remove(&key),
                Write::View(key, item) => self.views.insert(key, Arc::new(item)),
            };
        }
        self.committed.insert(token, Arc::new(transaction));
        Ok(())
    }

    /// What an action would write.
    fn prepare(&self, action: &Action<'_>, expressions: &Expressions) -> Result<Option<Write>, CancellationReason> {
        let key = name(&key_of(action));
        match action {
            Action::PutMarker { guard, marker, .. } => match self.markers.get(&key) {
                Some(found) if *guard == Guard::Absent || !may_be_replaced(found, &marker.item()) => {
                    Err(condition_failed(Some(found)))
                }
                None if *guard == Guard::Quarantined => Err(condition_failed(None)),
                _ => Ok(Some(Write::Marker(key, marker.item().into_owned()))),
            },
            Action::PutPart { part, .. } => match self.markers.get(&key) {
                Some(found) if found.contains_key(OUTCOME) => Err(condition_failed(None)),
                _ => Ok(Some(Write::Marker(key, part.clone()))),
            },
            Action::UpdateReason { reason, .. } => match self.markers.get(&key) {
                Some(found) if is_countable(found) && found.get(REASON) != Some(&AttributeValue::S(reason.clone())) => {
                    let mut item = Item::clone(found);
                    item.insert(REASON.to_owned(), AttributeValue::S(reason.clone()));
                    Ok(Some(Write::Marker(key, item)))
                }
                found => Err(condition_failed(found.map(Arc::as_ref))),
            },
            Action::DeletePart { .. } => match self.markers.get(&key) {
                Some(found) if found.contains_key(OUTCOME) => Err(condition_failed(None)),
                _ => Ok(Some(Write::NoMarker(key))),
            },
            Action::UpdateView { table, key: key_item, .. } => {
                let key = (*table, key);
                let found = self.views.get(&key).map(Arc::as_ref);
                if !expressions.hold(found) {
                    return Err(condition_failed(found));
                }
                let item = expressions.apply(found.unwrap_or(key_item)).map_err(|words| validation_error(&words))?;
                if item_bytes(&item) > MAX_ITEM_BYTES {
                    return Err(validation_error("Item size to update has exceeded the maximum allowed size"));
                }
                Ok(Some(Write::View(key, item)))
            }
            Action::CheckAbsent { table, .. } => {
                let found = self.views.get(&(*table, key)).map(Arc::as_ref);
                if expressions.hold(found) { Ok(None) } else { Err(condition_failed(found)) }
            }
        }
    }
}

/// An item that an action puts in the place of the one with its key.
enum Write {
    Marker(String, Item),
    NoMarker(String),
    View((TableId, String), Item),
}

/// A transaction with its markers as they are sent, which needs nothing of the invocation that made it.
pub fn made(transaction: &Transaction<'_>) -> Transaction<'static> {
    let made = |action: &Action<'_>| match action {
        Action::PutMarker { entry, guard, marker } => {
            Action::PutMarker { entry: *entry, guard: *guard, marker: Marker::Item(marker.item().into_owned()) }
        }
        Action::PutPart { entry, part } => Action::PutPart { entry: *entry, part: part.clone() },
        Action::UpdateReason { entry, key, reason } => {
            Action::UpdateReason { entry: *entry, key: key.clone(), reason: reason.clone() }
        }
        Action::DeletePart { entry, key } => Action::DeletePart { entry: *entry, key: key.clone() },
        Action::UpdateView { item, table, key, update } => {
            Action::UpdateView { item: *item, table: *table, key: key.clone(), update: update.clone() }
        }
        Action::CheckAbsent { item, table, key, check } => {
            Action::CheckAbsent { item: *item, table: *table, key: key.clone(), check: check.clone() }
        }
    };
    Transaction { actions: transaction.actions.iter().map(made).collect() }
}

/// What `DynamoDB` checks of a request before it looks at an item; gives each action's expressions.
fn understand(transaction: &Transaction<'_>) -> Result<Vec<Expressions>, String> {
    let actions = &transaction.actions;
    if !(1..=MAX_ACTIONS).contains(&actions.len()) {
        return Err(format!("Member must have length between 1 and {MAX_ACTIONS}; it has {}", actions.len()));
    }
    let mut touched = BTreeSet::new();
    let mut bytes = 0;
    let mut understood = Vec::with_capacity(actions.len());
    for action in actions {
        let key = key_of(action);
        let table = table_of(action);
        let marker = table.is_none();
        if !touched.insert((table, name(&key))) {
            return Err("Transaction request cannot include multiple operations on one item".to_owned());
        }
        let empty = |value: &AttributeValue| match value {
            AttributeValue::S(text) => text.is_empty(),
            AttributeValue::B(bytes) => bytes.is_empty(),
            AttributeValue::N(_) => false,
            _ => true,
        };
        let attributes = if marker { 2 } else { 1 };
        if key.len() < attributes || key.values().any(empty) {
            return Err(
                "One or more parameter values are not valid: a key is empty, or of no type for a key".to_owned()
            );
        }
        let (size, expressions) = match action {
            Action::PutMarker { marker, .. } => (item_bytes(&marker.item()), Expressions::default()),
            Action::PutPart { part, .. } => (item_bytes(part), Expressions::default()),
            Action::UpdateReason { .. } | Action::DeletePart { .. } => (item_bytes(&key), Expressions::default()),
            Action::UpdateView { update, .. } => (item_bytes(&key) + update_bytes(update), Expressions::read(update)?),
            Action::CheckAbsent { check, .. } => (item_bytes(&key), Expressions::read(check)?),
        };
        if marker && size > MAX_ITEM_BYTES {
            return Err("Item size has exceeded the maximum allowed size".to_owned());
        }
        bytes += size;
        understood.push(expressions);
    }
    if bytes > MAX_TRANSACTION_BYTES {
        return Err(format!("the aggregate size of the items cannot exceed 4 MB; it is {bytes} bytes"));
    }
    Ok(understood)
}

/// What an update brings with it.
fn update_bytes(update: &Update) -> usize {
    update.names.values().map(String::len).sum::<usize>() + item_bytes(&update.values)
}

/// The view table that an action is about; none if it is about a marker.
pub fn table_of(action: &Action<'_>) -> Option<TableId> {
    match action {
        Action::PutMarker { .. } | Action::PutPart { .. } | Action::UpdateReason { .. } | Action::DeletePart { .. } => {
            None
        }
        Action::UpdateView { table, .. } | Action::CheckAbsent { table, .. } => Some(*table),
    }
}

/// The key of the item that an action is about.
pub fn key_of(action: &Action<'_>) -> Item {
    let own_key = |item: &Item| {
        let attribute = |name: &str| item.get(name).map(|value| (name.to_owned(), value.clone()));
        Item::from([SEQUENCE_NUMBER, STREAM].into_iter().filter_map(attribute).collect::<HashMap<_, _>>())
    };
    match action {
        Action::UpdateView { key, .. }
        | Action::CheckAbsent { key, .. }
        | Action::UpdateReason { key, .. }
        | Action::DeletePart { key, .. } => key.clone(),
        Action::PutMarker { marker, .. } => own_key(&marker.item()),
        Action::PutPart { part, .. } => own_key(part),
    }
}

/// Whether a replay may put a marker in the place of another one: that of a record in quarantine that says the same.
fn may_be_replaced(found: &Item, by: &Item) -> bool {
    let same = |digest: &AttributeValue| found.get(DIGEST).is_none_or(|other| other == digest);
    is_countable(found) && by.get(DIGEST).is_none_or(same)
}

/// Whether a marker is in quarantine, and not as expired.
fn is_countable(marker: &Item) -> bool {
    let expired = matches!(marker.get(REASON), Some(AttributeValue::S(reason)) if reason.starts_with("expired: "));
    marker.get(OUTCOME) == Some(&AttributeValue::S("QUARANTINED".to_owned())) && !expired
}

/// An item's key as a table knows it: the attributes in the order of their names.
fn name(key: &Item) -> String {
    let mut parts: Vec<_> = key.iter().collect();
    parts.sort_by_key(|(name, _)| *name);
    let mut text = String::new();
    for (name, value) in parts {
        match value {
            AttributeValue::S(value) => text.extend([name, "=S", value, ";"]),
            other => text.extend([name, "=", &format!("{other:?}"), ";"]),
        }
    }
    text
}

/// One cancellation reason.
pub fn reason(code: &str, message: &str, item: Option<&Item>) -> CancellationReason {
    CancellationReason { code: Some(code.to_owned()), message: Some(message.to_owned()), item: item.cloned() }
}

fn condition_failed(found: Option<&Item>) -> CancellationReason {
    reason("ConditionalCheckFailed", "The conditional request failed", found)
}

fn validation_error(words: &str) -> CancellationReason {
    reason("ValidationError", words, None)
}

fn error(code: &str, message: &str) -> Failure {
    verdict::error(&ErrorAnswer { status: 400, code: Some(code.to_owned()), message: Some(message.to_owned()) })
}
