//! Exactly-once roll-ups for DynamoDB: counters of one table's items, kept on the items of another table or of the same
//! one.
//!
//! A Lambda function reads the stream of the source table. It commits what a record changes together with a *marker* of
//! that record, in one `TransactWriteItems`. If the record was counted before, the marker's condition fails. So no
//! retry, replay, crash or overlap counts a record twice, and none loses one.
//!
//! # The invariants
//!
//! Every check names its invariant by number.
//!
//! - XO-1 atomic: a record's marker and its delta are in the same transaction.
//! - XO-2 once: a record whose marker exists never changes a counter again.
//! - XO-3 complete: a record that is acknowledged to Lambda has a marker, or has no effect on any view, or is in
//!   quarantine.
//! - XO-4 exact: when every record of the stream is acknowledged, the counters of a view equal a recount of the source.
//! - XO-5 consistent: a view's total equals the sum over its groups plus its ungrouped source items.
//! - XO-6 nothing lost: a record that cannot be applied is kept whole, in quarantine, with the reason, until an operator
//!   replays or discards it.
//!
//! # The path of an event
//!
//! ```text
//! event (raw JSON) -> stream records -> deltas -> coalesced per view item -> planned transactions
//!   -> committed (retry, drop duplicates, isolate poison) -> batch item failure response
//! ```
//!
//! - [`handler`] is one invocation; it reads as that pipeline.
//! - [`rollup`] is the pure part of it.
//! - [`commit`] sends the transactions; it has the only retry loop.
//! - [`store`] is DynamoDB at the border.
//! - [`metrics`] names every metric, and [`xray`] puts requests into the invocation's trace.
//! - [`runtime_api`] gets invocations from Lambda; [`lambda`] is the process that handles them.
//! - [`config`], [`randomness`], [`logging`], [`shutdown`] and [`tls`] are the rest of a process.
//! - `operate` is the operator's command, and `auditor` the audit as a function of its own. Both are behind features.

#[cfg(feature = "auditor")]
pub mod auditor;
pub mod commit;
pub mod config;
pub mod handler;
pub mod lambda;
pub mod logging;
pub mod metrics;
#[cfg(feature = "auditor")]
pub mod operate;
pub mod randomness;
pub mod rollup;
pub mod runtime_api;
pub mod shutdown;
pub mod store;
pub mod tls;
pub mod xray;

// A batch or a recount makes and drops many small values for each record or item (ADR 0027).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
