//! What a repair does about records in quarantine. Those that can be applied are not in the counters that it sets, so
//! they are applied afterwards. The others are in these counters, so they are closed.

use std::collections::BTreeSet;

use aws_config::SdkConfig;
use chrono::{DateTime, SecondsFormat, Utc};

use crate::operate::apply::Applier;
use crate::operate::audit::Audit;
use crate::operate::audit::error::AuditError;
use crate::operate::clock::{days_later, now};
use crate::operate::marker_table::attribute_text;
use crate::operate::record_parts::RecordParts;
use crate::rollup::Item;
use crate::rollup::model::kept_record::{kept_record, part_count};
use crate::rollup::model::marker::{OUTCOME, PARTS, RECORD, RECORDED_AT, SEQUENCE_NUMBER, STREAM};
use crate::rollup::model::record::RecordId;
use crate::rollup::model::view::ViewKey;

/// The most records that are read at once, because each may be as large as an item.
const AT_ONCE: usize = 100;

/// Applies the records that can be applied. Returns the view items that they concern.
pub(super) async fn apply(audit: &Audit, sdk: &SdkConfig, count: &mut usize) -> Result<BTreeSet<ViewKey>, AuditError> {
    let ids = audit.applicable();
    let tables = &audit.tables;
    let mut applier = Applier::from_quarantine(tables.config.clone(), sdk);
    for ids in ids.chunks(AT_ONCE) {
        let markers = tables.markers_of(ids, &[SEQUENCE_NUMBER, STREAM, OUTCOME, RECORD, PARTS]).await?;
        let mut records = Vec::new();
        for (id, marker) in ids.iter().filter_map(|id| Some((id, markers.get(id)?))) {
            records.extend(kept_record(marker, &tables.parts_of(id, marker).await?));
        }
        applier.apply(&records).await?;
    }
    *count = applier.counts.applied;
    Ok(audit.items_of(&ids))
}

/// After a repair of everything, closes the records that can never be applied and were in quarantine before the repair
/// began. Returns their number. A later one may be of a write that the recount of the first slices did not see.
pub(super) async fn close(audit: &mut Audit, run: &str, began: DateTime<Utc>) -> Result<usize, AuditError> {
    let began = began.to_rfc3339_opts(SecondsFormat::Millis, true);
    let (tables, ids) = (&audit.tables, audit.inapplicable());
    let table = &tables.config.idempotency_table;
    let parts = RecordParts::new(tables.client.clone(), table);
    let mut closed: Vec<RecordId> = Vec::new();
    for ids in ids.chunks(AT_ONCE) {
        let markers = tables.markers_of(ids, &[SEQUENCE_NUMBER, STREAM, PARTS, RECORDED_AT]).await?;
        let is_later = |marker: &Item| attribute_text(marker, RECORDED_AT).is_some_and(|at| at >= began.as_str());
        for id in ids.iter().filter(|id| !markers.get(id).is_some_and(is_later)) {
            let count = markers.get(id).map_or(0, part_count);
            let expires_at = days_later(now(), tables.config.marker_retention_days);
            // A record that has left quarantine in the meantime counts as closed.
            parts.discard(id, count, expires_at, Some(run)).await?;
            closed.push(id.clone());
        }
    }
    audit.closed(&closed);
    Ok(closed.len())
}
