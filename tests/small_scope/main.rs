//! Small scopes, searched whole: every history of a few writes, every way of delivering it, every fault at every
//! request, every interleaving of two deliveries, on tables in memory.

#![allow(unreachable_pub, reason = "a test binary has no users")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "each search prints how much it searched")]

mod answers;
mod blame;
mod collisions;
mod deadline;
mod deliveries;
#[cfg(feature = "cli")]
#[path = "../it/engine.rs"]
#[allow(dead_code, reason = "the words of the integration suite, of which only some are needed here")]
mod engine;
#[cfg(feature = "cli")]
mod engine_agreement;
mod expression;
mod first_touches;
#[allow(dead_code, reason = "the properties need more of it")]
mod four_views;
mod function;
mod history;
mod history_of_four_views;
mod item_size;
mod largest_images;
mod line;
mod long_batches;
mod memory_store;
mod plan;
mod response;
mod schedule;
mod search;
mod seeded;
mod service_limits;
mod several_views;
#[allow(dead_code, reason = "the simulation needs more of it")]
mod tables;
mod throttling;
mod two_deliveries;
mod unread_fields;
mod waiting;
