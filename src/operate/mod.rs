//! The operator's command: its subcommands, and the modules that they share.
//!
//! Each subcommand has a module. [`local`] runs the whole pipeline on this machine; [`audit`], [`repair`], [`replay`],
//! [`quarantine`], [`migrate`] and [`deploy_check`] work on the tables of a deployment. They share:
//!
//! - Options: [`args`] has those that several subcommands have; [`operator`] says who runs the command; [`stop`] is the
//!   request to stop.
//! - Time: [`clock`]. Progress: [`progress`]. Errors: [`error`]. Commands to run next: [`commands`]. Output:
//!   [`terminal`].
//! - Stream: [`stream_reader`] reads a [`stream`] to its end, in the order of the [`sequence`] numbers; [`event`]
//!   builds Lambda's events from its records.
//! - Counters: [`apply`] applies records as the function does; [`marker_table`] has the keys of their markers, and
//!   `record_parts` reads large records that are kept in parts. `threads` uses all processors.

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
pub mod shell_option;
pub mod slice_report;
pub mod slices;
pub mod stop;
pub mod stream;
pub mod stream_reader;
#[cfg(feature = "cli")]
pub mod terminal;
mod threads;
#[cfg(feature = "cli")]
pub mod view;

/// How a command ended that ran to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandOutcome {
    /// Everything is as it should be.
    Clean,
    /// An operator should look at what was found.
    Found,
}

impl CommandOutcome {
    /// `Clean` if `clean`, otherwise `Found`.
    #[must_use]
    pub fn found_unless(clean: bool) -> Self {
        if clean { Self::Clean } else { Self::Found }
    }
}
