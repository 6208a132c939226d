//! The client of work that runs long beside live writers: it waits where they stand in its way.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::interceptors::InterceptorContext;
use aws_sdk_dynamodb::config::retry::{ClassifyRetry, RetryAction, RetryConfig};
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_smithy_runtime_api::client::interceptors::context::Error;

/// How often one request is sent, at the most: with the SDK's waits, about two minutes of throttling.
const ATTEMPTS: u32 = 12;

/// A client that repeats what a live transaction was in the way of, besides what the SDK repeats anyway.
#[must_use]
pub fn patient(sdk: &SdkConfig) -> Client {
    let config = aws_sdk_dynamodb::config::Builder::from(sdk)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .retry_classifier(Conflicts)
        .build();
    Client::from_conf(config)
}

/// The SDK does not repeat a request that met a transaction.
#[derive(Debug)]
struct Conflicts;

impl ClassifyRetry for Conflicts {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let error = context.output_or_error().and_then(Result::err).and_then(|error| error.as_operation_error());
        match error {
            Some(error) if met_a_transaction(error) => RetryAction::throttling_error(),
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "what a transaction was in the way of"
    }
}

fn met_a_transaction(error: &Error) -> bool {
    let cancelled = match error.downcast_ref() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => cancelled.cancellation_reasons(),
        _ => &[],
    };
    cancelled.iter().any(|reason| reason.code() == Some("TransactionConflict"))
        || matches!(error.downcast_ref(), Some(UpdateItemError::TransactionConflictException(_)))
        || matches!(error.downcast_ref(), Some(PutItemError::TransactionConflictException(_)))
        || matches!(error.downcast_ref(), Some(DeleteItemError::TransactionConflictException(_)))
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::CancellationReason;
    use aws_sdk_dynamodb::types::error::{
        ConditionalCheckFailedException, TransactionCanceledException, TransactionConflictException,
    };

    use super::*;

    #[test]
    fn a_request_is_repeated_that_met_a_transaction_and_no_other() {
        let conflict = || TransactionConflictException::builder().build();
        let cancelled = |codes: &[&str]| {
            let reason = |code: &&str| CancellationReason::builder().code(*code).build();
            let reasons = Some(codes.iter().map(reason).collect());
            let cancelled = TransactionCanceledException::builder().set_cancellation_reasons(reasons).build();
            Error::erase(TransactWriteItemsError::TransactionCanceledException(cancelled))
        };
        let failed = ConditionalCheckFailedException::builder().build();
        for (error, expected) in [
            (Error::erase(UpdateItemError::TransactionConflictException(conflict())), true),
            (Error::erase(PutItemError::TransactionConflictException(conflict())), true),
            (Error::erase(DeleteItemError::TransactionConflictException(conflict())), true),
            (Error::erase(UpdateItemError::ConditionalCheckFailedException(failed)), false),
            (cancelled(&["TransactionConflict", "None"]), true),
            (cancelled(&["None", "ConditionalCheckFailed"]), false),
        ] {
            assert_eq!(met_a_transaction(&error), expected, "{error:?}");
        }
    }
}
