//! Why a replay could not run to its end.

use std::io;
use std::path::PathBuf;

use crate::config::ConfigError;
use crate::handler::InvocationError;
use crate::operate::agreement::AgreementError;
use crate::operate::audit::error::AuditError;
use crate::operate::error::TableError;
use crate::operate::stream::StreamError;

/// Why a replay could not run to its end. What it had applied by then stays applied; run it again.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A setting of the environment.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The file.
    #[error("cannot read {file}: {cause}")]
    File {
        file: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// Records of a file without a creation time: their markers may be gone.
    #[error(
        "{undated} of the {records} records in {file} have no creation time. A record that is older than the retention of \
         markers may be counted twice, so nothing was applied. If all of them are newer, add --assume-recent"
    )]
    Undated {
        file: PathBuf,
        /// How many of its records do not tell.
        undated: usize,
        records: usize,
    },
    /// The queue.
    #[error("cannot {action} the queue {url}: {cause}")]
    Queue {
        /// What was tried.
        action: &'static str,
        /// The queue.
        url: String,
        /// What the service said.
        cause: String,
    },
    /// The stream.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The source table has no stream, or cannot be seen.
    #[error("cannot find the stream of the table {table}: {cause}")]
    NoStream {
        table: String,
        /// What is wrong.
        cause: String,
    },
    /// The function works under another definition.
    #[error(transparent)]
    Agreement(#[from] AgreementError),
    /// A table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The records cannot be applied at all.
    #[error(transparent)]
    Invocation(#[from] InvocationError),
    /// Looking for the view items that records which are gone belong to.
    #[error("cannot list the view items to repair: {0}")]
    Audit(#[from] Box<AuditError>),
    /// Output, or signals.
    #[error(transparent)]
    Io(#[from] io::Error),
}
