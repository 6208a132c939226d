//! The end of an execution environment.
//!
//! Nothing is held back in memory between two invocations, so a stop needs no flush: it only ends the process at once,
//! instead of leaving it to be killed.

use std::future::Future;
use std::time::Duration;

use lambda_extension::Extension;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tracing::debug;

/// How long the registration may hold up the start.
const REGISTRATION_TIMEOUT: Duration = Duration::from_millis(500);

/// The name under which the extension is registered; unique within a function.
const EXTENSION_NAME: &str = "ddb-rollup-graceful-shutdown";

/// Waits, once polled, for SIGTERM or SIGINT, and returns which.
///
/// Lambda sends SIGTERM only to a function that has an extension, so one is registered that subscribes to nothing. Where
/// that cannot be done, the function still works.
pub async fn requested() -> impl Future<Output = &'static str> {
    let (registered, answered) = oneshot::channel();
    // The task outlives the wait: Lambda holds up the start until an extension that it has registered asks for its next
    // event, however late its answer was.
    tokio::spawn(async move {
        let extension = Extension::new().with_events(&[]).with_extension_name(EXTENSION_NAME);
        let registration = extension.register().await;
        let _ = registered.send(());
        let ended = match registration {
            Ok(extension) => extension.run().await,
            Err(error) => Err(error),
        };
        debug!(?ended, "no shutdown extension");
    });
    let _ = tokio::time::timeout(REGISTRATION_TIMEOUT, answered).await;
    async {
        let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            debug!("no signal handlers");
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    }
}
