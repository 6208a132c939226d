//! Ending long work when the operator asks for it.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::sync::watch;

/// Tells every [`Stop`] that it was made with.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

/// Whether to stop, to be looked at between steps that should not be cut in two.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

/// A way to stop work, and the side that the work looks at. Dropping the first stops too.
#[must_use]
pub fn stop() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(false);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    /// Asks the work to stop.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Whether the work was asked to stop.
    #[must_use]
    pub fn requested(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// Returns when the work is asked to stop.
    pub async fn wait(&self) {
        let mut changes = self.0.clone();
        // An error means that nobody is left who could ask.
        let _ = changes.wait_for(|stop| *stop).await;
    }

    /// Waits, at most until the work is asked to stop, and tells whether it was.
    pub async fn within(&self, time: Duration) -> bool {
        tokio::time::timeout(time, self.wait()).await.is_ok()
    }
}

/// Does work that comes to an end of its own when the operator asks for it: at a signal it is told to stop, not dropped.
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
