//! Why migrations could not be applied.

use std::io;

use super::decide::Refusal;
use super::definition::FileError;
use crate::config::ConfigError;
use crate::operate::agreement::AgreementError;
use crate::operate::audit::error::AuditError;
use crate::operate::error::TableError;

/// Why migrations could not be applied. What was changed before the error stays changed, and the next run skips it.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A setting is missing or invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A migration of this build is invalid.
    #[error(transparent)]
    File(#[from] FileError),
    /// The applied migrations do not match those of this build.
    #[error("no migration can be applied: {0}")]
    Refused(#[from] Refusal),
    /// The operator requested a stop.
    #[error(
        "stopped before {migration} was complete; run the same command again to continue: it skips what is already done"
    )]
    Stopped {
        /// The migration that was being applied.
        migration: String,
    },
    /// A table cannot be read or written.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The function counts under another definition, or that could not be checked.
    #[error(transparent)]
    Agreement(#[from] AgreementError),
    /// The source items could not be counted.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// Output or signal handling failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}
