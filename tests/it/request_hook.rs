//! A proxy in front of an engine that runs the test's code before each request: it can hold a request up, or change
//! something before it goes through.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Child;
use tokio::sync::mpsc;

/// A proxy that lets the first requests of an operation through, and answers none after them. The receiver is told of
/// each of those.
pub async fn hang_after(url: &str, operation: &'static str, requests: usize) -> (String, mpsc::UnboundedReceiver<()>) {
    let (hangs, hung) = mpsc::unbounded_channel();
    let seen = Arc::new(AtomicUsize::new(0));
    let url = before_each_request(url, move |requested| {
        let (seen, hangs) = (Arc::clone(&seen), hangs.clone());
        async move {
            if requested == operation && seen.fetch_add(1, Ordering::SeqCst) >= requests {
                let _ = hangs.send(());
                std::future::pending::<()>().await;
            }
        }
    })
    .await;
    (url, hung)
}

/// Waits until a command hangs at such a proxy.
pub async fn until_hung(command: &mut Child, hung: &mut mpsc::UnboundedReceiver<()>) {
    tokio::select! {
        hung = hung.recv() => hung.unwrap(),
        ended = command.wait() => panic!("the command ended before: {ended:?}"),
    }
}

/// Passes connections on to the engine at `url`, and gives the URL to use instead. `hook` is awaited with the operation
/// of each request; a request for which it never returns is never answered.
pub async fn before_each_request<F: Future<Output = ()> + Send>(
    url: &str,
    hook: impl Fn(String) -> F + Send + Sync + 'static,
) -> String {
    let engine = url.strip_prefix("http://").unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    let hook = Arc::new(hook);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&engine).await.unwrap();
            let (hook, (mut answers, mut requests)) = (Arc::clone(&hook), server.into_split());
            let (mut from_client, mut to_client) = client.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut answers, &mut to_client).await });
            tokio::spawn(async move {
                let mut buffer = vec![0; 64 * 1024];
                while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
                    // The head of a request comes in one piece.
                    let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                    if let Some((_, rest)) = text.split_once("DynamoDB_20120810.") {
                        hook(rest.chars().take_while(char::is_ascii_alphabetic).collect()).await;
                    }
                    if requests.write_all(&buffer[..length]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    proxy
}
