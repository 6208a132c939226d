//! A proxy in front of the engine, which does to each request what a plan says: all that networks, overload and
//! DynamoDB itself do to requests, and no local engine does.
//!
//! Answers that it makes up are shaped like DynamoDB's. A request that it has taken over is carried out even when the
//! one who sent it is gone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::runtime_api::in_time;

/// What is done to a request instead of passing it on and its answer back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection is closed before the engine gets the request.
    RequestLost,
    /// The engine carries the request out; then the connection is closed without an answer.
    AnswerLost,
    /// The engine carries the request out; the connection is closed in the middle of the answer.
    AnswerCut,
    /// The engine carries the request out; the answer is a 500.
    AnswerReplaced,
    /// The engine gets the request so much later.
    Late(Duration),
    /// The answer comes so much later.
    AnswerLate(Duration),
    /// No answer, ever; the engine does not get the request.
    Hanging,
    /// The transaction is cancelled for a conflict: these actions, by a bit each, conflict, at the least one does.
    Conflict(u64),
    /// A cancellation by the engine is passed on with a conflict in it besides.
    ConflictBesides,
    /// A cancellation by the engine is passed on with the codes in its words alone, as some engines have them.
    ReasonsInWords,
    /// A cancellation by the engine is passed on without any reasons.
    NoReasons,
    /// An error, by its code; the engine does not get the request.
    Error(Code),
}

/// The errors of DynamoDB that no local engine answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    InternalServerError,
    ServiceUnavailable,
    Throttling,
    ProvisionedThroughputExceeded,
    TransactionInProgress,
    AccessDenied,
    ExpiredToken,
    ResourceNotFound,
}

impl Fault {
    /// Its kind, without what differs from one to the next.
    pub fn kind(self) -> String {
        let text = format!("{self:?}");
        text.split_once('(').filter(|(kind, _)| *kind != "Error").map_or(text.clone(), |(kind, _)| kind.to_owned())
    }
}

/// A request on its way to the engine.
#[derive(Debug, Clone)]
pub struct Request {
    pub body: Value,
    head: String,
    bytes: Vec<u8>,
}

impl Request {
    /// How many actions its transaction has; none in a request of another kind.
    pub fn actions(&self) -> usize {
        self.body["TransactItems"].as_array().map_or(0, Vec::len)
    }
}

struct Answer {
    status: u16,
    body: Vec<u8>,
}

/// Says for each request, in the order in which they come, what is done to it.
pub type Plan = Box<dyn FnMut(&Request) -> Option<Fault> + Send>;

struct State {
    engine: String,
    plan: Mutex<Plan>,
    faults: Mutex<BTreeMap<String, usize>>,
    requests: watch::Sender<usize>,
    /// Requests that the engine answered.
    answers: watch::Sender<usize>,
    /// Connections that are not closed.
    connections: watch::Sender<usize>,
}

/// A running proxy.
pub struct Proxy {
    pub url: String,
    state: Arc<State>,
    server: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Proxy {
    /// A proxy in front of the engine with that URL.
    pub async fn start(engine: &str, plan: impl FnMut(&Request) -> Option<Fault> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let engine = engine.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let (plan, faults): (Mutex<Plan>, _) = (Mutex::new(Box::new(plan)), Mutex::default());
        let state = Arc::new(State {
            engine,
            plan,
            faults,
            requests: watch::Sender::new(0),
            answers: watch::Sender::new(0),
            connections: watch::Sender::new(0),
        });
        let accepting = Arc::clone(&state);
        let server = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let state = Arc::clone(&accepting);
                state.connections.send_modify(|open| *open += 1);
                tokio::spawn(async move {
                    // A client that goes away in the middle of something is nothing out of the ordinary here.
                    let _ = serve(client, &state).await;
                    state.connections.send_modify(|open| *open -= 1);
                });
            }
        });
        Self { url, state, server }
    }

    /// A proxy that does the same to every request.
    pub async fn always(engine: &str, fault: Fault) -> Self {
        Self::start(engine, move |_| Some(fault)).await
    }

    /// A proxy that does these things to the first requests, and passes the others on.
    pub async fn first(engine: &str, faults: impl IntoIterator<Item = Fault>) -> Self {
        let mut faults = faults.into_iter().collect::<Vec<_>>().into_iter();
        Self::start(engine, move |_| faults.next()).await
    }

    /// How many faults there were, by kind.
    pub fn faults(&self) -> BTreeMap<String, usize> {
        self.state.faults.lock().unwrap().clone()
    }

    /// Waits until so many more requests came.
    pub async fn reached(&self, requests: usize) {
        more(&self.state.requests, requests, "a request").await;
    }

    /// Waits until the engine answered so many more requests.
    pub async fn carried_out(&self, requests: usize) {
        more(&self.state.answers, requests, "an answer of the engine").await;
    }

    /// Waits until nothing is on its way to the engine, when all clients have ended.
    pub async fn settled(&self) {
        // Connections are accepted in their order: when this one is, all that the clients made are.
        let mut last = TcpStream::connect(self.url.trim_start_matches("http://")).await.unwrap();
        last.shutdown().await.unwrap();
        in_time("the proxy", last.read_to_end(&mut Vec::new())).await.unwrap();
        let mut open = self.state.connections.subscribe();
        in_time("the end of all requests", open.wait_for(|open| *open == 0)).await.unwrap();
    }
}

