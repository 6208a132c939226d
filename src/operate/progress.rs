//! How far long work has got: a bar on a terminal, a line now and then elsewhere; always on standard error.

use std::cell::Cell;
use std::fmt;
#[cfg(feature = "cli")]
use std::io::{self, Write};
use std::time::Duration;

use tokio::time::Instant;

#[cfg(feature = "cli")]
use super::printable::printable;

#[cfg(feature = "cli")]
mod bar;
#[cfg(not(feature = "cli"))]
#[path = "progress/no_bar.rs"]
mod bar;

use bar::Bar;

/// How often there is a line, where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// The progress of one stage of the work.
#[derive(Debug)]
pub struct Progress {
    work: Work,
    done: Cell<u64>,
    began: Instant,
    last_line: Cell<Instant>,
    /// None where there is no terminal.
    bar: Option<Bar>,
}

#[derive(Debug)]
enum Work {
    /// Things are read: about so many, where that is known.
    Reading { what: &'static str, total: Option<u64> },
    /// Items are looked at, and those changed that need it.
    Changing { title: String, changed: Cell<u64> },
}

impl Progress {
    /// The progress of reading `what`, of about `total` of them; 0 is that nobody knows.
    #[must_use]
    pub fn reading(what: &'static str, total: u64) -> Self {
        let total = Some(total).filter(|total| *total > 0);
        let form = match total {
            None => "{spinner} {human_pos} {msg}, {per_sec}, {elapsed}",
            Some(_) => "{bar:30} {human_pos} of about {human_len} {msg}, {per_sec}, {eta} left",
        };
        let progress = Self::of(Work::Reading { what, total }, total, form);
        if let Some(bar) = &progress.bar {
            bar.set_message(what.to_owned());
        }
        progress
    }

    /// The progress of changing items, of about so many if that is known.
    #[must_use]
    pub fn changing(title: &str, total: Option<u64>) -> Self {
        let form = match total {
            None => "{prefix} {pos}{msg}",
            Some(_) => "{prefix} {bar:30} {pos} of about {len}{msg}",
        };
        let progress = Self::of(Work::Changing { title: title.to_owned(), changed: Cell::new(0) }, total, form);
        if let Some(bar) = &progress.bar {
            bar.set_prefix(title.to_owned());
        }
        progress
    }

    fn of(work: Work, total: Option<u64>, form: &str) -> Self {
        let bar = Bar::on_terminal(total, form);
        let now = Instant::now();
        Self { work, done: Cell::new(0), began: now, last_line: Cell::new(now), bar }
    }

    /// So many more are done.
    pub fn add(&self, count: u64) {
        self.done.set(self.done.get() + count);
        match &self.bar {
            Some(bar) => bar.inc(count),
            None if self.last_line.get().elapsed() >= LINE_INTERVAL => {
                self.last_line.set(Instant::now());
                self.line();
            }
            None => {}
        }
    }

    /// So many more are changed.
    pub fn add_changed(&self, count: u64) {
        let Work::Changing { changed, .. } = &self.work else { return };
        changed.set(changed.get() + count);
        if let Some(bar) = &self.bar {
            bar.set_message(format!(", {} to change", changed.get()));
        }
    }

    /// The stage is over: a bar disappears, and there is a last line of what took long or changed anything.
    pub fn finish(self) {
        match &self.bar {
            Some(bar) => bar.clear(),
            None if matches!(self.work, Work::Changing { .. }) || self.began.elapsed() >= LINE_INTERVAL => self.line(),
            None => {}
        }
    }

    /// A function has no reader of such lines: its log has lines of its own.
    fn line(&self) {
        // Work goes on when nobody listens.
        #[cfg(feature = "cli")]
        let _ = writeln!(io::stderr(), "{}", printable(self));
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done = self.done.get();
        match &self.work {
            Work::Reading { what, total } => {
                #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
                let rate = done as f64 / self.began.elapsed().as_secs_f64().max(0.001);
                let of = total.map(|total| format!(" of about {total}")).unwrap_or_default();
                write!(f, "{done}{of} {what}, {rate:.0} a second")
            }
            Work::Changing { title, changed } => {
                write!(f, "{title}: {done} items looked at, {} to change", changed.get())
            }
        }
    }
}
