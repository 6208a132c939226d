//! What several test binaries share: tables in memory with the semantics that the roll-up relies on, an embedded engine, a
//! definition of four views, and choices that are the same at each run.

#[cfg(feature = "engine")]
pub mod engine;
pub mod expression;
pub mod four_views;
#[cfg(feature = "engine")]
pub mod function;
pub mod item_size;
pub mod line;
pub mod memory_store;
pub mod seeded;
pub mod service_limits;
pub mod tables;
