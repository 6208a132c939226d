//! The integration suite: every test on an engine of its own, on real stream records.

#![allow(unreachable_pub, reason = "a test binary has no users")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bootstrap;
mod engine;
mod first_touch;
mod limits;
mod persisted;
mod poison;
mod proxy;
mod replay_duplicate_events;
mod rollup;
mod runtime_api;
mod storm;
