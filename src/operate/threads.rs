//! Runs work on any free thread.

use std::future::Future;
use std::panic::resume_unwind;

/// Runs work on any free thread, so that one request can be built, or one answer parsed, while another is.
///
/// # Panics
/// When the work panics.
pub(super) async fn on_any_thread<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(work).await {
        Ok(done) => done,
        Err(error) => resume_unwind(error.into_panic()),
    }
}
