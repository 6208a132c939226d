//! The bar on a terminal.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::USUAL_COLUMNS;
use crate::operate::printable::printable;
use crate::operate::terminal;

/// Writes a line to standard error, where there is no bar.
pub(super) fn write_line(line: impl Display) {
    // If standard error is closed, the work continues.
    let _ = writeln!(io::stderr(), "{}", printable(line));
}

/// A bar on standard error.
#[derive(Debug)]
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// A bar for the width of the terminal, with a length if that is known; `None` if standard error is not a terminal.
    pub(super) fn on_terminal(total: Option<u64>, form: impl Fn(usize) -> String) -> Option<Self> {
        io::stderr().is_terminal().then(|| {
            let form = form(terminal::columns(io::stderr()).unwrap_or(USUAL_COLUMNS));
            let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
            bar.set_draw_target(ProgressDrawTarget::stderr());
            // If indicatif refuses the template, its default stays.
            if let Ok(style) = ProgressStyle::with_template(&form) {
                bar.set_style(style);
            }
            Self(bar)
        })
    }

    pub(super) fn set_message(&self, message: String) {
        self.0.set_message(message);
    }

    pub(super) fn set_prefix(&self, prefix: String) {
        self.0.set_prefix(prefix);
    }

    pub(super) fn inc(&self, steps: u64) {
        self.0.inc(steps);
    }

    pub(super) fn clear(&self) {
        self.0.finish_and_clear();
    }
}
