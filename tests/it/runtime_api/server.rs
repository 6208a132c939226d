//! What the process asks: the Runtime API, and the extension's part of it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Response};
use axum::routing::{get, post};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc, oneshot, watch};

use super::Ended;

/// What the extension's part of the API does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extensions {
    /// Registers, and lets the extension wait for events that never come.
    Served,
    /// There is none: 404.
    Absent,
    /// Answers 500.
    Failing,
    /// Takes the registration and never answers.
    Hanging,
}

/// An event that waits for the process.
pub struct Invocation {
    pub id: String,
    pub event: String,
    /// `Lambda-Runtime-Deadline-Ms`; none where there is no such header.
    pub deadline: Option<String>,
}

/// How an invocation ended, and when.
pub struct InvocationEnd {
    pub ended: Ended,
    pub at: DateTime<Utc>,
}

/// The state of the API.
pub struct Api {
    pub extensions: Extensions,
    pub next: Mutex<mpsc::UnboundedReceiver<Invocation>>,
    pub answers: Mutex<HashMap<String, oneshot::Sender<InvocationEnd>>>,
    /// How often the process asked for an invocation.
    pub polls: watch::Sender<usize>,
    pub init_error: watch::Sender<Option<Value>>,
    pub registered: watch::Sender<Option<Value>>,
    /// The ports from which the process registered, and asked for its first invocation.
    pub ports: watch::Sender<(Option<u16>, Option<u16>)>,
    /// Whether the extension asked for its next event, which lets Lambda end the start.
    pub extension_is_ready: watch::Sender<bool>,
}

/// All that a process may ask for.
pub fn router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
        .route("/2018-06-01/runtime/init/error", post(init_error))
        .route("/runtime/init/error", post(init_error))
        .route("/2020-01-01/extension/register", post(register))
        .route("/2020-01-01/extension/event/next", get(extension_next))
        .with_state(api)
}

async fn next(State(api): State<Arc<Api>>, ConnectInfo(peer): ConnectInfo<SocketAddr>) -> Response {
    api.ports.send_modify(|(_, polled)| *polled = polled.or(Some(peer.port())));
    api.polls.send_modify(|polls| *polls += 1);
    let Some(invocation) = api.next.lock().await.recv().await else { return StatusCode::GONE.into_response() };
    let headers = [
        ("Content-Type", "application/json".to_owned()),
        ("Lambda-Runtime-Aws-Request-Id", invocation.id),
        ("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-1:000000000000:function:rollup".to_owned()),
        ("Lambda-Runtime-Trace-Id", "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0".to_owned()),
    ];
    let deadline = invocation.deadline.map(|deadline| ("Lambda-Runtime-Deadline-Ms", deadline));
    (AppendHeaders(headers.into_iter().chain(deadline)), invocation.event).into_response()
}

async fn response(State(api): State<Arc<Api>>, Path(id): Path<String>, body: String) -> StatusCode {
    answer(&api, &id, Ended::Response(serde_json::from_str(&body).unwrap())).await
}

async fn error(State(api): State<Arc<Api>>, Path(id): Path<String>, body: String) -> StatusCode {
    let diagnostic: Value = serde_json::from_str(&body).unwrap();
    let text = |name: &str| diagnostic[name].as_str().unwrap_or_default().to_owned();
    answer(&api, &id, Ended::Error { kind: text("errorType"), message: text("errorMessage") }).await
}

/// Like Lambda, takes one answer an invocation.
async fn answer(api: &Api, id: &str, ended: Ended) -> StatusCode {
    match api.answers.lock().await.remove(id).map(|answer| answer.send(InvocationEnd { ended, at: Utc::now() })) {
        Some(Ok(())) => StatusCode::ACCEPTED,
        Some(Err(_)) | None => StatusCode::BAD_REQUEST,
    }
}

async fn init_error(State(api): State<Arc<Api>>, body: String) -> StatusCode {
    api.init_error.send_replace(Some(serde_json::from_str(&body).unwrap()));
    StatusCode::ACCEPTED
}

async fn register(
    State(api): State<Arc<Api>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: String,
) -> Response {
    api.ports.send_modify(|(registered, _)| *registered = Some(peer.port()));
    match api.extensions {
        Extensions::Served => {
            let name = headers.get("Lambda-Extension-Name").and_then(|name| name.to_str().ok()).unwrap_or_default();
            let events: Value = serde_json::from_str(&body).unwrap();
            api.registered.send_replace(Some(json!({ "name": name, "events": events["events"] })));
            let function = json!({ "functionName": "rollup", "functionVersion": "$LATEST", "handler": "bootstrap" });
            ([("Lambda-Extension-Identifier", "00000000-0000-4000-8000-000000000000")], function.to_string())
                .into_response()
        }
        Extensions::Absent => StatusCode::NOT_FOUND.into_response(),
        Extensions::Failing => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Extensions::Hanging => std::future::pending().await,
    }
}

/// Events come to those who subscribed to some: nobody here.
async fn extension_next(State(api): State<Arc<Api>>) -> Response {
    api.extension_is_ready.send_replace(true);
    std::future::pending().await
}
