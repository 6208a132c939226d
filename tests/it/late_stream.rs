//! A stream that shows writes late: the settling time is there for it, and what comes later still is mended.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::audit::{audit, numbers, points};
use crate::command::{Ran, run};
use crate::engine::{Engine, n, s};

/// The settling time of these tests.
const SETTLE: Duration = Duration::from_millis(800);

/// Since when the stream is late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    /// Since source items are added up.
    Recount,
    /// Since the first look at what differs: the stream is looked at for the third time.
    Look,
}

/// When the stream shows what is in it: so long after that.
#[derive(Debug, Clone)]
struct Lag {
    since: Since,
    looks: Arc<AtomicUsize>,
    by: Duration,
    over: Arc<Mutex<Option<Instant>>>,
}

impl Lag {
    /// Whether this request sees a stream in which nothing has arrived yet.
    fn hides(&self, request: &str) -> bool {
        let looks = usize::from(request.contains("DynamoDBStreams_20120810.DescribeStream"));
        let looks = self.looks.fetch_add(looks, Ordering::SeqCst) + looks;
        let begins = match self.since {
            Since::Recount => is_recount(request),
            Since::Look => looks == 3,
        };
        let mut over = self.over.lock().unwrap();
        if over.is_none() && begins {
            *over = Some(Instant::now() + self.by);
        }
        request.contains("DynamoDBStreams_20120810.GetRecords") && over.is_none_or(|over| Instant::now() < over)
    }
}

/// Whether a request reads source items: the first pass adds them up.
fn is_recount(request: &str) -> bool {
    request.contains("DynamoDB_20120810.Scan") && request.contains(r#""TableName":"Point""#)
}

/// The records that a reading of the stream finds instead of those that are there, by its request; none to pass it on.
type Finds = Arc<dyn Fn(&str) -> Option<Value> + Send + Sync>;

/// A way to the engine on which readings of the stream find nothing as long as they are told so; gives the URL to use.
pub async fn hiding(url: &str, hides: impl Fn(&str) -> bool + Send + Sync + 'static) -> String {
    finding(url, move |request| hides(request).then(|| json!([]))).await
}

/// A way to the engine on which readings of the stream find what they are told; gives the URL to use.
async fn finding(url: &str, finds: impl Fn(&str) -> Option<Value> + Send + Sync + 'static) -> String {
    let finds: Finds = Arc::new(finds);
    let engine = url.strip_prefix("http://").unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(connection(client, TcpStream::connect(&engine).await.unwrap(), Arc::clone(&finds)));
        }
    });
    own
}

/// Passes one request after another on, and their answers back.
async fn connection(mut client: TcpStream, mut server: TcpStream, finds: Finds) {
    while let Some(request) = message(&mut client).await {
        let text = String::from_utf8_lossy(&request);
        let answer = if let Some(records) = finds(&text) {
            let body: Value = serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap();
            let body = json!({ "Records": records, "NextShardIterator": body["ShardIterator"] }).to_string();
            let length = body.len();
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {length}");
            format!("{head}\r\n\r\n{body}").into_bytes()
        } else {
            server.write_all(&request).await.unwrap();
            let Some(answer) = message(&mut server).await else { return };
            answer
        };
        if client.write_all(&answer).await.is_err() {
            return;
        }
    }
}

/// One HTTP message with a body of a length that it tells; none when the connection is closed.
async fn message(from: &mut TcpStream) -> Option<Vec<u8>> {
    let mut message = Vec::new();
    loop {
        if let Some(end) = message.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&message[..end]).to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1).unwrap_or("0");
            let length: usize = length.lines().next().unwrap().trim().parse().unwrap();
            if message.len() >= end + 4 + length {
                return Some(message);
            }
        }
        let mut piece = vec![0; 64 * 1024];
        match from.read(&mut piece).await {
            Ok(length @ 1..) => message.extend_from_slice(&piece[..length]),
            _ => return None,
        }
    }
}

