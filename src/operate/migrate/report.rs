//! What is told of migrations: to people a table or lines, to programs one object.

use std::fmt;
use std::io::{self, Write};

use serde_json::{Value, json};

use super::decide::{Applied, State, decide, states};
use super::definition::Migration;
use super::lease::Held;
use super::steps::Did;

/// What became of a migration in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is applied and recorded.
    Applied,
    /// It would be applied: this is a dry run.
    WouldApply,
    /// Something was left that cannot be changed as it is; it is not recorded, and nothing after it was begun.
    Incomplete,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::WouldApply => "would_apply",
            Self::Incomplete => "incomplete",
        }
    }
}

/// What a run did, migration by migration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report(Vec<(Migration, Outcome, Did)>);

impl Report {
    /// Adds what became of a migration.
    pub fn add(&mut self, migration: &Migration, outcome: Outcome, did: Did) {
        self.0.push((migration.clone(), outcome, did));
    }

    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.0.iter().all(|(_, outcome, _)| *outcome == Outcome::Applied)
    }

    /// A list with an object for each migration.
    #[must_use]
    pub fn json(&self) -> Value {
        let one = |(migration, outcome, did): &(Migration, Outcome, Did)| {
            let left = did.left.iter().map(|left| json!({ "key": left.key, "reason": left.reason }));
            json!({
                "number": migration.number,
                "name": migration.name,
                "outcome": outcome.as_str(),
                "looked_at": did.looked_at,
                "changed": did.changed,
                "left": left.collect::<Vec<_>>(),
                "notes": did.notes,
            })
        };
        self.0.iter().map(one).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "nothing to apply");
        }
        for (migration, outcome, Did { looked_at, changed, left, notes }) in &self.0 {
            match outcome {
                Outcome::Applied => writeln!(f, "{migration}: applied; {changed} of {looked_at} items changed")?,
                Outcome::WouldApply => {
                    writeln!(f, "{migration}: would be applied; {changed} of {looked_at} items would be changed")?;
                }
                Outcome::Incomplete => writeln!(
                    f,
                    "{migration}: not complete; {changed} of {looked_at} items changed. Mend or delete what is named, and \
                     run this again"
                )?,
            }
            for note in notes {
                writeln!(f, "  {note}")?;
            }
            for left in left {
                writeln!(f, "  {} cannot be changed: {}", left.key, left.reason)?;
            }
        }
        Ok(())
    }
}

/// How every migration stands, and who is at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    rows: Vec<Row>,
    refusal: Option<String>,
    held: Option<Held>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    number: u32,
    name: String,
    state: &'static str,
    applied: Option<Applied>,
    checksum_here: Option<String>,
}

impl Status {
    /// Compares what was applied with what this build has.
    #[must_use]
    pub fn new(applied: &[Applied], wanted: &[Migration], held: Option<Held>) -> Self {
        Self {
            rows: states(applied, wanted).into_iter().map(Row::from).collect(),
            refusal: decide(applied, wanted).err().map(|refusal| refusal.to_string()),
            held,
        }
    }

    /// Whether every migration was applied as it is here.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.refusal.is_none() && self.rows.iter().all(|row| row.state == "applied")
    }

    /// The status as one object.
    #[must_use]
    pub fn json(&self) -> Value {
        let row = |row: &Row| {
            json!({
                "number": row.number,
                "name": row.name,
                "state": row.state,
                "applied_at": row.applied.as_ref().map(|applied| &applied.applied_at),
                "applied_by": row.applied.as_ref().map(|applied| &applied.applied_by),
                "applied_checksum": row.applied.as_ref().map(|applied| &applied.checksum),
                "checksum": row.checksum_here,
            })
        };
        json!({
            "migrations": self.rows.iter().map(row).collect::<Vec<_>>(),
            "refusal": self.refusal,
            "lease": self.held.as_ref().map(|held| json!({ "holder": held.holder, "ends_at": held.ends_at })),
        })
    }
}

impl From<State<'_>> for Row {
    fn from(state: State<'_>) -> Self {
        let was = |one: &Applied, state| Self {
            number: one.number,
            name: one.name.clone(),
            state,
            applied: Some(one.clone()),
            checksum_here: None,
        };
        let here = |one: &Migration| Some(one.checksum.clone());
        match state {
            State::Applied(applied) => {
                Self { checksum_here: Some(applied.checksum.clone()), ..was(applied, "applied") }
            }
            State::Missing(applied) => was(applied, "missing"),
            State::Edited(applied, wanted) => {
                Self { name: wanted.name.clone(), checksum_here: here(wanted), ..was(applied, "edited") }
            }
            State::Pending(wanted) => Self {
                number: wanted.number,
                name: wanted.name.clone(),
                state: "pending",
                applied: None,
                checksum_here: here(wanted),
            },
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|row| row.name.len()).max().unwrap_or_default();
        for Row { number, name, state, applied, .. } in &self.rows {
            write!(f, "{:<5} {name:<width$}  {state}", format!("V{number}"))?;
            match applied {
                Some(applied) if *state == "applied" => {
                    writeln!(f, " at {} by {}", applied.applied_at, applied.applied_by)?;
                }
                Some(applied) => {
                    writeln!(f, "; {applied} was applied at {} by {}", applied.applied_at, applied.applied_by)?;
                }
                None => writeln!(f)?,
            }
        }
        if let Some(refusal) = &self.refusal {
            writeln!(f, "\n{refusal}")?;
        }
        if let Some(held) = &self.held {
            writeln!(f, "\n{} is applying migrations; the lease lasts until {}", held.holder, held.ends_at)?;
        }
        Ok(())
    }
}

/// Writes a report on standard output, in one form or the other.
///
/// # Errors
/// When standard output is closed.
pub fn write(as_json: bool, object: &Value, text: &impl fmt::Display) -> io::Result<()> {
    if as_json { writeln!(io::stdout(), "{object}") } else { write!(io::stdout(), "{text}") }
}
