//! The end of an execution environment.
//!
//! Nothing is held back in memory between two invocations, so a stop needs no flush: it only ends the process at once,
//! instead of leaving it to be killed.

use std::future::Future;
use std::time::Duration;

use lambda_extension::Extension;
use tokio::signal::unix::{SignalKind, signal};
use tracing::debug;

/// How long the registration may hold up the start.
const REGISTRATION_TIMEOUT: Duration = Duration::from_millis(500);

/// The name under which the extension is registered; unique within a function.
const EXTENSION_NAME: &str = "ddb-rollup-graceful-shutdown";

/// Waits, once polled, for SIGTERM or SIGINT, and tells which.
///
/// Lambda sends SIGTERM only to a function that has an extension, so one is registered that subscribes to nothing. Where
/// that cannot be done the function works all the same.
pub async fn requested() -> impl Future<Output = &'static str> {
    let registration = Extension::new().with_events(&[]).with_extension_name(EXTENSION_NAME).register();
    match tokio::time::timeout(REGISTRATION_TIMEOUT, registration).await {
        Ok(Ok(extension)) => {
            tokio::spawn(async move {
                if let Err(error) = extension.run().await {
                    debug!(%error, "the shutdown extension ended");
                }
            });
        }
        Ok(Err(error)) => debug!(%error, "no shutdown extension"),
        Err(_) => debug!("no shutdown extension: its registration was not answered"),
    }
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
