//! The engine in this process: a DynamoDB emulator that listens on a port of this machine.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use dynoxide::Database;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Stands in for credentials, because the engine does not check them.
pub const CREDENTIALS: &str = "local";

/// The Region for requests to the engine if none is given. The engine ignores it.
pub const REGION: &str = "us-east-1";

/// How long requests in flight may delay the shutdown.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// A running engine.
#[derive(Debug)]
pub struct Engine {
    url: String,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), String>>,
}

/// Why the engine does not start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The file is not a database, or cannot be written.
    #[error(
        "cannot keep the tables in {file}: {cause}; with --data, give a file that this command created, or a new one"
    )]
    Data {
        file: PathBuf,
        /// What the engine says.
        cause: String,
    },
    /// An engine in memory could not start.
    #[error("cannot start the engine: {0}")]
    Memory(String),
    /// Another program uses the port.
    #[error("port {port} is in use, perhaps by another `ddb-rollup local`; choose another port with --port")]
    PortTaken { port: u16 },
    /// The port cannot be used for another reason.
    #[error("cannot listen on port {port}: {cause}; choose another port with --port")]
    Port {
        port: u16,
        /// What the system says.
        cause: io::Error,
    },
}

/// Opens a database in a file, or in memory without a file.
///
/// # Errors
/// When the file cannot be used.
pub fn open(file: Option<&Path>) -> Result<Database, EngineError> {
    let Some(file) = file else {
        return Database::memory().map_err(|error| EngineError::Memory(error.to_string()));
    };
    let refuse = |cause: String| EngineError::Data { file: file.to_owned(), cause };
    let path = file.to_str().ok_or_else(|| refuse("its name is not UTF-8".to_owned()))?;
    Database::new(path).map_err(|error| refuse(error.to_string()))
}

impl Engine {
    /// Serves a database on a port of this machine, reachable only from this machine. Port 0 chooses any free port.
    ///
    /// # Errors
    /// When the port cannot be used; the message names the option to choose another.
    pub async fn serve(database: Database, port: u16) -> Result<Self, EngineError> {
        let refuse = |cause: io::Error| match cause.kind() {
            io::ErrorKind::AddrInUse => EngineError::PortTaken { port },
            _ => EngineError::Port { port, cause },
        };
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await.map_err(refuse)?;
        let address = listener.local_addr().map_err(refuse)?;
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(dynoxide::server::serve_with_shutdown(listener, database, async {
            // An error means that the sender is gone, which ends the server too.
            let _ = stopped.await;
        }));
        Ok(Self { url: format!("http://{address}"), stop, server })
    }

    /// The URL of the engine.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The SDK's configuration for the engine. It uses nothing from the environment, so that no setting for AWS can
    /// redirect the requests.
    #[must_use]
    pub fn sdk(&self, region: Option<&str>) -> SdkConfig {
        let credentials = Credentials::new(CREDENTIALS, CREDENTIALS, None, None, "ddb-rollup local");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(region.unwrap_or(REGION).to_owned()))
            .endpoint_url(&self.url)
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build()
    }

    /// Stops the engine. Requests in flight get a short time to finish.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        let _ = timeout(SHUTDOWN_TIMEOUT, self.server).await;
    }
}