/// A command on an engine with a point that is not applied yet, whose record shows so many settling times late.
async fn with_a_late_record(command: &str, settling_times: f32) -> (Engine, Ran) {
    let (engine, _) = points(6, 6).await;
    engine.put_point("m0", "late", Some("Bar")).await;
    late(engine, command, Since::Recount, settling_times).await
}

/// A command on an engine whose stream shows everything so many settling times late.
async fn late(engine: Engine, command: &str, since: Since, settling_times: f32) -> (Engine, Ran) {
    let lag = Lag { since, looks: Arc::default(), by: SETTLE.mul_f32(settling_times), over: Arc::default() };
    let url = hiding(&engine.url, move |request| lag.hides(request)).await;
    let settle = SETTLE.as_secs_f64().to_string();
    let ran = run(&engine, &[command, "--json", "--settle", &settle, "--endpoint-url", &url]).await;
    (engine, ran)
}

#[tokio::test]
async fn a_record_that_shows_within_the_settling_time_or_soon_after_is_lag_and_no_drift() {
    for settling_times in [0.5, 1.5] {
        let (engine, ran) = with_a_late_record("audit", settling_times).await;
        assert_eq!((ran.code, numbers(&ran.json())), (0, [3, 2, 1, 0, 0, 0]), "{settling_times}: {ran:?}");
        let (_, ran) = with_a_late_record("repair", settling_times).await;
        assert_eq!((ran.code, &ran.json()["repaired"]), (0, &0.into()), "{settling_times}: {ran:?}");
        engine.function().deliver(&engine.stream_records().await).await;
        engine.assert_exact().await;
    }
}

#[tokio::test]
async fn a_record_that_shows_later_than_that_is_not_counted_twice_by_a_repair() {
    let (engine, ran) = with_a_late_record("repair", 3.0).await;
    assert_eq!(numbers(&ran.json())[3..5], [0, 0], "{ran:?}");
    engine.function().deliver(&engine.stream_records().await).await;
    engine.assert_exact().await;
    assert_eq!(audit(&engine).await.code, 0);
}

#[tokio::test]
async fn a_record_that_is_certainly_older_than_a_recount_is_not_laid_over_it() {
    let engine = Engine::start().await;
    engine.put_point("m0", "p", Some("Bar")).await;
    engine.put_point("m0", "p", Some("Zoo")).await;
    let records = engine.stream_records().await;
    engine.function().deliver(&records).await;
    set_total(&engine, 99).await;
    // The item is recounted, as the stream shows a record of it during the first pass. The recount sees the point in its last
    // category; after that the stream shows its first one.
    for (age, drift) in [(3_600, 1), (0, 3)] {
        let mut first = records[0].clone();
        first["dynamodb"]["ApproximateCreationDateTime"] = json!(chrono::Utc::now().timestamp() - age);
        let last = records[1].clone();
        let [summed, recounted, last_shown, first_shown] = [const { AtomicBool::new(false) }; 4];
        let finds = move |request: &str| {
            if is_recount(request) {
                summed.store(true, Ordering::SeqCst);
            }
            if request.contains("DynamoDB_20120810.Query") {
                recounted.store(true, Ordering::SeqCst);
            }
            let reads = request.contains("DynamoDBStreams_20120810.GetRecords");
            let shows = |when: &AtomicBool, shown: &AtomicBool| {
                reads && when.load(Ordering::SeqCst) && !shown.swap(true, Ordering::SeqCst)
            };
            if shows(&summed, &last_shown) {
                return Some(json!([last]));
            }
            reads.then(|| if shows(&recounted, &first_shown) { json!([first]) } else { json!([]) })
        };
        let url = finding(&engine.url, finds).await;
        let ran = run(&engine, &["audit", "--json", "--settle", "0.05", "--endpoint-url", &url]).await;
        assert_eq!(ran.json()["drift"].as_array().unwrap().len(), drift, "{age}: {ran:?}");
    }
}

