//! The pure part: from raw stream records to planned transactions, and from outcomes to the response.
//!
//! Nothing in here knows an SDK, async, a clock, randomness, the environment or logging; what it needs of them comes in
//! as a value. It has three floors, and each knows only those that stand above it in this list:
//!
//! 1. [`model`]: the facts. A [`definition`](model::definition) says what is counted, in expressions of the
//!    [`language`](model::language); a [`record`](model::record) what a stream tells, a [`change`](model::change) what a record adds, a [`marker`](model::marker) what is stored of it,
//!    within the [`limits`](model::limits) of the services.
//! 2. [`pipeline`]: the way of an event, in this order: [`parse`](pipeline::parse), [`delta`](pipeline::delta),
//!    [`coalesce`](pipeline::coalesce), [`plan`](pipeline::plan) with [`update`](pipeline::update),
//!    [`verdict`](pipeline::verdict), [`response`](pipeline::response).
//! 3. [`check`]: the operator's audit and repair. [`recount`](check::recount) adds source items up,
//!    [`judge`](check::judge) compares counters with that, [`ledger`](check::ledger) reads the markers, and
//!    [`repair`](check::repair) makes the write that sets counters right.

pub mod check;
pub mod model;
pub mod pipeline;

pub use serde_dynamo::{AttributeValue, Item};
