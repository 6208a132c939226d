//! The operator's command, subcommand by subcommand.
//!
//! What the template declares is read from it ([`template`], [`deployment`]), so that nothing is told twice. The
//! [`poller`] is Lambda's event source mapping.

pub mod deployment;
pub mod poller;
pub mod stop;
pub mod template;
