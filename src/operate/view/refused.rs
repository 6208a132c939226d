//! Why a definition is invalid, for its author.

use std::fmt;
use std::path::Path;

use serde_json::{Value, json};

use crate::config::VIEW_DEFINITION;
use crate::operate::args::Shared;
use crate::operate::printable::printable;
use crate::rollup::model::definition::{DefinitionError, Field};
use crate::rollup::model::language::SyntaxError;

/// An invalid definition: what is wrong, where, and what to write instead.
#[derive(Debug)]
pub struct RefusedDefinition {
    /// How the definition was given.
    given: String,
    error: DefinitionError,
}

impl RefusedDefinition {
    /// The definition given to the command is invalid.
    pub(super) fn of(shared: &Shared, error: DefinitionError) -> Self {
        let file = shared.definition.as_ref().map(|file| format!("--definition {}", file.display()));
        Self { given: file.unwrap_or_else(|| VIEW_DEFINITION.to_owned()), error }
    }

    /// The previous definition is invalid.
    pub(super) fn previous(file: &Path, error: DefinitionError) -> Self {
        Self { given: format!("--against {}", file.display()), error }
    }

    /// The object that `--json` prints.
    pub(super) fn json(&self) -> Value {
        let error = &self.error;
        json!({ "error": {
            "definition": self.given,
            "view": error.view.as_ref().map(|view| &view.name),
            "field": error.field.as_ref().map(Field::path),
            "line": error.position.map(|position| position.line),
            "column": error.position.map(|position| position.column),
            "message": error.headline(),
            "expression": error.syntax().map(SyntaxError::text),
            "character": error.syntax().map(|error| error.text()[..error.at()].chars().count() + 1),
        } })
    }
}

impl fmt::Display for RefusedDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", printable(&self.given))?;
        self.error.position.iter().try_for_each(|position| write!(f, ", {position}"))?;
        write!(f, ": {}", printable(self.error.headline()))?;
        if let Some(error) = self.error.syntax() {
            let excerpt = error.excerpt();
            write!(f, "\n  {}{}", excerpt.before, excerpt.after)?;
            write!(
                f,
                "\n  {:spaces$}{}",
                "",
                "^".repeat(excerpt.wrong.max(1)),
                spaces = excerpt.before.chars().count()
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for RefusedDefinition {}
