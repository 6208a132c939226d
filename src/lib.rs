//! x
pub mod commit;
pub mod config;
pub mod entropy;
pub mod handler;
pub mod logging;
#[cfg(feature = "cli")]
pub mod operate;
pub mod rollup;
pub mod shutdown;
pub mod store;
