//! Positions in a definition.

use std::fmt;

use crate::rollup::model::definition::json::Step;
use crate::rollup::model::view::ViewError;

/// A view in a list of views.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewPlace {
    /// Its place, from 0.
    pub place: usize,
    /// Its name.
    pub name: String,
}

/// A position in a text, as editors show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
}

impl Position {
    /// The place of a byte of a text.
    pub(super) fn of(text: &str, byte: usize) -> Self {
        let before = text.get(..byte).unwrap_or(text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        Self { line: before.matches('\n').count() + 1, column: line.chars().count() + 1 }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// A part of a view's definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// `name`.
    Name,
    /// `where`.
    Where,
    /// `key`.
    Key,
    /// A part of `key`.
    KeyPart {
        /// Its place, from 0.
        place: usize,
        /// The key attribute.
        attribute: String,
    },
    /// `on_missing`.
    OnMissing,
    /// `measures`.
    Measures,
    /// One of `measures`.
    Measure(String),
    /// `set`.
    AllSet,
    /// One of `set`.
    Set(String),
}

impl Field {
    /// The part that causes the refusal of a view.
    pub(super) fn refused_by(error: &ViewError, is_measure: impl Fn(&str) -> bool) -> Self {
        match error {
            ViewError::Attribute(attribute) if is_measure(attribute) => Self::Measure(attribute.clone()),
            ViewError::KeyParts(_) | ViewError::Attribute(_) | ViewError::EmptyName(_) => Self::Key,
            ViewError::NoMeasure | ViewError::TooManyMeasures(_) => Self::Measures,
            ViewError::TooManySetAttributes(_) => Self::AllSet,
        }
    }

    /// The way to it from its view.
    pub(super) fn way(&self) -> Vec<Step<'_>> {
        match self {
            Self::Name => vec![Step::Member("name")],
            Self::Where => vec![Step::Member("where")],
            Self::Key => vec![Step::Member("key")],
            Self::KeyPart { place, .. } => vec![Step::Member("key"), Step::Element(*place), Step::Member("value")],
            Self::OnMissing => vec![Step::Member("on_missing")],
            Self::Measures => vec![Step::Member("measures")],
            Self::Measure(attribute) => vec![Step::Member("measures"), Step::Member(attribute)],
            Self::AllSet => vec![Step::Member("set")],
            Self::Set(attribute) => vec![Step::Member("set"), Step::Member(attribute)],
        }
    }

    /// The members that lead to it, as `measures.Revenue` or `key[0]`.
    #[must_use]
    pub fn path(&self) -> String {
        match self {
            Self::Name => "name".to_owned(),
            Self::Where => "where".to_owned(),
            Self::Key => "key".to_owned(),
            Self::KeyPart { place, .. } => format!("key[{place}]"),
            Self::OnMissing => "on_missing".to_owned(),
            Self::Measures => "measures".to_owned(),
            Self::Measure(attribute) => format!("measures.{attribute}"),
            Self::AllSet => "set".to_owned(),
            Self::Set(attribute) => format!("set.{attribute}"),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyPart { attribute, .. } => write!(f, "the key attribute {attribute:?}"),
            Self::Measure(attribute) => write!(f, "the measure {attribute:?}"),
            Self::Set(attribute) => write!(f, "set {attribute:?}"),
            Self::Name | Self::Where | Self::Key | Self::OnMissing | Self::Measures | Self::AllSet => {
                f.write_str(&self.path())
            }
        }
    }
}
