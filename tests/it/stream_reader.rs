//! The reader of streams on a stream of several shards, of which one goes on from another.

use std::time::Duration;

use ddb_rollup::operate::stream::DynamoStream;
use ddb_rollup::operate::stream_reader::{Reach, StreamReader};
use serde_json::{Value, json};

use crate::engine::sdk;
use crate::stream_service::{Shard, StreamService};

const STREAM: &str = "arn:aws:dynamodb:eu-west-1:123456789012:table/Point/stream/2026-11-22T00:00:00.000";

fn record(number: usize) -> Value {
    json!({
        "eventID": number.to_string(), "eventName": "INSERT", "eventVersion": "1.1", "eventSource": "aws:dynamodb",
        "awsRegion": "eu-west-1",
        "dynamodb": { "SequenceNumber": number.to_string(), "Keys": { "PointId": { "S": "p" } } },
    })
}

fn shard(numbers: std::ops::Range<usize>, parent: Option<&'static str>) -> Shard {
    Shard { records: numbers.map(record).collect(), parent, ..Shard::default() }
}

async fn read(reader: &mut StreamReader) -> Vec<usize> {
    let mut reading = reader.begin(Reach::Thorough).await.unwrap();
    let mut read = Vec::new();
    while let Some(records) = reader.next(&mut reading).await.unwrap() {
        read.extend(records.iter().map(|record| record.sequence_number.parse::<usize>().unwrap()));
    }
    read
}

fn sorted(mut numbers: Vec<usize>) -> Vec<usize> {
    numbers.sort_unstable();
    numbers
}

#[tokio::test]
async fn children_come_after_their_parents_and_nothing_is_left_out_or_comes_twice() {
    let service = StreamService::of([
        ("a child", shard(1_250..1_400, Some("b parent"))),
        ("b parent", Shard { closed: true, ..shard(1_000..1_250, None) }),
        ("c", shard(2_000..2_010, Some("trimmed"))),
        ("d", shard(0..0, None)),
    ]);
    let client = aws_sdk_dynamodbstreams::Client::new(&sdk(&service.serve().await, "local"));
    let mut reader = StreamReader::new(DynamoStream::new(client, STREAM), Duration::from_millis(50));
    let all = read(&mut reader).await;
    assert_eq!(sorted(all.clone()), (1_000..1_400).chain(2_000..2_010).collect::<Vec<_>>());
    let lineage: Vec<usize> = all.into_iter().filter(|number| *number < 2_000).collect();
    assert_eq!(lineage, (1_000..1_400).collect::<Vec<_>>(), "in the order of the writes");
    assert_eq!(reader.taken_as_read(), 3, "nothing proves the ends of the open shards");

    service.add("c", record(2_010));
    service.add("d", record(3_000));
    let past = reader.past();
    assert_eq!(sorted(read(&mut reader).await), [2_010, 3_000], "what is new");
    let again = sorted(read(&mut { past }).await);
    let before = (1_000..1_400).chain(2_000..2_010).collect::<Vec<_>>();
    let missing: Vec<_> = before.iter().filter(|number| !again.contains(number)).collect();
    let more: Vec<_> = again.iter().filter(|number| !before.contains(number)).collect();
    assert!(again == before, "what was read before, and no more: {missing:?} are missing, {more:?} are too many");
    assert!(read(&mut reader).await.is_empty());
}

#[tokio::test]
async fn a_place_that_is_trimmed_before_it_was_read_is_an_error() {
    let service = StreamService::of([("a", shard(0..10, None))]);
    let client = aws_sdk_dynamodbstreams::Client::new(&sdk(&service.serve().await, "local"));
    let mut reader = StreamReader::new(DynamoStream::new(client, STREAM), Duration::from_millis(50));
    assert_eq!(read(&mut reader).await.len(), 10);
    for number in 10..30 {
        service.add("a", record(number));
    }
    service.trim("a", 20);
    let mut reading = reader.begin(Reach::Thorough).await.unwrap();
    let error = reader.next(&mut reading).await.unwrap_err().to_string();
    assert!(error.contains("stream"), "{error}");
}
