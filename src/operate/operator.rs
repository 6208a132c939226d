//! Who runs the command, according to the environment.

use std::env;

const UNKNOWN: &str = "unknown";

/// The name of the operating system's user.
#[must_use]
pub fn user() -> String {
    variable(&["USER", "LOGNAME", "USERNAME"]).unwrap_or_else(|| UNKNOWN.to_owned())
}

/// The names of the user and of the machine.
#[must_use]
pub fn user_at_host() -> String {
    let host = variable(&["HOSTNAME", "COMPUTERNAME"])
        .or_else(|| std::fs::read_to_string("/etc/hostname").ok().map(|name| name.trim().to_owned()));
    format!("{}@{}", user(), host.as_deref().unwrap_or(UNKNOWN))
}

fn variable(names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| env::var(name).ok().filter(|value| !value.is_empty()))
}
