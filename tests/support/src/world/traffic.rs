//! The part of the auditor that watches requests: who sends what beside what, under which token.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ddb_rollup::rollup::model::view::TableId;
use ddb_rollup::rollup::pipeline::plan::{Action, Transaction};
use ddb_rollup::rollup::pipeline::verdict::Failure;
use uuid::Uuid;

use super::rule::{Checked, Rule, ensure};
use super::wire::{Body, Reply};

/// A transaction that an invocation sent.
struct Attempt {
    request: usize,
    transaction: Arc<Transaction<'static>>,
    token: Uuid,
    standing: Standing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// The function waits for an answer.
    Outstanding,
    /// The function was told to try again, or was told nothing.
    ToBeRetried,
    /// It was told what became of it.
    Settled,
}

/// What invocations have sent.
#[derive(Default)]
pub struct Traffic {
    /// Whether tokens are not looked at.
    tokens_ignored: bool,
    attempts: BTreeMap<usize, Vec<Attempt>>,
    /// What was sent under a token.
    bodies: HashMap<Uuid, Arc<Transaction<'static>>>,
}

impl Traffic {
    /// What looks at tokens, or does not.
    pub fn new(tokens_ignored: bool) -> Self {
        Self { tokens_ignored, ..Self::default() }
    }

    /// An invocation sent a request.
    pub fn sent(&mut self, invocation: usize, request: usize, body: &Body, max_in_flight: usize) -> Checked {
        let Body::Transact { transaction, token, .. } = body else { return Ok(()) };
        let before = self.attempts.entry(invocation).or_default();
        let known = self.bodies.entry(*token).or_insert_with(|| Arc::clone(transaction));
        let same = self.tokens_ignored || known == transaction;
        ensure(same, Rule::Token, || format!("request {request} has the token of another transaction"))?;
        let retried = before.iter().rev().find(|attempt| attempt.transaction == *transaction);
        let kept = retried.is_none_or(|last| last.standing == Standing::Settled || last.token == *token);
        ensure(self.tokens_ignored || kept, Rule::Token, || {
            format!("request {request} is a retry with another token")
        })?;
        let outstanding = || before.iter().filter(|attempt| attempt.standing == Standing::Outstanding);
        for attempt in outstanding() {
            let shared = items(transaction).find(|key| items(&attempt.transaction).any(|other| other == *key));
            ensure(shared.is_none(), Rule::SideBySide, || {
                format!("requests {} and {request} of one invocation are both of {shared:?}", attempt.request)
            })?;
        }
        ensure(outstanding().count() < max_in_flight, Rule::InFlight, || {
            format!("request {request} is one more than may be on their way at once")
        })?;
        let (transaction, token) = (Arc::clone(transaction), *token);
        before.push(Attempt { request, transaction, token, standing: Standing::Outstanding });
        Ok(())
    }

    /// A function was told an answer; none when it was told that there is none.
    pub fn answered(&mut self, invocation: usize, request: usize, reply: &Reply) {
        let Reply::Transacted(result) = reply else { return };
        let attempts = self.attempts.entry(invocation).or_default();
        if let Some(attempt) = attempts.iter_mut().find(|attempt| attempt.request == request) {
            attempt.standing = match result {
                Err(Failure::Transient(_)) => Standing::ToBeRetried,
                _ => Standing::Settled,
            };
        }
    }

    /// An invocation is over.
    pub fn over(&mut self, invocation: usize) {
        self.attempts.remove(&invocation);
    }
}

/// The view items of a transaction: their tables and keys.
fn items<'t>(transaction: &'t Transaction<'_>) -> impl Iterator<Item = (TableId, &'t ddb_rollup::rollup::Item)> {
    transaction.actions.iter().filter_map(|action| match action {
        Action::UpdateView { table, key, .. } | Action::CheckAbsent { table, key, .. } => Some((*table, key)),
        Action::PutMarker { .. } | Action::PutPart { .. } | Action::UpdateReason { .. } | Action::DeletePart { .. } => {
            None
        }
    })
}
