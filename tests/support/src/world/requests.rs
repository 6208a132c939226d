//! Requests on their way: carried out and answered at any time, in any order, also when nobody waits any more.

use std::time::Duration;

use ddb_rollup::rollup::Item;
use ddb_rollup::rollup::pipeline::plan::{Action, Transaction};
use ddb_rollup::rollup::pipeline::verdict::{Failure, RetryCause};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::World;
use super::auditor::Commit;
use super::database::{Fate, view_items_of};
use super::operator::REPLAY_TIME;
use super::rule::Checked;
use super::wire::{Body, Reply, Sent};

/// How long a function waits for an answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// A request on its way.
pub struct Request {
    number: usize,
    invocation: usize,
    operator: bool,
    body: Body,
    fate: Fate,
    /// Where its answer goes; none when nobody waits any more.
    reply: Option<oneshot::Sender<Reply>>,
    /// When the function gives it up, and what it takes that for.
    given_up_at: Instant,
    cause: RetryCause,
    /// Before this it does not arrive.
    arrives_at: Instant,
    state: State,
}

enum State {
    OnItsWay,
    CarriedOut(Reply),
    /// There is nothing more to come of it.
    Done,
}

impl Request {
    /// Whether it can be carried out now.
    pub fn is_due(&self) -> bool {
        matches!(self.state, State::OnItsWay) && self.fate != Fate::Lost && self.arrives_at <= Instant::now()
    }

    /// Whether the function that waits for it can be told something now.
    pub fn is_tellable(&self) -> bool {
        let answered = matches!(self.state, State::CarriedOut(_)) && self.fate != Fate::AnswerLost;
        self.reply.is_some() && (answered || self.given_up_at <= Instant::now())
    }

    /// Whether it is done with.
    fn is_over(&self) -> bool {
        let executed = !matches!(self.state, State::OnItsWay) || self.fate == Fate::Lost;
        executed && self.reply.is_none()
    }

    /// When the next thing will happen to it by itself.
    pub fn next_event(&self) -> Option<Instant> {
        let arrives = matches!(self.state, State::OnItsWay) && self.fate != Fate::Lost;
        let waits = self.reply.is_some().then_some(self.given_up_at);
        waits.into_iter().chain(arrives.then_some(self.arrives_at)).filter(|at| *at > Instant::now()).min()
    }
}

impl World {
    /// Takes what the functions just sent off the wire.
    pub(super) fn take_sent(&mut self) -> Checked {
        for Sent { instance, body, reply } in self.wire.take() {
            let number = self.request_count;
            self.request_count += 1;
            let Some(running) = self.running.iter().find(|running| running.instance == instance) else { continue };
            let (invocation, job) = (running.number, &running.job);
            let operator = !matches!(job, super::mapping::Job::Poll { .. });
            let fate = self.fault_rates.fate(&mut self.choices);
            let now = Instant::now();
            let late = self.choices.in_a_thousand(self.fault_rates.late);
            let arrives_at = if late { now + self.choices.milliseconds(100, 9_000) } else { now };
            let cut = matches!(fate, Fate::Lost | Fate::AnswerLost) && self.choices.below(2) == 0;
            let (given_up_at, cause) = if cut {
                (now + self.choices.milliseconds(0, 500), RetryCause::Connection)
            } else {
                (now + PATIENCE, RetryCause::Timeout)
            };
            let words = format!("{number} of invocation {invocation}: {}{}", summary(&body), fate_words(fate, late));
            self.log("request", words);
            self.traffic.sent(invocation, number, &body, self.max_in_flight)?;
            let (state, reply) = (State::OnItsWay, Some(reply));
            self.requests.push(Request {
                number,
                invocation,
                operator,
                body,
                fate,
                reply,
                given_up_at,
                cause,
                arrives_at,
                state,
            });
        }
        Ok(())
    }

    /// The database carries a request out.
    pub(super) fn carry_out(&mut self, place: usize) -> Checked {
        let Request { number, operator, body, fate, .. } = &self.requests[place];
        let (number, operator, fate, body) = (*number, *operator, *fate, body.clone());
        let before = match &body {
            Body::Transact { transaction, .. } => self.views(transaction),
            Body::Read(_) | Body::LookUp(_) | Body::LookUpMarkers(_) => Vec::new(),
        };
        let known = matches!(&body, Body::Transact { token, .. } if self.database.tables.remembers(*token));
        let reply = self.database.carry_out(&body, fate, &mut self.choices);
        let committed = match &body {
            Body::Transact { token, .. } => !known && self.database.tables.remembers(*token),
            Body::Read(_) | Body::LookUp(_) | Body::LookUpMarkers(_) => false,
        };
        let kind = if committed { "commit" } else { answer_kind(&reply, known) };
        self.log(kind, format!("request {number}"));
        self.requests[place].state = State::CarriedOut(reply);
        if let Body::Transact { transaction, .. } = &body
            && committed
        {
            let after = self.views(transaction).into_iter().map(|(_, item)| item);
            let views = before.into_iter().zip(after).map(|((map, before), after)| (map, before, after)).collect();
            let longest = i64::try_from(REPLAY_TIME.as_secs()).unwrap_or(i64::MAX) + 1;
            let commit = Commit { transaction, operator, views, now: self.now(), longest };
            self.auditor.committed(&commit)?;
            if let Some(bug) = self.wanted.bug {
                let views = commit.views.iter().map(|(map, before, _)| (*map, before.as_ref()));
                self.database.break_its_word(bug, number, views);
            }
        }
        Ok(())
    }

