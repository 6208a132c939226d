//! The end of an execution environment.
//!
//! Nothing is held back in memory between two invocations, so a stop needs no flush: it only ends the process at once,
//! instead of leaving it to be killed.
//!
//! The two requests of an extension are made here: its library brings the APIs for logs and telemetry, a tenth of the
//! whole binary.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, StatusCode};
use lambda_runtime_api_client::body::Body;
use lambda_runtime_api_client::{BoxError, PooledClient, build_request};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tracing::debug;

/// Lambda's Extensions API, on the address of the Runtime API:
/// <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>.
const EXTENSION: &str = "/2020-01-01/extension";

/// What tells one extension from another, once it is registered.
const IDENTIFIER: &str = "lambda-extension-identifier";

/// How long the registration may hold up the start.
const REGISTRATION_TIMEOUT: Duration = Duration::from_millis(500);

/// The name under which the extension is registered; unique within a function.
const EXTENSION_NAME: &str = "ddb-rollup-graceful-shutdown";

/// The registration of the extension, under way. When it is dropped, the extension asks for its next event.
#[derive(Debug)]
pub struct Registration {
    answered: oneshot::Receiver<()>,
    _held: oneshot::Sender<()>,
}

impl Registration {
    /// Begins to register an extension that subscribes to nothing: Lambda sends SIGTERM only to a function that has an
    /// extension. Where that cannot be done, the function still works.
    ///
    /// The task outlives everything else: Lambda holds up the start until an extension that it has registered asks for
    /// its next event, however late its answer was.
    #[must_use]
    pub fn begin(client: Arc<PooledClient>) -> Self {
        let (registered, answered) = oneshot::channel();
        let (held, dropped) = oneshot::channel::<()>();
        tokio::spawn(async move {
            let until_the_end = async {
                let registration = register(&client).await;
                let _ = registered.send(());
                // The connection is for the request for an invocation, which the start waits for.
                let _ = dropped.await;
                // It subscribes to nothing, so this is answered when the environment ends.
                next_event(&client, registration?).await
            };
            let ended = until_the_end.await;
            debug!(?ended, "no shutdown extension");
        });
        Self { answered, _held: held }
    }

    /// Waits until the registration is answered, at most `REGISTRATION_TIMEOUT`. Lambda refuses a registration after the
    /// first request for an invocation.
    pub async fn ended(&mut self) {
        let _ = tokio::time::timeout(REGISTRATION_TIMEOUT, &mut self.answered).await;
    }
}

/// Handles SIGTERM and SIGINT from this call on. The future ends when one of them comes, and returns its name.
pub fn requested() -> impl Future<Output = &'static str> {
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    async {
        let (Ok(mut terminate), Ok(mut interrupt)) = signals else {
            debug!("no signal handlers");
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    }
}

/// Registers the extension; gives its identifier.
async fn register(client: &PooledClient) -> Result<HeaderValue, BoxError> {
    let request = build_request().method(Method::POST).uri(format!("{EXTENSION}/register"));
    let request = request.header("lambda-extension-name", EXTENSION_NAME).body(Body::from(r#"{"events":[]}"#))?;
    let answer = client.call(request).await?;
    let (answer, body) = answer.into_parts();
    // What is not read to its end is not used again.
    Body::new(body).collect().await?;
    let identifier = answer.headers.get(IDENTIFIER).filter(|_| answer.status == StatusCode::OK);
    Ok(identifier.ok_or_else(|| format!("the Extensions API answers {}", answer.status))?.clone())
}

async fn next_event(client: &PooledClient, identifier: HeaderValue) -> Result<StatusCode, BoxError> {
    let request = build_request().uri(format!("{EXTENSION}/event/next")).header(IDENTIFIER, identifier);
    Ok(client.call(request.body(Body::empty())?).await?.status())
}
