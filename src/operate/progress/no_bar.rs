//! A function has no terminal: there is never a bar.

use std::fmt::Display;

/// Nobody reads such lines: a function's log has lines of its own.
pub(super) fn write_line(_: impl Display) {}

/// A bar that cannot be.
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
