//! The operator's command as a process.

use std::process::Output;

use serde_json::Value;
use tokio::process::Command;

use crate::engine::Engine;

/// What a run of the command came to.
#[derive(Debug)]
pub struct Ran {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ran {
    /// Standard output as the one object that `--json` prints.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// The command on an engine, not started yet.
pub fn command(engine: &Engine, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ddb-rollup"));
    command
        .args(arguments)
        .env_clear()
        .envs([("AWS_SECRET_ACCESS_KEY", "local"), ("AWS_REGION", "eu-west-1")])
        .envs([("AWS_ACCESS_KEY_ID", &engine.access_key), ("AWS_ENDPOINT_URL", &engine.url)])
        .kill_on_drop(true);
    command
}

/// Runs the command on an engine; `more` are environment variables besides.
pub async fn run_with(engine: &Engine, arguments: &[&str], more: &[(&str, &str)]) -> Ran {
    let Output { status, stdout, stderr } =
        command(engine, arguments).envs(more.iter().copied()).output().await.unwrap();
    Ran {
        code: status.code().unwrap(),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

/// Runs the command on an engine.
pub async fn run(engine: &Engine, arguments: &[&str]) -> Ran {
    run_with(engine, arguments, &[]).await
}
