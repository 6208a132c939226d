//! Bugs put in on purpose: between the function and the wire, transactions and answers are changed as a function with
//! that bug would send and take them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lambda_events::event::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use ddb_rollup::commit::{FoundMarkers, LookedUp, Store};
use ddb_rollup::rollup::model::marker::{
    DELTAS, EVENT_NAME, EXPIRES_AT, Guard, Marker, RECORD, SEQUENCE_NUMBER, STREAM, record_id,
};
use ddb_rollup::rollup::model::record::RecordId;
use ddb_rollup::rollup::model::view::{ROLLUP_VERSION, ViewKey};
use ddb_rollup::rollup::pipeline::plan::{Action, Transaction};
use ddb_rollup::rollup::pipeline::verdict::{ActionVerdict, Failure, RetryCause};
use ddb_rollup::rollup::{AttributeValue, Item};
use tokio::time::sleep;
use uuid::Uuid;

use super::bug::Bug;
use super::planted_actions::{
    drop_what_comes_to_zero, expire_markers, forget_what_is_taken_away, is_quarantined, markers, markers_mut, text,
    updates, with_bug_of_several_views,
};
use super::stream::{STREAMS, Streams};
use super::wire::Border;
use crate::tables::made;

/// How long a function with the bug waits before it sends a transaction a second time.
const HEDGE: Duration = Duration::from_millis(200);

/// A function instance's store, with or without a bug. Clones are the same.
#[derive(Clone)]
pub struct PlantedBugs {
    border: Border,
    bug: Option<Bug>,
    /// Days that a marker is kept, really.
    retention_days: u32,
    memory: Arc<Mutex<Memory>>,
}

/// What a bug needs to remember.
#[derive(Default)]
struct Memory {
    tokens: u64,
    /// The stream under which a sequence number was committed.
    committed: BTreeMap<String, String>,
    /// Sequence numbers that this instance sent, and that are not settled.
    unsettled: BTreeSet<String>,
    /// Records whose markers were looked up and not found.
    not_found: BTreeSet<RecordId>,
}

impl PlantedBugs {
    pub fn new(border: Border, bug: Option<Bug>, retention_days: u32) -> Self {
        Self { border, bug, retention_days, memory: Arc::default() }
    }

    /// Forgets what the instance knew of an earlier invocation.
    pub fn begin(&self) {
        let mut memory = self.memory.lock().unwrap();
        memory.unsettled.clear();
        memory.not_found.clear();
    }

    /// What a function with the bug responds instead.
    pub fn respond(&self, batch: &[&str], mut response: DynamoDbEventResponse) -> DynamoDbEventResponse {
        match self.bug {
            Some(Bug::AcknowledgedPastFailure) => response.batch_item_failures.clear(),
            Some(Bug::TextOrder) if !response.batch_item_failures.is_empty() => {
                let unsettled = &self.memory.lock().unwrap().unsettled;
                let first = batch.iter().copied().filter(|number| unsettled.contains(*number)).min();
                if let Some(first) = first {
                    response.batch_item_failures = vec![reported(first)];
                }
            }
            Some(Bug::EveryFailureReported) if !response.batch_item_failures.is_empty() => {
                let unsettled = &self.memory.lock().unwrap().unsettled;
                let failed = batch.iter().filter(|number| unsettled.contains(**number));
                response.batch_item_failures = failed.map(|number| reported(number)).collect();
            }
            Some(Bug::ReportedByPosition) => {
                for failure in &mut response.batch_item_failures {
                    let place = batch.iter().position(|number| Some(*number) == failure.item_identifier.as_deref());
                    failure.item_identifier = place.map(|place| place.to_string());
                }
            }
            Some(Bug::FirstAlwaysReported) => response.batch_item_failures = vec![reported(batch[0])],
            _ => {}
        }
        response
    }

    fn next_token(&self) -> Uuid {
        let mut memory = self.memory.lock().unwrap();
        memory.tokens += 1;
        Uuid::from_u64_pair(self.border.instance() as u64, memory.tokens)
    }

