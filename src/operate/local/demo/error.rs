//! Why the demo cannot go on.

use std::io;

use super::table::DemoTableError;
use crate::operate::local::running_stack::StackError;
use crate::operate::stream::StreamError;

/// Why the demo cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The engine with its tables.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// The stream cannot be read.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The engine refuses something.
    #[error(transparent)]
    Table(#[from] DemoTableError),
    /// The output cannot be written.
    #[error(transparent)]
    Output(#[from] io::Error),
}
