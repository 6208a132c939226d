//! `ddb-rollup local`: the whole pipeline on this machine.
//!
//! - [`options`]: what the command is told.
//! - [`template`] evaluates the CloudFormation template, [`stack_definition`] is what it declares.
//! - [`running_stack`] is that at work: an [`engine`], and its tables by [`table_setup`].
//! - [`poller`] delivers the stream to a function as Lambda does; [`function`] is the roll-up behind it.
//! - [`pipeline`] runs it all until Ctrl-C, and [`view_printer`] prints the view items that change.
//! - [`demo`] runs it through a story instead.

pub mod demo;
pub mod engine;
pub mod function;
pub mod options;
pub mod pipeline;
pub mod poller;
pub mod running_stack;
pub mod stack_definition;
pub mod table_setup;
pub mod template;
pub mod view_printer;

use self::demo::error::DemoError;
pub use self::options::Args;
use self::pipeline::PipelineError;
use super::Ending;
use super::args::Shared;

/// Why the pipeline does not run, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// Until Ctrl-C.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// With `--demo`.
    #[error(transparent)]
    Demo(#[from] DemoError),
}

/// Runs the pipeline until Ctrl-C or SIGTERM, or the demo to its end.
///
/// # Errors
/// When it cannot start, or the demo cannot go on.
pub async fn run(shared: &Shared, args: &Args) -> Result<Ending, LocalError> {
    if args.demo {
        return Ok(demo::run(shared, args).await?);
    }
    pipeline::run(shared, args).await?;
    Ok(Ending::AsItShouldBe)
}
