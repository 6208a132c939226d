//! A failed batch may be one lane of its shard, with the records of other lanes between its own: a replay loses none.

use serde_json::{Value, json};

use crate::command::{Ran, run, run_with};
use crate::engine::{Engine, sequence_number};
use crate::failure_queue::{Queue, pointer};
use crate::stream_service::{Shard, StreamService};

/// An engine with points that no function has seen, on as many maps as there are lanes.
async fn points(count: usize, lanes: usize) -> (Engine, Vec<Value>) {
    let engine = Engine::start().await;
    for point in 0..count {
        engine.put_point(&format!("m{}", point % lanes), &format!("p{point}"), Some("Park")).await;
    }
    let records = engine.stream_records().await;
    (engine, records)
}

/// The message of one lane, whose batch has every record of that lane.
fn lane(records: &[Value], lane: usize, lanes: usize, shard: &str) -> String {
    let batch: Vec<Value> = records.iter().skip(lane).step_by(lanes).cloned().collect();
    pointer(&batch, shard, &records[0]["eventSourceARN"])
}

struct Replay<'a> {
    engine: &'a Engine,
    queue: String,
    stream: Option<String>,
}

impl<'a> Replay<'a> {
    async fn of(engine: &'a Engine, queue: &Queue, stream: Option<&StreamService>) -> Self {
        let stream = match stream {
            None => None,
            Some(stream) => Some(stream.serve().await),
        };
        Self { engine, queue: queue.serve().await, stream }
    }

    async fn run(&self, flags: &[&str]) -> Ran {
        let url = format!("{}/000000000000/failures", self.queue);
        let arguments = [&["replay", "--from-queue", &url, "--settle", "0.1"], flags].concat();
        let mut endpoints = vec![("AWS_ENDPOINT_URL_SQS", self.queue.as_str())];
        endpoints.extend(self.stream.as_deref().map(|url| ("AWS_ENDPOINT_URL_DYNAMODB_STREAMS", url)));
        run_with(self.engine, &arguments, &endpoints).await
    }
}

#[tokio::test]
async fn a_lane_is_replayed_to_its_last_record_however_many_lie_between() {
    let (engine, records) = points(290, 29).await;
    // It takes several pages, and the first of them has more records than the batch.
    let service = StreamService::of([("shard", Shard { records: records.clone(), ..Shard::default() })]);
    let queue = Queue::default();
    queue.put([lane(&records, 3, 29, "shard")]);
    let ran = Replay::of(&engine, &queue, Some(&service)).await.run(&["--json"]).await;
    // From the lane's first record to its last; the other lanes' records before and behind are not the message's.
    let (between, report) = (9 * 29 + 1, ran.json());
    assert_eq!((ran.code, &report["read"], &report["applied"]), (0, &json!(between), &json!(between)), "{ran:?}");
    let markers = engine.markers().await;
    assert!(records.iter().skip(3).step_by(29).all(|record| markers.contains_key(sequence_number(record))));
    assert!(queue.left().is_empty());
}

#[tokio::test]
async fn what_the_other_lanes_have_counted_is_not_counted_again() {
    let (engine, records) = points(60, 3).await;
    let others: Vec<Value> =
        records.iter().enumerate().filter(|(place, _)| place % 3 != 1).map(|(_, one)| one.clone()).collect();
    engine.function().deliver(&others).await;
    let queue = Queue::default();
    queue.put([lane(&records, 1, 3, &engine.shard().await)]);
    let ran = Replay::of(&engine, &queue, None).await.run(&["--json"]).await;
    let report = ran.json();
    assert_eq!((ran.code, &report["applied"], &report["duplicates"]), (0, &json!(20), &json!(38)), "{ran:?}");
    assert!(queue.left().is_empty());
    engine.assert_exact().await;
}

#[tokio::test]
async fn fewer_records_than_the_batch_had_are_not_taken_for_gone() {
    let (engine, records) = points(6, 2).await;
    let queue = Queue::default();
    let mut message: Value = serde_json::from_str(&lane(&records, 0, 1, &engine.shard().await)).unwrap();
    message["DDBStreamBatchInfo"]["batchSize"] = json!(100);
    queue.put([message.to_string()]);
    let ran = Replay::of(&engine, &queue, None).await.run(&["--json"]).await;
    assert_eq!((ran.code, ran.json()["gone"].clone(), ran.json()["applied"].clone()), (0, json!([]), json!(6)));
    assert!(queue.left().is_empty());
}

#[tokio::test]
async fn hundreds_of_messages_on_two_shards_describe_the_stream_once() {
    let (engine, records) = points(400, 4).await;
    let (one, other) = records.split_at(200);
    let shard = |records: &[Value], closed| Shard { records: records.to_vec(), closed, ..Shard::default() };
    let service = StreamService::of([("closed", shard(one, true)), ("open", shard(other, false))]);
    let queue = Queue::default();
    for (records, name) in [(one, "closed"), (other, "open")] {
        queue.put((0..100).map(|at| lane(&records[at * 2..at * 2 + 2], 0, 1, name)));
        queue.put([lane(records, 1, 2, name)]);
    }
    let ran = Replay::of(&engine, &queue, Some(&service)).await.run(&["--json"]).await;
    let report = ran.json();
    assert_eq!((ran.code, &report["applied"], &report["duplicates"]), (0, &json!(400), &json!(398)), "{ran:?}");
    assert!(queue.left().is_empty());
    engine.assert_exact().await;
    assert_eq!((service.requests("DescribeStream"), service.requests("GetShardIterator")), (1, 202));
}

