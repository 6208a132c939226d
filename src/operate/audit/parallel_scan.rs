//! The segments of a scan, read in parallel. Each runs on its own thread where one is free, because parsing an answer and
//! preparing its items takes more processor time than adding them up.

use aws_sdk_dynamodb::operation::scan::builders::ScanFluentBuilder;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::read_meter::ReadMeter;
use crate::operate::error::failure_text;
use crate::rollup::Item;

/// Pages of a segment that are read ahead.
const PAGES_AHEAD: usize = 1;

/// A page of a scan.
#[derive(Debug)]
pub(super) struct ScannedPage<T> {
    /// What its items were prepared to.
    pub(super) items: Vec<T>,
    /// Number of items that the service read for the page.
    pub(super) scanned: u64,
    /// Read capacity units of the page.
    pub(super) units: f64,
}

/// A scan in progress. Dropping it cancels the scan.
#[derive(Debug)]
pub(super) struct ParallelScan<T> {
    pages: mpsc::Receiver<Result<ScannedPage<T>, String>>,
    segments: JoinSet<()>,
}

impl<T: Send + 'static> ParallelScan<T> {
    /// Starts reading this number of segments. `prepare` runs on their threads.
    pub(super) fn start(
        request: &ScanFluentBuilder,
        segments: i32,
        meter: &ReadMeter,
        prepare: impl Fn(Item) -> T + Clone + Send + 'static,
    ) -> Self {
        let (sender, pages) = mpsc::channel(PAGES_AHEAD * usize::try_from(segments).unwrap_or(1).max(1));
        let reading = |segment| {
            let request = request.clone().segment(segment).total_segments(segments);
            read(request, meter.clone(), prepare.clone(), sender.clone())
        };
        let segments = (0..segments).map(reading).collect();
        Self { pages, segments }
    }

    /// The next page of any segment; `None` when all segments are read. An error ends its segment.
    pub(super) async fn next(&mut self) -> Option<Result<ScannedPage<T>, String>> {
        if let Some(page) = self.pages.recv().await {
            return Some(page);
        }
        while let Some(ended) = self.segments.join_next().await {
            if let Err(error) = ended {
                return Some(Err(error.to_string()));
            }
        }
        None
    }
}

/// Reads one segment, at most `PAGES_AHEAD` pages ahead of the consumer.
async fn read<T>(
    request: ScanFluentBuilder,
    meter: ReadMeter,
    prepare: impl Fn(Item) -> T,
    pages: mpsc::Sender<Result<ScannedPage<T>, String>>,
) {
    let mut from = None;
    loop {
        let page = match request.clone().set_exclusive_start_key(from).send().await {
            Ok(answer) => answer,
            Err(error) => {
                // Ignore a closed channel: the scan is no longer wanted.
                let _ = pages.send(Err(failure_text(&error))).await;
                return;
            }
        };
        let units = meter.consumed(&page.consumed_capacity).await;
        let items = page.items.unwrap_or_default().into_iter().map(Item::from).map(&prepare).collect();
        let scanned = u64::try_from(page.scanned_count).unwrap_or_default();
        from = page.last_evaluated_key.filter(|key| !key.is_empty());
        if pages.send(Ok(ScannedPage { items, scanned, units })).await.is_err() || from.is_none() {
            return;
        }
    }
}
