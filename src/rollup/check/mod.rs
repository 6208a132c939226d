//! The check: the recount of the counters, what the markers say about it, and the write that corrects a counter.

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
