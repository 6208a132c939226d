//! The reports of migrations: tables and lines for people, one JSON object for programs.

use std::fmt;

use serde_json::{Value, json};

use super::decide::{AppliedMigration, MigrationState, decide, states};
use super::definition::Migration;
use super::steps::StepResult;
use crate::operate::printable::{counted, printable};

/// The outcome of a migration in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigrationOutcome {
    /// It was applied and recorded.
    Applied,
    /// It would be applied; this is a dry run.
    WouldApply,
    /// Some items could not be changed. It is not recorded, and no later migration was started.
    Incomplete,
}

impl MigrationOutcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::WouldApply => "would_apply",
            Self::Incomplete => "incomplete",
        }
    }
}

/// The outcomes of a run, by migration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MigrationReport {
    /// Whether the run changes nothing.
    dry_run: bool,
    /// The command that runs the same migrations and writes.
    command: String,
    migrations: Vec<MigrationRun>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct MigrationRun {
    migration: Migration,
    outcome: MigrationOutcome,
    result: StepResult,
}

impl MigrationReport {
    /// An empty report. `command` runs the same migrations and writes.
    #[must_use]
    pub fn new(dry_run: bool, command: String) -> Self {
        Self { dry_run, command, migrations: Vec::new() }
    }

    /// Adds the outcome of a migration.
    pub fn add(&mut self, migration: &Migration, outcome: MigrationOutcome, result: StepResult) {
        self.migrations.push(MigrationRun { migration: migration.clone(), outcome, result });
    }

    /// Whether it has no migrations.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.migrations.is_empty()
    }

    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.migrations.iter().all(|run| run.outcome == MigrationOutcome::Applied)
    }

    /// The report as a JSON object with a list of the migrations.
    #[must_use]
    pub fn json(&self) -> Value {
        let one = |MigrationRun { migration, outcome, result }: &MigrationRun| {
            let left = result.left.iter().map(|left| json!({ "key": left.key, "reason": left.reason }));
            json!({
                "number": migration.number,
                "name": migration.name,
                "outcome": outcome.as_str(),
                "looked_at": result.looked_at,
                "changed": result.changed,
                "left": left.collect::<Vec<_>>(),
                "notes": result.notes,
            })
        };
        json!({ "dry_run": self.dry_run, "migrations": self.migrations.iter().map(one).collect::<Vec<_>>() })
    }
}

impl fmt::Display for MigrationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "nothing to apply");
        }
        for MigrationRun { migration, outcome, result: StepResult { looked_at, changed, left, notes } } in
            &self.migrations
        {
            let items = counted(*looked_at, "item", "items");
            match outcome {
                MigrationOutcome::Applied => writeln!(f, "{migration}: applied; {changed} of {items} changed")?,
                MigrationOutcome::WouldApply => {
                    writeln!(f, "{migration}: would be applied; {changed} of {items} would be changed")?;
                }
                MigrationOutcome::Incomplete => {
                    writeln!(f, "{migration}: not complete; {changed} of {items} changed")?;
                }
            }
            for note in notes {
                writeln!(f, "  {}", printable(note))?;
            }
            for left in left {
                writeln!(f, "  {} cannot be changed: {}", printable(&left.key), printable(&left.reason))?;
            }
        }
        let is_incomplete = |run: &MigrationRun| run.outcome == MigrationOutcome::Incomplete;
        if self.migrations.iter().any(is_incomplete) {
            writeln!(f, "Fix or delete the items that cannot be changed. Then, to continue:\n    {}", self.command)?;
        } else if self.dry_run {
            writeln!(f, "To apply:\n    {}", self.command)?;
        }
        Ok(())
    }
}

/// The state of every migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStatus {
    rows: Vec<Row>,
    refusal: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    number: u32,
    name: String,
    state: &'static str,
    applied: Option<AppliedMigration>,
    checksum_here: Option<String>,
}

impl MigrationStatus {
    /// Compares the applied migrations with those of this build.
    #[must_use]
    pub fn new(applied: &[AppliedMigration], wanted: &[Migration]) -> Self {
        Self {
            rows: states(applied, wanted).into_iter().map(Row::from).collect(),
            refusal: decide(applied, wanted).err().map(|refusal| refusal.to_string()),
        }
    }

    /// Whether every migration of this build was applied unchanged, and no other was applied.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.refusal.is_none() && self.rows.iter().all(|row| row.state == "applied")
    }

    /// The status as a JSON object.
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
        })
    }
}

impl From<MigrationState<'_>> for Row {
    fn from(state: MigrationState<'_>) -> Self {
        let was = |one: &AppliedMigration, state| Self {
            number: one.number,
            name: one.name.clone(),
            state,
            applied: Some(one.clone()),
            checksum_here: None,
        };
        let here = |one: &Migration| Some(one.checksum.clone());
        match state {
            MigrationState::Applied(applied) => {
                Self { checksum_here: Some(applied.checksum.clone()), ..was(applied, "applied") }
            }
            MigrationState::Missing(applied) => was(applied, "missing"),
            MigrationState::Edited(applied, wanted) => {
                Self { name: wanted.name.clone(), checksum_here: here(wanted), ..was(applied, "edited") }
            }
            MigrationState::Pending(wanted) => Self {
                number: wanted.number,
                name: wanted.name.clone(),
                state: "pending",
                applied: None,
                checksum_here: here(wanted),
            },
        }
    }
}

impl fmt::Display for MigrationStatus {
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
        Ok(())
    }
}
