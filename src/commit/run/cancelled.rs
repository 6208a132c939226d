//! What a cancelled transaction shows, action by action.

use std::collections::BTreeMap;

use super::Run;
use crate::commit::job::{Job, JobStep};
use crate::commit::report::Broken;
use crate::rollup::Item;
use crate::rollup::model::poison::Reason;
use crate::rollup::pipeline::blame;
use crate::rollup::pipeline::coalesce::{EntryId, ItemId};
use crate::rollup::pipeline::plan::{Action, Transaction};
use crate::rollup::pipeline::response::{EntryOutcome, Unresolved};
use crate::rollup::pipeline::verdict::ActionVerdict;
use crate::rollup::pipeline::view_item::Shape;

/// What the verdicts of one transaction show.
#[derive(Default)]
struct Findings {
    /// View items that refused their update, with the service's message.
    refused: BTreeMap<ItemId, String>,
    /// View items that exist, but that the answer does not contain.
    unseen: Vec<ItemId>,
    /// Whether a view item turned out to lack its counter maps.
    first_touch: bool,
}

/// What a transaction does with a view item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ViewAction {
    Update,
    CheckAbsent,
}

impl Run<'_, '_> {
    /// Applies the verdict of each action, and plans the open entries again.
    ///
    /// # Errors
    /// When the service refused an action for a reason that applies to every record.
    pub(super) fn cancelled(
        &mut self,
        job: Job,
        transaction: &Transaction<'_>,
        verdicts: Vec<ActionVerdict>,
    ) -> Result<(), Broken> {
        self.check_deployment(transaction, &verdicts)?;
        let mut findings = Findings::default();
        for (action, verdict) in transaction.actions.iter().zip(verdicts) {
            match action {
                Action::PutMarker { entry, .. } | Action::UpdateReason { entry, .. } => {
                    self.marker_verdict(*entry, verdict);
                }
                Action::PutPart { entry, .. } => self.part_verdict(*entry, verdict),
                // A marker occupies the key of a part. Markers are never deleted, so the record stays in quarantine.
                Action::DeletePart { entry, .. } => {
                    if matches!(verdict, ActionVerdict::ConditionFailed(_)) && self.open(*entry) {
                        self.outcomes[entry.0] = Some(EntryOutcome::Quarantined);
                    }
                }
                Action::UpdateView { item, .. } => {
                    self.view_verdict(*item, ViewAction::Update, verdict, &job.members, &mut findings);
                }
                Action::CheckAbsent { item, .. } => {
                    self.view_verdict(*item, ViewAction::CheckAbsent, verdict, &job.members, &mut findings);
                }
            }
        }
        let met = |member: &EntryId| self.outcomes[member.0].is_some();
        if job.members.iter().any(met) {
            self.look_up_markers();
        }
        self.plan_again(job, findings.refused, findings.unseen);
        self.quarantine();
        if findings.first_touch {
            self.look_up();
        }
        Ok(())
    }

    fn check_deployment(&self, transaction: &Transaction<'_>, verdicts: &[ActionVerdict]) -> Result<(), Broken> {
        for (action, verdict) in transaction.actions.iter().zip(verdicts) {
            let ActionVerdict::Refused(words) = verdict else { continue };
            let every_record = match action {
                Action::PutMarker { .. }
                | Action::PutPart { .. }
                | Action::UpdateReason { .. }
                | Action::DeletePart { .. } => blame::names_an_index(words),
                Action::UpdateView { .. } | Action::CheckAbsent { .. } => {
                    blame::refuses_every_update(self.setting.definition, words)
                }
            };
            if every_record {
                return Err(Broken(words.clone()));
            }
        }
        Ok(())
    }

    /// Applies the verdict on a marker to its entry.
    fn marker_verdict(&mut self, entry: EntryId, verdict: ActionVerdict) {
        match verdict {
            ActionVerdict::Fine | ActionVerdict::Transient(_) | ActionVerdict::Broken(_) => {}
            ActionVerdict::ConditionFailed(found) => self.met_marker(entry, found.as_ref()),
            ActionVerdict::Refused(words) => self.poison(entry, Reason::Refused(words)),
        }
    }