    fn views(&self, transaction: &Transaction<'_>) -> Vec<(&'static str, Option<Item>)> {
        let maps = view_items_of(transaction).into_iter();
        maps.map(|map| (map, self.database.view_item(map).cloned())).collect()
    }

    /// A function is told what came of a request, or gives it up.
    pub(super) fn tell(&mut self, place: usize) {
        let request = &mut self.requests[place];
        let (number, invocation) = (request.number, request.invocation);
        let Some(sender) = request.reply.take() else { return };
        let answered = matches!(request.state, State::CarriedOut(_)) && request.fate != Fate::AnswerLost;
        let (kind, reply) = match std::mem::replace(&mut request.state, State::Done) {
            State::CarriedOut(reply) if answered => ("answer", reply),
            state => {
                // It goes on without anybody who waits for it.
                request.state = state;
                ("given up", Reply::failure(&request.body, Failure::Transient(request.cause)))
            }
        };
        self.traffic.answered(invocation, number, &reply);
        if sender.send(reply).is_ok() {
            self.log(kind, format!("request {number} of invocation {invocation}"));
        }
    }

    /// Forgets requests that nobody waits for and that nothing comes of any more.
    pub(super) fn forget_requests(&mut self) {
        for request in &mut self.requests {
            if request.reply.as_ref().is_some_and(oneshot::Sender::is_closed) {
                request.reply = None;
            }
        }
        self.requests.retain(|request| !request.is_over());
    }

    /// Lets what is on its way be carried out, or never arrive: no request is on its way for hours.
    pub(super) fn flush_requests(&mut self) -> Checked {
        while let Some(place) = self.requests.iter().position(|request| matches!(request.state, State::OnItsWay)) {
            if self.requests[place].fate == Fate::Lost || self.choices.below(2) == 0 {
                self.requests[place].state = State::Done;
            } else {
                self.carry_out(place)?;
            }
        }
        self.forget_requests();
        Ok(())
    }
}

fn summary(body: &Body) -> String {
    match body {
        Body::Read(key) => format!("read {key}"),
        Body::LookUp(keys) => {
            format!("look up {}", keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
        }
        Body::LookUpMarkers(ids) => format!(
            "look up the markers of {}",
            ids.iter().map(|id| id.sequence_number.as_str()).collect::<Vec<_>>().join(", ")
        ),
        Body::Transact { transaction, .. } => {
            let of =
                |wanted: fn(&Action<'_>) -> bool| transaction.actions.iter().filter(|action| wanted(action)).count();
            let markers = of(|action| matches!(action, Action::PutMarker { .. }));
            let entries = transaction.actions.iter().filter_map(|action| match action {
                Action::PutMarker { entry, .. } => Some(entry),
                _ => None,
            });
            format!("{markers} markers (entries {:?}), {:?}", entries.collect::<Vec<_>>(), view_items_of(transaction))
        }
    }
}

fn fate_words(fate: Fate, late: bool) -> String {
    let late = if late { ", late" } else { "" };
    if fate == Fate::Through { late.to_owned() } else { format!(", {fate:?}{late}") }
}

fn answer_kind(reply: &Reply, known: bool) -> &'static str {
    match reply {
        Reply::Read(Ok(_)) => "read",
        Reply::Transacted(Ok(())) if known => "known token",
        Reply::Transacted(Ok(())) => "nothing to commit",
        Reply::LookedUp(Ok(_)) => "look-up",
        Reply::MarkersLookedUp(Ok(_)) => "look-up of markers",
        Reply::Read(Err(failure))
        | Reply::LookedUp(Err(failure))
        | Reply::MarkersLookedUp(Err(failure))
        | Reply::Transacted(Err(failure)) => match failure {
            Failure::Transient(RetryCause::Conflict) => "conflict",
            Failure::Transient(RetryCause::Throttled) => "throttled",
            Failure::Transient(RetryCause::InProgress) => "in progress",
            Failure::Transient(_) => "server error",
            Failure::Cancelled(_) => "cancelled",
            Failure::Refused(_) => "refused",
            Failure::TokenReused => "token of another body",
            Failure::Broken(_) => "denied",
        },
    }
}
