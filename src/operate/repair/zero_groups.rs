//! Removes groups that count nothing from view items.

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::operate::audit::Audit;
use crate::operate::audit::error::AuditError;
use crate::operate::error::{TableError, failure_text};
use crate::operate::stop::Stop;
use crate::rollup::Item;
use crate::rollup::check::zero_groups::{Removal, ZeroGroups, removals};
use crate::rollup::model::view::ViewKey;
use crate::store::failure;

/// The most view items that are read at once.
const AT_ONCE: usize = 100;

/// Removes the groups that count nothing from the view items that have some. Returns what was removed from which item.
pub(super) async fn remove(audit: &Audit, stop: &Stop) -> Result<Vec<(ViewKey, ZeroGroups)>, AuditError> {
    let tables = &audit.tables;
    let mut removed = Vec::new();
    for some in audit.with_zero_groups().chunks(AT_ONCE) {
        if stop.requested() {
            break;
        }
        let keys: Vec<ViewKey> = some.iter().map(|(key, _)| key.clone()).collect();
        let items = tables.view_items(&keys).await?;
        let updates = some.iter().flat_map(|(key, views)| {
            let removals = items.get(key).map(|item| removals(tables.definition(), *views, item));
            removals.into_iter().flatten().map(move |removal| (key, removal))
        });
        let sent = updates.map(|(key, Removal { removed, update })| async move {
            let table = &tables.definition()[key.table].name;
            let request = tables.client.update_item().table_name(table);
            let request = request.set_key(Some(tables.definition().key_item(key).into()));
            let request = request.update_expression(update.expression).set_condition_expression(update.condition);
            let request = request.set_expression_attribute_names(Some(update.names));
            match request.set_expression_attribute_values(Some(Item::from(update.values).into())).send().await {
                Ok(_) => Ok((key.clone(), removed)),
                // One of the groups counts again, or another writer interfered: the groups stay until the next repair.
                Err(error) if failure(&error).is_unmet_condition() || failure(&error).is_passing() => {
                    Ok((key.clone(), ZeroGroups::default()))
                }
                Err(error) => Err(AuditError::from(TableError::new("repair", table, failure_text(&error)))),
            }
        });
        let sent: Vec<_> = stream::iter(sent).buffer_unordered(tables.concurrency).try_collect().await?;
        removed.extend(sent);
    }
    Ok(removed)
}
