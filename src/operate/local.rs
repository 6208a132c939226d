//! `ddb-rollup local`: the whole pipeline on this machine.
//!
//! - `options`: the command's options.
//! - `template` evaluates the CloudFormation template; `stack_definition` is what it declares.
//! - `own_tables` are a user's own tables, used instead of the declared ones.
//! - `running_stack` is the running stack: an [`engine`] with the tables that `table_setup` created.
//! - [`poller`] delivers the stream to a function as Lambda does; `function` is the roll-up.
//! - `pipeline` runs all of it until Ctrl-C, and `view_printer` prints the view items that change.
//! - `self_audit` audits the stack while it runs.
//! - `demo` runs a fixed story instead: it changes points, delivers everything again, recounts, and lets an audit find
//!   a counter that was tampered with.

mod demo;
pub mod engine;
mod error;
mod function;
mod options;
mod own_tables;
mod pipeline;
pub mod poller;
mod running_stack;
mod self_audit;
mod stack_definition;
mod table_setup;
mod template;
mod view_printer;

pub use self::error::LocalError;
pub use self::options::Args;
use super::CommandOutcome;
use super::args::Shared;

/// Runs the pipeline until Ctrl-C or SIGTERM, or the demo to its end.
///
/// # Errors
/// When the pipeline cannot start, or the demo cannot continue.
pub async fn run(shared: &Shared, args: &Args) -> Result<CommandOutcome, LocalError> {
    if args.demo {
        if shared.gives_definition() {
            return Err(LocalError::Definition);
        }
        return demo::run(shared, args).await;
    }
    pipeline::run(shared, args).await?;
    Ok(CommandOutcome::Clean)
}
