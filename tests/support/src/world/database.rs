//! The database: the tables in memory, and all that a service does besides carrying out what it is asked.

use std::collections::BTreeSet;
use std::time::Duration;

use ddb_rollup::commit::{FoundMarkers, LookedUp};
use ddb_rollup::rollup::model::definition::Definition;
use ddb_rollup::rollup::model::marker::marker_key;
use ddb_rollup::rollup::model::record::RecordId;
use ddb_rollup::rollup::model::view::{ROLLUP_VERSION, ViewKey};
use ddb_rollup::rollup::pipeline::plan::{Action, Transaction};
use ddb_rollup::rollup::pipeline::verdict::{ActionVerdict, Failure, RetryCause};
use ddb_rollup::rollup::{AttributeValue, Item};
use tokio::time::Instant;
use uuid::Uuid;

use super::bug::Bug;
use super::measures::{self, Measures};
use super::seeded_choices::SeededChoices;
use super::wire::{Body, Reply};
use crate::tables::{Tables, key_of};

/// How long a token is remembered.
const TOKEN_LIFE: Duration = Duration::from_mins(10);

/// What becomes of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is carried out and answered.
    Through,
    /// It never arrives.
    Lost,
    /// It is carried out, sooner or later, and its answer never arrives.
    AnswerLost,
    /// Another transaction holds one of its items.
    Conflict,
    /// It is too much.
    Throttled,
    /// The service fails before it does anything.
    Server,
    /// The service fails after it has done everything.
    ServerAfterwards,
    /// The same transaction is said to be still on its way.
    InProgress,
}

/// How often each fate is met, in a thousand requests. Every run has its own: what never happens in one lets other things
/// happen more often.
#[derive(Debug, Clone)]
pub struct FaultRates {
    fates: Vec<(Fate, usize)>,
    /// How often a request arrives late.
    pub late: usize,
}

impl FaultRates {
    /// Of a run.
    pub fn drawn(choices: &mut SeededChoices) -> Self {
        let faults = [
            Fate::Lost,
            Fate::AnswerLost,
            Fate::Conflict,
            Fate::Throttled,
            Fate::Server,
            Fate::ServerAfterwards,
            Fate::InProgress,
        ];
        let outage = choices.below(6) == 0;
        let mut often = || if choices.below(2) == 0 { 0 } else { choices.between(5, 90) };
        let mut fates: Vec<_> = faults.into_iter().map(|fate| (fate, often())).collect();
        if outage {
            // Of most requests nothing is heard.
            fates.retain(|(fate, _)| !matches!(fate, Fate::Lost | Fate::AnswerLost));
            fates.extend([(Fate::Lost, 350), (Fate::AnswerLost, 150)]);
        }
        let late = often();
        fates.push((Fate::Through, 1_000 - fates.iter().map(|(_, often)| often).sum::<usize>()));
        Self { fates, late }
    }

    /// Nothing goes wrong.
    pub fn calm() -> Self {
        Self { fates: vec![(Fate::Through, 1)], late: 0 }
    }

    /// Of one request.
    pub fn fate(&self, choices: &mut SeededChoices) -> Fate {
        self.fates[choices.weighted(self.fates.iter().map(|(_, often)| *often))].0
    }
}

