//! Why a definition cannot be used, and where.

use std::fmt;

use crate::rollup::model::definition::conflicts::Conflict;
use crate::rollup::model::definition::json::{Step, place_in_literal, value_at};
use crate::rollup::model::definition::place::{Field, Position, ViewPlace};
use crate::rollup::model::language::SyntaxError;
use crate::rollup::model::limits;
use crate::rollup::model::view::{KeyType, ViewError};

/// A definition that cannot be used: what is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionError {
    /// The view, in a list of views.
    pub view: Option<ViewPlace>,
    /// The part of the view.
    pub field: Option<Field>,
    /// The place in the text of the definition.
    pub position: Option<Position>,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a definition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It is not JSON, or the JSON is not a definition.
    #[error("not a definition, {{\"key\": [...], \"measures\": {{...}}}} or {{\"views\": [...]}}: {0}")]
    Json(String),
    /// A member of a view is next to a list of views.
    #[error("\"{0}\" is beside \"views\"; move it into the view that it belongs to")]
    Beside(&'static str),
    /// A required member is missing.
    #[error("missing field `{0}`")]
    Missing(&'static str),
    /// A view's name has characters that are not allowed.
    #[error("the name {0:?} is not 1 to 64 of the characters A-Z, a-z, 0-9, _ and -")]
    Name(String),
    /// An expression is not in the language.
    #[error(transparent)]
    Syntax(Box<SyntaxError>),
    /// The value is a text, but the key attribute has another type.
    #[error("a value with text in it is of type S, not {wanted}; write S, or only one hole such as {{CustomerId}}")]
    KeyType {
        /// The type that the definition gives.
        wanted: KeyType,
    },
    /// More than one key attribute has an `each`.
    #[error("the key has each more than once; write it into one hole of one key attribute")]
    EachTwice,
    /// A `set` template has an expression that the key does not have.
    #[error("the hole {{{hole}}} is not in the view's key; a text that is set can use only the holes of the key")]
    SetHole { hole: String },
    /// A `set` template has an expression whose value is bytes.
    #[error("the hole {{{hole}}} is a key attribute of type B, which cannot become text")]
    SetBytes { hole: String },
    /// The value of a `set` attribute is not valid.
    #[error(
        "{found} cannot be set; expected a text of 1 to {} bytes, a number that DynamoDB can hold, true or false",
        limits::SET_TEXT_BYTES
    )]
    SetValue {
        /// What stands there.
        found: String,
    },
    /// A view contradicts itself.
    #[error(transparent)]
    View(ViewError),
    /// Views conflict with each other.
    #[error(transparent)]
    Conflict(Box<Conflict>),
}

impl Problem {
    /// The problem of a part of a view.
    pub(super) fn at(self, field: Field) -> DefinitionError {
        DefinitionError { field: Some(field), ..self.into() }
    }

    /// Whether the problem's message does not say which part of the view it is about.
    fn is_of_a_field(&self) -> bool {
        match self {
            Self::Syntax(_)
            | Self::KeyType { .. }
            | Self::SetHole { .. }
            | Self::SetBytes { .. }
            | Self::SetValue { .. } => true,
            Self::Json(_)
            | Self::Beside(_)
            | Self::Missing(_)
            | Self::Name(_)
            | Self::EachTwice
            | Self::View(_)
            | Self::Conflict(_) => false,
        }
    }
}

impl DefinitionError {
    /// The error as one of a view in a list.
    pub(super) fn of(self, view: ViewPlace) -> Self {
        Self { view: Some(view), ..self }
    }

    /// The error with its place in the text of the definition.
    pub(super) fn located(self, text: &str) -> Self {
        if self.position.is_some() {
            return self;
        }
        let mut way = Vec::new();
        if let Some(view) = &self.view {
            way.extend([Step::Member("views"), Step::Element(view.place)]);
        }
        way.extend(self.field.iter().flat_map(Field::way));
        let value = value_at(text, &way);
        let within = match &self.problem {
            Problem::Syntax(error) => place_in_literal(value, error.at()),
            _ => 0,
        };
        let start = value.as_ptr().addr() - text.as_ptr().addr();
        Self { position: Some(Position::of(text, start + within)), ..self }
    }

    /// What is wrong and what to write instead, with the view and its part, in one line and without the text itself.
    #[must_use]
    pub fn headline(&self) -> String {
        let mut line = String::new();
        // A conflict names the views that it is about.
        if let Some(view) = &self.view
            && !matches!(self.problem, Problem::Conflict(_) | Problem::Name(_))
        {
            line = format!("the view {:?}: ", view.name);
        }
        if let Some(field) = self.field.as_ref().filter(|_| self.problem.is_of_a_field()) {
            line = format!("{line}{field}: ");
        }
        match &self.problem {
            Problem::Syntax(error) => line + &error.headline(),
            problem => line + &problem.to_string(),
        }
    }

    /// What is wrong with the expression, if it is one.
    #[must_use]
    pub fn syntax(&self) -> Option<&SyntaxError> {
        match &self.problem {
            Problem::Syntax(error) => Some(error),
            _ => None,
        }
    }
}

impl From<SyntaxError> for Problem {
    fn from(error: SyntaxError) -> Self {
        Self::Syntax(Box::new(error))
    }
}

impl From<Problem> for DefinitionError {
    fn from(problem: Problem) -> Self {
        Self { view: None, field: None, position: None, problem }
    }
}

impl From<ViewError> for DefinitionError {
    fn from(error: ViewError) -> Self {
        Problem::View(error).into()
    }
}

impl From<Conflict> for DefinitionError {
    fn from(conflict: Conflict) -> Self {
        Problem::Conflict(Box::new(conflict)).into()
    }
}

impl fmt::Display for DefinitionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.headline())?;
        if let Some(error) = self.syntax() {
            let excerpt = error.excerpt();
            write!(f, "; in `{}>>>{}`", excerpt.before, excerpt.after)?;
        }
        self.position.iter().try_for_each(|position| write!(f, " ({position})"))
    }
}

impl std::error::Error for DefinitionError {}
