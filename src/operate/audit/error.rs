//! Why an audit or a repair could not be completed.

use std::io;
use std::path::PathBuf;

use crate::config::ConfigError;
use crate::handler::InvocationError;
use crate::operate::agreement::AgreementError;
use crate::operate::error::TableError;
use crate::operate::stream::StreamError;

/// Why an audit or a repair could not be completed.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A setting is missing or invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A table cannot be used.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The stream cannot be read.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The function counts under another definition, or that could not be checked.
    #[error(transparent)]
    Agreement(#[from] AgreementError),
    /// `--view` names a view that the definition does not have.
    #[error("--view {given}: the definition has no view of that name; its views are {known}")]
    View {
        /// What was given.
        given: String,
        /// The names that exist.
        known: String,
    },
    /// `--item` is not a key of a view item.
    #[error("--item {given} is not a key of the view table: {cause}; expected {wanted}")]
    Item {
        /// What was given.
        given: String,
        /// What is wrong with it.
        cause: String,
        /// What is expected.
        wanted: &'static str,
    },
    /// `--item` can be a key of several tables.
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
    /// A repair could not apply records.
    #[error(transparent)]
    Apply(#[from] InvocationError),
    /// The HTML report cannot be written.
    #[error("cannot write the report {file}: {cause}")]
    Html {
        /// The file.
        file: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// A file for `--merge` is not the report of a slice.
    #[error("cannot merge {file}: {cause}")]
    Merge {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// Output or signal handling failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}
