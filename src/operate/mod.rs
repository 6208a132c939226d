//! The operator's command, subcommand by subcommand, and what they stand on.
//!
//! [`local`] runs the whole pipeline on this machine: it reads what the template declares ([`template`],
//! [`deployment`]), so that nothing is told twice, starts an [`engine`] with its [`tables`], and lets the [`poller`]
//! deliver the stream to the [`function`]. [`watch`] shows what comes of it, and
//! [`demo`] tells a story with it. [`args`] is what all subcommands take, and
//! [`stop`] how long work ends.

pub mod args;
pub mod audit;
pub mod cause;
pub mod demo;
pub mod deploy_check;
pub mod deployment;
pub mod engine;
pub mod function;
pub mod local;
pub mod migrate;
pub mod poller;
pub mod quarantine;
pub mod repair;
pub mod replay;
pub mod stop;
pub mod tables;
pub mod template;
pub mod watch;

/// How a command ended that could run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Everything is as it should be.
    AsItShouldBe,
    /// There is something that an operator should look at.
    Found,
}

/// A table that a command could not use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot {action} the table {table}: {cause}")]
pub struct TableError {
    /// What was tried.
    pub action: &'static str,
    /// The table.
    pub table: String,
    /// What the service said.
    pub cause: String,
}

impl TableError {
    fn new(action: &'static str, table: &str, cause: impl std::fmt::Display) -> Self {
        Self { action, table: table.to_owned(), cause: cause.to_string() }
    }
}

impl Ending {
    /// Something was found, unless all is clean.
    #[must_use]
    pub fn found_unless(clean: bool) -> Self {
        if clean { Self::AsItShouldBe } else { Self::Found }
    }
}
