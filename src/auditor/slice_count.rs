//! Into how many slices a pass is divided.

use aws_sdk_dynamodb::Client;

use super::Auditor;
use super::error::AuditorError;
use crate::operate::error::{TableError, failure_text};
use crate::rollup::check::slice::SLICES;

/// About what a view item takes in the memory of a first pass, in bytes.
const ITEM_BYTES: u64 = 300;

/// How much larger counters are in the memory of a first pass than in the table: a group of a few bytes takes some 300.
const COUNTERS_SHARE: u64 = 8;

/// What the process takes without any view item, in bytes: the program, and the pages of the scans.
const PROCESS_BYTES: u64 = 96 * 1024 * 1024;

/// The part of the memory that is left which view items may take: one of so many. The rest is for what is looked at.
const MEMORY_SHARE: u64 = 2;

/// The size of a table, as the service estimates it now and then.
#[derive(Debug, Clone, Copy, Default)]
struct TableSize {
    items: u64,
    bytes: u64,
}

impl Auditor {
    /// How many slices a pass has: as the settings say, or as the sizes of the view tables and the memory ask for.
    pub(super) async fn slice_count(&self) -> Result<u32, AuditorError> {
        if let Some(slices) = self.settings.slices {
            return Ok(slices);
        }
        let client = Client::new(&self.sdk);
        let mut views = TableSize::default();
        for table in self.config.definition.tables() {
            let size = size(&client, &table.name).await?;
            views.items += size.items;
            views.bytes += size.bytes;
        }
        Ok(slices(views, u64::from(self.settings.memory_mb) * 1024 * 1024))
    }
}

async fn size(client: &Client, table: &str) -> Result<TableSize, TableError> {
    let described = client.describe_table().table_name(table).send().await;
    let described = described.map_err(|error| TableError::new("describe", table, failure_text(&error)))?.table;
    let size = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default();
    Ok(described.map_or_else(TableSize::default, |table| TableSize {
        items: size(table.item_count),
        bytes: size(table.table_size_bytes),
    }))
}

fn slices(views: TableSize, memory: u64) -> u32 {
    let counters = views.bytes.saturating_mul(COUNTERS_SHARE);
    let needed = views.items.saturating_mul(ITEM_BYTES).saturating_add(counters);
    let room = (memory.saturating_sub(PROCESS_BYTES) / MEMORY_SHARE).max(PROCESS_BYTES / 4);
    u32::try_from(needed.div_ceil(room)).unwrap_or(SLICES).clamp(1, SLICES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_has_as_many_slices_as_memory_asks_for() {
        const MB: u64 = 1024 * 1024;
        for (items, bytes, memory_mb, expected) in [
            (0, 0, 128, 1),
            (10_000, MB, 256, 1),
            (1_000_000, 100 * MB, 1_024, 3),
            (1_000_000, 100 * MB, 4_096, 1),
            (100_000_000, 10_000 * MB, 2_048, 112),
            (u64::MAX / 1_000, u64::MAX, 128, SLICES),
        ] {
            assert_eq!(slices(TableSize { items, bytes }, memory_mb * MB), expected, "{items} {bytes} {memory_mb}");
        }
    }
}
