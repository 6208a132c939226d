//! A small Lambda: the Runtime API on a loopback port, and the real `bootstrap` process that polls it.
//!
//! A [`Sandbox`] is one execution environment, as Lambda has it: one process, one invocation at a time, killed when an
//! invocation outlives its deadline, and of no more use when its process has ended.

mod server;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::Utc;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, mpsc, oneshot, watch};

use crate::engine::Engine;
use crate::proxy::Proxy;

pub use server::Extensions;
use server::{Api, Invocation, InvocationEnd};

/// How long anything may take that should happen at once: only a test that has failed waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a process is started: its variables are these and no others.
#[derive(Debug, Clone)]
pub struct Settings {
    variables: BTreeMap<String, String>,
    extensions: Extensions,
    program: Program,
}

/// Which process is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// The function.
    Bootstrap,
    /// The auditor.
    Auditor,
}

impl Program {
    /// The program's file: the one that was built for the test, unless the environment names another.
    fn file(self) -> OsString {
        let (variable, built) = match self {
            Self::Bootstrap => ("DDB_ROLLUP_BOOTSTRAP", env!("CARGO_BIN_EXE_bootstrap")),
            Self::Auditor => ("DDB_ROLLUP_AUDITOR", env!("CARGO_BIN_EXE_auditor")),
        };
        std::env::var_os(variable).unwrap_or_else(|| built.into())
    }
}

impl Settings {
    /// What Lambda sets, and an engine with its credentials. No setting of the roll-up's own.
    pub fn on(engine: &Engine) -> Self {
        Self::at(&engine.url).with("AWS_ACCESS_KEY_ID", &engine.access_key)
    }

    /// The same, with a proxy in front of the engine.
    pub fn through(self, proxy: &Proxy) -> Self {
        self.with("AWS_ENDPOINT_URL", &proxy.url)
    }

    /// What Lambda sets, and an endpoint at which no engine needs to be.
    pub fn at(endpoint: &str) -> Self {
        let variables = [
            ("AWS_ACCESS_KEY_ID", "local"),
            ("AWS_ENDPOINT_URL", endpoint),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
            ("AWS_LAMBDA_FUNCTION_NAME", "rollup"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/rollup"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "sandbox"),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_SECRET_ACCESS_KEY", "local"),
        ];
        let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { variables, extensions: Extensions::Served, program: Program::Bootstrap }
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.variables.remove(name);
        self
    }

    pub fn program(mut self, program: Program) -> Self {
        self.program = program;
        self
    }

    pub fn extensions(mut self, extensions: Extensions) -> Self {
        self.extensions = extensions;
        self
    }
}

/// How an invocation ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    /// With a response.
    Response(Value),
    /// With an invocation error.
    Error { kind: String, message: String },
    /// The process ended first.
    Died,
    /// The deadline came first: the process was killed, as Lambda does.
    TimedOut,
}

impl Ended {
    /// The response to a batch that is dealt with as a whole.
    pub fn nothing_failed() -> Self {
        Self::Response(json!({ "batchItemFailures": [] }))
    }

    /// The response that asks for a batch again from this record on.
    pub fn failed_from(sequence_number: &str) -> Self {
        Self::Response(json!({ "batchItemFailures": [{ "itemIdentifier": sequence_number }] }))
    }
}

/// One execution environment with its process.
pub struct Sandbox {
    api: Arc<Api>,
    invocations: mpsc::UnboundedSender<Invocation>,
    pid: Pid,
    exit: watch::Receiver<Option<ExitStatus>>,
    stdout: watch::Receiver<Vec<String>>,
    stderr: watch::Receiver<Vec<String>>,
    /// A thread of its own: an embedded engine holds up the test's threads, and a deadline would seem to be missed.
    thread: Option<Runtime>,
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if self.lives() {
            kill_process(self.pid, Signal::KILL).ok();
        }
        if let Some(thread) = self.thread.take() {
            thread.shutdown_background();
        }
    }
}