async fn more(counter: &watch::Sender<usize>, wanted: usize, what: &str) {
    let mut counter = counter.subscribe();
    let enough = *counter.borrow() + wanted;
    in_time(what, counter.wait_for(|came| *came >= enough)).await.unwrap();
}

/// Serves one connection until one of the two closes it; none when it ended in the middle of something.
async fn serve(client: TcpStream, state: &State) -> Option<()> {
    let mut client = BufReader::new(client);
    loop {
        let request = read_request(&mut client).await?;
        let fault = (state.plan.lock().unwrap())(&request);
        state.requests.send_modify(|came| *came += 1);
        if let Some(fault) = fault {
            *state.faults.lock().unwrap().entry(fault.kind()).or_default() += 1;
        }
        if fault == Some(Fault::Hanging) {
            client.read_to_end(&mut Vec::new()).await.ok()?;
            return None;
        }
        let answer = answer(state, &request, fault).await?;
        write_answer(client.get_mut(), answer, fault == Some(Fault::AnswerCut)).await?;
    }
}

/// The answer that the client gets; none when the connection is closed instead.
async fn answer(state: &State, request: &Request, fault: Option<Fault>) -> Option<Answer> {
    match fault {
        // Only a transaction can be in another's way, or in its own.
        Some(Fault::Conflict(_) | Fault::Error(Code::TransactionInProgress)) if request.actions() == 0 => {
            forward(state, request).await
        }
        None | Some(Fault::AnswerCut) => forward(state, request).await,
        Some(Fault::RequestLost | Fault::Hanging) => None,
        Some(Fault::AnswerLost) => {
            forward(state, request).await;
            None
        }
        Some(Fault::AnswerReplaced) => {
            forward(state, request).await;
            Some(error(Code::InternalServerError))
        }
        Some(Fault::Late(delay)) => {
            tokio::time::sleep(delay).await;
            forward(state, request).await
        }
        Some(Fault::AnswerLate(delay)) => {
            let answer = forward(state, request).await;
            tokio::time::sleep(delay).await;
            answer
        }
        Some(Fault::Conflict(actions)) => Some(cancelled(&conflicts(request.actions(), actions))),
        Some(Fault::ConflictBesides) => forward(state, request).await.map(with_conflict_besides),
        Some(Fault::ReasonsInWords) => forward(state, request).await.map(|answer| without_reasons(answer, true)),
        Some(Fault::NoReasons) => forward(state, request).await.map(|answer| without_reasons(answer, false)),
        Some(Fault::Error(code)) => Some(error(code)),
    }
}

fn conflicts(actions: usize, bits: u64) -> Vec<Value> {
    let conflicts = |action: usize| bits >> (action % 64) & 1 == 1;
    let none = !(0..actions).any(conflicts);
    let reason =
        |action| if conflicts(action) || (none && action == 0) { conflict() } else { json!({ "Code": "None" }) };
    (0..actions).map(reason).collect()
}

fn conflict() -> Value {
    json!({ "Code": "TransactionConflict", "Message": "Transaction is ongoing for the item" })
}

fn cancelled(reasons: &[Value]) -> Answer {
    let codes: Vec<_> = reasons.iter().map(|reason| reason["Code"].as_str().unwrap_or_default()).collect();
    let message = "Transaction cancelled, please refer cancellation reasons for specific reasons";
    let body = json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": format!("{message} [{}]", codes.join(", ")),
        "CancellationReasons": reasons,
    });
    Answer { status: 400, body: body.to_string().into_bytes() }
}

/// A cancellation with a conflict at the first action that had nothing to say; any other answer as it is.
fn with_conflict_besides(answer: Answer) -> Answer {
    let Ok(mut body) = serde_json::from_slice::<Value>(&answer.body) else { return answer };
    let Some(reasons) = body.get_mut("CancellationReasons").and_then(Value::as_array_mut) else { return answer };
    if let Some(silent) = reasons.iter_mut().find(|reason| reason["Code"] == "None") {
        *silent = conflict();
    }
    cancelled(reasons)
}

