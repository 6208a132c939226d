//! How first touches are found out before they are paid for.
//!
//! An update that was made for another shape than its view item has cancels its whole transaction, and that is billed. So
//! as long as nothing is known of some view items, one request goes ahead and they wait for its answer. It is a question
//! about some of them; or, where a question would be one request too many, the smallest transaction, if that is a small part
//! of the batch. If it shows no first touch, none is expected. If it shows one, all of them are asked for.

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
    /// Puts in front what is to tell of the view items that nothing is known of.
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

    /// The requests that the batch may take: one in twenty more than can hold a marker an entry and an update a view item.
    fn requests_allowed(&self) -> usize {
        let updates = self.waiting.iter().flat_map(|job| &job.items).collect::<BTreeSet<_>>().len();
        let actions = self.waiting.iter().map(|job| job.members.len()).sum::<usize>() + updates;
        (actions * 21).div_ceil(limits::TRANSACTION_ACTIONS * 20)
    }

    /// Asks for as many view items as one question can hold of those that nothing is known of; the others wait for the
    /// answer. Those that are busy will tell by themselves.
    pub(super) fn look_up(&mut self) {
        let mut items: Vec<ItemId> = self.unseen.iter().filter(|item| !self.busy[item.0]).copied().collect();
        if !items.is_empty() {
            let held = items.split_off(items.len().min(limits::BATCH_GET_KEYS));
            // Something that is ready goes first, so that an invocation does not end with questions alone: the next one
            // would ask them again.
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
            // One whose map is none is left to the transaction that touches it, which tells the records at fault.
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

    /// Whether updates of a view item depend on what is there already.
    fn has_shapes(&self, item: &TouchedItem) -> bool {
        let definition = self.setting.definition;
        definition.on_missing(item.views) == OnMissingViewItem::Skip || definition.grouped(item.views).next().is_some()
    }

    /// The shape of a view item that came back, for the views that touch it.
    pub(super) fn shape_of(&self, item: ItemId, found: Option<&Item>) -> Result<Shape, String> {
        view_item::shape(self.setting.definition, self.batch[item].views, found)
    }

    /// Notes the shape that a view item was seen to have, and says whether its next update is a first touch.
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