#[tokio::test]
async fn a_repair_leaves_to_the_function_what_has_no_marker_yet() {
    let (engine, _) = points(6, 6).await;
    engine.put_point("m0", "late", Some("Bar")).await;
    set_total(&engine, 99).await;
    let (engine, ran) = late(engine, "repair", Since::Look, 0.5).await;
    assert_eq!((ran.code, &ran.json()["repaired"]), (0, &1.into()), "{ran:?}");
    assert_eq!(repairs(&engine).await, 1, "what was set was right at once");
    assert_eq!(engine.counters("m0").await.unwrap().total, 2);
    engine.function().deliver(&engine.stream_records().await).await;
    engine.assert_exact().await;
}

async fn set_total(engine: &Engine, total: i64) {
    let update = engine.db.update_item().table_name("Map").key("MapId", s("m0"));
    update.update_expression("SET TotalPoints = :v").expression_attribute_values(":v", n(total)).send().await.unwrap();
}

async fn repairs(engine: &Engine) -> usize {
    let records = engine.markers().await.into_values().filter(|item| item.contains_key("Who"));
    records.map(|item| item["Items"].as_l().unwrap().len()).sum()
}

#[tokio::test]
async fn a_repair_does_not_write_over_what_the_function_adds_meanwhile() {
    let (engine, _) = points(12, 12).await;
    set_total(&engine, 99).await;
    let engine = Arc::new(engine);
    let (live, once) = (Arc::clone(&engine), Arc::new(Mutex::new(true)));
    let url = crate::request_hook::before_each_request(&engine.url, move |operation| {
        let first = operation == "TransactWriteItems" && std::mem::take(&mut *once.lock().unwrap());
        let live = Arc::clone(&live);
        async move {
            if first {
                live.put_point("m0", "meanwhile", Some("Zoo")).await;
                live.function().deliver(&live.stream_records().await).await;
            }
        }
    })
    .await;
    let ran = run(&engine, &["repair", "--json", "--settle", "0.05", "--endpoint-url", &url]).await;
    assert_eq!((ran.code, &ran.json()["repaired"]), (0, &1.into()), "{ran:?}");
    engine.assert_exact().await;
    assert_eq!(repairs(&engine).await, 1, "the first write found the item changed, and nothing had to be set twice");
}

#[tokio::test]
async fn a_view_item_that_somebody_changes_holds_up_none_of_those_that_are_set_with_it() {
    let (engine, _) = points(12, 12).await;
    for map in ["m0", "m1", "m2"] {
        engine.put("Map", [("MapId", s(map)), ("TotalPoints", n(99))]).await;
    }
    let engine = Arc::new(engine);
    let (live, once) = (Arc::clone(&engine), Arc::new(Mutex::new(true)));
    let transactions = Arc::new(Mutex::new(0));
    let sent = Arc::clone(&transactions);
    let url = crate::request_hook::before_each_request(&engine.url, move |operation| {
        let is_transaction = operation == "TransactWriteItems";
        *sent.lock().unwrap() += usize::from(is_transaction);
        let first = is_transaction && std::mem::take(&mut *once.lock().unwrap());
        let live = Arc::clone(&live);
        async move {
            if first {
                live.put("Map", [("MapId", s("m1")), ("TotalPoints", n(98))]).await;
            }
        }
    })
    .await;
    let ran = run(&engine, &["repair", "--json", "--settle", "0.05", "--endpoint-url", &url]).await;
    assert_eq!((ran.code, &ran.json()["repaired"]), (0, &3.into()), "{ran:?}");
    engine.assert_exact().await;
    assert_eq!(repairs(&engine).await, 3);
    assert_eq!(*transactions.lock().unwrap(), 3, "the cancelled one, the others of it, and the one that was changed");
}
