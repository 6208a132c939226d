//! Work on whatever thread is free.

use std::future::Future;
use std::panic::resume_unwind;

/// Does work on any thread, so that one request is written, or one answer read, beside another.
///
/// # Panics
/// When the work does.
pub(super) async fn on_any_thread<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(work).await {
        Ok(done) => done,
        Err(error) => resume_unwind(error.into_panic()),
    }
}
