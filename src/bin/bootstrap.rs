//! The Lambda function: configuration, client, handler.

use std::any::Any;
use std::env;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_lambda_events::event::streams::DynamoDbEventResponse;
use chrono::Utc;
use ddb_rollup::commit::{Randomness, Store};
use ddb_rollup::config::{self, Config, ConfigError, ENDPOINTS, FUNCTION_NAME};
use ddb_rollup::handler::{Invocation, Rollup};
use ddb_rollup::randomness::OsRandomness;
use ddb_rollup::rollup::model::marker::Environment;
use ddb_rollup::rollup::pipeline::parse::EventError;
use ddb_rollup::runtime_api::{Delivery, Failure, RuntimeApi};
use ddb_rollup::store::DynamoStore;
use ddb_rollup::xray::{self, Traced};
use ddb_rollup::{logging, metrics, shutdown, tls};
use futures_util::FutureExt;
use lambda_runtime_api_client::BoxError;
use tracing::{error, info, warn};

/// The variable that names the place of the Runtime API.
const RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";

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
    for variable in config::unknown(env::vars_os().filter_map(|(name, _)| name.into_string().ok())) {
        warn!(variable, "no such setting, so it is ignored; there are {}", config::SETTINGS.join(", "));
    }
    let started_at = Utc::now();
    let variable = |name: &str| env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let config = Config::read(variable)?;
    require_runtime()?;
    let sdk = sdk_config(variable)?;
    let store = DynamoStore::new(&sdk, config.definition.clone(), &config.idempotency_table);
    let name = env::var(FUNCTION_NAME)?;
    let daemon = env::var(xray::DAEMON_ADDRESS).ok();
    let store = &Traced::new(store, OsRandomness, Utc::now, daemon.as_deref());
    let environment = Environment { function: name.clone(), started_at };
    let rollup =
        &Rollup::new(config, store, OsRandomness).running_in(environment).observed(move |invocation, summary| {
            logging::line(&metrics::line(summary, &name, &invocation.request_id, invocation.now));
        });

    let mut api = RuntimeApi::new(&env::var(RUNTIME_API)?)?;
    let stop = shutdown::requested().await;
    let serve = async {
        loop {
            let delivery = api.next(Utc::now).await?;
            store.begin(delivery.trace_id.as_deref());
            let result = AssertUnwindSafe(invoke(rollup, &delivery)).catch_unwind().await;
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

async fn invoke<S: Store, R: Randomness>(
    rollup: &Rollup<S, R>,
    delivery: &Delivery,
) -> Result<DynamoDbEventResponse, Failure> {
    let Delivery { request_id, time_left, event, .. } = delivery;
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

/// The next invocation is another one's: only this one fails. Standard error tells where it was.
fn panicked(panic: &(dyn Any + Send)) -> Failure {
    let words = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Failure { kind: "Rollup.Panic", message: format!("the function panicked: {}", words.unwrap_or("no message")) }
}

/// Lambda sets these: where one is missing, the process is not where it belongs.
fn require_runtime() -> Result<(), ConfigError> {
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
fn sdk_config(variable: impl Fn(&str) -> Option<String>) -> Result<SdkConfig, ConfigError> {
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
