//! Who runs the command, as far as the environment tells it.

use std::env;

const UNKNOWN: &str = "unknown";

/// The user's name as the system's shell has it.
#[must_use]
pub fn user() -> String {
    variable(&["USER", "LOGNAME", "USERNAME"]).unwrap_or_else(|| UNKNOWN.to_owned())
}

/// The user and the machine.
#[must_use]
pub fn user_at_host() -> String {
    let host = variable(&["HOSTNAME", "COMPUTERNAME"])
        .or_else(|| std::fs::read_to_string("/etc/hostname").ok().map(|name| name.trim().to_owned()));
    format!("{}@{}", user(), host.as_deref().unwrap_or(UNKNOWN))
}

fn variable(names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| env::var(name).ok().filter(|value| !value.is_empty()))
}
