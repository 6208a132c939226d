//! A Lambda function has no terminal, so there is never a bar.

use std::fmt::Display;

/// Writes nothing: a function has its own log lines.
pub(super) fn write_line(_: impl Display) {}

/// A bar that never exists.
#[derive(Debug)]
pub(super) enum Bar {}

impl Bar {
    pub(super) fn on_terminal(_: Option<u64>, _: impl Fn(usize) -> String) -> Option<Self> {
        None
    }

    pub(super) fn set_message(&self, _: String) {
        match *self {}
    }

    pub(super) fn set_prefix(&self, _: String) {
        match *self {}
    }

    pub(super) fn inc(&self, _: u64) {
        match *self {}
    }

    pub(super) fn clear(&self) {
        match *self {}
    }
}
