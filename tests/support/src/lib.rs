//! What several test binaries share: tables in memory with the semantics that the roll-up relies on, an embedded engine, a
//! definition of four views, and a simulated world whose every choice comes from a seed.

#[cfg(feature = "engine")]
pub mod engine;
pub mod expression;
pub mod four_views;
#[cfg(feature = "engine")]
pub mod function;
pub mod item_size;
pub mod line;
pub mod memory_store;
pub mod service_limits;
pub mod tables;
pub mod world;
