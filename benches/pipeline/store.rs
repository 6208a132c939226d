//! Stores that say yes: one at once, and a server behind the SDK.

use std::hint::black_box;
use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use ddb_rollup::commit::{LookedUp, Store};
use ddb_rollup::rollup::model::view::ViewKey;
use ddb_rollup::rollup::pipeline::plan::{Action, Transaction};
use ddb_rollup::rollup::pipeline::verdict::Failure;
use ddb_rollup::rollup::{AttributeValue, Item};
use uuid::Uuid;

/// A store that says yes, once it has the items that are to be put.
pub struct AtOnce;

impl Store for AtOnce {
    async fn transact(&self, transaction: &Transaction<'_>, token: Uuid) -> std::result::Result<(), Failure> {
        put(transaction);
        black_box((transaction, token));
        Ok(())
    }

    async fn view_item(&self, _: &ViewKey) -> std::result::Result<Option<Item>, Failure> {
        Ok(None)
    }

    async fn look_up(&self, _: &[ViewKey]) -> std::result::Result<LookedUp, Failure> {
        Ok(LookedUp::new())
    }
}

/// Makes the items that a transaction puts, as its sender must.
pub fn put(transaction: &Transaction<'_>) {
    for action in &transaction.actions {
        if let Action::PutMarker { marker, .. } = action {
            black_box(marker.attributes::<AttributeValue>());
        }
    }
}

/// The SDK, connected to a server in threads of its own that answers each request with an empty object.
pub fn sdk() -> Result<SdkConfig> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address: SocketAddr = listener.local_addr()?;
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            thread::spawn(move || serve(connection));
        }
    });
    let credentials = Credentials::new("key", "secret", None, None, "bench");
    Ok(SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .endpoint_url(format!("http://{address}"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build())
}

fn serve(connection: TcpStream) -> Result<()> {
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: 2\r\n\r\n{}";
    let mut writer = connection.try_clone()?;
    let mut reader = BufReader::new(connection);
    let mut body = Vec::new();
    loop {
        let mut length = 0;
        for line in reader.by_ref().lines() {
            let line = line?.to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or_default();
            }
            if line.is_empty() {
                break;
            }
        }
        if length == 0 {
            return Ok(());
        }
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
        writer.write_all(ANSWER)?;
    }
}
