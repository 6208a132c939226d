//! Lambda's Runtime API: where the process gets its invocations and leaves their results.
//!
//! The loop of the library `lambda_runtime` ends the process with a panic where an invocation has no deadline, which local
//! runners send, and nothing can be put in front of it. So only its client is used.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use lambda_runtime_api_client::body::Body;
use lambda_runtime_api_client::{BoxError, PooledClient, build_request};
use serde::Serialize;
use serde_json::json;
use tracing::warn;

use crate::handler::INVOCATION_MAX;

const INVOCATIONS: &str = "/2018-06-01/runtime/invocation";

/// What the Runtime API tells of one invocation, beside its event.
const REQUEST_ID: &str = "lambda-runtime-aws-request-id";
const DEADLINE_MS: &str = "lambda-runtime-deadline-ms";
const TRACE_ID: &str = "lambda-runtime-trace-id";
/// Where it is given, it comes back with the result.
const INVOCATION_ID: &str = "lambda-runtime-invocation-id";

/// The Runtime API of the environment.
#[derive(Debug)]
pub struct RuntimeApi {
    client: Arc<PooledClient>,
    warned: bool,
}

/// One invocation, as Lambda hands it to the process.
#[derive(Debug)]
pub struct Delivery {
    pub request_id: String,
    /// The trace that it belongs to.
    pub trace_id: Option<String>,
    /// The event, as it came.
    pub event: Vec<u8>,
    /// How long it may take.
    pub time_left: Duration,
    invocation_id: Option<http::HeaderValue>,
}

/// An invocation that failed, in the form that Lambda reports.
#[derive(Debug)]
pub struct Failure {
    /// The kind of failure.
    pub kind: &'static str,
    /// What went wrong.
    pub message: String,
}

/// An answer of the Runtime API that leaves nothing to go on with.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeApiError {
    /// There is no next invocation.
    #[error("the Runtime API answers {0} to the request for an invocation; restart the environment")]
    Status(StatusCode),
    /// An invocation that cannot be answered.
    #[error("the Runtime API sent an invocation without a Lambda-Runtime-Aws-Request-Id, so it cannot be answered")]
    NoRequestId,
}

impl RuntimeApi {
    /// The Runtime API, by a client of the environment's APIs.
    #[must_use]
    pub fn new(client: Arc<PooledClient>) -> Self {
        Self { client, warned: false }
    }

    /// Waits for the next invocation.
    ///
    /// # Errors
    /// When the Runtime API cannot be asked any more.
    pub async fn next(&mut self, now: impl Fn() -> DateTime<Utc>) -> Result<Delivery, BoxError> {
        let request = build_request().uri(format!("{INVOCATIONS}/next")).body(Body::empty())?;
        let (head, body) = self.client.call(request).await?.into_parts();
        if head.status != StatusCode::OK {
            return Err(RuntimeApiError::Status(head.status).into());
        }
        let event = Body::new(body).collect().await?.to_bytes().into();
        let request_id = text(&head.headers, REQUEST_ID).ok_or(RuntimeApiError::NoRequestId)?.to_owned();
        let deadline = text(&head.headers, DEADLINE_MS);
        let time_left = time_left(deadline, now()).unwrap_or_else(|| {
            if !std::mem::replace(&mut self.warned, true) {
                let limit = INVOCATION_MAX.as_secs();
                warn!(
                    deadline,
                    "an invocation without a usable deadline: it may take {limit} seconds. A runner other than Lambda has to \
                     send Lambda-Runtime-Deadline-Ms, in milliseconds since 1970. There is no further warning"
                );
            }
            INVOCATION_MAX
        });
        let trace_id = text(&head.headers, TRACE_ID).map(str::to_owned);
        let invocation_id = head.headers.get(INVOCATION_ID).cloned();
        Ok(Delivery { request_id, trace_id, event, time_left, invocation_id })
    }

    /// Answers an invocation.
    ///
    /// # Errors
    /// When the Runtime API cannot be asked any more.
    pub async fn answer<T: Serialize>(&self, delivery: &Delivery, result: &Result<T, Failure>) -> Result<(), BoxError> {
        let Delivery { request_id, .. } = delivery;
        let request = match result {
            Ok(response) => Request::builder()
                .uri(format!("{INVOCATIONS}/{request_id}/response"))
                .body(Body::from(serde_json::to_vec(response)?)),
            Err(Failure { kind, message }) => {
                let diagnostic = json!({ "errorType": kind, "errorMessage": message });
                Request::builder()
                    .uri(format!("{INVOCATIONS}/{request_id}/error"))
                    .header("lambda-runtime-function-error-type", *kind)
                    .body(Body::from(diagnostic.to_string()))
            }
        };
        let mut request = request?;
        *request.method_mut() = Method::POST;
        request.headers_mut().extend(build_request().body(())?.headers().clone());
        if let Some(id) = &delivery.invocation_id {
            request.headers_mut().insert(INVOCATION_ID, id.clone());
        }
        let answered = self.client.call(request).await?;
        if !answered.status().is_success() {
            // Lambda gave up on the invocation, most likely; the next one may be well.
            warn!(request_id, status = status(&answered), "the Runtime API does not take the result of the invocation");
        }
        Ok(())
    }
}

fn status<B>(response: &Response<B>) -> u16 {
    response.status().as_u16()
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The time until a deadline. None where it is not one: it is missing, no number of milliseconds, past, or later than
/// Lambda lets anything run.
fn time_left(deadline: Option<&str>, now: DateTime<Utc>) -> Option<Duration> {
    let deadline = DateTime::from_timestamp_millis(deadline?.parse().ok()?)?;
    let left = deadline.signed_duration_since(now).to_std().ok()?;
    (!left.is_zero() && left <= INVOCATION_MAX).then_some(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_at_most_as_far_away_as_an_invocation_may_be_long() {
        let now = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        let left = |deadline: &str| time_left(Some(deadline), now).map(|left| left.as_millis());
        for (deadline, expected) in [
            ("1795000000001", Some(1)),
            ("1795000025000", Some(25_000)),
            ("1795000900000", Some(900_000)),
            ("1795000900001", None),
            ("1795000000000", None),
            ("1794999999999", None),
            ("600000", None),
            ("0", None),
            ("-1", None),
            // 15 days ahead, decades, microseconds, nanoseconds, and more than any of them.
            ("1796296000000", None),
            ("4102444800000", None),
            ("1795000025000000", None),
            ("1795000025000000000", None),
            ("18446744073709551615", None),
            ("99999999999999999999999", None),
            ("1795000025000.5", None),
            ("2026-11-18T00:00:00Z", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(left(deadline), expected, "{deadline}");
        }
        assert_eq!(time_left(None, now), None);
    }
}
