//! Why a request failed, for an operator.

use std::error::Error;
use std::fmt::Write as _;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

/// A table could not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot {action} the table {table}: {cause}")]
pub struct TableError {
    /// The attempted action.
    pub action: &'static str,
    pub table: String,
    /// The service's message, or the cause of the failure.
    pub cause: String,
}

impl TableError {
    pub(crate) fn new(action: &'static str, table: &str, cause: impl std::fmt::Display) -> Self {
        Self { action, table: table.to_owned(), cause: cause.to_string() }
    }
}

/// Why a request failed, in one line: the service's code and message if it answered, and otherwise the chain of causes.
pub fn failure_text<E, R>(error: &SdkError<E, R>) -> String
where
    E: Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug,
{
    if let Some((code, message)) = error.as_service_error().and_then(|error| error.code().zip(error.message())) {
        return format!("{code}: {message}");
    }
    error_chain(error)
}

/// An error with its causes, in one line.
pub fn error_chain(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut link = error.source();
    while let Some(error) = link {
        let _ = write!(words, ": {error}");
        link = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::error::{ConnectorError, ErrorMetadata};
    use aws_sdk_dynamodb::operation::describe_table::DescribeTableError;

    use super::*;

    #[test]
    fn a_service_is_quoted_and_a_connection_told_to_its_root() {
        let said = ErrorMetadata::builder().code("AccessDeniedException").message("not for you").build();
        let refused: SdkError<_, ()> = SdkError::service_error(DescribeTableError::generic(said), ());
        assert_eq!(failure_text(&refused), "AccessDeniedException: not for you");

        let root = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let failed: SdkError<DescribeTableError, ()> = SdkError::dispatch_failure(ConnectorError::io(root.into()));
        assert_eq!(failure_text(&failed), "dispatch failure: io error: connection refused");
    }
}
