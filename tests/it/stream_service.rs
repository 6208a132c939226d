//! A stream that does what no local engine does: it has several shards, trims records, shows empty pages, closes a shard.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::engine::sequence_number;

/// Records in one page.
const PAGE: usize = 100;

/// A shard.
#[derive(Debug, Clone, Default)]
pub struct Shard {
    /// All records that it ever had, in their order.
    pub records: Vec<Value>,
    /// How many of them, from the oldest on, are gone.
    pub trimmed: usize,
    /// Nothing will be added.
    pub closed: bool,
    /// The shard that it goes on from.
    pub parent: Option<&'static str>,
}

/// A stream, served as DynamoDB does it.
#[derive(Clone, Default)]
pub struct StreamService {
    shards: Arc<Mutex<BTreeMap<String, Shard>>>,
    requests: Arc<Mutex<BTreeMap<String, usize>>>,
    broken: Arc<Mutex<Option<Value>>>,
}

impl StreamService {
    pub fn of(shards: impl IntoIterator<Item = (&'static str, Shard)>) -> Self {
        let service = Self::default();
        service.shards.lock().unwrap().extend(shards.into_iter().map(|(name, shard)| (name.to_owned(), shard)));
        service
    }

    /// Adds a record to a shard.
    pub fn add(&self, shard: &str, record: Value) {
        self.shards.lock().unwrap().get_mut(shard).unwrap().records.push(record);
    }

    /// Trims so many records of a shard.
    pub fn trim(&self, shard: &str, records: usize) {
        self.shards.lock().unwrap().get_mut(shard).unwrap().trimmed = records;
    }

    /// From now on every reading of a page fails with this error.
    pub fn break_with(&self, error: &str) {
        *self.broken.lock().unwrap() = Some(json!({ "__type": error, "message": "said the test" }));
    }

    /// How often it was asked for this.
    pub fn requests(&self, action: &str) -> usize {
        self.requests.lock().unwrap().get(action).copied().unwrap_or_default()
    }

    /// Its endpoint.
    pub async fn serve(&self) -> String {
        let service = self.clone();
        let answer = move |headers: HeaderMap, body: Bytes| {
            let service = service.clone();
            async move {
                let action = headers["x-amz-target"].to_str().unwrap().rsplit_once('.').unwrap().1.to_owned();
                *service.requests.lock().unwrap().entry(action.clone()).or_default() += 1;
                match service.answer(&action, &serde_json::from_slice(&body).unwrap()) {
                    Ok(answer) => (StatusCode::OK, Json(answer)),
                    Err(error) => (StatusCode::BAD_REQUEST, Json(error)),
                }
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await.unwrap() });
        url
    }

    fn answer(&self, action: &str, request: &Value) -> Result<Value, Value> {
        let shards = self.shards.lock().unwrap();
        match action {
            "DescribeStream" => {
                let shard =
                    |(name, shard): (&String, &Shard)| json!({ "ShardId": name, "ParentShardId": shard.parent });
                let shards: Vec<_> = shards.iter().map(shard).collect();
                Ok(json!({ "StreamDescription": { "StreamArn": request["StreamArn"], "Shards": shards } }))
            }
            "GetShardIterator" => {
                let name = request["ShardId"].as_str().unwrap();
                let shard = shards.get(name).ok_or_else(|| error("ResourceNotFoundException"))?;
                let place = |record: &Value| sequence_number(record) == request["SequenceNumber"];
                let named = || shard.records.iter().position(place).ok_or_else(|| error("ValidationException"));
                let place = match request["ShardIteratorType"].as_str().unwrap() {
                    "TRIM_HORIZON" => shard.trimmed,
                    "LATEST" => shard.records.len(),
                    "AT_SEQUENCE_NUMBER" => named()?,
                    "AFTER_SEQUENCE_NUMBER" => named()? + 1,
                    other => panic!("{other} is not expected"),
                };
                if place < shard.trimmed {
                    return Err(error("TrimmedDataAccessException"));
                }
                Ok(json!({ "ShardIterator": format!("{name}/{place}/empty") }))
            }
            "GetRecords" => {
                if let Some(broken) = &*self.broken.lock().unwrap() {
                    return Err(broken.clone());
                }
                let iterator: Vec<_> = request["ShardIterator"].as_str().unwrap().split('/').collect();
                let [name, place, next_page] = iterator[..] else { panic!("{iterator:?}") };
                let (shard, place): (_, usize) = (&shards[name], place.parse().unwrap());
                if place < shard.trimmed {
                    return Err(error("TrimmedDataAccessException"));
                }
                // Every other page is empty.
                let (most, then) = if next_page == "empty" { (0, "full") } else { (PAGE, "empty") };
                let end = shard.records.len().min(place + most);
                let next = (!shard.closed || end < shard.records.len()).then(|| format!("{name}/{end}/{then}"));
                Ok(json!({ "Records": shard.records[place..end], "NextShardIterator": next }))
            }
            other => panic!("{other} is not expected"),
        }
    }
}

fn error(name: &str) -> Value {
    json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{name}"), "message": "said the stream" })
}