    /// The transaction as a function with the bug would have planned it.
    fn planned(&self, mut transaction: Transaction<'static>) -> Transaction<'static> {
        let actions = &mut transaction.actions;
        match self.bug {
            Some(Bug::MarkerDroppedWithZeroSum) => drop_what_comes_to_zero(actions),
            Some(Bug::OldGroupForgotten) if markers(actions).all(|marker| text(marker, EVENT_NAME) == "MODIFY") => {
                for update in updates(actions) {
                    update.values.values_mut().for_each(forget_what_is_taken_away);
                }
            }
            Some(Bug::QuarantineWithoutRecord) => {
                for marker in markers_mut(actions).filter(|marker| is_quarantined(marker)) {
                    marker.remove(RECORD);
                }
            }
            Some(Bug::QuarantineExpires) => {
                for marker in markers_mut(actions).filter(|marker| is_quarantined(marker)) {
                    marker.insert(EXPIRES_AT.to_owned(), AttributeValue::N("1795100000".to_owned()));
                }
            }
            Some(Bug::QuarantineEndedByFunction) => {
                for action in actions {
                    if let Action::PutMarker { guard, marker: Marker::Item(marker), .. } = action
                        && !is_quarantined(marker)
                    {
                        *guard = Guard::AbsentOrQuarantined;
                    }
                }
            }
            Some(Bug::FirstTouchOverwrites) => {
                for update in updates(actions) {
                    if update.condition.as_deref().is_some_and(|text| text.contains("attribute_not_exists")) {
                        update.condition = None;
                    }
                }
            }
            Some(Bug::VersionNotRaised) => {
                for update in updates(actions) {
                    if let Some(name) = update.names.values_mut().find(|name| *name == ROLLUP_VERSION) {
                        "Unversioned".clone_into(name);
                    }
                }
            }
            Some(Bug::RetentionIgnored) => expire_markers(actions, i64::from(self.retention_days) * 86_400),
            Some(Bug::MarkerKeptTooShort) => expire_markers(actions, 3_600),
            Some(Bug::LedgerEmpty) => {
                for marker in markers_mut(actions).filter(|marker| !is_quarantined(marker)) {
                    marker.insert(DELTAS.to_owned(), AttributeValue::L(Vec::new()));
                }
            }
            Some(bug) => with_bug_of_several_views(bug, actions),
            None => {}
        }
        transaction
    }

    /// What the bug answers without asking anybody.
    fn answered_already(&self, transaction: &Transaction<'_>) -> Option<Result<(), Failure>> {
        match self.bug {
            Some(Bug::PoisonDropped) if markers(&transaction.actions).all(is_quarantined) => Some(Ok(())),
            Some(Bug::OtherStreamTakenAsDuplicate) => {
                let memory = self.memory.lock().unwrap();
                let known = |action: &Action<'_>| match action {
                    Action::PutMarker { marker: Marker::Item(marker), .. } => {
                        let stream = memory.committed.get(&text(marker, SEQUENCE_NUMBER));
                        stream.is_some_and(|stream| *stream != text(marker, STREAM))
                    }
                    _ => false,
                };
                let verdicts: Vec<_> = transaction.actions.iter().map(known).collect();
                let verdict = |known| if known { ActionVerdict::ConditionFailed(None) } else { ActionVerdict::Fine };
                let known = verdicts.contains(&true);
                known.then(|| Err(Failure::Cancelled(verdicts.into_iter().map(verdict).collect())))
            }
            _ => None,
        }
    }

    /// The answer as a function with the bug takes it.
    fn understood(&self, transaction: &Transaction<'_>, result: Result<(), Failure>) -> Result<(), Failure> {
        let all_known = || {
            let verdict = |action: &Action<'_>| match action {
                Action::PutMarker { .. } => ActionVerdict::ConditionFailed(None),
                _ => ActionVerdict::Fine,
            };
            Err(Failure::Cancelled(transaction.actions.iter().map(verdict).collect()))
        };
        match (self.bug, result) {
            (
                Some(Bug::DuplicateFromAnyCancellation),
                Err(Failure::Cancelled(_) | Failure::Transient(RetryCause::Conflict)),
            ) => all_known(),
            (
                Some(Bug::LostAnswerTakenAsDone),
                Err(Failure::Transient(RetryCause::Timeout | RetryCause::Connection)),
            ) => Ok(()),
            // Only what is throttled is ever halved.
            (Some(Bug::ThrottledNeverHalved), Err(Failure::Transient(RetryCause::Throttled))) => {
                Err(Failure::Transient(RetryCause::Server))
            }
            (_, result) => result,
        }
    }

    async fn sent(&self, transaction: Transaction<'static>, token: Uuid, guarded: bool) -> Result<(), Failure> {
        let again = async {
            sleep(HEDGE).await;
            self.border.transact(transaction.clone(), token, guarded).await
        };
        tokio::select! {
            biased;
            result = self.border.transact(transaction.clone(), token, guarded) => result,
            result = again, if self.bug == Some(Bug::HedgedRequests) => result,
        }
    }

    fn remember(&self, transaction: &Transaction<'_>, result: &Result<(), Failure>) {
        let mut memory = self.memory.lock().unwrap();
        for (place, action) in transaction.actions.iter().enumerate() {
            let Action::PutMarker { marker: Marker::Item(marker), .. } = action else { continue };
            let number = text(marker, SEQUENCE_NUMBER);
            let known = matches!(result, Err(Failure::Cancelled(verdicts))
                if matches!(verdicts[place], ActionVerdict::ConditionFailed(_)));
            if result.is_ok() || known {
                memory.unsettled.remove(&number);
                memory.committed.insert(number, text(marker, STREAM));
            }
        }
    }
}

