//! What a repair does about records in quarantine: those that can be applied are not in the counters that it sets, and are
//! applied after that; the others are in them, and are closed.

use std::collections::BTreeSet;

use crate::operate::apply::Applier;
use crate::operate::audit::Audit;
use crate::operate::audit::error::AuditError;
use crate::operate::clock::{days_later, now};
use crate::operate::error::{TableError, failure_text};
use crate::operate::marker_table::{discard, marker_key};
use crate::operate::record_parts::RecordParts;
use crate::rollup::Item;
use crate::rollup::model::kept_record::kept_record;
use crate::rollup::model::marker::{OUTCOME, PARTS, RECORD, SEQUENCE_NUMBER, STREAM};
use crate::rollup::model::record::RecordId;
use crate::rollup::model::view::ViewKey;
use crate::rollup::pipeline::update::Update;
use crate::store::failure;

/// Records that are read at once: each may be as large as an item.
const AT_ONCE: usize = 100;

/// Applies the records that can be; gives the view items that they are about.
pub(super) async fn apply(
    audit: &Audit,
    mut applier: Applier,
    count: &mut usize,
) -> Result<BTreeSet<ViewKey>, AuditError> {
    let before = applier.counts.applied;
    let ids = audit.applicable();
    let tables = &audit.tables;
    let parts = RecordParts::new(tables.client.clone(), &tables.config.idempotency_table);
    for ids in ids.chunks(AT_ONCE) {
        let markers = tables.markers_of(ids, &[SEQUENCE_NUMBER, STREAM, OUTCOME, RECORD, PARTS]).await?;
        let mut records = Vec::new();
        for marker in ids.iter().filter_map(|id| markers.get(id)) {
            records.extend(kept_record(marker, &parts.of(marker).await?));
        }
        applier.apply(&records).await?;
    }
    *count = applier.counts.applied - before;
    Ok(audit.items_of(&ids))
}

/// Closes the records that can never be applied, after a repair of everything: tells how many.
pub(super) async fn close(audit: &mut Audit, run: &str) -> Result<usize, AuditError> {
    let (tables, ids) = (&audit.tables, audit.inapplicable());
    let table = &tables.config.idempotency_table;
    let parts = RecordParts::new(tables.client.clone(), table);
    let mut closed: Vec<RecordId> = Vec::new();
    for id in ids {
        let expires_at = days_later(now(), tables.config.marker_retention_days);
        let Update { expression, condition, names, values } = discard(expires_at, Some(run));
        let request = tables.client.update_item().table_name(table).set_key(Some(marker_key(&id).into()));
        let request = request.update_expression(expression).set_condition_expression(condition);
        let request = request.set_expression_attribute_names(Some(names));
        match request.set_expression_attribute_values(Some(Item::from(values).into())).send().await {
            Ok(_) => {
                parts.delete(&id).await;
                closed.push(id);
            }
            Err(error) if failure(&error).is_unmet_condition() => closed.push(id),
            Err(error) => return Err(TableError::new("write", table, failure_text(&error)).into()),
        }
    }
    audit.closed(&closed);
    Ok(closed.len())
}
