//! Why a replay could not be completed.

use std::io;
use std::path::PathBuf;

use crate::config::ConfigError;
use crate::handler::InvocationError;
use crate::operate::agreement::AgreementError;
use crate::operate::audit::error::AuditError;
use crate::operate::error::TableError;
use crate::operate::stream::StreamError;

/// Why a replay could not be completed. What it applied before the error stays applied, so it is safe to run again.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A setting is missing or invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The file cannot be read.
    #[error("cannot read {file}: {cause}")]
    File {
        file: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// Records of a file have no creation time, so their markers may have expired.
    #[error(
        "{undated} of the {records} records in {file} have no creation time. A record that is older than the retention of \
         markers may be counted twice, so nothing was applied. If all of them are newer, add --assume-recent"
    )]
    Undated {
        file: PathBuf,
        /// Number of its records without a creation time.
        undated: usize,
        records: usize,
    },
    /// The queue cannot be read or changed.
    #[error("cannot {action} the queue {url}: {cause}")]
    Queue {
        /// The attempted action.
        action: &'static str,
        /// The queue's URL.
        url: String,
        /// The service's message.
        cause: String,
    },
    /// The stream cannot be read.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The source table has no stream, or cannot be described.
    #[error("cannot find the stream of the table {table}: {cause}")]
    NoStream {
        table: String,
        /// Why.
        cause: String,
    },
    /// The function counts under another definition, or that could not be checked.
    #[error(transparent)]
    Agreement(#[from] AgreementError),
    /// A table cannot be read or written.
    #[error(transparent)]
    Table(#[from] TableError),
    /// No record can be applied.
    #[error(transparent)]
    Invocation(#[from] InvocationError),
    /// The view items of records that are gone could not be found.
    #[error("cannot list the view items to repair: {0}")]
    Audit(#[from] Box<AuditError>),
    /// Output or signal handling failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}
