//! What the demo prints: step by step for a person, or one JSON object for a program.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::recount::CountersByMap;
use crate::operate::printable::printable;
use crate::operate::terminal;

/// The left margin of a table row.
const MARGIN: &str = "   ";

/// The space between two columns of a table.
const GAP: &str = "  ";

/// Prints the steps as they happen.
#[derive(Debug)]
pub(super) struct DemoOutput {
    json: bool,
    bold_headlines: bool,
    columns: Option<usize>,
    steps: Vec<Value>,
}

impl DemoOutput {
    /// Output for a program or for a person. On a terminal, headlines for a person are bold.
    pub(super) fn new(json: bool) -> Self {
        let out = io::stdout();
        let (bold_headlines, columns) = (terminal::has_colours(&out), terminal::columns(&out));
        Self { json, bold_headlines, columns, steps: Vec::new() }
    }

    /// Prints lines for a person only.
    pub(super) fn line(&self, lines: &str) -> io::Result<()> {
        if self.json { Ok(()) } else { writeln!(io::stdout(), "{}", terminal::wrapped(lines, self.columns)) }
    }

    /// Prints a headline for a person only.
    pub(super) fn headline(&self, line: &str) -> io::Result<()> {
        if self.bold_headlines { self.line(&format!("\u{1b}[1m{line}\u{1b}[0m")) } else { self.line(line) }
    }

    /// Prints one step: what was done, what happened, and the counters that changed.
    pub(super) fn step(
        &mut self,
        title: &str,
        seen: &[String],
        before: &CountersByMap,
        after: &CountersByMap,
    ) -> io::Result<()> {
        self.steps.push(json!({ "title": title, "seen": seen, "counters": counters(after) }));
        self.line("")?;
        self.headline(&format!("{}  {title}", self.steps.len()))?;
        for line in seen {
            self.line(&format!("   {}", printable(line)))?;
        }
        let moved: Vec<_> = after.iter().filter(|(map, counters)| before.get(*map) != Some(counters)).collect();
        if moved.is_empty() {
            return Ok(());
        }
        let rows = moved.into_iter().map(|(map, counters)| {
            [map.clone(), before.get(map).map_or_else(|| "-".to_owned(), ToString::to_string), counters.to_string()]
        });
        self.line("")?;
        self.table(["map", "before", "after"], rows.collect())
    }

    /// Prints rows under headings, in columns as wide as needed. If the terminal is too narrow, each row takes several
    /// lines: its first cell, and below it the other cells, each with its heading.
    pub(super) fn table<const N: usize>(&self, headings: [&str; N], rows: Vec<[String; N]>) -> io::Result<()> {
        let rows = rows.into_iter().map(|row| row.map(printable));
        let rows = std::iter::once(headings.map(str::to_owned)).chain(rows).collect::<Vec<_>>();
        let widths: Vec<_> =
            (0..N).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()).collect();
        let width = MARGIN.len() + widths.iter().sum::<usize>() + GAP.len() * (N - 1);
        if self.columns.is_some_and(|columns| width > columns) {
            return self.stacked(&rows);
        }
        for row in rows {
            let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
            self.line(format!("{MARGIN}{}", cells.join(GAP)).trim_end())?;
        }
        Ok(())
    }

    /// Prints rows with one cell per line. The first row is the headings.
    fn stacked<const N: usize>(&self, rows: &[[String; N]]) -> io::Result<()> {
        let Some((headings, rows)) = rows.split_first() else { return Ok(()) };
        let width = headings.iter().skip(1).map(|heading| heading.chars().count()).max().unwrap_or_default();
        for row in rows {
            self.line(&format!("{MARGIN}{}", row[0]))?;
            for (heading, cell) in headings.iter().zip(row).skip(1) {
                self.line(&format!("{MARGIN}{GAP}{heading:width$}{GAP}{cell}"))?;
            }
        }
        Ok(())
    }

    /// Prints the object for a program: the summary's fields and the steps.
    pub(super) fn end(self, mut summary: Value) -> io::Result<()> {
        if !self.json {
            return Ok(());
        }
        if let Some(fields) = summary.as_object_mut() {
            fields.insert("steps".to_owned(), self.steps.into());
        }
        writeln!(io::stdout(), "{summary}")
    }
}

/// Counters by map, as JSON.
pub(super) fn counters(maps: &CountersByMap) -> Value {
    maps.iter().map(|(map, counters)| (map.clone(), counters.json())).collect::<Map<_, _>>().into()
}

/// Words with their frequency: `2 INSERT, 1 MODIFY`.
pub(super) fn word_counts(words: &[String]) -> String {
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for word in words {
        *times.entry(word).or_default() += 1;
    }
    times.iter().map(|(word, times)| format!("{times} {word}")).collect::<Vec<_>>().join(", ")
}
