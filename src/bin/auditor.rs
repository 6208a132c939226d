//! The auditor's Lambda function: settings, client, invocations.

use std::env;
use std::process::ExitCode;

use ddb_rollup::auditor::{AUDIT_SETTINGS, Auditor, AuditorSettings};
use ddb_rollup::config::{Config, FUNCTION_NAME};
use ddb_rollup::lambda;
use ddb_rollup::runtime_api::Delivery;
use lambda_runtime_api_client::BoxError;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    lambda::run(auditor, async |auditor: &Auditor, delivery: &Delivery| auditor.invoke(delivery).await).await
}

fn auditor() -> Result<Auditor, BoxError> {
    lambda::warn_of_unknown(&AUDIT_SETTINGS);
    let config = Config::read(lambda::variable)?;
    let settings = AuditorSettings::read(lambda::variable)?;
    lambda::require_runtime()?;
    let sdk = lambda::sdk_config(lambda::variable)?;
    Ok(Auditor::new(sdk, config, settings, env::var(FUNCTION_NAME)?))
}
