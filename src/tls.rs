//! HTTPS, whose certificates are read beside the start.
//!
//! The SDK reads the authorities' certificates when a client is made, and they are more than half of a start. Nothing is sent
//! to DynamoDB before there is an event, so a thread reads them once the function has asked for its first one. A request to
//! DynamoDB that comes sooner waits for the rest.

use std::thread;

use aws_sdk_dynamodb::config::ConfigBag;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{HttpClient, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector};
use aws_smithy_runtime_api::client::runtime_components::{RuntimeComponents, RuntimeComponentsBuilder};

/// A client for endpoints with TLS, which trusts the authorities that the system trusts.
#[must_use]
pub fn client() -> SharedHttpClient {
    SharedHttpClient::new(ReadBeside(unread()))
}

/// Reads the authorities' certificates on a thread of its own, for all clients of the process.
pub fn read_certificates() {
    // Without the thread, the first request reads them.
    let _ = thread::Builder::new().name("certificates".to_owned()).spawn(|| {
        // The SDK keeps what it reads for the whole process. The answer says nothing: it is that of a settings check.
        let builder = RuntimeComponentsBuilder::new("certificates");
        let _ = unread().validate_base_client_config(&builder, &ConfigBag::base());
    });
}

fn unread() -> SharedHttpClient {
    Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}

/// A client that is not made ready by those who are given it.
#[derive(Debug)]
struct ReadBeside(SharedHttpClient);

impl HttpClient for ReadBeside {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        self.0.http_connector(settings, components)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.0.connector_metadata()
    }
}
