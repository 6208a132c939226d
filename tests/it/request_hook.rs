//! A proxy in front of an engine that runs the test's code before each request: it can hold a request up, or change
//! something before it goes through.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Child;
use tokio::sync::mpsc;
use tokio::time::sleep;

/// A proxy that lets the first requests of an operation through, and answers none after them. The receiver is told of
/// each of those, once all requests that were let through are answered.
pub async fn hang_after(url: &str, operation: &'static str, requests: usize) -> (String, mpsc::UnboundedReceiver<()>) {
    let (hangs, hung) = mpsc::unbounded_channel();
    let (seen, unanswered) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let let_through = Arc::clone(&unanswered);
    let hook = move |requested| {
        let (seen, let_through, hangs) = (Arc::clone(&seen), Arc::clone(&let_through), hangs.clone());
        async move {
            if requested == operation && seen.fetch_add(1, Ordering::SeqCst) >= requests {
                // One that was just let through may not be counted yet.
                sleep(Duration::from_millis(5)).await;
                while let_through.load(Ordering::SeqCst) > 0 {
                    sleep(Duration::from_millis(5)).await;
                }
                let _ = hangs.send(());
                std::future::pending::<()>().await;
            }
        }
    };
    (pass_on(url, hook, unanswered).await, hung)
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
pub async fn before_each_request<F: Future<Output = ()> + Send + 'static>(
    url: &str,
    hook: impl Fn(String) -> F + Send + Sync + 'static,
) -> String {
    pass_on(url, hook, Arc::default()).await
}

/// The same; counts the requests that the engine has and has not answered.
async fn pass_on<F: Future<Output = ()> + Send + 'static>(
    url: &str,
    hook: impl Fn(String) -> F + Send + Sync + 'static,
    unanswered: Arc<AtomicUsize>,
) -> String {
    let engine = url.strip_prefix("http://").unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    let hook = Arc::new(hook);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&engine).await.unwrap();
            let (from_server, to_server) = server.into_split();
            let (from_client, to_client) = client.into_split();
            let request = Request { unanswered: Arc::clone(&unanswered), is_open: Arc::default() };
            tokio::spawn(pass_answers(from_server, to_client, request.clone()));
            tokio::spawn(pass_requests(from_client, to_server, Arc::clone(&hook), request));
        }
    });
    proxy
}

/// The request of a connection. There is one at a time.
#[derive(Clone)]
struct Request {
    /// Of all connections, how many requests are not answered.
    unanswered: Arc<AtomicUsize>,
    is_open: Arc<AtomicBool>,
}

impl Request {
    fn begin(&self) {
        self.is_open.store(true, Ordering::SeqCst);
        self.unanswered.fetch_add(1, Ordering::SeqCst);
    }

    fn answered(&self) {
        if self.is_open.swap(false, Ordering::SeqCst) {
            self.unanswered.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

async fn pass_answers(mut from_server: OwnedReadHalf, mut to_client: OwnedWriteHalf, request: Request) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
        request.answered();
        if to_client.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
    request.answered();
}

async fn pass_requests<F: Future<Output = ()> + Send + 'static>(
    mut from_client: OwnedReadHalf,
    mut to_server: OwnedWriteHalf,
    hook: Arc<impl Fn(String) -> F>,
    request: Request,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
        // The head of a request comes in one piece.
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if let Some((_, rest)) = text.split_once("DynamoDB_20120810.") {
            hook(rest.chars().take_while(char::is_ascii_alphabetic).collect()).await;
            request.begin();
        }
        if to_server.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
