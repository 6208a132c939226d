//! A process that Lambda runs: what it needs of the environment, and the loop over its invocations.

use std::any::Any;
use std::env;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::Arc;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use chrono::Utc;
use futures_util::FutureExt;
use lambda_runtime_api_client::{BoxError, PooledClient};
use serde::Serialize;
use tracing::{error, info, warn};

use crate::config::{self, ConfigError, ENDPOINTS, FUNCTION_NAME};
use crate::runtime_api::{Delivery, Failure, RuntimeApi};
use crate::shutdown::Registration;
use crate::{logging, shutdown, tls};

/// The variable that names the place of the Runtime API.
const RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";

/// A variable of the process's environment.
#[must_use]
pub fn variable(name: &str) -> Option<String> {
    env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// Sets up the log, makes the function, and serves its invocations until Lambda ends the process. If the function cannot
/// be made, the log says why.
pub async fn run<F: Send + 'static, T: Serialize>(
    make: impl FnOnce() -> Result<F, BoxError> + Send + 'static,
    invoke: impl AsyncFn(&F, &Delivery) -> Result<T, Failure>,
) -> ExitCode {
    logging::json(variable(logging::LAMBDA_LOG_LEVEL).as_deref());
    match Box::pin(serve(make, invoke)).await {
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
        warn!(variable, "no such setting, so it is ignored; the settings are {}", settings.join(", "));
    }
}

/// Makes the function while the shutdown extension registers. Then takes invocations, one after another, until Lambda
/// asks the process to end. An invocation that panics fails alone.
async fn serve<F: Send + 'static, T: Serialize>(
    make: impl FnOnce() -> Result<F, BoxError> + Send + 'static,
    invoke: impl AsyncFn(&F, &Delivery) -> Result<T, Failure>,
) -> Result<(), BoxError> {
    // On another thread, because this one sends the registration at the same time.
    let function = tokio::task::spawn_blocking(make);
    // Without an address, nothing registers, and `make` reports the missing variable.
    let address = variable(RUNTIME_API).unwrap_or_default();
    let client = address.parse().map(|address| Arc::new(PooledClient::builder().with_endpoint(address).build()));
    let mut registration = client.as_ref().ok().map(|client| Registration::begin(Arc::clone(client)));
    let function = function.await??;
    let mut api = RuntimeApi::new(client?);
    if let Some(registration) = &mut registration {
        registration.ended().await;
    }
    let serve = async {
        loop {
            let delivery = api.next(Utc::now).await?;
            let result = AssertUnwindSafe(invoke(&function, &delivery)).catch_unwind().await;
            let result = result.unwrap_or_else(|panic| Err(panicked(&*panic)));
            api.answer(&delivery, &result).await?;
        }
    };
    // A signal may come as soon as the first request for an invocation is sent.
    let signal = shutdown::requested();
    let stop = async {
        // The request for the first invocation goes first: all that follows would delay it.
        tokio::task::yield_now().await;
        drop(registration);
        if secured(endpoint(variable).as_deref()) {
            tls::read_certificates();
        }
        signal.await
    };
    tokio::select! {
        biased;
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
    let endpoint = endpoint(&variable);
    let secured = secured(endpoint.as_deref());
    let http = if secured { tls::client() } else { aws_smithy_http_client::Builder::new().build_http() };
    let mut sdk = SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(region))
        .credentials_provider(SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new()))
        .use_fips(is_on(&variable, "AWS_USE_FIPS_ENDPOINT"))
        .use_dual_stack(is_on(&variable, "AWS_USE_DUALSTACK_ENDPOINT"))
        .http_client(http);
    sdk.set_endpoint_url(endpoint);
    Ok(sdk.build())
}

/// The endpoint in place of the Region's, if one is set.
fn endpoint(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let [every_service, dynamodb] = ENDPOINTS;
    let endpoint = variable(dynamodb).or_else(|| variable(every_service));
    endpoint.filter(|_| !is_on(&variable, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"))
}

/// Whether requests to an endpoint are by TLS. The Region's own endpoint is.
fn secured(endpoint: Option<&str>) -> bool {
    !endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"))
}

fn is_on(variable: impl Fn(&str) -> Option<String>, name: &str) -> bool {
    variable(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}
