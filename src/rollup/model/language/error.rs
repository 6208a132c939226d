//! What is wrong with a text, where, and what is expected instead.

use std::fmt;
use std::ops::Range;

/// How much of a text a message shows on each side of the place, in characters.
const EXCERPT_CHARACTERS: usize = 60;

/// A text that is not in the language.
///
/// Its message names the place and what is expected there, and quotes the text with `>>>` before the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    text: String,
    at: usize,
    found: String,
    message: String,
}

impl SyntaxError {
    /// An error about the part `found` of a text. Both ends are ends of characters.
    pub(super) fn new(text: &str, found: Range<usize>, message: impl Into<String>) -> Self {
        let at = found.start;
        let found = text.get(found).unwrap_or_default();
        Self { text: text.to_owned(), at, found: found.to_owned(), message: message.into() }
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where it is wrong: the byte offset of [`SyntaxError::found`] in the text.
    #[must_use]
    pub fn at(&self) -> usize {
        self.at
    }

    /// What is at this place; empty at the end of the text.
    #[must_use]
    pub fn found(&self) -> &str {
        &self.found
    }

    /// What is wrong and what is expected instead, without the place.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// A part of a text around a place, in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The text before the place.
    pub before: String,
    /// The text from the place on.
    pub after: String,
    /// How many characters of `after` are wrong; 0 at the end of the text.
    pub wrong: usize,
}

impl SyntaxError {
    /// What is wrong and where, without the text itself.
    #[must_use]
    pub fn headline(&self) -> String {
        let found: String = self.found.chars().take(EXCERPT_CHARACTERS).collect();
        if found.is_empty() {
            format!("at the end: {}", self.message)
        } else {
            format!("at character {}, {found:?}: {}", self.split().0.chars().count() + 1, self.message)
        }
    }

    /// The text around the place.
    #[must_use]
    pub fn excerpt(&self) -> Excerpt {
        let (before, after) = self.split();
        // A line break in the text would break the message.
        let one_line = |text: &str| text.replace(char::is_control, " ");
        let skipped = before.chars().count().saturating_sub(EXCERPT_CHARACTERS);
        let start = before.char_indices().nth(skipped).map_or(0, |(place, _)| place);
        let shown = after.char_indices().nth(EXCERPT_CHARACTERS).map_or(after.len(), |(place, _)| place);
        let (head, tail) = (if skipped > 0 { "..." } else { "" }, if shown < after.len() { "..." } else { "" });
        Excerpt {
            before: format!("{head}{}", one_line(before.get(start..).unwrap_or_default())),
            after: format!("{}{tail}", one_line(&after[..shown])),
            wrong: self.found.chars().count().min(EXCERPT_CHARACTERS),
        }
    }

    fn split(&self) -> (&str, &str) {
        self.text.split_at_checked(self.at).unwrap_or((&self.text, ""))
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Excerpt { before, after, .. } = self.excerpt();
        write!(f, "{}; in `{before}>>>{after}`", self.headline())
    }
}

impl std::error::Error for SyntaxError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_tells_the_place_and_shows_it() {
        for (text, found, expected) in [
            ("A LIMIT 5", 2..7, "at character 3, \"LIMIT\": expected B; in `A >>>LIMIT 5`"),
            ("A =", 3..3, "at the end: expected B; in `A =>>>`"),
            ("\u{e4}\n\u{e4}?", 5..6, "at character 4, \"?\": expected B; in `\u{e4} \u{e4}>>>?`"),
        ] {
            let error = SyntaxError::new(text, found.clone(), "expected B");
            assert_eq!(error.to_string(), expected);
            assert_eq!((error.at(), error.found(), error.message()), (found.start, &text[found], "expected B"));
        }
    }

    #[test]
    fn a_long_text_is_shown_in_part() {
        let text = format!("{}?{}", "\u{e4}".repeat(61), "\u{f6}".repeat(61));
        let message = SyntaxError::new(&text, 122..123, "wrong").to_string();
        let expected = format!("in `...{}>>>?{}...`", "\u{e4}".repeat(60), "\u{f6}".repeat(59));
        assert!(message.ends_with(&expected), "{message}");
    }
}