#[tokio::test]
async fn a_trimmed_beginning_is_said_its_rest_is_counted_and_after_the_repair_it_can_be_forgotten() {
    let (engine, records) = points(240, 2).await;
    let shard = Shard { records: records.clone(), ..Shard::default() };
    let service = StreamService::of([("shard", shard)]);
    // The lane's first three records are gone; another batch is gone as a whole.
    service.trim("shard", 6);
    let queue = Queue::default();
    let (trimmed, whole) = (lane(&records, 0, 2, "shard"), lane(&records[120..], 0, 1, "shard"));
    let gone = lane(&records[..4], 1, 2, "shard");
    queue.put([trimmed.clone(), whole, gone.clone()]);
    let replay = Replay::of(&engine, &queue, Some(&service)).await;
    let ran = replay.run(&["--json", "--forget-gone"]).await;
    let report = ran.json();
    assert_eq!((ran.code, &report["applied"]), (1, &json!(234)), "{ran:?}");
    assert_eq!(report["gone"].as_array().unwrap().len(), 2);
    for (gone, first, at_least) in [(0, &records[0], 1), (1, &records[1], 2)] {
        assert_eq!(report["gone"][gone]["start_sequence_number"], json!(sequence_number(first)));
        assert_eq!(report["gone"][gone]["records"], json!(at_least));
        assert_eq!(report["gone"][gone]["forgotten"], json!(false), "before the repair they tell what is missing");
    }
    assert_eq!(report["view_items_to_repair"], json!(["m0", "m1"]));
    assert_eq!(queue.left(), [trimmed, gone], "they stay");

    let streams = replay.stream.as_deref().unwrap();
    let repair = ["repair", "--settle", "0.1"];
    assert_eq!(run_with(&engine, &repair, &[("AWS_ENDPOINT_URL_DYNAMODB_STREAMS", streams)]).await.code, 0);
    engine.assert_exact().await;
    let ran = replay.run(&[]).await;
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("there is nothing to repair; --forget-gone deletes the messages"), "{ran:?}");
    assert_eq!(queue.left().len(), 2);

    let ran = replay.run(&["--json", "--forget-gone"]).await;
    assert_eq!((ran.code, ran.json()["gone"][1]["forgotten"].clone()), (0, json!(true)), "{ran:?}");
    assert!(queue.left().is_empty());
    engine.assert_exact().await;
}

#[tokio::test]
async fn a_closed_shard_of_which_all_is_trimmed_has_nothing_left() {
    let (engine, records) = points(4, 2).await;
    engine.function().deliver(&records).await;
    let shard = Shard { records: records.clone(), trimmed: 4, closed: true, ..Shard::default() };
    let queue = Queue::default();
    queue.put([lane(&records, 0, 1, "shard"), lane(&records, 0, 1, "a shard that is gone")]);
    let replay = Replay::of(&engine, &queue, Some(&StreamService::of([("shard", shard)]))).await;
    let ran = replay.run(&["--json"]).await;
    let gone = ran.json()["gone"].clone();
    assert_eq!((ran.code, &gone[0]["records"], &gone[1]["records"]), (1, &json!(4), &json!(4)), "{ran:?}");
    assert_eq!(queue.left().len(), 2);
    let ran = replay.run(&["--json", "--forget-gone"]).await;
    assert_eq!((ran.code, queue.left().len()), (0, 0), "every record was counted: {ran:?}");
}

#[tokio::test]
async fn an_error_gives_every_message_back_at_once() {
    let (engine, records) = points(8, 2).await;
    let shard = Shard { records: records.clone(), ..Shard::default() };
    let service = StreamService::of([("shard", shard)]);
    let queue = Queue::default();
    let gone = json!(records[0]["eventSourceARN"].as_str().unwrap().replace("/Point/", "/Dropped/"));
    let messages =
        [pointer(&records[..2], "no such shard", &gone), lane(&records, 0, 2, "shard"), "foreign".to_owned()];
    queue.put(messages.clone());
    service.break_with("com.amazon.coral.service#AccessDeniedException");
    let replay = Replay::of(&engine, &queue, Some(&service)).await;
    let ran = replay.run(&["--json"]).await;
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.err.contains("AccessDeniedException"), "{}", ran.err);
    assert_eq!(queue.left(), messages);
}

#[tokio::test]
async fn a_message_about_another_tables_stream_keeps_no_other_from_being_replayed() {
    let (engine, records) = points(4, 2).await;
    let service = StreamService::of([("shard", Shard { records: records.clone(), ..Shard::default() })]);
    let queue = Queue::default();
    let other = json!(records[0]["eventSourceARN"].as_str().unwrap().replace("/Point/", "/Order/"));
    let foreign = pointer(&records[..2], "shard", &other);
    queue.put([foreign.clone(), lane(&records, 0, 1, "shard")]);
    let ran = Replay::of(&engine, &queue, Some(&service)).await.run(&["--json"]).await;
    let report = ran.json();
    assert_eq!((ran.code, &report["applied"], &report["foreign_messages"]), (1, &json!(4), &json!(1)), "{ran:?}");
    assert_eq!(queue.left(), [foreign]);
    engine.assert_exact().await;
}

#[tokio::test]
async fn only_a_queue_has_messages_to_forget() {
    let engine = Engine::start().await;
    let ran = run(&engine, &["replay", "--from-stream", "--forget-gone"]).await;
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");
}
