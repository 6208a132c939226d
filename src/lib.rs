//! x
pub mod rollup;
