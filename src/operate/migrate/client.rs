//! The client of work that runs long beside live writers: it waits where they stand in its way.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::interceptors::InterceptorContext;
use aws_sdk_dynamodb::config::retry::{ClassifyRetry, RetryAction, RetryConfig};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;

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
        let error =
            context.output_or_error().and_then(|answer| answer.err()).and_then(|error| error.as_operation_error());
        let Some(error) = error else { return RetryAction::NoActionIndicated };
        let met = match (error.downcast_ref::<UpdateItemError>(), error.downcast_ref::<TransactWriteItemsError>()) {
            (Some(UpdateItemError::TransactionConflictException(_)), _) => true,
            (_, Some(TransactWriteItemsError::TransactionCanceledException(cancelled))) => {
                let conflict = |code: Option<&str>| code == Some("TransactionConflict");
                cancelled.cancellation_reasons().iter().any(|reason| conflict(reason.code()))
            }
            _ => false,
        };
        if met { RetryAction::throttling_error() } else { RetryAction::NoActionIndicated }
    }

    fn name(&self) -> &'static str {
        "what a transaction was in the way of"
    }
}
