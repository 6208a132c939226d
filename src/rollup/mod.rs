//! The pure part: from raw stream records to planned transactions, and from outcomes to the response.
//!
//! Nothing here uses an SDK, async, a clock, randomness, the environment or logging; what it needs of them is passed in
//! as a value. It has three layers. Each uses only itself and those before it in this list:
//!
//! 1. [`model`]: the facts. A [`definition`](model::definition) says what is counted, in expressions of the
//!    [`language`](model::language). A [`record`](model::record) is what a stream delivers, a [`change`](model::change)
//!    what a record adds, and a [`marker`](model::marker) what is stored for it. [`limits`](model::limits) has the
//!    limits of the services.
//! 2. [`pipeline`]: the path of an event, in this order: [`parse`](pipeline::parse), [`delta`](pipeline::delta),
//!    [`coalesce`](pipeline::coalesce), [`plan`](pipeline::plan) with [`update`](pipeline::update),
//!    [`verdict`](pipeline::verdict), [`response`](pipeline::response).
//! 3. [`check`]: the operator's audit and repair. [`recount`](check::recount) adds up source items,
//!    [`judge`](check::judge) compares the counters with that sum, [`ledger`](check::ledger) reads the markers, and
//!    [`repair`](check::repair) decides what to write.

pub mod check;
pub mod model;
pub mod pipeline;

pub use serde_dynamo::{AttributeValue, Item};
