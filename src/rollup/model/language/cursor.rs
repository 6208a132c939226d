//! A text and how far it has been read.

use std::ops::Range;

use crate::rollup::model::language::error::SyntaxError;
use crate::rollup::model::language::token::{self, Token};
use crate::rollup::model::language::{NESTING_DEPTH, TEXT_BYTES};

/// Keywords of other languages, with what to write instead.
const FOREIGN_WORDS: [(&str, &str); 5] = [
    ("like", "use begins_with(value, 'text') or contains(path, 'text') instead of LIKE"),
    ("is", "use attribute_exists(path), attribute_not_exists(path) or attribute_type(path, 'NULL') instead of IS"),
    ("not", "write NOT before the whole comparison: NOT a IN (...)"),
    ("xor", "write it with AND, OR and NOT"),
    ("group", "write a group as: count by value"),
];

/// A text and how far it has been read. It looks at one token ahead.
pub(super) struct Parser<'t> {
    text: &'t str,
    token: Token<'t>,
    range: Range<usize>,
    depth: usize,
}

impl<'t> Parser<'t> {
    /// Begins to read a text at a place.
    pub(super) fn new(text: &'t str, from: usize) -> Result<Self, SyntaxError> {
        if text.len() > TEXT_BYTES {
            let message = format!("the text has {} bytes; the limit is {TEXT_BYTES}", text.len());
            return Err(SyntaxError::new(text, text.floor_char_boundary(TEXT_BYTES)..text.len(), message));
        }
        let (token, range) = token::next(text, from)?;
        Ok(Self { text, token, range, depth: 0 })
    }

    pub(super) fn token(&self) -> &Token<'t> {
        &self.token
    }

    /// Where the token stands.
    pub(super) fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// Goes on to the next token.
    pub(super) fn advance(&mut self) -> Result<Token<'t>, SyntaxError> {
        let (token, range) = token::next(self.text, self.range.end)?;
        self.range = range;
        Ok(std::mem::replace(&mut self.token, token))
    }

    /// The error that the token is not what is expected here.
    pub(super) fn unexpected(&self, expected: &str) -> SyntaxError {
        let hint = FOREIGN_WORDS.into_iter().find(|(word, _)| self.is_keyword(word));
        let message = hint.map_or_else(|| expected.to_owned(), |(_, hint)| format!("{expected}; {hint}"));
        SyntaxError::new(self.text, self.range.clone(), message)
    }

    /// The error that something that was read is not what is expected there.
    pub(super) fn refuse(&self, range: Range<usize>, message: impl Into<String>) -> SyntaxError {
        SyntaxError::new(self.text, range, message)
    }

    /// The text from a place up to the token.
    pub(super) fn since(&self, start: usize) -> Range<usize> {
        let read = self.text.get(start..self.range.start).unwrap_or_default();
        start..start + read.trim_end().len()
    }

    pub(super) fn is_symbol(&self, symbol: &str) -> bool {
        matches!(self.token, Token::Symbol(found) if found == symbol)
    }

    pub(super) fn is_keyword(&self, keyword: &str) -> bool {
        matches!(self.token, Token::Name(found) if found.eq_ignore_ascii_case(keyword))
    }

    pub(super) fn take_symbol(&mut self, symbol: &str) -> Result<bool, SyntaxError> {
        let found = self.is_symbol(symbol);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    pub(super) fn take_keyword(&mut self, keyword: &str) -> Result<bool, SyntaxError> {
        let found = self.is_keyword(keyword);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    pub(super) fn expect(&mut self, symbol: &str, expected: &str) -> Result<(), SyntaxError> {
        if self.take_symbol(symbol)? { Ok(()) } else { Err(self.unexpected(expected)) }
    }

    pub(super) fn expect_end(&self, expected: &str) -> Result<(), SyntaxError> {
        if self.token == Token::End { Ok(()) } else { Err(self.unexpected(expected)) }
    }

    /// Reads one level deeper. The depth has a limit, because each level takes a part of the stack.
    pub(super) fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, SyntaxError>,
    ) -> Result<T, SyntaxError> {
        if self.depth == NESTING_DEPTH {
            return Err(self.unexpected(&format!("the expression is nested more than {NESTING_DEPTH} levels deep")));
        }
        self.depth += 1;
        let read = read(self)?;
        self.depth -= 1;
        Ok(read)
    }
}
