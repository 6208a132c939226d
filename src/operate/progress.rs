//! The progress of long work, always on standard error: a bar on a terminal, otherwise a line at an interval.

use std::cell::Cell;
use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use super::printable::counted;

#[cfg(feature = "cli")]
mod bar;
#[cfg(not(feature = "cli"))]
#[path = "progress/no_bar.rs"]
mod bar;

use bar::Bar;

/// How often a line is written if standard error is not a terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// The usual width of a terminal. On a narrower one there is no room for rates and titles.
const USUAL_COLUMNS: usize = 80;

/// From this width on, a bar fits next to the numbers.
const ROOM_FOR_A_BAR: usize = 90;
const ROOM_FOR_A_LONG_BAR: usize = 110;

/// The progress of one stage of the work.
#[derive(Debug)]
pub struct Progress {
    work: Work,
    done: Cell<u64>,
    began: Instant,
    last_line: Cell<Instant>,
    /// `None` if there is no terminal.
    bar: Option<Bar>,
}

#[derive(Debug)]
enum Work {
    /// Reading; `total` is an estimate, if known.
    Reading { what: &'static str, total: Option<u64> },
    /// Checking items and changing those that need it.
    Changing { title: String, changed: Cell<u64> },
}

impl Progress {
    /// The progress of reading about `total` of `what`; 0 means that the total is unknown.
    #[must_use]
    pub fn reading(what: &'static str, total: u64) -> Self {
        let total = Some(total).filter(|total| *total > 0);
        let progress = Self::of(Work::Reading { what, total }, total);
        if let Some(bar) = &progress.bar {
            bar.set_message(what.to_owned());
        }
        progress
    }

    /// The progress of changing items, of about so many if that is known.
    #[must_use]
    pub fn changing(title: &str, total: Option<u64>) -> Self {
        let progress = Self::of(Work::Changing { title: title.to_owned(), changed: Cell::new(0) }, total);
        if let Some(bar) = &progress.bar {
            bar.set_prefix(title.to_owned());
        }
        progress
    }

    fn of(work: Work, total: Option<u64>) -> Self {
        let bar = Bar::on_terminal(total, |columns| bar_form(&work, total, columns));
        let now = Instant::now();
        Self { work, done: Cell::new(0), began: now, last_line: Cell::new(now), bar }
    }

    /// Adds to the number of items that are done.
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

    /// Adds to the number of items that were changed.
    pub fn add_changed(&self, count: u64) {
        let Work::Changing { changed, .. } = &self.work else { return };
        changed.set(changed.get() + count);
        if let Some(bar) = &self.bar {
            bar.set_message(format!(", {} to change", changed.get()));
        }
    }

    /// Ends the stage: removes the bar, and writes a last line if the stage took long or changes items.
    pub fn finish(self) {
        match &self.bar {
            Some(bar) => bar.clear(),
            None if matches!(self.work, Work::Changing { .. }) || self.began.elapsed() >= LINE_INTERVAL => self.line(),
            None => {}
        }
    }

    fn line(&self) {
        bar::write_line(self);
    }
}

/// The template of the bar for indicatif. It must fit into `columns` next to the longest numbers that are likely.
fn bar_form(work: &Work, total: Option<u64>, columns: usize) -> String {
    let bar = match columns {
        ..ROOM_FOR_A_BAR => "",
        ROOM_FOR_A_BAR..ROOM_FOR_A_LONG_BAR => "{bar:10} ",
        _ => "{bar:30} ",
    };
    let (title, rate) = if columns < USUAL_COLUMNS { ("", "") } else { ("{prefix} ", " {per_sec},") };
    match (work, total) {
        (Work::Reading { .. }, None) => format!("{{spinner}} {{human_pos}} {{msg}},{rate} {{elapsed}}"),
        (Work::Reading { .. }, Some(_)) => {
            format!("{bar}{{human_pos}} of about {{human_len}} {{msg}},{rate} {{eta}} left")
        }
        (Work::Changing { .. }, None) => format!("{title}{{pos}}{{msg}}"),
        (Work::Changing { .. }, Some(_)) => format!("{title}{bar}{{pos}} of about {{len}}{{msg}}"),
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
                write!(f, "{title}: {} examined, {} to change", counted(done, "item", "items"), changed.get())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_bar_shows_fits() {
        let many = 1_234_567_890;
        let reading = || Work::Reading { what: "source items", total: None };
        let changing = || Work::Changing { title: String::new(), changed: Cell::default() };
        let works = [(reading(), None), (reading(), Some(many)), (changing(), None), (changing(), Some(many))];
        let cases = [60, 80, 90, 110].into_iter().flat_map(|columns| works.iter().map(move |case| (columns, case)));
        for (columns, (work, total)) in cases {
            let shown = [
                ("{spinner}", "⠁"),
                ("{human_pos}", "1,234,567,890"),
                ("{human_len}", "1,234,567,890"),
                ("{pos}", "123456789"),
                ("{len}", "123456789"),
                ("{per_sec}", "12,345.6789/s"),
                ("{elapsed}", "59m"),
                ("{eta}", "59m"),
                ("{bar:10}", &"#".repeat(10)),
                ("{bar:30}", &"#".repeat(30)),
                ("{prefix}", "V2__counters_of_source_items"),
            ];
            let form = bar_form(work, *total, columns);
            let message = if matches!(work, Work::Reading { .. }) { "source items" } else { ", 123456 to change" };
            let line =
                shown.iter().fold(form, |line, (name, value)| line.replace(name, value)).replace("{msg}", message);
            assert!(!line.contains('{') && line.chars().count() <= columns, "{columns}: {line}");
        }
    }
}