    /// Applies the verdict on a part to its entry. The marker of that entry was processed before.
    fn part_verdict(&mut self, entry: EntryId, verdict: ActionVerdict) {
        match verdict {
            // A marker occupies the key of the part. Markers are never replaced, so the record cannot be kept.
            ActionVerdict::ConditionFailed(_) if self.open(entry) => {
                self.outcomes[entry.0] = Some(EntryOutcome::Unresolved(Unresolved::NotKept));
            }
            ActionVerdict::Refused(words) => self.poison(entry, Reason::Refused(words)),
            ActionVerdict::Fine
            | ActionVerdict::Transient(_)
            | ActionVerdict::Broken(_)
            | ActionVerdict::ConditionFailed(_) => {}
        }
    }

    /// Applies the verdict on a view item: it shows the shape of the item, or a fault of the entries that touch it.
    fn view_verdict(
        &mut self,
        item: ItemId,
        action: ViewAction,
        verdict: ActionVerdict,
        members: &[EntryId],
        findings: &mut Findings,
    ) {
        match verdict {
            ActionVerdict::Fine if action == ViewAction::Update => {
                self.see(item, self.shapes[item.0].clone());
            }
            ActionVerdict::Fine | ActionVerdict::Transient(_) | ActionVerdict::Broken(_) => {}
            ActionVerdict::Refused(words) => {
                findings.refused.insert(item, words);
            }
            ActionVerdict::ConditionFailed(None) => {
                let presumed = match action {
                    // An update fails if the item is missing, although it was assumed to exist: assume that it is
                    // absent.
                    ViewAction::Update if self.shapes[item.0] != Shape::Absent => Some(Shape::Absent),
                    // `CheckAbsent` fails only if the item exists, even when the answer does not contain it.
                    ViewAction::CheckAbsent => Some(Shape::Complete),
                    ViewAction::Update => None,
                };
                // Assume only once per item: alternating assumptions could loop without an end.
                match presumed.filter(|_| self.presumed.insert(item)) {
                    Some(shape) => findings.first_touch |= self.see(item, shape),
                    None => findings.unseen.push(item),
                }
            }
            ActionVerdict::ConditionFailed(found) => {
                findings.first_touch |= self.found(item, found.as_ref(), members);
            }
        }
    }

    /// Applies a view item that the answer contains: it shows the item's shape, or why none of the entries that touch
    /// it can be applied. Returns whether its next update is a first touch.
    fn found(&mut self, item: ItemId, found: Option<&Item>, members: &[EntryId]) -> bool {
        match self.shape_of(item, found) {
            Ok(shape) => self.see(item, shape),
            Err(detail) => {
                for &member in members {
                    if self.batch[member].touches().contains(&item) {
                        self.poison(member, self.view_item_fault(item, detail.clone()));
                    }
                }
                false
            }
        }
    }

    /// Plans the open entries by view items that were read because an answer did not contain them.
    pub(super) fn read(&mut self, job: Job, items: &[(ItemId, Option<Item>)]) {
        for (item, found) in items {
            self.presumed.remove(item);
            self.found(*item, found.as_ref(), &job.members);
        }
        let rest: Vec<EntryId> = job.members.into_iter().filter(|&member| self.open(member)).collect();
        self.queue(rest, JobStep::Commit, job.plans);
        self.quarantine();
    }

    /// Plans the entries that are still open. If a view item refused its update, the entries that touch it are
    /// inspected first. The exception: an entry is already out that may be at fault. Then the rest are suspected only
    /// if they are refused again.
    fn plan_again(&mut self, job: Job, refused: BTreeMap<ItemId, String>, unseen: Vec<ItemId>) {
        let before = job.members.len();
        let rest: Vec<EntryId> = job.members.into_iter().filter(|&member| self.open(member)).collect();
        match refused.values().next().cloned() {
            Some(words) if rest.len() == before => {
                let touched =
                    |member: &EntryId| self.batch[*member].touches().iter().any(|item| refused.contains_key(item));
                let (suspect, innocent): (Vec<_>, Vec<_>) = rest.into_iter().partition(touched);
                self.queue(innocent, JobStep::Commit, job.plans);
                self.queue(suspect, JobStep::Inspect { refused: refused.into_keys().collect(), words }, job.plans);
            }
            _ if unseen.is_empty() => self.queue(rest, JobStep::Commit, job.plans + 1),
            _ => self.queue(rest, JobStep::Read(unseen), job.plans + 1),
        }
    }
}