impl Sandbox {
    /// Starts the process; it need not live on.
    pub fn start(settings: &Settings) -> Self {
        let (invocations, next) = mpsc::unbounded_channel();
        let api = Arc::new(Api {
            extensions: settings.extensions,
            next: Mutex::new(next),
            answers: Mutex::default(),
            polls: watch::Sender::new(0),
            init_error: watch::Sender::new(None),
            registered: watch::Sender::new(None),
            ports: watch::Sender::default(),
            extension_is_ready: watch::Sender::default(),
        });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let router = server::router(Arc::clone(&api)).into_make_service_with_connect_info::<SocketAddr>();
        let thread = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let _entered = thread.enter();
        let listener = TcpListener::from_std(listener).unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });

        let mut process = Command::new(settings.program.file())
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", address)
            .envs(&settings.variables)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let pid = Pid::from_raw(process.id().unwrap().try_into().unwrap()).unwrap();
        let stdout = lines(process.stdout.take().unwrap());
        let stderr = lines(process.stderr.take().unwrap());
        let (exited, exit) = watch::channel(None);
        tokio::spawn(async move {
            let status = process.wait().await.unwrap();
            exited.send_replace(Some(status));
        });
        Self { api, invocations, pid, exit, stdout, stderr, thread: Some(thread) }
    }

    /// Starts the process and waits until it asks for its first invocation.
    pub async fn ready(settings: &Settings) -> Self {
        let sandbox = Self::start(settings);
        assert!(sandbox.polled_or_ended().await, "ended at the start: {:?}", sandbox.stdout().await);
        sandbox
    }

    /// Waits until the process asks for an invocation or has ended: whether it asks.
    pub async fn polled_or_ended(&self) -> bool {
        let mut polls = self.api.polls.subscribe();
        tokio::select! {
            polled = in_time("the first poll", polls.wait_for(|polls| *polls > 0)) => polled.is_ok(),
            _ = self.exit() => false,
        }
    }

    /// Delivers an event, with so much time until the deadline.
    pub async fn invoke(&self, event: &str, time: Duration) -> Ended {
        let deadline = (Utc::now() + time).timestamp_millis().to_string();
        self.invoke_with(event, Some(deadline), time).await
    }

    /// Delivers an event with any text for its deadline, or none, and gives the process so long to answer.
    pub async fn invoke_with(&self, event: &str, deadline: Option<String>, time: Duration) -> Ended {
        static INVOCATIONS: AtomicU64 = AtomicU64::new(0);
        let id = format!("00000000-0000-4000-8000-{:012}", INVOCATIONS.fetch_add(1, Ordering::Relaxed));
        let (answer, answered) = oneshot::channel();
        self.api.answers.lock().await.insert(id.clone(), answer);
        let end = Utc::now() + time;
        let invocation = Invocation { id: id.clone(), event: event.to_owned(), deadline };
        let ended = if self.invocations.send(invocation).is_ok() {
            tokio::select! {
                biased;
                answer = answered => match answer.unwrap() {
                    InvocationEnd { ended, at } if at <= end => ended,
                    _ => Ended::TimedOut,
                },
                _ = self.exit() => Ended::Died,
                () = tokio::time::sleep(time) => Ended::TimedOut,
            }
        } else {
            Ended::Died
        };
        self.api.answers.lock().await.remove(&id);
        if ended == Ended::TimedOut {
            self.kill().await;
        }
        ended
    }

    /// Ends the process at once, with no chance to say anything.
    pub async fn kill(&self) -> ExitStatus {
        self.signal(Signal::KILL).await
    }

    /// Asks the process to end, as Lambda does, and waits until it has.
    pub async fn terminate(&self) -> ExitStatus {
        self.signal(Signal::TERM).await
    }

    async fn signal(&self, signal: Signal) -> ExitStatus {
        if self.lives() {
            // It may have ended in between, which is what is wanted.
            kill_process(self.pid, signal).ok();
        }
        in_time("the process's end", self.exit()).await
    }

    /// Waits for the process's end.
    pub async fn exit(&self) -> ExitStatus {
        let mut exit = self.exit.clone();
        exit.wait_for(Option::is_some).await.unwrap().unwrap()
    }

    /// The last line of the log so far: what a process that did not answer in time was doing.
    pub fn last_words(&self) -> Option<String> {
        self.stdout.borrow().last().cloned()
    }

    /// The most memory, in bytes, that the process had so far.
    pub fn peak_memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid.as_raw_nonzero())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    }

    pub fn lives(&self) -> bool {
        self.exit.borrow().is_none()
    }

    /// What the process told the Runtime API when it could not start, if anything.
    pub fn init_error(&self) -> Option<Value> {
        self.api.init_error.borrow().clone()
    }

    /// What the process registered as an extension; none when it did not.
    pub fn registered(&self) -> Option<Value> {
        self.api.registered.borrow().clone()
    }

    /// The ports from which the process registered, and asked for its first invocation.
    pub fn ports(&self) -> (Option<u16>, Option<u16>) {
        *self.api.ports.borrow()
    }

    /// Waits until the extension asks for its next event.
    pub async fn extension_is_ready(&self) {
        let mut ready = self.api.extension_is_ready.subscribe();
        in_time("the extension's first request", ready.wait_for(|ready| *ready)).await.unwrap();
    }

    /// All that an ended process wrote on standard output.
    pub async fn stdout(&self) -> Vec<String> {
        in_time("the end of standard output", all(self.stdout.clone())).await
    }

    /// All that an ended process wrote on standard error.
    pub async fn stderr(&self) -> Vec<String> {
        in_time("the end of standard error", all(self.stderr.clone())).await
    }
}

/// Waits for something that should come at once.
pub async fn in_time<T>(what: &str, wanted: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, wanted).await.unwrap_or_else(|_| panic!("{what} did not come"))
}

/// The lines of an output as they come; the sender is dropped at its end.
fn lines(output: impl AsyncRead + Unpin + Send + 'static) -> watch::Receiver<Vec<String>> {
    let (written, lines) = watch::channel(Vec::new());
    tokio::spawn(async move {
        let mut output = BufReader::new(output).lines();
        while let Some(line) = output.next_line().await.unwrap() {
            written.send_modify(|lines| lines.push(line));
        }
    });
    lines
}

async fn all(mut lines: watch::Receiver<Vec<String>>) -> Vec<String> {
    while lines.changed().await.is_ok() {}
    let lines = lines.borrow();
    lines.clone()
}
