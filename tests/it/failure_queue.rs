//! A failure queue, as far as a replay needs one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::engine::sequence_number;

/// A queue.
#[derive(Clone, Default)]
pub struct Queue {
    waiting: Arc<Mutex<VecDeque<String>>>,
    hidden: Arc<Mutex<Vec<String>>>,
}

impl Queue {
    pub fn put(&self, messages: impl IntoIterator<Item = String>) {
        self.waiting.lock().unwrap().extend(messages);
    }

    pub fn clear(&self) {
        self.waiting.lock().unwrap().clear();
    }

    /// Its endpoint.
    pub async fn serve(&self) -> String {
        let queue = self.clone();
        let answer = move |headers: HeaderMap, body: Bytes| {
            let queue = queue.clone();
            async move {
                Json(queue.answer(headers["x-amz-target"].to_str().unwrap(), &serde_json::from_slice(&body).unwrap()))
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await.unwrap() });
        url
    }

    fn answer(&self, action: &str, request: &Value) -> Value {
        let (mut waiting, mut hidden) = (self.waiting.lock().unwrap(), self.hidden.lock().unwrap());
        let receipt = request["ReceiptHandle"].as_str().unwrap_or_default();
        match action {
            "AmazonSQS.ReceiveMessage" => {
                let most = usize::try_from(request["MaxNumberOfMessages"].as_u64().unwrap()).unwrap();
                let given = most.min(waiting.len());
                let bodies: Vec<String> = waiting.drain(..given).collect();
                hidden.extend(bodies.clone());
                let message = |body: &String| json!({ "MessageId": "id", "ReceiptHandle": body, "Body": body, "MD5OfBody": format!("{:x}", md5::compute(body)) });
                json!({ "Messages": bodies.iter().map(message).collect::<Vec<_>>() })
            }
            "AmazonSQS.DeleteMessage" => {
                hidden.retain(|body| body != receipt);
                json!({})
            }
            "AmazonSQS.ChangeMessageVisibility" => {
                let shown = hidden.iter().position(|body| body == receipt).unwrap();
                waiting.push_back(hidden.remove(shown));
                json!({})
            }
            other => panic!("{other} is not expected of a replay"),
        }
    }

    /// The messages that are in it, none of them hidden.
    pub fn left(&self) -> Vec<String> {
        assert!(self.hidden.lock().unwrap().is_empty(), "nothing stays hidden");
        self.waiting.lock().unwrap().iter().cloned().collect()
    }
}

/// The message in which Lambda points at records.
pub fn pointer(records: &[Value], shard: &str, stream: &Value) -> String {
    json!({
        "requestContext": { "condition": "RetryAttemptsExhausted" },
        "version": "1.0",
        "DDBStreamBatchInfo": {
            "shardId": shard,
            "startSequenceNumber": sequence_number(&records[0]),
            "endSequenceNumber": sequence_number(records.last().unwrap()),
            "approximateArrivalOfFirstRecord": "2026-01-01T00:00:00Z",
            "approximateArrivalOfLastRecord": "2026-01-01T00:00:01Z",
            "batchSize": records.len(),
            "streamArn": stream,
        },
    })
    .to_string()
}
