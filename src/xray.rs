//! Requests to DynamoDB as subsegments of the invocation's trace.
//!
//! The SDK puts Lambda's trace header on each request by itself. So that the request shows in the trace, a document of it
//! is sent to the X-Ray daemon that Lambda runs ("AWS X-Ray segment documents" and "Sending trace data to AWS X-Ray",
//! X-Ray Developer Guide): one datagram, no answer, nothing to wait for, and nothing to load at the start.

use std::net::UdpSocket;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::commit::{FoundMarkers, LookedUp, Randomness, Store};
use crate::rollup::Item;
use crate::rollup::model::record::RecordId;
use crate::rollup::model::view::ViewKey;
use crate::rollup::pipeline::plan::Transaction;
use crate::rollup::pipeline::verdict::{Failure, RetryCause};

/// Where Lambda says that the daemon is.
pub const DAEMON_ADDRESS: &str = "AWS_XRAY_DAEMON_ADDRESS";

/// What stands before a document.
const FRAME: &str = "{\"format\": \"json\", \"version\": 1}\n";

/// The invocation's place in a trace, as Lambda's trace header tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    trace: String,
    parent: String,
}

impl Place {
    /// Reads `Root=...;Parent=...;Sampled=1`; `None` if the invocation is not traced.
    fn read(header: &str) -> Option<Self> {
        let field = |name: &str| header.split(';').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
        (field("Sampled") == Some("1")).then_some(())?;
        Some(Self { trace: field("Root")?.to_owned(), parent: field("Parent")?.to_owned() })
    }
}

/// A store that reports its requests to the X-Ray daemon.
#[derive(Debug)]
pub struct Traced<S, E> {
    store: S,
    randomness: E,
    clock: fn() -> DateTime<Utc>,
    daemon: Option<UdpSocket>,
    place: Mutex<Option<Place>>,
}

impl<S, E: Randomness> Traced<S, E> {
    /// Tells the daemon at this address of the store's requests. Without an address, or with one that cannot be used,
    /// nothing is told: a trace is not worth an invocation.
    pub fn new(store: S, randomness: E, clock: fn() -> DateTime<Utc>, daemon: Option<&str>) -> Self {
        let connect = |address: &str| {
            let socket = UdpSocket::bind(("0.0.0.0", 0)).ok()?;
            socket.set_nonblocking(true).ok()?;
            socket.connect(address).ok()?;
            Some(socket)
        };
        Self { store, randomness, clock, daemon: daemon.and_then(connect), place: Mutex::default() }
    }

    /// Begins an invocation with this trace header; an environment has one invocation at a time.
    pub fn begin(&self, header: Option<&str>) {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = header.and_then(Place::read);
    }

    fn tell<T>(&self, operation: &str, began: DateTime<Utc>, answer: &Result<T, Failure>) {
        let place = self.place.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (Some(daemon), Some(place)) = (&self.daemon, place) else { return };
        let ended = (self.clock)();
        let document = document(&place, self.randomness.token(), operation, (began, ended), answer.as_ref().err());
        // Whether it arrives is not the invocation's business.
        let _ = daemon.send(format!("{FRAME}{document}").as_bytes());
    }
}

fn document(
    place: &Place,
    id: Uuid,
    operation: &str,
    (began, ended): (DateTime<Utc>, DateTime<Utc>),
    failure: Option<&Failure>,
) -> Value {
    let seconds = |time: DateTime<Utc>| {
        let text = format!("{}.{:06}", time.timestamp(), time.timestamp_subsec_micros());
        text.parse::<f64>().unwrap_or_default()
    };
    let throttled = matches!(failure, Some(Failure::Transient(RetryCause::Throttled)));
    let fault =
        matches!(failure, Some(Failure::Transient(RetryCause::Server | RetryCause::Timeout | RetryCause::Connection)));
    json!({
        "name": "DynamoDB",
        "id": format!("{:016x}", id.as_u64_pair().0),
        "trace_id": place.trace,
        "parent_id": place.parent,
        "type": "subsegment",
        "namespace": "aws",
        "start_time": seconds(began),
        "end_time": seconds(ended),
        "aws": { "operation": operation },
        "throttle": throttled,
        "error": throttled || failure.is_some() && !fault,
        "fault": fault,
    })
}

