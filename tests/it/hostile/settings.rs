//! Hostile settings: environments of the function, and arguments of the command. None of them may be taken silently.

use std::fmt::Write;
use std::path::Path;
use std::process::Output;

use futures_util::StreamExt;
use futures_util::stream::iter;
use serde_json::Value;
use tokio::process::Command;

use super::{assert_page, corpus};
use crate::runtime_api::{Sandbox, Settings, in_time};

/// An endpoint that nobody needs: what is refused is refused before anything is asked.
const NOWHERE: &str = "http://127.0.0.1:9";

/// Starts the function with the variables of a file, and tells in which words it does not start, or warns.
async fn start(name: &str, variables: &str) -> String {
    let mut settings = Settings::at(NOWHERE);
    for line in variables.lines() {
        let (variable, value) = line.split_once('=').unwrap();
        settings = settings.with(variable, value);
    }
    let sandbox = Sandbox::start(&settings);
    let polled = sandbox.polled_or_ended().await;
    let code = if polled { sandbox.terminate().await } else { sandbox.exit().await }.code();
    assert_eq!(code, Some(i32::from(!polled)), "{name}");
    assert_eq!(sandbox.stderr().await, [""; 0], "{name}");
    let mut page = format!("{name}\n");
    let lines = sandbox.stdout().await.into_iter().map(|line| serde_json::from_str(&line).unwrap());
    let told: Vec<Value> = lines.filter(|line: &Value| line["level"] != "INFO").collect();
    assert_eq!(told.iter().filter(|line| line["level"] == "ERROR").count(), usize::from(!polled), "{name}: {told:?}");
    assert!(!told.is_empty(), "{name}: it is taken silently");
    for line in told {
        let variable = line["variable"].as_str().map_or(String::new(), |variable| format!("{variable}: "));
        let message = line["message"].as_str().unwrap().replace(&"x".repeat(256), "x[256 times]");
        for mentioned in variables.lines().filter_map(|line| line.split('=').next()) {
            let other = line["level"] == "WARN" || variables.lines().count() > 1;
            assert!(other || message.contains(mentioned), "{name}: {mentioned} is not named: {message}");
        }
        writeln!(page, "  {} {variable}{message}", line["level"].as_str().unwrap()).unwrap();
    }
    page
}

/// Runs the command with the arguments of a file, and tells in which words it ends.
async fn run(name: &str, arguments: &str, folder: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ddb-rollup"));
    command
        .args(arguments.lines())
        .current_dir(folder)
        .env_clear()
        .envs([("AWS_ACCESS_KEY_ID", "local"), ("AWS_SECRET_ACCESS_KEY", "local"), ("AWS_REGION", "eu-west-1")])
        .envs([("AWS_ENDPOINT_URL", NOWHERE), ("AWS_EC2_METADATA_DISABLED", "true"), ("HOME", "/nonexistent")])
        .kill_on_drop(true);
    let Output { status, stdout, stderr } = in_time(name, command.output()).await.unwrap();
    assert_eq!(status.code(), Some(2), "{name}: {}", String::from_utf8_lossy(&stderr));
    let stderr = String::from_utf8(stderr).unwrap();
    assert!(!stderr.is_empty() && !stderr.contains("panicked"), "{name}: {stderr}");
    let results = String::from_utf8(stdout).unwrap();
    let results = results.lines().map(|line| format!("  results: {line}\n"));
    let messages = stderr.lines().filter(|line| !line.is_empty()).map(|line| format!("  {line}\n"));
    format!("{name}\n{}", results.chain(messages).collect::<String>())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_environment_of_the_function_is_refused_or_warned_of() {
    let files = corpus("settings/bootstrap");
    let pages = iter(files).map(|(name, variables)| tokio::spawn(async move { start(&name, &variables).await }));
    let pages: Vec<_> = pages.buffered(4).map(Result::unwrap).collect().await;
    assert_page("bootstrap", &pages.concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_arguments_of_the_command_are_refused() {
    let files = corpus("settings/command");
    let folder = tempfile::tempdir().unwrap();
    let pages = iter(files).map(|(name, arguments)| {
        let folder = folder.path().to_owned();
        tokio::spawn(async move { run(&name, &arguments, &folder).await })
    });
    let pages: Vec<_> = pages.buffered(4).map(Result::unwrap).collect().await;
    assert_eq!(folder.path().read_dir().unwrap().count(), 0, "what is refused leaves nothing behind");
    assert_page("command", &pages.concat());
}
