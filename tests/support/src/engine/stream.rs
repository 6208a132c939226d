//! The streams of an engine's tables, in Lambda's JSON.

use std::collections::HashMap;

use aws_sdk_dynamodbstreams::types::ShardIteratorType;
use serde_json::{Value, json};

use super::Engine;

impl Engine {
    /// Every record of the default source table's stream, in Lambda's JSON, in order.
    pub async fn stream_records(&self) -> Vec<Value> {
        self.stream_records_of("Point").await
    }

    /// Every record of a table's stream, in Lambda's JSON, in order.
    pub async fn stream_records_of(&self, table: &str) -> Vec<Value> {
        let table = self.db.describe_table().table_name(table).send().await.unwrap();
        let arn = table.table().unwrap().latest_stream_arn().unwrap().to_owned();
        let stream = self.streams.describe_stream().stream_arn(&arn).send().await.unwrap();
        let mut records = Vec::new();
        for shard in stream.stream_description().unwrap().shards() {
            let iterator = self
                .streams
                .get_shard_iterator()
                .stream_arn(&arn)
                .shard_id(shard.shard_id().unwrap())
                .shard_iterator_type(ShardIteratorType::TrimHorizon)
                .send()
                .await
                .unwrap();
            let mut next = iterator.shard_iterator;
            while let Some(iterator) = next {
                let page = self.streams.get_records().shard_iterator(iterator).send().await.unwrap();
                next = page.next_shard_iterator.filter(|_| !page.records.as_ref().unwrap().is_empty());
                records.extend(page.records.unwrap().iter().map(|record| lambda_json(record, &arn)));
            }
        }
        records
    }

    /// A reader of the stream from its end on.
    pub async fn reader(&self) -> Reader<'_> {
        let table = self.db.describe_table().table_name("Point").send().await.unwrap();
        let arn = table.table().unwrap().latest_stream_arn().unwrap().to_owned();
        let iterator = self.streams.get_shard_iterator().stream_arn(&arn).shard_id(self.shard().await);
        let iterator = iterator.shard_iterator_type(ShardIteratorType::Latest).send().await.unwrap();
        Reader { engine: self, arn, iterator: iterator.shard_iterator }
    }

    /// The name of the stream's only shard.
    pub async fn shard(&self) -> String {
        let table = self.db.describe_table().table_name("Point").send().await.unwrap();
        let arn = table.table().unwrap().latest_stream_arn().unwrap().to_owned();
        let stream = self.streams.describe_stream().stream_arn(arn).send().await.unwrap();
        stream.stream_description().unwrap().shards()[0].shard_id().unwrap().to_owned()
    }
}

/// Reads a stream on, as a poller does.
pub struct Reader<'a> {
    engine: &'a Engine,
    arn: String,
    iterator: Option<String>,
}

impl Reader<'_> {
    /// The records since the last reading, in Lambda's JSON.
    pub async fn next(&mut self) -> Vec<Value> {
        let Some(iterator) = self.iterator.take() else { return Vec::new() };
        let page = self.engine.streams.get_records().shard_iterator(iterator).send().await.unwrap();
        self.iterator = page.next_shard_iterator;
        page.records.unwrap().iter().map(|record| lambda_json(record, &self.arn)).collect()
    }
}

/// The sequence number of a record in Lambda's JSON.
pub fn sequence_number(record: &Value) -> &str {
    record["dynamodb"]["SequenceNumber"].as_str().unwrap()
}

fn lambda_json(record: &aws_sdk_dynamodbstreams::types::Record, arn: &str) -> Value {
    let change = record.dynamodb().unwrap();
    let item = |item: &Option<HashMap<String, _>>| {
        item.clone().map(|item| serde_json::to_value(serde_dynamo::Item::from(item)).unwrap())
    };
    let mut dynamodb = json!({
        "ApproximateCreationDateTime": change.approximate_creation_date_time().unwrap().secs(),
        "Keys": item(&change.keys),
        "SequenceNumber": change.sequence_number(),
        "SizeBytes": change.size_bytes(),
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    });
    for (name, image) in [("OldImage", item(&change.old_image)), ("NewImage", item(&change.new_image))] {
        if let Some(image) = image {
            dynamodb[name] = image;
        }
    }
    json!({
        "eventID": record.event_id(),
        "eventName": record.event_name().map(aws_sdk_dynamodbstreams::types::OperationType::as_str),
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "eu-west-1",
        "eventSourceARN": arn,
        "dynamodb": dynamodb,
    })
}