impl<S: Store + Send, E: Randomness + Send> Store for Traced<S, E> {
    async fn transact(&self, transaction: &Transaction<'_>, token: Uuid) -> Result<(), Failure> {
        let began = (self.clock)();
        let answer = self.store.transact(transaction, token).await;
        self.tell("TransactWriteItems", began, &answer);
        answer
    }

    async fn put_definition(&self, item: &Item) -> Result<(), Failure> {
        let began = (self.clock)();
        let answer = self.store.put_definition(item).await;
        self.tell("PutItem", began, &answer);
        answer
    }

    async fn view_item(&self, key: &ViewKey) -> Result<Option<Item>, Failure> {
        let began = (self.clock)();
        let answer = self.store.view_item(key).await;
        self.tell("GetItem", began, &answer);
        answer
    }

    async fn look_up(&self, keys: &[ViewKey]) -> Result<LookedUp, Failure> {
        let began = (self.clock)();
        let answer = self.store.look_up(keys).await;
        self.tell("BatchGetItem", began, &answer);
        answer
    }

    async fn look_up_markers(&self, ids: &[RecordId]) -> Result<FoundMarkers, Failure> {
        let began = (self.clock)();
        let answer = self.store.look_up_markers(ids).await;
        self.tell("BatchGetItem", began, &answer);
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::randomness::OsRandomness;

    const HEADER: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";

    #[derive(Debug)]
    struct Throttled;

    impl Store for Throttled {
        async fn transact(&self, _: &Transaction<'_>, _: Uuid) -> Result<(), Failure> {
            Err(Failure::Transient(RetryCause::Throttled))
        }

        async fn view_item(&self, _: &ViewKey) -> Result<Option<Item>, Failure> {
            Ok(None)
        }

        async fn look_up(&self, _: &[ViewKey]) -> Result<LookedUp, Failure> {
            Ok(LookedUp::new())
        }
    }

    #[test]
    fn a_header_is_read_when_it_is_sampled() {
        let place = Place::read(HEADER).unwrap();
        assert_eq!(
            (place.trace.as_str(), place.parent.as_str()),
            ("1-5759e988-bd862e3fe1be46a994272793", "53995c3f42cd8ad8")
        );
        for header in ["", "Root=1;Parent=2;Sampled=0", "Root=1;Sampled=1", "Parent=2;Sampled=1", "Sampled"] {
            assert_eq!(Place::read(header), None, "{header}");
        }
    }

    #[tokio::test]
    async fn a_request_is_told_to_the_daemon() {
        let daemon = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = daemon.local_addr().unwrap().to_string();
        let traced = Traced::new(Throttled, OsRandomness, Utc::now, Some(&address));
        traced.transact(&Transaction::default(), Uuid::nil()).await.unwrap_err();
        traced.begin(Some(HEADER));
        traced.transact(&Transaction::default(), Uuid::nil()).await.unwrap_err();

        let mut datagram = [0; 4_096];
        let bytes = daemon.recv(&mut datagram).await.unwrap();
        let text = std::str::from_utf8(&datagram[..bytes]).unwrap();
        let document: Value = serde_json::from_str(text.strip_prefix(FRAME).unwrap()).unwrap();
        assert_eq!(document["trace_id"], json!("1-5759e988-bd862e3fe1be46a994272793"));
        assert_eq!(document["parent_id"], json!("53995c3f42cd8ad8"));
        assert_eq!(document["id"].as_str().unwrap().len(), 16);
        assert_eq!(document["aws"]["operation"], json!("TransactWriteItems"));
        assert_eq!((&document["throttle"], &document["fault"]), (&json!(true), &json!(false)));
        assert!(document["start_time"].as_f64() <= document["end_time"].as_f64());
    }

    #[tokio::test]
    async fn without_a_daemon_nothing_fails() {
        for address in [None, Some("nowhere"), Some("127.0.0.1:1")] {
            let traced = Traced::new(Throttled, OsRandomness, Utc::now, address);
            traced.begin(Some(HEADER));
            traced.transact(&Transaction::default(), Uuid::nil()).await.unwrap_err();
        }
    }
}
