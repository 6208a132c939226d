//! How far long work has got: a bar on a terminal, a line now and then elsewhere; always on standard error.

use std::cell::RefCell;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

/// How often there is a line, where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// The progress of one stage of the work.
#[derive(Debug)]
pub struct Progress(Kind);

#[derive(Debug)]
enum Kind {
    Silent,
    Bar(ProgressBar),
    Lines(RefCell<Lines>),
}

#[derive(Debug)]
struct Lines {
    what: &'static str,
    total: u64,
    done: u64,
    began: Instant,
    told: Instant,
}

impl Progress {
    /// Progress that nobody sees.
    #[must_use]
    pub fn silent() -> Self {
        Self(Kind::Silent)
    }

    /// The progress of `what`, of about `total` of them; 0 is that nobody knows.
    #[must_use]
    pub fn of(what: &'static str, total: u64) -> Self {
        if !io::stderr().is_terminal() {
            let now = Instant::now();
            return Self(Kind::Lines(RefCell::new(Lines { what, total, done: 0, began: now, told: now })));
        }
        let (bar, style) = if total == 0 {
            (ProgressBar::no_length(), "{spinner} {human_pos} {msg}, {per_sec}, {elapsed}")
        } else {
            (ProgressBar::new(total), "{bar:30} {human_pos} of about {human_len} {msg}, {per_sec}, {eta} left")
        };
        bar.set_draw_target(ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.set_message(what);
        Self(Kind::Bar(bar))
    }

    /// So many more are done.
    pub fn add(&self, count: u64) {
        match &self.0 {
            Kind::Silent => {}
            Kind::Bar(bar) => bar.inc(count),
            Kind::Lines(lines) => {
                let mut lines = lines.borrow_mut();
                lines.done += count;
                if lines.told.elapsed() >= LINE_INTERVAL {
                    lines.told = Instant::now();
                    lines.tell();
                }
            }
        }
    }

    /// The stage is over; a bar disappears.
    pub fn finish(self) {
        match self.0 {
            Kind::Silent => {}
            Kind::Bar(bar) => bar.finish_and_clear(),
            Kind::Lines(lines) => {
                let lines = lines.into_inner();
                if lines.began.elapsed() >= LINE_INTERVAL {
                    lines.tell();
                }
            }
        }
    }
}

impl Lines {
    fn tell(&self) {
        #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = self.done as f64 / self.began.elapsed().as_secs_f64().max(0.001);
        let of = if self.total > 0 { format!(" of about {}", self.total) } else { String::new() };
        // Work goes on when nobody listens.
        let _ = writeln!(io::stderr(), "{}{of} {}, {rate:.0} a second", self.done, self.what);
    }
}
