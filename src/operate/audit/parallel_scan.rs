//! The segments of a scan, read in parallel. Each runs on its own thread where one is free, because parsing an answer and
//! preparing its items takes more processor time than adding them up.

use aws_sdk_dynamodb::operation::scan::builders::ScanFluentBuilder;
use futures_util::future::OptionFuture;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::read_meter::ReadMeter;
use crate::operate::error::failure_text;
use crate::rollup::Item;

/// Parts of a segment that are prepared ahead.
const PARTS_AHEAD: usize = 1;

/// The most items of a part. With many views, what an item is prepared to is a multiple of the item's size.
const PART_ITEMS: usize = 500;

/// A part of a page of a scan.
#[derive(Debug)]
pub(super) struct ScannedPart<T> {
    /// What its items were prepared to.
    pub(super) items: Vec<T>,
    /// Number of items that the service read for the page; zero after the page's first part.
    pub(super) scanned: u64,
    /// Read capacity units of the page; zero after the page's first part.
    pub(super) units: f64,
}

/// A scan in progress. Dropping it cancels the scan.
#[derive(Debug)]
pub(super) struct ParallelScan<T> {
    parts: mpsc::Receiver<Result<ScannedPart<T>, String>>,
    segments: JoinSet<()>,
}

impl<T: Send + 'static> ParallelScan<T> {
    /// Starts reading this number of segments. `prepare` runs on their threads.
    pub(super) fn start(
        request: &ScanFluentBuilder,
        segments: i32,
        meter: &ReadMeter,
        prepare: impl Fn(Item) -> T + Clone + Send + Sync + 'static,
    ) -> Self {
        let (sender, parts) = mpsc::channel(PARTS_AHEAD * usize::try_from(segments).unwrap_or(1).max(1));
        let reading = |segment| {
            let request = request.clone().segment(segment).total_segments(segments);
            read(request, meter.clone(), prepare.clone(), sender.clone())
        };
        let segments = (0..segments).map(reading).collect();
        Self { parts, segments }
    }

    /// The next part of any segment; `None` when all segments are read. An error ends its segment.
    pub(super) async fn next(&mut self) -> Option<Result<ScannedPart<T>, String>> {
        if let Some(part) = self.parts.recv().await {
            return Some(part);
        }
        while let Some(ended) = self.segments.join_next().await {
            if let Err(error) = ended {
                return Some(Err(error.to_string()));
            }
        }
        None
    }
}

/// Reads one segment. A page is requested while the page before it is prepared, and at most `PARTS_AHEAD` parts are
/// ahead of the consumer.
async fn read<T>(
    request: ScanFluentBuilder,
    meter: ReadMeter,
    prepare: impl Fn(Item) -> T,
    parts: mpsc::Sender<Result<ScannedPart<T>, String>>,
) {
    let page_from = |from| request.clone().set_exclusive_start_key(from).send();
    let mut answer = page_from(None).await;
    loop {
        let page = match answer {
            Ok(page) => page,
            Err(error) => {
                // Ignore a closed channel: the scan is no longer wanted.
                let _ = parts.send(Err(failure_text(&error))).await;
                return;
            }
        };
        let units = meter.consumed(&page.consumed_capacity).await;
        let scanned = u64::try_from(page.scanned_count).unwrap_or_default();
        let items = page.items.unwrap_or_default().into_iter().map(Item::from).map(&prepare);
        let hand_on = async {
            for part in parts_of(items, scanned, units) {
                parts.send(Ok(part)).await?;
            }
            Ok::<_, mpsc::error::SendError<_>>(())
        };
        let from = page.last_evaluated_key.filter(|key| !key.is_empty());
        let next = OptionFuture::from(from.map(|from| page_from(Some(from))));
        match tokio::join!(next, hand_on) {
            (Some(next), Ok(())) => answer = next,
            _ => return,
        }
    }
}

/// The parts of a page, one at least. Items are taken as their part is.
fn parts_of<T>(mut items: impl Iterator<Item = T>, scanned: u64, units: f64) -> impl Iterator<Item = ScannedPart<T>> {
    let first = ScannedPart { items: items.by_ref().take(PART_ITEMS).collect(), scanned, units };
    let others = std::iter::from_fn(move || {
        let items: Vec<T> = items.by_ref().take(PART_ITEMS).collect();
        (!items.is_empty()).then_some(ScannedPart { items, scanned: 0, units: 0.0 })
    });
    std::iter::once(first).chain(others)
}

#[cfg(test)]
mod tests {
    use std::convert::identity;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use aws_sdk_dynamodb::Client;
    use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Credentials, Region};
    use aws_smithy_runtime_api::client::http::{
        HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
    };
    use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
    use aws_smithy_types::body::SdkBody;

    use super::*;

    /// A table without an end, of one item a page. It counts the requests.
    #[derive(Debug, Clone, Default)]
    struct Endless(Arc<AtomicUsize>);

    impl HttpConnector for Endless {
        fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
            const PAGE: &str =
                r#"{"Items": [{"A": {"S": "x"}}], "ScannedCount": 1, "LastEvaluatedKey": {"A": {"S": "x"}}}"#;
            self.0.fetch_add(1, Ordering::Relaxed);
            HttpConnectorFuture::ready(Ok(HttpResponse::new(200.try_into().unwrap(), SdkBody::from(PAGE))))
        }
    }

    impl Endless {
        fn client(&self) -> Client {
            let connector = SharedHttpConnector::new(self.clone());
            let config = Config::builder()
                .behavior_version(BehaviorVersion::latest())
                .region(Region::new("eu-west-1"))
                .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
                .http_client(http_client_fn(move |_, _| connector.clone()));
            Client::from_conf(config.build())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_is_requested_before_the_one_before_it_is_taken() {
        let table = Endless::default();
        let request = table.client().scan().table_name("Point");
        let mut scan = ParallelScan::start(&request, 1, &ReadMeter::new(None), identity);
        let requests = async || {
            // With the clock paused, a sleep ends when nothing else can go on.
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            table.0.load(Ordering::Relaxed)
        };
        // One part is in the channel, the next one waits for room there, and the page after that has come.
        assert_eq!(requests().await, PARTS_AHEAD + 2);
        scan.next().await.unwrap().unwrap();
        assert_eq!(requests().await, PARTS_AHEAD + 3);
    }

    fn in_parts(items: usize) -> Vec<(usize, u64, f64)> {
        parts_of(0..items, 7, 2.5).map(|part| (part.items.len(), part.scanned, part.units)).collect()
    }

    #[test]
    fn every_item_is_in_one_part_and_what_the_page_cost_is_told_once() {
        assert_eq!(in_parts(PART_ITEMS + 1), [(PART_ITEMS, 7, 2.5), (1, 0, 0.0)]);
        assert_eq!(in_parts(2 * PART_ITEMS), [(PART_ITEMS, 7, 2.5), (PART_ITEMS, 0, 0.0)]);
    }

    #[test]
    fn a_page_without_items_has_a_cost_too() {
        assert_eq!(in_parts(0), [(0, 7, 2.5)]);
    }
}
