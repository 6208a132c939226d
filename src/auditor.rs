//! The auditor: a second function of a stack, which runs the same audit, and the same repair, as the command does.
//!
//! # What it is asked for
//!
//! An event is an object. What it asks for, it says by one field:
//!
//! - Neither `plan`, `slice` nor `sum`, as `{}` or what a schedule sends: go on with the pass. A run does as many slices as its
//!   time allows, and the next one continues behind them. The answer is `{"pass": "going on", "next": "3/8"}`, or
//!   `{"pass": "ended", "summary": {...}}`.
//! - `{"plan": true}`: how a pass is divided among workers: `{"run": "...", "of": 8, "slices": ["1/8", ...]}`. 10,000 slices are
//!   140 KB, less than the 256 KB of a state.
//! - `{"slice": "3/8", "run": "..."}`: audit that slice, and store its report in the idempotency table under the run. The answer
//!   is `{"slice": "3/8"}` alone, as the answers of a distributed map are one state too. Without `run` nothing is stored, and the
//!   answer is the report, of at most 200 KB.
//! - `{"sum": {"run": "...", "of": 8}}`: add up what the slices of a run stored. The answer is the summary. It fails when the
//!   report of a slice is missing, and says of which.
//!
//! # How it works
//!
//! [`event`] is the request, and `settings` are the auditor's own settings, in addition to those of the function. `pass`
//! is the loop over the slices, within the `time_limit` of a run; `position` is where the next run continues.
//! `slice_audit` audits one slice, `bounded` keeps its report small, and `told` writes what came of it into the log.
//! `bucket` keeps it as JSON and as a `page`.

use std::time::Duration;

use aws_config::SdkConfig;
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::error;

use crate::config::Config;
use crate::metrics::audit::AuditNumbers;
use crate::operate::commands::Commands;
use crate::runtime_api::{Delivery, Failure};

mod bounded;
mod bucket;
pub mod error;
pub mod event;
mod page;
mod pass;
mod position;
mod quarantine;
mod settings;
mod slice_audit;
mod slice_count;
mod stored_reports;
mod time_limit;
mod told;

pub use settings::{AUDIT_SETTINGS, AuditorSettings};

use error::AuditorError;
use event::Event;
use time_limit::TimeLimit;
use told::Teller;

/// The auditor, with all that it needs of its environment.
#[derive(Debug)]
pub struct Auditor {
    sdk: SdkConfig,
    config: Config,
    settings: AuditorSettings,
    teller: Teller,
    /// The commands that do the same elsewhere, or that fix what is found.
    commands: Commands,
}

impl Auditor {
    /// An auditor under a function's settings and its own; `function` is its name.
    #[must_use]
    pub fn new(sdk: SdkConfig, config: Config, settings: AuditorSettings, function: String) -> Self {
        let commands = Commands::of_stack(&sdk, &config);
        Self { sdk, config, settings, teller: Teller::new(function, commands.clone()), commands }
    }

    /// Does what an invocation asks for.
    ///
    /// # Errors
    /// When that could not be done; the log says so too.
    pub async fn invoke(&self, delivery: &Delivery) -> Result<Value, Failure> {
        let limit = TimeLimit::new(Instant::now(), delivery.time_left);
        match Box::pin(self.answer(&delivery.event, &limit, &delivery.request_id)).await {
            Ok(answer) => Ok(answer),
            Err(failure) => {
                error!(request_id = delivery.request_id, "audit failed: {failure}");
                let refused = AuditNumbers { refused: u64::from(failure.is_refusal()), ..AuditNumbers::default() };
                self.teller.metrics(&refused, &delivery.request_id);
                Err(Failure { kind: failure.kind(), message: failure.to_string() })
            }
        }
    }

    async fn answer(&self, event: &[u8], limit: &TimeLimit, request_id: &str) -> Result<Value, AuditorError> {
        match Event::read(event)? {
            Event::GoOn => self.go_on(limit, request_id).await,
            Event::Plan => self.plan(request_id).await,
            Event::Slice { slice, run } => self.one_slice(slice, run, limit).await,
            Event::Sum { run, of } => self.sum(&run, of, limit, request_id).await,
        }
    }

    /// How long records may take to the stream, in a run of this length. A run that is too short for the settings' own time
    /// says so in the log.
    fn settle(&self, limit: &TimeLimit) -> Duration {
        let wanted = self.settings.settle;
        let settle = wanted.min(limit.settle_max());
        if settle < wanted {
            Teller::shortened(settle, wanted);
        }
        settle
    }
}

/// The answer that a pass is not finished.
fn going_on(next: &str) -> Value {
    json!({ "pass": "going on", "next": next })
}
