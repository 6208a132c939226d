//! The path of an event: from raw records to planned transactions, and from answers to the response.

pub mod blame;
pub mod coalesce;
pub mod contribution;
pub mod delta;
pub mod entry_size;
pub mod parse;
pub mod plan;
pub mod response;
pub mod update;
pub mod verdict;
pub mod view_item;
