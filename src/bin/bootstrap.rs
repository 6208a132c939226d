//! The Lambda function: configuration, client, handler.

use std::env;
use std::process::ExitCode;

use aws_lambda_events::event::streams::DynamoDbEventResponse;
use chrono::Utc;
use ddb_rollup::config::{self, Config, FUNCTION_NAME};
use ddb_rollup::handler::{Invocation, Rollup};
use ddb_rollup::randomness::OsRandomness;
use ddb_rollup::rollup::model::marker::Environment;
use ddb_rollup::rollup::pipeline::parse::EventError;
use ddb_rollup::runtime_api::{Delivery, Failure};
use ddb_rollup::store::DynamoStore;
use ddb_rollup::xray::{self, Traced};
use ddb_rollup::{lambda, logging, metrics};
use lambda_runtime_api_client::BoxError;
use tracing::error;

type Function = Rollup<Traced<DynamoStore, OsRandomness>, OsRandomness>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    lambda::run(function, invoke).await
}

fn function() -> Result<Function, BoxError> {
    lambda::warn_of_unknown(&config::SETTINGS);
    let started_at = Utc::now();
    let config = Config::read(lambda::variable)?;
    lambda::require_runtime()?;
    let sdk = lambda::sdk_config(lambda::variable)?;
    let store = DynamoStore::new(&sdk, config.definition.clone(), &config.idempotency_table);
    let daemon = lambda::variable(xray::DAEMON_ADDRESS);
    let store = Traced::new(store, OsRandomness, Utc::now, daemon.as_deref());
    let name = env::var(FUNCTION_NAME)?;
    let environment = Environment { function: name.clone(), started_at };
    let rollup = Rollup::new(config, store, OsRandomness).running_in(environment);
    Ok(rollup.observed(move |invocation, summary| {
        logging::line(&metrics::line(summary, &name, &invocation.request_id, invocation.now));
    }))
}

async fn invoke(rollup: &Function, delivery: &Delivery) -> Result<DynamoDbEventResponse, Failure> {
    let Delivery { request_id, trace_id, time_left, event, .. } = delivery;
    rollup.store().begin(trace_id.as_deref());
    let invocation = Invocation { request_id: request_id.clone(), now: Utc::now(), time_left: *time_left };
    let result = match std::str::from_utf8(event) {
        Ok(event) => rollup.handle(event, &invocation).await,
        Err(error) => Err(EventError::NotText { bytes: error.valid_up_to() }.into()),
    };
    result.map_err(|failure| {
        error!(request_id, "invocation failed: {failure}");
        Failure { kind: failure.kind(), message: failure.to_string() }
    })
}
