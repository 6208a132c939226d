//! The operator's command, subcommand by subcommand, and what they stand on.
//!
//! [`local`] runs the whole pipeline on this machine, and is a wing of its own. [`args`] is what all subcommands take,
//! [`stop`] how long work ends, [`stream`] reads a table's stream, and [`event`] makes Lambda's events of its records.

pub mod args;
pub mod audit;
pub mod cause;
pub mod deploy_check;
pub mod event;
pub mod local;
pub mod migrate;
pub mod quarantine;
pub mod repair;
pub mod replay;
pub mod stop;
pub mod stream;

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
