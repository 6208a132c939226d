//! Why a definition cannot be used.

use crate::rollup::model::definition::conflicts::Conflict;
use crate::rollup::model::language::SyntaxError;
use crate::rollup::model::limits;
use crate::rollup::model::view::{KeyType, ViewError};

/// A definition that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionError {
    /// It is no JSON, or JSON of something else.
    #[error("not a definition, {{\"key\": [...], \"measures\": {{...}}}} or {{\"views\": [...]}}: {0}")]
    Json(String),
    /// The members of a view stand beside a list of views.
    #[error("\"{0}\" stands beside \"views\"; write it into the view that it is of")]
    Beside(&'static str),
    /// A view needs a member.
    #[error("missing field `{0}`")]
    Missing(&'static str),
    /// A view's name in other characters.
    #[error("the name {0:?} is not 1 to 64 of the characters A-Z, a-z, 0-9, _ and -")]
    Name(String),
    /// An expression that is not in the language.
    #[error("{place}: {error}")]
    Syntax {
        /// Which member of the view it is.
        place: String,
        /// What is wrong.
        error: SyntaxError,
    },
    /// A constant that a view item cannot have, or a text that can only be of another type.
    #[error("{place}: a value with text in it is of type S, not {wanted}")]
    KeyType {
        /// Which key attribute.
        place: String,
        /// The type that it says.
        wanted: KeyType,
    },
    /// More than one key attribute is made for each element of something.
    #[error("the key has each more than once; write it into one hole of one key attribute")]
    EachTwice,
    /// What is set has a hole that the key does not have.
    #[error(
        "{place}: the hole {{{hole}}} does not stand in the view's key; what is set can only be made of what the key is made of"
    )]
    SetHole {
        /// Which attribute.
        place: String,
        /// The hole.
        hole: String,
    },
    /// What is set is made of bytes.
    #[error("{place}: the hole {{{hole}}} is a key attribute of type B, which no text can be made of")]
    SetBytes {
        /// Which attribute.
        place: String,
        /// The hole.
        hole: String,
    },
    /// What is set can be no attribute's value.
    #[error(
        "{place}: {found} is none of a text of 1 to {} bytes, a number that DynamoDB can hold, true and false",
        limits::SET_TEXT_BYTES
    )]
    SetValue {
        /// Which attribute.
        place: String,
        /// What stands there.
        found: String,
    },
    /// A view of several that cannot be used.
    #[error("the view {name:?}: {error}")]
    In {
        /// The view.
        name: String,
        /// What is wrong with it.
        error: Box<DefinitionError>,
    },
    /// A view contradicts itself.
    #[error(transparent)]
    View(#[from] ViewError),
    /// Views cannot be kept together.
    #[error(transparent)]
    Conflict(#[from] Conflict),
}
