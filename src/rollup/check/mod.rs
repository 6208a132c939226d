//! The check: what the counters should be, what the markers say of it, and the write that sets it right.

pub mod balance;
pub mod correction;
pub mod elimination;
#[cfg(test)]
mod example;
pub mod judge;
pub mod ledger;
pub mod ownership;
pub mod recount;
pub mod repair;
pub mod repair_start;
pub mod slice;
pub mod zero_groups;
