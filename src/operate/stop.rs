//! Ending long work when the operator asks for it.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;

/// Tells every [`Stop`] that it was made with.
#[derive(Debug)]
pub struct Stopper {
    stop: watch::Sender<bool>,
    scanned: Arc<AtomicBool>,
}

/// Whether to stop, to be looked at between steps that should not be cut in two.
#[derive(Debug, Clone)]
pub struct Stop {
    stop: watch::Receiver<bool>,
    scanned: Arc<AtomicBool>,
}

/// A way to stop work, and the side that the work looks at. Dropping the first stops too.
#[must_use]
pub fn stop() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(false);
    let scanned = Arc::<AtomicBool>::default();
    (Stopper { stop: sender, scanned: Arc::clone(&scanned) }, Stop { stop: receiver, scanned })
}

impl Stopper {
    /// Asks the work to stop.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Whether the work has read whole tables to their ends: what is left of it grows with what differs.
    #[must_use]
    pub fn tables_are_scanned(&self) -> bool {
        self.scanned.load(Ordering::Relaxed)
    }
}

impl Stop {
    /// The work has read whole tables to their ends.
    pub fn tables_scanned(&self) {
        self.scanned.store(true, Ordering::Relaxed);
    }

    /// Whether the work was asked to stop.
    #[must_use]
    pub fn requested(&self) -> bool {
        *self.stop.borrow() || self.stop.has_changed().is_err()
    }

    /// Returns when the work is asked to stop.
    pub async fn wait(&self) {
        let mut changes = self.stop.clone();
        // An error means that nobody is left who could ask.
        let _ = changes.wait_for(|stop| *stop).await;
    }

    /// Waits, at most until the work is asked to stop, and returns whether it was.
    pub async fn within(&self, time: Duration) -> bool {
        tokio::time::timeout(time, self.wait()).await.is_ok()
    }
}

/// Runs work that can stop on request: a signal asks it to stop, and does not drop it.
///
/// # Errors
/// When the work fails, or the system does not let the process listen for signals.
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

/// Returns at the first Ctrl-C, or at a SIGTERM where the system has such a thing.
///
/// # Errors
/// When the system does not let the process listen for signals.
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
