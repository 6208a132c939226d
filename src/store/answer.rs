//! What the SDK says of a request that failed, as a verdict.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_get_items::TransactGetItemsError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::CancellationReason as SdkReason;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use crate::rollup::Item;
use crate::rollup::pipeline::verdict::{self, CancellationReason, ErrorAnswer, Failure, RetryCause};

/// Classifies a failed request that is not a transaction.
pub fn failure<E: Error + ProvideErrorMetadata + 'static>(error: &SdkError<E, HttpResponse>) -> Failure {
    match error {
        SdkError::ServiceError(answer) => verdict::single(&error_answer(answer.err(), answer.raw())),
        other => unanswered(other),
    }
}

/// Classifies a failed transaction with this number of actions.
pub fn transaction_failure<E: Cancellable>(error: &SdkError<E, HttpResponse>, actions: usize) -> Failure {
    match error {
        SdkError::ServiceError(answer) => match answer.err().reasons() {
            Some(reasons) => {
                let reasons = reasons.iter().map(|reason| CancellationReason {
                    code: reason.code.clone(),
                    message: reason.message.clone(),
                    item: reason.item.clone().map(Item::from),
                });
                let mut reasons: Vec<_> = reasons.collect();
                if reasons.is_empty() {
                    reasons = verdict::reasons_in(answer.err().message().unwrap_or_default());
                }
                verdict::cancelled(reasons, actions)
            }
            None => verdict::error(&error_answer(answer.err(), answer.raw())),
        },
        other => unanswered(other),
    }
}

/// The error of a transactional operation.
pub trait Cancellable: Error + ProvideErrorMetadata + 'static {
    /// The cancellation reasons, one for each action; `None` if it is another error.
    fn reasons(&self) -> Option<&[SdkReason]>;
}

impl Cancellable for TransactWriteItemsError {
    fn reasons(&self) -> Option<&[SdkReason]> {
        match self {
            Self::TransactionCanceledException(cancelled) => Some(cancelled.cancellation_reasons()),
            _ => None,
        }
    }
}

impl Cancellable for TransactGetItemsError {
    fn reasons(&self) -> Option<&[SdkReason]> {
        match self {
            Self::TransactionCanceledException(cancelled) => Some(cancelled.cancellation_reasons()),
            _ => None,
        }
    }
}

fn error_answer(error: &impl ProvideErrorMetadata, raw: &HttpResponse) -> ErrorAnswer {
    ErrorAnswer {
        status: raw.status().as_u16(),
        code: error.code().map(str::to_owned),
        message: error.message().map(str::to_owned),
    }
}

/// A request without a readable answer. It may have been carried out; the token and the markers make a retry safe.
fn unanswered<E: Error + 'static>(error: &SdkError<E, HttpResponse>) -> Failure {
    match error {
        SdkError::TimeoutError(_) => Failure::Transient(RetryCause::Timeout),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => Failure::Transient(RetryCause::Timeout),
        SdkError::DispatchFailure(failure) => {
            let source = failure.as_connector_error().and_then(Error::source);
            if source.is_some_and(about_credentials) {
                Failure::Broken(format!("no credentials: {}", told(error)))
            } else if failure.is_user() {
                broken(error)
            } else {
                Failure::Transient(RetryCause::Connection)
            }
        }
        SdkError::ResponseError(_) => Failure::Transient(RetryCause::Connection),
        _ => broken(error),
    }
}

fn about_credentials(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| (*error).source()).any(<dyn Error>::is::<CredentialsError>)
}

pub(super) fn broken(error: &dyn Error) -> Failure {
    Failure::Broken(told(error))
}

/// An error with its causes.
fn told(error: &dyn Error) -> String {
    let chain = std::iter::successors(Some(error), |error| (*error).source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
