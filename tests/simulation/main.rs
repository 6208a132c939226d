//! A seeded simulation: the real handler and commit loop in a world that is a model, with an auditor. The world is the
//! module `world` of the crate `support`.

#![allow(unreachable_pub, reason = "a test binary has no users")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a run may be followed, and each test prints how much it did")]

use support::world;

mod planted;
mod seeds;
