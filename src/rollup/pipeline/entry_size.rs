//! What a record takes of the room of its transaction.

use crate::rollup::model::change::Change;
use crate::rollup::model::definition::views_of;
use crate::rollup::model::item_size;
use crate::rollup::model::kept_record::most_parts;
use crate::rollup::model::limits;
use crate::rollup::model::poison::Poison;
use crate::rollup::model::record::RecordHead;

/// What a record takes of the room of its transaction, at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntrySize {
    /// Actions on the idempotency table: its marker, and the parts that are put or deleted with it.
    pub actions: usize,
    /// Bytes: its marker and the parts, and what it adds to the updates of view items.
    pub bytes: usize,
}

impl EntrySize {
    /// Of a record that is counted.
    #[must_use]
    pub fn of_change(change: &Change<'_>) -> Self {
        let RecordHead { id, event_id, event_name, source_key, .. } = &change.head;
        let deltas = change.deltas.iter().map(|(key, sums)| {
            let groups = sums.keys().filter_map(|counter| counter.group.as_ref());
            let views = views_of(sums).iter().count();
            (views + 1) * (key.bytes() + 64) + groups.map(|group| 2 * group.len() + 64).sum::<usize>() + 64 * sums.len()
        });
        let texts = change.texts.values().flatten().map(|(attribute, text)| attribute.len() + text.len() + 64);
        let reasons = change.uncountable.iter().map(|image| image.reason.len() + 128);
        let head = id.sequence_number.len() + id.stream.len() + event_id.len() + event_name.len();
        let bytes = head + item_size::bytes(source_key) + deltas.chain(texts).chain(reasons).sum::<usize>();
        Self { actions: 1 + most_parts(change.raw), bytes: bytes + limits::ITEM_MARGIN_BYTES }
    }

    /// Of a record that is put into quarantine.
    #[must_use]
    pub fn of_poison(poison: &Poison<'_>) -> Self {
        let kept = poison.raw.len().min(limits::RECORD_PARTS * limits::ITEM_BYTES);
        let bytes = item_size::bytes(&poison.head.source_key) + kept + limits::ITEM_MARGIN_BYTES;
        Self { actions: 1 + most_parts(poison.raw), bytes }
    }
}
