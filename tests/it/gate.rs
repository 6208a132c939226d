//! A way to an engine on which requests can be held up: what happens before one goes through is up to the test.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// A gate that lets the first requests of an operation through, and answers none after them. Who waits at the other end is
/// told of each of those.
pub async fn hanging(url: &str, operation: &'static str, after: usize) -> (String, mpsc::UnboundedReceiver<()>) {
    let (hangs, hung) = mpsc::unbounded_channel();
    let requests = Arc::new(AtomicUsize::new(0));
    let url = gate(url, move |requested| {
        let (requests, hangs) = (Arc::clone(&requests), hangs.clone());
        async move {
            if requested == operation && requests.fetch_add(1, Ordering::SeqCst) >= after {
                let _ = hangs.send(());
                std::future::pending::<()>().await;
            }
        }
    })
    .await;
    (url, hung)
}

/// Passes connections on to the engine at `url`, and gives the URL to use instead. `before` is awaited with the operation
/// of each request; a request for which it never returns is never answered.
pub async fn gate<F: Future<Output = ()> + Send>(
    url: &str,
    before: impl Fn(String) -> F + Send + Sync + 'static,
) -> String {
    let engine = url.strip_prefix("http://").unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gate = format!("http://{}", listener.local_addr().unwrap());
    let before = Arc::new(before);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&engine).await.unwrap();
            let (before, (mut answers, mut requests)) = (Arc::clone(&before), server.into_split());
            let (mut from_client, mut to_client) = client.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut answers, &mut to_client).await });
            tokio::spawn(async move {
                let mut buffer = vec![0; 64 * 1024];
                while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
                    // The head of a request comes in one piece.
                    let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                    if let Some((_, rest)) = text.split_once("DynamoDB_20120810.") {
                        before(rest.chars().take_while(char::is_ascii_alphabetic).collect()).await;
                    }
                    if requests.write_all(&buffer[..length]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    gate
}
