//! Why an audit or a repair could not run to its end.

use std::io;
use std::path::PathBuf;

use crate::config::ConfigError;
use crate::handler::InvocationError;
use crate::operate::agreement::AgreementError;
use crate::operate::error::TableError;
use crate::operate::stream::StreamError;

/// Why an audit or a repair could not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A setting of the environment.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The stream.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The function works under another definition.
    #[error(transparent)]
    Agreement(#[from] AgreementError),
    /// The name of a view.
    #[error("--view {given}: the definition has no view of that name; its views are {known}")]
    View {
        /// What was given.
        given: String,
        /// The names that there are.
        known: String,
    },
    /// The key of one view item.
    #[error("--item {given} is not a key of the view table: {cause}; expected {wanted}")]
    Item {
        /// What was given.
        given: String,
        /// What is wrong with it.
        cause: String,
        /// What is accepted.
        wanted: &'static str,
    },
    /// A key that items of several tables can have.
    #[error(
        "--item {given} can be a key of several view tables: {tables}; choose one with --view NAME, where NAME is one of {views}"
    )]
    Ambiguous {
        /// What was given.
        given: String,
        /// The tables.
        tables: String,
        /// The views whose items can have such a key.
        views: String,
    },
    /// Applying records, in a repair.
    #[error(transparent)]
    Apply(#[from] InvocationError),
    /// The report for people.
    #[error("cannot write the report {file}: {cause}")]
    Html {
        /// The file.
        file: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// A report of a slice.
    #[error("cannot merge {file}: {cause}")]
    Merge {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// Output, or signals.
    #[error(transparent)]
    Io(#[from] io::Error),
}
