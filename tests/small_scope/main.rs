//! Small scopes, searched whole: every history of a few writes, every way of delivering it, every fault at every
//! request, every interleaving of two deliveries, on tables in memory.

#![allow(unreachable_pub, reason = "a test binary has no users")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "each search prints how much it searched")]

mod expression;
mod item_size;
mod line;
mod memory_store;
