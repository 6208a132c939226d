//! The report of a whole pass, put into a bucket: as JSON and as a page.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::timeout::TimeoutConfig;
use chrono::{DateTime, Utc};
use lambda_runtime_api_client::BoxError;
use serde_json::Value;
use tracing::error;

use super::Auditor;
use super::page::page;
use crate::operate::clock::now;
use crate::operate::error::error_chain;

/// What a bucket answers when it does not take an object.
#[derive(Debug, thiserror::Error)]
#[error("the bucket answers {status}: {body}")]
struct Refused {
    status: u16,
    body: String,
}

/// How long a bucket may take to answer: a run is nearly at its end.
const PUT_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of an answer that the log quotes.
const TOLD_BYTES: usize = 300;

impl Auditor {
    /// Puts the report of a pass into a bucket. The pass is whole without it, so a failed write is a line of
    /// the log and fails nothing.
    pub(super) async fn put_report(&self, bucket: &str, report: &Value, summary: &Value) {
        let now = now();
        let folder = format!("ddb-rollup/{}/{}", self.teller.function(), now.format("%Y-%m-%dT%H-%M-%SZ"));
        let whole = serde_json::json!({ "summary": summary, "report": report });
        let page = page(&self.config.definition, report, summary);
        for (name, kind, body) in
            [("audit.json", "application/json", whole.to_string()), ("report.html", "text/html; charset=utf-8", page)]
        {
            let object = Object { path: format!("/{bucket}/{folder}/{name}"), kind, body };
            let put = object.put(&self.sdk, self.settings.bucket_endpoint.as_deref(), now);
            match tokio::time::timeout(PUT_TIMEOUT, put).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    error!(bucket, "the report cannot be put into the bucket: {}", error_chain(&*error));
                }
                Err(_) => error!(bucket, "the report cannot be put into the bucket: it does not answer"),
            }
        }
    }
}

/// What is put.
struct Object {
    /// The bucket and the key, which have only letters that need no escape. The bucket is in the path, as the name of one may
    /// have dots, which no certificate has.
    path: String,
    /// The type of its content.
    kind: &'static str,
    body: String,
}

impl Object {
    async fn put(self, sdk: &SdkConfig, endpoint: Option<&str>, now: DateTime<Utc>) -> Result<(), BoxError> {
        let region = sdk.region().map_or("us-east-1", |region| region.as_ref());
        let endpoint = endpoint.map_or_else(|| service(region), |endpoint| endpoint.trim_end_matches('/').to_owned());
        let request = self.signed(sdk, region, &endpoint, now).await?;
        let client = sdk.http_client().ok_or("the process has no client for HTTP")?;
        let operation = Operation::builder()
            .service_name("s3")
            .operation_name("PutObject")
            .http_client(client)
            .endpoint_url(&endpoint)
            .no_auth()
            .no_retry()
            .timeout_config(TimeoutConfig::disabled())
            .serializer(|request: HttpRequest| Ok(request))
            .deserializer(taken)
            .build();
        Ok(operation.invoke(HttpRequest::try_from(request)?).await?)
    }

    /// The request, with the signature that S3 asks for ("Signature Calculations for the Authorization Header", S3 API
    /// reference).
    async fn signed(
        &self,
        sdk: &SdkConfig,
        region: &str,
        endpoint: &str,
        now: DateTime<Utc>,
    ) -> Result<http::Request<SdkBody>, BoxError> {
        let Self { path, kind, body } = self;
        let credentials = sdk.credentials_provider().ok_or("the process has no credentials")?;
        let identity = credentials.provide_credentials().await?.into();
        let mut settings = SigningSettings::default();
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let parameters = v4::SigningParams::builder().identity(&identity).region(region).name("s3").time(now.into());
        let parameters = parameters.settings(settings).build()?.into();
        let headers = [("content-type", *kind)].into_iter();
        let url = format!("{endpoint}{path}");
        let signable = SignableRequest::new("PUT", url, headers, SignableBody::Bytes(body.as_bytes()))?;
        let (instructions, _) = sign(signable, &parameters)?.into_parts();
        let mut request = http::Request::put(path).header("content-type", *kind).body(SdkBody::from(body.as_str()))?;
        instructions.apply_to_request_http1x(&mut request);
        Ok(request)
    }
}

/// The service's own endpoint.
fn service(region: &str) -> String {
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://s3.{region}.{domain}")
}

fn taken(response: &HttpResponse) -> Result<(), OrchestratorError<Refused>> {
    if response.status().is_success() {
        return Ok(());
    }
    let body = response.body().bytes().unwrap_or_default();
    let body = String::from_utf8_lossy(&body[..body.len().min(TOLD_BYTES)]).into_owned();
    Err(OrchestratorError::operation(Refused { status: response.status().as_u16(), body }))
}
