//! An endpoint with TLS, as AWS has them: authorities are trusted, and nobody else.

use std::sync::Arc;
use std::time::Duration;

use rcgen::CertifiedKey;
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::{AMPLE, event, landmarks};
use crate::engine::{Engine, sequence_number};
use crate::runtime_api::{Ended, Sandbox, Settings};

/// A name of this machine that certificates can be made out to.
const HOST: &str = "localhost";

/// An engine behind TLS, with a certificate that is its own authority.
struct Secured {
    url: String,
    certificate: NamedTempFile,
    server: JoinHandle<()>,
}

impl Drop for Secured {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Secured {
    async fn start(engine: &Engine) -> Self {
        let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed([HOST.to_owned()]).unwrap();
        let certificate = NamedTempFile::new().unwrap();
        std::fs::write(certificate.path(), cert.pem()).unwrap();
        let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert.der().clone()], key);
        let acceptor = TlsAcceptor::from(Arc::new(config.unwrap()));

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{HOST}:{}", listener.local_addr().unwrap().port());
        let engine = engine.url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let server = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, engine) = (acceptor.clone(), engine.clone());
                tokio::spawn(async move {
                    let mut secured = acceptor.accept(socket).await?;
                    copy_bidirectional(&mut secured, &mut TcpStream::connect(engine).await?).await
                });
            }
        });
        Self { url, certificate, server }
    }

    /// What makes a process trust these certificates and no others.
    fn settings(&self, engine: &Engine, trusted: &NamedTempFile) -> Settings {
        Settings::on(engine).with("AWS_ENDPOINT_URL", &self.url).with("SSL_CERT_FILE", trusted.path().to_str().unwrap())
    }
}

#[tokio::test]
async fn an_endpoint_of_an_authority_that_the_system_trusts_is_counted_on() {
    let (engine, records) = landmarks(150).await;
    let secured = Secured::start(&engine).await;
    let sandbox = Sandbox::ready(&secured.settings(&engine, &secured.certificate)).await;

    assert_eq!(sandbox.invoke(&event(&records), AMPLE).await, Ended::nothing_failed());
    assert_eq!(sandbox.invoke(&event(&records[..1]), AMPLE).await, Ended::nothing_failed());
    engine.assert_exact().await;
    assert_eq!(engine.counters("Seattle").await.unwrap().total, 150);
}

#[tokio::test]
async fn an_endpoint_of_nobody_who_is_trusted_gets_nothing_and_all_is_delivered_again() {
    let (engine, records) = landmarks(3).await;
    let (secured, other) = (Secured::start(&engine).await, Secured::start(&engine).await);
    let sandbox = Sandbox::ready(&secured.settings(&engine, &other.certificate)).await;

    let ended = sandbox.invoke(&event(&records), Duration::from_secs(2)).await;
    assert_eq!(ended, Ended::failed_from(sequence_number(&records[0])));
    assert_eq!(engine.everything().await, Default::default(), "nothing was sent");

    sandbox.terminate().await;
    let lines = sandbox.stdout().await.into_iter().map(|line| serde_json::from_str::<Value>(&line).unwrap());
    let said: Vec<Value> = lines.map(|line| line["message"].clone()).collect();
    assert!(said.contains(&json!("out of time: the rest is reported to Lambda")), "{said:?}");
}
