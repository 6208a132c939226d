//! Why migrations could not be applied.

use std::io;

use super::decide::Refusal;
use super::definition::FileError;
use crate::config::ConfigError;
use crate::operate::agreement::AgreementError;
use crate::operate::audit::error::AuditError;
use crate::operate::error::TableError;

/// Why migrations could not be applied. What was changed before the error stays changed; the next run skips it.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A setting of the environment.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A migration of this build.
    #[error(transparent)]
    File(#[from] FileError),
    /// The applied migrations do not match those of this build.
    #[error("no migration can be applied: {0}")]
    Refused(#[from] Refusal),
    /// The operator asked for it.
    #[error(
        "stopped before {migration} was complete; run the same command again to continue: it skips what is already done"
    )]
    Stopped {
        /// What was being applied.
        migration: String,
    },
    /// A table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The function works under another definition.
    #[error(transparent)]
    Agreement(#[from] AgreementError),
    /// Counting source items.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// Output, or signals.
    #[error(transparent)]
    Io(#[from] io::Error),
}
