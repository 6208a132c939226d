//! Stops long work when the operator asks for it.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;

/// Requests a stop from every [`Stop`] that was created with it.
#[derive(Debug)]
pub struct Stopper {
    stop: watch::Sender<bool>,
    scanned: Arc<AtomicBool>,
}

/// Whether a stop is requested. Work checks it between steps that must not be interrupted.
#[derive(Debug, Clone)]
pub struct Stop {
    stop: watch::Receiver<bool>,
    scanned: Arc<AtomicBool>,
}

/// Creates a pair: the side that requests a stop, and the side that the work checks. Dropping the first side requests a
/// stop too.
#[must_use]
pub fn stop() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(false);
    let scanned = Arc::<AtomicBool>::default();
    (Stopper { stop: sender, scanned: Arc::clone(&scanned) }, Stop { stop: receiver, scanned })
}

impl Stopper {
    /// Requests a stop.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Whether the work has read whole tables to their ends. From then on, the remaining time depends on the number of
    /// view items that differ.
    #[must_use]
    pub fn tables_are_scanned(&self) -> bool {
        self.scanned.load(Ordering::Relaxed)
    }
}

impl Stop {
    /// Notes that the work has read whole tables to their ends.
    pub fn tables_scanned(&self) {
        self.scanned.store(true, Ordering::Relaxed);
    }

    /// Whether a stop is requested.
    #[must_use]
    pub fn requested(&self) -> bool {
        *self.stop.borrow() || self.stop.has_changed().is_err()
    }

    /// Waits until a stop is requested.
    pub async fn wait(&self) {
        let mut changes = self.stop.clone();
        // An error means that the other side is gone, which is a stop too.
        let _ = changes.wait_for(|stop| *stop).await;
    }

    /// Waits for `time`, or until a stop is requested. Returns whether it was.
    pub async fn within(&self, time: Duration) -> bool {
        tokio::time::timeout(time, self.wait()).await.is_ok()
    }
}

/// Runs work that can stop on request. A signal requests a stop and does not cancel the work.
///
/// # Errors
/// When the work fails, or the process cannot listen for signals.
pub async fn until_stopped<T, E: From<io::Error>>(work: impl AsyncFnOnce(&Stop) -> Result<T, E>) -> Result<T, E> {
    let (stopper, stop) = stop();
    let signal = signal()?;
    let work = work(&stop);
    tokio::pin!(work);
    tokio::select! {
        ended = &mut work => ended,
        () = signal => {
            stopper.stop();
            work.await
        }
    }
}

/// Returns at the first Ctrl-C, or at a SIGTERM on systems that have it.
///
/// # Errors
/// When the process cannot listen for signals.
pub fn signal() -> io::Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    #[cfg(unix)]
    let mut interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
    Ok(async move {
        #[cfg(unix)]
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
    })
}
