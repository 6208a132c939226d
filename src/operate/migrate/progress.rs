//! How far long work is, on standard error: a bar on a terminal, a line now and then elsewhere.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

/// How long it takes to the next line where there is no terminal.
const LINE_PERIOD: Duration = Duration::from_secs(5);

/// The progress of one piece of work over the items of a table.
#[derive(Debug)]
pub struct Progress {
    title: String,
    looked_at: u64,
    changed: u64,
    shown: Shown,
}

#[derive(Debug)]
enum Shown {
    Bar(ProgressBar),
    Lines { last: Instant },
}

impl Progress {
    /// Begins to show; `expected` is how many items there are, as far as that is known.
    #[must_use]
    pub fn begin(title: impl Into<String>, expected: Option<u64>) -> Self {
        let title = title.into();
        let shown = if io::stderr().is_terminal() {
            let bar = expected.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
            let form =
                if expected.is_some() { "{prefix} {bar:30} {pos} of about {len}{msg}" } else { "{prefix} {pos}{msg}" };
            // A form that indicatif does not take leaves its own.
            if let Ok(style) = ProgressStyle::with_template(form) {
                bar.set_style(style);
            }
            bar.set_prefix(title.clone());
            Shown::Bar(bar)
        } else {
            Shown::Lines { last: Instant::now() }
        };
        Self { title, looked_at: 0, changed: 0, shown }
    }

    /// So many more items were looked at, and so many of them changed.
    pub fn advance(&mut self, looked_at: u64, changed: u64) {
        self.looked_at += looked_at;
        self.changed += changed;
        match &mut self.shown {
            Shown::Bar(bar) => {
                bar.set_position(self.looked_at);
                bar.set_message(format!(", {} to change", self.changed));
            }
            Shown::Lines { last } if last.elapsed() >= LINE_PERIOD => {
                *last = Instant::now();
                self.line();
            }
            Shown::Lines { .. } => {}
        }
    }

    fn line(&self) {
        // Progress that nobody can read is no reason to stop the work.
        let _ =
            writeln!(io::stderr(), "{}: {} items looked at, {} to change", self.title, self.looked_at, self.changed);
    }

    /// Ends showing.
    pub fn end(self) {
        match &self.shown {
            Shown::Bar(bar) => bar.finish_and_clear(),
            Shown::Lines { .. } => self.line(),
        }
    }
}
