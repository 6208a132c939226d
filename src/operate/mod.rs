//! The operator's command, subcommand by subcommand, and what they stand on.
//!
//! [`local`] runs the whole pipeline on this machine: it reads what the template declares ([`template`],
//! [`deployment`]), so that nothing is told twice, starts an [`engine`] with its [`tables`], and lets the [`poller`]
//! deliver the stream to the [`function`]. [`watch`] shows what comes of it, and
//! [`demo`] tells a story with it. [`args`] is what all subcommands take, and
//! [`stop`] how long work ends.

pub mod apply;
pub mod args;
pub mod audit;
pub mod clock;
pub mod demo;
pub mod deploy_check;
pub mod deployment;
pub mod engine;
pub mod error;
pub mod function;
pub mod local;
pub mod marker_table;
pub mod migrate;
pub mod operator;
pub mod poller;
pub mod progress;
pub mod quarantine;
pub mod repair;
pub mod replay;
pub mod sequence;
pub mod stop;
pub mod stream_reader;
pub mod tables;
pub mod template;
pub mod watch;

/// What the local wing still calls `cause`.
mod cause {
    pub(super) use super::error::{error_chain as chain, failure_text as cause};
}

/// How a command ended that could run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Everything is as it should be.
    AsItShouldBe,
    /// There is something that an operator should look at.
    Found,
}

impl Ending {
    /// Something was found, unless all is clean.
    #[must_use]
    pub fn found_unless(clean: bool) -> Self {
        if clean { Self::AsItShouldBe } else { Self::Found }
    }
}
