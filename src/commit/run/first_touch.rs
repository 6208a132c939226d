//! Detects first touches before they cancel a transaction.
//!
//! An update that assumes the wrong shape of its view item cancels its whole transaction, and the cancelled transaction
//! is billed. So while nothing is known about some view items, one request goes first, and the jobs of these items wait
//! for its answer. It is a look-up of some of the items. If a look-up would be one request too many, it is the smallest
//! transaction, provided that this is a small part of the batch. If the answer shows no first touch, none is expected.
//! If it shows one, all these items are looked up.

use std::collections::BTreeSet;

use super::Run;
use crate::commit::job::{Job, JobStep};
use crate::commit::seams::LookedUp;
use crate::rollup::Item;
use crate::rollup::model::limits;
use crate::rollup::model::view::OnMissingViewItem;
use crate::rollup::pipeline::coalesce::{ItemId, TouchedItem};
use crate::rollup::pipeline::view_item::{self, Shape};

impl Run<'_, '_> {
    /// Puts first the request that shows the shape of unknown view items.
    pub(super) fn probe(&mut self) {
        let touched = self.waiting.iter().flat_map(|job| &job.items);
        let unseen = |item: &&ItemId| {
            let touched = &self.batch[**item];
            self.has_shapes(touched) && !self.complete_items.contains(touched)
        };
        self.unseen = touched.filter(unseen).copied().collect();
        if self.unseen.is_empty() {
            return;
        }

        let all: usize = self.waiting.iter().map(Job::actions).sum();
        let tells = |(_, job): &(usize, &Job)| job.items.iter().any(|item| self.unseen.contains(item));
        let smallest = self.waiting.iter().enumerate().filter(tells).min_by_key(|(_, job)| job.actions());
        let Some((place, job)) = smallest else { return };
        if self.waiting.len() < self.requests_allowed() || job.actions() * limits::PROBE_SHARE > all {
            self.look_up();
        } else if let Some(mut probe) = self.waiting.remove(place) {
            probe.held = self.unseen.iter().copied().collect();
            self.waiting.push_front(probe);
        }
    }

    /// The number of requests that the batch may take: 5 % more than the fewest that can hold one marker per entry and
    /// one update per view item.
    fn requests_allowed(&self) -> usize {
        let updates = self.waiting.iter().flat_map(|job| &job.items).collect::<BTreeSet<_>>().len();
        let actions = self.waiting.iter().map(|job| job.members.len()).sum::<usize>() + updates;
        (actions * 21).div_ceil(limits::TRANSACTION_ACTIONS * 20)
    }

    /// Looks up as many of the unknown view items as one request can hold; the others wait for the answer. Items that a
    /// job in flight touches are left out, because its answer shows their shape.
    pub(super) fn look_up(&mut self) {
        let mut items: Vec<ItemId> = self.unseen.iter().filter(|item| !self.busy[item.0]).copied().collect();
        if !items.is_empty() {
            let held = items.split_off(items.len().min(limits::BATCH_GET_KEYS));
            // A job that is ready goes first. Otherwise an invocation could end with look-ups alone, and the next one
            // would repeat them.
            let ready = |job: &Job| job.items.iter().all(|item| !self.unseen.contains(item));
            let first = self.waiting.iter().position(ready).and_then(|place| self.waiting.remove(place));
            self.waiting.push_front(Job { members: Vec::new(), items, held, step: JobStep::LookUp, plans: 0 });
            if let Some(job) = first {
                self.waiting.push_front(job);
            }
        }
    }

    pub(super) fn looked_up(&mut self, job: &Job, found: &LookedUp) {
        let mut first_touch = false;
        for item in &job.items {
            // If an attribute is not a map, the transaction that touches the item finds the records at fault.
            if let Some(found) = found.get(&self.batch[*item].key)
                && let Ok(shape) = self.shape_of(*item, found.as_ref())
            {
                first_touch |= self.see(*item, shape);
            }
        }
        if first_touch {
            self.look_up();
        }
    }

    /// Whether the updates of a view item depend on its shape.
    fn has_shapes(&self, item: &TouchedItem) -> bool {
        let definition = self.setting.definition;
        definition.on_missing(item.views) == OnMissingViewItem::Skip || definition.grouped(item.views).next().is_some()
    }

    /// The shape of a view item in an answer, for the views that touch it. The error is the fault of the item.
    pub(super) fn shape_of(&self, item: ItemId, found: Option<&Item>) -> Result<Shape, String> {
        view_item::shape(self.setting.definition, self.batch[item].views, found)
    }

    /// Records the shape of a view item, and returns whether its next update is a first touch.
    pub(super) fn see(&mut self, item: ItemId, shape: Shape) -> bool {
        let (touched, first_touch) = (&self.batch[item], shape != Shape::Complete);
        if first_touch {
            self.complete_items.remove(touched);
        } else {
            self.complete_items.insert(touched);
        }
        self.unseen.remove(&item);
        self.shapes[item.0] = shape;
        first_touch
    }
}