/// A cancellation without its reasons, but in its words if they are to be there; any other answer as it is.
fn without_reasons(answer: Answer, in_words: bool) -> Answer {
    let Ok(mut body) = serde_json::from_slice::<Value>(&answer.body) else { return answer };
    let Some(reasons) = body["CancellationReasons"].as_array() else { return answer };
    body = serde_json::from_slice(&cancelled(reasons).body).unwrap();
    body.as_object_mut().unwrap().remove("CancellationReasons");
    if !in_words {
        body["Message"] = json!("Transaction cancelled");
    }
    Answer { body: body.to_string().into_bytes(), ..answer }
}

fn error(code: Code) -> Answer {
    let dynamodb = |name: &str| format!("com.amazonaws.dynamodb.v20120810#{name}");
    let coral = |name: &str| format!("com.amazon.coral.service#{name}");
    let (status, kind, message) = match code {
        Code::InternalServerError => (500, dynamodb("InternalServerError"), "Internal server error"),
        Code::ServiceUnavailable => (503, dynamodb("ServiceUnavailable"), "The service is unavailable"),
        Code::Throttling => (400, "com.amazon.coral.availability#ThrottlingException".to_owned(), "Rate exceeded"),
        Code::ProvisionedThroughputExceeded => (
            400,
            dynamodb("ProvisionedThroughputExceededException"),
            "The level of configured provisioned throughput for the table was exceeded",
        ),
        Code::TransactionInProgress => {
            (400, dynamodb("TransactionInProgressException"), "The transaction with the given request token is ongoing")
        }
        Code::AccessDenied => (
            400,
            coral("AccessDeniedException"),
            "User: arn:aws:sts::000000000000:assumed-role/rollup is not authorized to perform: dynamodb:PutItem",
        ),
        Code::ExpiredToken => {
            (400, coral("ExpiredTokenException"), "The security token included in the request is expired")
        }
        Code::ResourceNotFound => (400, dynamodb("ResourceNotFoundException"), "Requested resource not found"),
    };
    Answer { status, body: json!({ "__type": kind, "message": message }).to_string().into_bytes() }
}

async fn read_request(client: &mut BufReader<TcpStream>) -> Option<Request> {
    let head = read_head(client).await?;
    let mut bytes = vec![0; header(&head, "content-length")?.parse().ok()?];
    client.read_exact(&mut bytes).await.ok()?;
    Some(Request { body: serde_json::from_slice(&bytes).ok()?, head, bytes })
}

/// The lines up to the first empty one.
async fn read_head(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let header = |line: &'a str| line.split_once(':').filter(|(found, _)| found.eq_ignore_ascii_case(name));
    head.lines().find_map(header).map(|(_, value)| value.trim())
}

/// Passes a request on, over a connection of its own; none when the engine does not answer. In HTTP 1.0 the answer ends
/// with the connection.
async fn forward(state: &State, request: &Request) -> Option<Answer> {
    let engine = &state.engine;
    let passed_on = ["Content-Type", "X-Amz-Target", "X-Amz-Date", "Authorization"].into_iter();
    let headers = passed_on.filter_map(|name| Some(format!("{name}: {}\r\n", header(&request.head, name)?)));
    let headers: String = headers.collect();
    let length = request.bytes.len();
    let head = format!("POST / HTTP/1.0\r\nHost: {engine}\r\nContent-Length: {length}\r\n{headers}\r\n");
    let mut engine = BufReader::new(TcpStream::connect(engine).await.ok()?);
    engine.write_all(&[head.as_bytes(), &request.bytes].concat()).await.ok()?;
    let head = read_head(&mut engine).await?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    let mut body = Vec::new();
    engine.read_to_end(&mut body).await.ok()?;
    state.answers.send_modify(|came| *came += 1);
    Some(Answer { status, body })
}

/// None when the connection is closed.
async fn write_answer(client: &mut TcpStream, answer: Answer, cut: bool) -> Option<()> {
    let Answer { status, mut body } = answer;
    let length = body.len();
    if cut {
        body.truncate(length / 2);
    }
    let head = format!(
        "HTTP/1.1 {status} -\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: {length}\r\n\
         x-amzn-RequestId: 00000000000000000000000000000000000000000000000000AA\r\n\r\n",
    );
    client.write_all(&[head.as_bytes(), &body].concat()).await.ok()?;
    (!cut).then_some(())
}
