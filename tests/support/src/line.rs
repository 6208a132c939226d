//! What lies between the function and the tables: where requests wait, fail, and lose their answers.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex};

use ddb_rollup::rollup::pipeline::verdict::RetryCause;
use tokio::sync::oneshot;

/// What becomes of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// It is carried out and answered.
    Through,
    /// It never arrives.
    Fails(RetryCause),
    /// It is carried out, and its answer is lost.
    AnswerLost(RetryCause),
    /// Another transaction holds one of its items.
    Conflict,
    /// The function dies while the request is on its way.
    CrashBefore,
    /// The function dies before the answer is back.
    CrashAfter,
}

/// Decides what becomes of each request.
pub trait Line: Sync {
    /// Waits for a request's turn.
    fn passage(&self) -> impl Future<Output = Passage> + Send;
}

/// Decides by the number of the request: what was written down for it, or else what happens to all others.
#[derive(Debug, Clone, Default)]
pub struct Script(Arc<Mutex<Written>>);

#[derive(Debug, Default)]
struct Written {
    faults: BTreeMap<usize, Passage>,
    /// From this request on, none arrives.
    silent_from: Option<usize>,
    requests: usize,
}

impl Script {
    /// Begins anew, with a fault for each of these requests; the first has number zero.
    pub fn begin(&self, faults: impl IntoIterator<Item = (usize, Passage)>) {
        *self.0.lock().unwrap() = Written { faults: faults.into_iter().collect(), silent_from: None, requests: 0 };
    }

    /// Begins anew, with no request arriving from that one on.
    pub fn begin_silent_from(&self, request: usize) {
        *self.0.lock().unwrap() = Written { silent_from: Some(request), ..Written::default() };
    }

    /// Requests since it began.
    pub fn requests(&self) -> usize {
        self.0.lock().unwrap().requests
    }
}

impl Line for Script {
    async fn passage(&self) -> Passage {
        let mut written = self.0.lock().unwrap();
        let request = written.requests;
        written.requests += 1;
        if written.silent_from.is_some_and(|from| request >= from) {
            return Passage::Fails(RetryCause::Timeout);
        }
        written.faults.get(&request).copied().unwrap_or(Passage::Through)
    }
}

/// Holds every request until it is let through by hand.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<Mutex<Vec<oneshot::Sender<Passage>>>>);

impl Gate {
    /// Requests that wait.
    pub fn waiting(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Forgets the requests that wait: whoever sent them is gone.
    pub fn empty(&self) {
        self.0.lock().unwrap().clear();
    }

    /// Lets the request go that is at this place of those that wait, the longest waiting first.
    pub fn release(&self, place: usize, passage: Passage) {
        let turn = self.0.lock().unwrap().remove(place);
        turn.send(passage).ok();
    }
}

impl Line for Gate {
    async fn passage(&self) -> Passage {
        let (turn, granted) = oneshot::channel();
        self.0.lock().unwrap().push(turn);
        granted.await.unwrap_or(Passage::CrashBefore)
    }
}
