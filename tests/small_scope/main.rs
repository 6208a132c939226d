//! Small scopes, searched whole: every history of a few writes, every way of delivering it, every fault at every
//! request, every interleaving of two deliveries, on tables in memory.

#![allow(unreachable_pub, reason = "a test binary has no users")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "each search prints how much it searched")]

use support::{four_views, line, memory_store, service_limits, tables};

mod answering;
mod answers;
mod blame;
mod capacity;
mod collisions;
mod deadline;
mod deliveries;
mod elimination;
#[cfg(feature = "cli")]
mod engine_agreement;
mod expression;
mod first_touches;
mod function;
mod history;
mod history_of_four_views;
mod largest_images;
mod long_batches;
mod plan;
mod response;
mod schedule;
mod search;
mod sending;
mod several_views;
mod throttling;
mod two_deliveries;
mod unread_fields;
mod waiting;
