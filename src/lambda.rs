//! A process that Lambda runs: what it needs of the environment, and the loop over its invocations.

use std::any::Any;
use std::env;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use chrono::Utc;
use futures_util::FutureExt;
use lambda_runtime_api_client::BoxError;
use serde::Serialize;
use tracing::{error, info, warn};

use crate::config::{self, ConfigError, ENDPOINTS, FUNCTION_NAME};
use crate::runtime_api::{Delivery, Failure, RuntimeApi};
use crate::{logging, shutdown, tls};

/// The variable that names the place of the Runtime API.
const RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";

/// A variable of the process's environment.
#[must_use]
pub fn variable(name: &str) -> Option<String> {
    env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// Logs as Lambda wants it and runs a function to its end; one that cannot start says why.
pub async fn run(function: impl Future<Output = Result<(), BoxError>>) -> ExitCode {
    logging::json(variable(logging::LAMBDA_LOG_LEVEL).as_deref());
    match function.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            error!("cannot start: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Warns of variables that look like a setting and are none of these.
pub fn warn_of_unknown(settings: &[&str]) {
    for variable in config::unknown(env::vars_os().filter_map(|(name, _)| name.into_string().ok()), settings) {
        warn!(variable, "no such setting, so it is ignored; there are {}", settings.join(", "));
    }
}

/// Takes invocations, one after another, until Lambda asks the process to end. One that panics fails alone.
///
/// # Errors
/// When the Runtime API cannot be asked any more.
pub async fn serve<T: Serialize>(invoke: impl AsyncFn(&Delivery) -> Result<T, Failure>) -> Result<(), BoxError> {
    let mut api = RuntimeApi::new(&env::var(RUNTIME_API)?)?;
    let stop = shutdown::requested().await;
    let serve = async {
        loop {
            let delivery = api.next(Utc::now).await?;
            let result = AssertUnwindSafe(invoke(&delivery)).catch_unwind().await;
            let result = result.unwrap_or_else(|panic| Err(panicked(&*panic)));
            api.answer(&delivery, &result).await?;
        }
    };
    tokio::select! {
        ended = serve => ended,
        signal = stop => {
            info!(signal, "stopped; what was in flight is delivered again");
            Ok(())
        }
    }
}

/// The next invocation is another one's: only this one fails. Standard error tells where it was.
fn panicked(panic: &(dyn Any + Send)) -> Failure {
    let words = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Failure { kind: "Rollup.Panic", message: format!("the function panicked: {}", words.unwrap_or("no message")) }
}

/// Lambda sets these: where one is missing, the process is not where it belongs.
///
/// # Errors
/// When one is missing.
pub fn require_runtime() -> Result<(), ConfigError> {
    for name in [RUNTIME_API, FUNCTION_NAME, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION"] {
        if env::var(name).is_err() {
            let accepted = "what Lambda sets; on your own machine, run `ddb-rollup local`";
            return Err(ConfigError::new(name, "", accepted));
        }
    }
    Ok(())
}

/// What the SDK needs, from the variables that Lambda sets. The SDK's own chain also knows files, other services and
/// services of the instance, none of which Lambda has, and makes the binary larger.
///
/// # Errors
/// When there is no Region.
pub fn sdk_config(variable: impl Fn(&str) -> Option<String>) -> Result<SdkConfig, ConfigError> {
    let region = variable("AWS_REGION")
        .or_else(|| variable("AWS_DEFAULT_REGION"))
        .ok_or_else(|| ConfigError::new("AWS_REGION", "", "the Region of the tables"))?;
    let on = |name: &str| variable(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let [every_service, dynamodb] = ENDPOINTS;
    let endpoint = variable(dynamodb).or_else(|| variable(every_service));
    let endpoint = endpoint.filter(|_| !on("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"));
    let plain = endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
    let http = if plain { aws_smithy_http_client::Builder::new().build_http() } else { tls::client() };
    let mut sdk = SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(region))
        .credentials_provider(SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new()))
        .use_fips(on("AWS_USE_FIPS_ENDPOINT"))
        .use_dual_stack(on("AWS_USE_DUALSTACK_ENDPOINT"))
        .http_client(http);
    sdk.set_endpoint_url(endpoint);
    Ok(sdk.build())
}
