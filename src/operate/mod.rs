//! The operator's command: its subcommands, and what they stand on.
//!
//! A subcommand a room: [`local`] runs the whole pipeline on this machine, and is a wing of its own; [`audit`],
//! [`repair`], [`replay`], [`quarantine`], [`migrate`] and [`deploy_check`] work on the tables of a deployment. Below them:
//!
//! - What was asked for: [`args`], the options that several have; [`operator`], who asks; [`stop`], the wish to end.
//! - The time: [`clock`]. What is told meanwhile: [`progress`]. What went wrong: [`error`]. What mends it: [`commands`]. What
//!   it is all written to: [`terminal`].
//! - The stream: [`stream_reader`] reads a [`stream`] to its end, in the order of the [`sequence`] numbers, and [`event`]
//!   makes Lambda's events of its records.
//! - The counters: [`apply`] adds records by the function's own way; [`marker_table`] has the keys of their markers,
//!   `record_parts` what those of large records are kept in. The processors: `threads`.

pub mod agreement;
pub mod apply;
pub mod args;
pub mod audit;
pub mod clock;
pub mod commands;
#[cfg(feature = "cli")]
pub mod deploy_check;
pub mod error;
pub mod event;
#[cfg(feature = "cli")]
pub mod local;
pub mod marker_table;
#[cfg(feature = "cli")]
pub mod migrate;
#[cfg(feature = "cli")]
pub mod operator;
pub mod printable;
pub mod progress;
#[cfg(feature = "cli")]
pub mod quarantine;
mod record_parts;
pub mod repair;
#[cfg(feature = "cli")]
mod repair_starts;
#[cfg(feature = "cli")]
pub mod replay;
pub mod sequence;
pub mod slices;
pub mod stop;
pub mod stream;
pub mod stream_reader;
#[cfg(feature = "cli")]
pub mod terminal;
mod threads;
#[cfg(feature = "cli")]
pub mod view;

/// How a command ended that could run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandOutcome {
    /// Everything is as it should be.
    Clean,
    /// There is something that an operator should look at.
    Found,
}

impl CommandOutcome {
    /// Something was found, unless all is clean.
    #[must_use]
    pub fn found_unless(clean: bool) -> Self {
        if clean { Self::Clean } else { Self::Found }
    }
}