/// The tables, and their troubles.
pub struct Database {
    pub tables: Tables,
    definition: Definition,
    /// The view items that there may be.
    view_items: &'static [&'static str],
    tokens: Vec<(Uuid, Instant)>,
    /// The view items before the last transaction.
    before: Vec<(&'static str, Option<Item>)>,
    /// The markers before the last transaction, of those that it put.
    markers_before: Vec<(Item, Option<Item>)>,
    /// The most actions of a transaction that the tables have the capacity for; none where there is no end to it.
    capacity: Option<usize>,
    /// Whether markers may not be looked up, as the role is an old one.
    look_ups_denied: bool,
    /// An attribute of a view item that a user has overwritten, and what it was.
    pub spoilt: Option<(&'static str, String, Option<AttributeValue>)>,
    /// A view item that refuses every write, and does not show why.
    pub refusing: Option<&'static str>,
    /// Whether nothing may be written at all.
    pub denied: bool,
    /// Whether a refusal does not say which action it is about.
    terse: bool,
}

impl Database {
    pub fn new(measures: Measures, choices: &mut SeededChoices) -> Self {
        let mut tables = Tables::default();
        let terse = choices.below(4) == 0;
        if terse {
            tables.become_terse();
        }
        // Some view items are there before anything is counted, with attributes of their users.
        let view_items = measures.view_items();
        for name in view_items.iter().filter(|_| choices.below(2) == 0) {
            let (table, key) = measures::key_of(name);
            let mut item = key.clone();
            item.insert("City".to_owned(), AttributeValue::S("Zürich".to_owned()));
            tables.put_view(table, &key, item);
        }
        Self {
            tables,
            definition: measures.definition(),
            view_items,
            tokens: Vec::new(),
            before: Vec::new(),
            markers_before: Vec::new(),
            // A record takes up to seven: its marker, two maps for each of two views, and the tags.
            capacity: (choices.below(4) == 0).then(|| choices.between(8, 12)),
            look_ups_denied: choices.below(8) == 0,
            spoilt: None,
            refusing: None,
            denied: false,
            terse,
        }
    }

    /// A view item.
    pub fn view_item(&self, name: &str) -> Option<&Item> {
        let (table, key) = measures::key_of(name);
        self.tables.view(table, &key)
    }

    /// Puts a view item, as a user would.
    pub fn put_view_item(&mut self, name: &str, item: Item) {
        let (table, key) = measures::key_of(name);
        self.tables.put_view(table, &key, item);
    }

    /// Deletes a view item, as a user would.
    pub fn remove_view_item(&mut self, name: &str) {
        let (table, key) = measures::key_of(name);
        self.tables.remove_view(table, &key);
    }

    /// Carries out a request that has that fate.
    pub fn carry_out(&mut self, body: &Body, fate: Fate, choices: &mut SeededChoices) -> Reply {
        let fails = |cause| Reply::failure(body, Failure::Transient(cause));
        match fate {
            _ if self.denied || self.look_ups_denied && matches!(body, Body::LookUpMarkers(_)) => {
                Reply::failure(body, Failure::Broken("AccessDeniedException: not allowed".to_owned()))
            }
            _ if self.is_too_large(body) => fails(RetryCause::Throttled),
            Fate::Lost | Fate::Server => fails(RetryCause::Server),
            Fate::Throttled => fails(RetryCause::Throttled),
            Fate::InProgress => fails(RetryCause::InProgress),
            Fate::Conflict => match body {
                Body::Transact { transaction, token, .. } => {
                    Reply::Transacted(Err(self.conflict(transaction, *token, choices)))
                }
                Body::Read(_) | Body::LookUp(_) | Body::LookUpMarkers(_) => fails(RetryCause::Throttled),
            },
            Fate::Through | Fate::AnswerLost => self.obey(body, choices),
            Fate::ServerAfterwards => {
                self.obey(body, choices);
                fails(RetryCause::Server)
            }
        }
    }

    fn is_too_large(&self, body: &Body) -> bool {
        let Body::Transact { transaction, .. } = body else { return false };
        self.capacity.is_some_and(|most| transaction.actions.len() > most)
    }

    fn obey(&mut self, body: &Body, choices: &mut SeededChoices) -> Reply {
        match body {
            Body::Read(key) => Reply::Read(Ok(self.tables.view(key.table, &self.definition.key_item(key)).cloned())),
            Body::LookUp(keys) => Reply::LookedUp(Ok(self.look_up(keys, choices))),
            Body::LookUpMarkers(ids) => Reply::MarkersLookedUp(Ok(self.look_up_markers(ids, choices))),
            Body::Transact { transaction, token, guarded } => {
                self.before = self.view_items.iter().map(|name| (*name, self.view_item(name).cloned())).collect();
                self.markers_before = self.markers_of(transaction);
                if let Some(failure) = self.refusal(transaction) {
                    return Reply::Transacted(Err(failure));
                }
                let unguarded = if *guarded { Vec::new() } else { self.take_markers(transaction) };
                let known = self.tables.remembers(*token);
                let result = self.tables.transact(transaction, *token);
                if result.is_ok() && !known {
                    self.tokens.push((*token, Instant::now()));
                } else {
                    for (key, marker) in unguarded {
                        self.tables.put_marker(&key, marker);
                    }
                }
                Reply::Transacted(result)
            }
        }
    }

    /// With some bugs, forgets a part of what a transaction did to view items, of which it is told what they were before.
    pub fn break_its_word<'a>(
        &mut self,
        bug: Bug,
        request: usize,
        views: impl Iterator<Item = (&'static str, Option<&'a Item>)>,
    ) {
        for (map, before) in views.filter(|_| request.is_multiple_of(8)) {
            let Some(mut item) = self.view_item(map).cloned() else { continue };
            match (bug, before) {
                (Bug::ViewItemWriteLost, Some(before)) => item = before.clone(),
                (Bug::GroupLost, _) => {
                    if let Some(AttributeValue::M(groups)) = item.get_mut("CategoryCounts")
                        && let Some(group) = groups.keys().min().cloned()
                    {
                        groups.remove(&group);
                    }
                }
                _ => continue,
            }
            self.put_view_item(map, item);
        }
    }

    /// Some view items as they are, or as they were before the last transaction; some are left out.
    fn look_up(&self, keys: &[ViewKey], choices: &mut SeededChoices) -> LookedUp {
        let mut found = LookedUp::new();
        for key in keys {
            let key_item = self.definition.key_item(key);
            let name = measures::view_item_at(key.table, &key_item);
            let before = self.before.iter().find(|(of, _)| Some(*of) == name);
            match (choices.below(8), before) {
                (0, _) => {}
                (1 | 2, Some((_, before))) => {
                    found.insert(key.clone(), before.clone());
                }
                _ => {
                    found.insert(key.clone(), self.tables.view(key.table, &key_item).cloned());
                }
            }
        }
        found
    }

    /// Some markers as they are, or as they were before the last transaction; some are left out.
    fn look_up_markers(&self, ids: &[RecordId], choices: &mut SeededChoices) -> FoundMarkers {
        let found = ids.iter().filter_map(|id| {
            let key = marker_key(id);
            let before = self.markers_before.iter().find(|(of, _)| *of == key);
            let marker = match (choices.below(8), before) {
                (0, _) => None,
                (1 | 2, Some((_, before))) => before.clone(),
                _ => self.tables.marker(&key).cloned(),
            };
            Some((id.clone(), marker?))
        });
        found.collect()
    }

    /// The markers that a transaction puts, as they are before it.
    fn markers_of(&self, transaction: &Transaction<'_>) -> Vec<(Item, Option<Item>)> {
        let puts = transaction.actions.iter().filter(|action| matches!(action, Action::PutMarker { .. }));
        puts.map(key_of).map(|key| (key.clone(), self.tables.marker(&key).cloned())).collect()
    }

    /// A conflict, which may hide what else is wrong with a transaction, or come beside it.
    fn conflict(&self, transaction: &Transaction<'_>, token: Uuid, choices: &mut SeededChoices) -> Failure {
        let plain = Failure::Transient(RetryCause::Conflict);
        if choices.below(2) == 0 {
            return plain;
        }
        match self.tables.clone().transact(transaction, token) {
            Err(Failure::Cancelled(mut verdicts)) => {
                let place = choices.below(verdicts.len());
                let decisive = verdicts.iter().filter(|verdict| **verdict != ActionVerdict::Fine).count();
                if verdicts[place] == ActionVerdict::Fine || decisive > 1 {
                    verdicts[place] = ActionVerdict::Transient(RetryCause::Conflict);
                }
                Failure::Cancelled(verdicts)
            }
            _ => plain,
        }
    }

    fn refusal(&self, transaction: &Transaction<'_>) -> Option<Failure> {
        let (of, refusing) = measures::key_of(self.refusing?);
        let refused = |action: &Action<'_>| matches!(action, Action::UpdateView { table, key, .. } if *table == of && *key == refusing);
        if !transaction.actions.iter().any(refused) {
            return None;
        }
        // Without a word about the data, an item that was updated before is refused for its record's sake.
        let updated = self.tables.view(of, &refusing).is_some_and(|item| item.contains_key(ROLLUP_VERSION));
        let words = || {
            let words = if updated { "ValidationError: no reason" } else { "ItemCollectionSizeLimitExceeded: no room" };
            words.to_owned()
        };
        if self.terse {
            return Some(Failure::Refused(words()));
        }
        let verdict = |action| if refused(action) { ActionVerdict::Refused(words()) } else { ActionVerdict::Fine };
        Some(Failure::Cancelled(transaction.actions.iter().map(verdict).collect()))
    }

    fn take_markers(&mut self, transaction: &Transaction<'_>) -> Vec<(Item, Item)> {
        let puts = transaction.actions.iter().filter(|action| matches!(action, Action::PutMarker { .. }));
        let keys: Vec<Item> = puts.map(key_of).collect();
        let taken = keys.into_iter().filter_map(|key| {
            let marker = self.tables.remove_marker(&key)?;
            Some((key, Item::clone(&marker)))
        });
        taken.collect()
    }

    /// Forgets the tokens that are old.
    pub fn forget_old_tokens(&mut self) {
        let (old, young): (Vec<_>, Vec<_>) =
            self.tokens.drain(..).partition(|(_, at): &(Uuid, Instant)| at.elapsed() >= TOKEN_LIFE);
        self.tokens = young;
        for (token, _) in old {
            self.tables.forget_token(token);
        }
    }

    /// Forgets every token.
    pub fn restart(&mut self) {
        self.tokens.clear();
        self.tables.forget_tokens();
    }
}

/// The view items that a transaction writes, or checks.
pub fn view_items_of(transaction: &Transaction<'_>) -> BTreeSet<&'static str> {
    let key = |action: &Action<'_>| match action {
        Action::UpdateView { table, key, .. } | Action::CheckAbsent { table, key, .. } => {
            measures::view_item_at(*table, key)
        }
        Action::PutMarker { .. } | Action::PutPart { .. } | Action::UpdateReason { .. } | Action::DeletePart { .. } => {
            None
        }
    };
    transaction.actions.iter().filter_map(key).collect()
}
