//! Why an invocation of the auditor failed.

use super::event::EventError;
use crate::operate::agreement::AgreementError;
use crate::operate::audit::error::AuditError;
use crate::operate::error::TableError;

/// Why an invocation of the auditor failed.
#[derive(Debug, thiserror::Error)]
pub enum AuditorError {
    /// The event.
    #[error(transparent)]
    Event(#[from] EventError),
    /// A table, the stream or the definition.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// A slice cannot be scanned within a run: more slices would not help, as each scans whole tables.
    #[error(
        "one scan of the tables takes longer than a whole run of {seconds} seconds, and every slice needs one. Give the \
         function more time, memory or ROLLUP_AUDIT_MAX_READ_UNITS, or run the audit elsewhere: {command}"
    )]
    TooLarge {
        /// The time that a run has.
        seconds: u64,
        /// How to do it elsewhere.
        command: String,
    },
    /// The view items that differ cannot be looked at within a run, and the slice cannot be halved.
    #[error(
        "what differs in slice {slice} cannot be examined within a whole run of {seconds} seconds, or within its memory. \
         Audit more slices (ROLLUP_AUDIT_SLICES), give the function more time or memory, or run the audit elsewhere: {command}"
    )]
    TooMuchDiffers {
        /// The slice.
        slice: String,
        /// The time that a run has.
        seconds: u64,
        /// How to do it elsewhere.
        command: String,
    },
    /// Two runs at once.
    #[error("another run of the auditor is in progress and has moved the position; run one at a time")]
    OtherRun,
    /// Reports of workers.
    #[error(
        "the reports of {missing} of {of} slices of the run {run} are missing, the first of slice {first}. Run these slices \
         again with the same `run`, then `sum`"
    )]
    Missing {
        /// How many.
        missing: usize,
        /// How many there should be.
        of: u32,
        /// The run.
        run: String,
        /// The first one.
        first: String,
    },
}

impl From<TableError> for AuditorError {
    fn from(error: TableError) -> Self {
        Self::Audit(error.into())
    }
}

impl AuditorError {
    /// The kind of failure, as Lambda reports it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Event(_) => "Audit.Event",
            Self::Audit(AuditError::Agreement(AgreementError::Other { .. })) => "Audit.OtherDefinition",
            Self::Audit(_) => "Audit.Failed",
            Self::TooLarge { .. } => "Audit.TooLarge",
            Self::TooMuchDiffers { .. } => "Audit.TooMuchDiffers",
            Self::OtherRun => "Audit.OtherRun",
            Self::Missing { .. } => "Audit.Missing",
        }
    }

    /// Whether the auditor refuses to judge, as it would each time.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::TooLarge { .. } | Self::TooMuchDiffers { .. } => true,
            Self::Audit(error) => matches!(error, AuditError::Agreement(AgreementError::Other { .. })),
            _ => false,
        }
    }
}