impl Store for PlantedBugs {
    async fn transact(&self, transaction: &Transaction<'_>, token: Uuid) -> Result<(), Failure> {
        let transaction = &made(transaction);
        let numbers = markers(&transaction.actions).map(|marker| text(marker, SEQUENCE_NUMBER));
        self.memory.lock().unwrap().unsettled.extend(numbers);
        if let Some(answer) = self.answered_already(transaction) {
            return answer;
        }
        let planned = self.planned(transaction.clone());
        let token = match self.bug {
            Some(Bug::FreshToken | Bug::FreshTokenAndNoMarkerCondition) => self.next_token(),
            Some(Bug::OneToken) => Uuid::from_u64_pair(self.border.instance() as u64, 0),
            _ => token,
        };
        let guarded = match self.bug {
            Some(Bug::NoMarkerCondition | Bug::FreshTokenAndNoMarkerCondition) => false,
            Some(Bug::NotFoundTakenAsNew) => {
                let not_found = &self.memory.lock().unwrap().not_found;
                !markers(&planned.actions).all(|marker| record_id(marker).is_some_and(|id| not_found.contains(&id)))
            }
            _ => true,
        };
        if planned.actions.is_empty() {
            return Ok(());
        }
        let result = if self.bug == Some(Bug::MarkerInSeparateTransaction) {
            let (markers, views): (Vec<_>, Vec<_>) =
                planned.actions.into_iter().partition(|action| matches!(action, Action::PutMarker { .. }));
            let views = Transaction { actions: views };
            if !views.actions.is_empty() {
                let padding = markers.len();
                let sent = self.border.transact(views, token, guarded).await;
                sent.map_err(|failure| behind(padding, failure))?;
            }
            let views = transaction.actions.len() - markers.len();
            let sent = self.border.transact(Transaction { actions: markers }, self.next_token(), guarded).await;
            sent.map_err(|failure| before(views, failure))
        } else {
            let sent = planned.actions.clone();
            let result = self.sent(planned, token, guarded).await;
            result.map_err(|failure| laid_beside(&transaction.actions, &sent, failure))
        };
        let result = self.understood(transaction, result);
        self.remember(transaction, &result);
        result
    }

    async fn view_item(&self, key: &ViewKey) -> Result<Option<Item>, Failure> {
        self.border.view_item(key).await
    }

    async fn look_up(&self, keys: &[ViewKey]) -> Result<LookedUp, Failure> {
        self.border.look_up(keys).await
    }

    async fn look_up_markers(&self, ids: &[RecordId]) -> Result<FoundMarkers, Failure> {
        let mut found = self.border.look_up_markers(ids).await?;
        match self.bug {
            Some(Bug::NotFoundTakenAsNew) => {
                let not_found = ids.iter().filter(|id| !found.contains_key(id)).cloned();
                self.memory.lock().unwrap().not_found.extend(not_found);
            }
            Some(Bug::FoundMarkerNotCompared) => {
                // A number that some stream has used is known, whoever used it.
                let of_streams = |id: &RecordId| {
                    let number = id.sequence_number.clone();
                    let of = move |stream| RecordId { sequence_number: number.clone(), stream: Streams::name(stream) };
                    (0..STREAMS).map(of)
                };
                let others: Vec<RecordId> =
                    ids.iter().flat_map(of_streams).filter(|other| !ids.contains(other)).collect();
                for used in self.border.look_up_markers(&others).await?.into_keys() {
                    let same = ids.iter().filter(|id| id.sequence_number == used.sequence_number);
                    found.extend(same.map(|id| (id.clone(), Item::default())));
                }
            }
            _ => {}
        }
        Ok(found)
    }
}

fn reported(number: &str) -> DynamoDbBatchItemFailure {
    let mut failure = DynamoDbBatchItemFailure::default();
    failure.item_identifier = Some(number.to_owned());
    failure
}

/// The verdicts of the actions that were sent as those of what was planned: what was left out is fine.
fn laid_beside(planned: &[Action<'_>], sent: &[Action<'_>], failure: Failure) -> Failure {
    match failure {
        Failure::Cancelled(verdicts) if sent.len() < planned.len() => {
            let mut sent = sent.iter().zip(verdicts).peekable();
            let verdict = |action| sent.next_if(|(next, _)| *next == action).map(|(_, verdict)| verdict);
            Failure::Cancelled(planned.iter().map(verdict).map(|of| of.unwrap_or(ActionVerdict::Fine)).collect())
        }
        other => other,
    }
}

/// The verdicts of a transaction's last actions as those of the whole.
fn behind(padding: usize, failure: Failure) -> Failure {
    let fine = std::iter::repeat_n(ActionVerdict::Fine, padding);
    match failure {
        Failure::Cancelled(verdicts) => Failure::Cancelled(fine.chain(verdicts).collect()),
        other => other,
    }
}

/// The verdicts of a transaction's first actions as those of the whole.
fn before(padding: usize, failure: Failure) -> Failure {
    let fine = std::iter::repeat_n(ActionVerdict::Fine, padding);
    match failure {
        Failure::Cancelled(verdicts) => Failure::Cancelled(verdicts.into_iter().chain(fine).collect()),
        other => other,
    }
}
