//! x
pub mod commit;
pub mod config;
pub mod entropy;
pub mod handler;
pub mod logging;
pub mod rollup;
pub mod shutdown;
pub mod store;
