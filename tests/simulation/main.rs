//! A seeded simulation: the real handler and commit loop in a world that is a model, with an auditor.

#![allow(unreachable_pub, reason = "a test binary has no users")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a run may be followed, and each test prints how much it did")]

#[path = "../small_scope/expression.rs"]
mod expression;
#[path = "../small_scope/item_size.rs"]
mod item_size;
#[path = "../small_scope/seeded.rs"]
mod seeded;
#[path = "../small_scope/tables.rs"]
#[allow(dead_code, reason = "the small scopes need more of it")]
mod tables;
mod world;

mod planted;
mod seeds;
