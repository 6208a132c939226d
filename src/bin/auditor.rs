//! The auditor's Lambda function: settings, client, invocations.

use std::env;
use std::process::ExitCode;

use ddb_rollup::auditor::{AUDIT_SETTINGS, Auditor, AuditorSettings};
use ddb_rollup::config::{Config, FUNCTION_NAME};
use ddb_rollup::{lambda, logging};
use lambda_runtime_api_client::BoxError;
use tracing::error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    logging::json(env::var(logging::LAMBDA_LOG_LEVEL).ok().as_deref());
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            error!("cannot start: {message}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), BoxError> {
    lambda::warn_of_unknown(&AUDIT_SETTINGS);
    let config = Config::read(lambda::variable)?;
    let settings = AuditorSettings::read(lambda::variable)?;
    lambda::require_runtime()?;
    let sdk = lambda::sdk_config(lambda::variable)?;
    let auditor = &Auditor::new(sdk, config, settings, env::var(FUNCTION_NAME)?);
    lambda::serve(async |delivery| auditor.invoke(delivery).await).await
}
