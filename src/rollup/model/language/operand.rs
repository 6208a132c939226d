//! The grammar of what has no parts: paths, names, numbers and other literals.

use std::ops::RangeInclusive;

use crate::rollup::model::language::cursor::Parser;
use crate::rollup::model::language::error::SyntaxError;
use crate::rollup::model::language::syntax::{Literal, Path, Step};
use crate::rollup::model::language::token::{Token, is_reserved};
use crate::rollup::model::number::Number;

const LITERAL: &str = "expected a literal: 'text', a number, true or false";

impl Parser<'_> {
    pub(super) fn refuse_keyword(&self, expected: &str) -> Result<(), SyntaxError> {
        let Token::Name(name) = *self.token() else { return Ok(()) };
        if !is_reserved(name) {
            return Ok(());
        }
        let null =
            if name.eq_ignore_ascii_case("null") { "; to test for NULL, use attribute_type(path, 'NULL')" } else { "" };
        let message = format!("{expected}; {name} is a keyword: an attribute of this name is written `{name}`{null}");
        Err(self.refuse(self.range(), message))
    }

    /// A path, from its first name on.
    pub(super) fn path(&mut self) -> Result<Path, SyntaxError> {
        let expected = "expected a path: a name, with .name or [0] for what is inside";
        self.refuse_keyword(expected)?;
        let name = self.name(expected)?;
        self.path_from(name)
    }

    fn name(&mut self, expected: &str) -> Result<String, SyntaxError> {
        match self.token() {
            Token::Name(_) | Token::Quoted(_) => {}
            _ => return Err(self.unexpected(expected)),
        }
        let range = self.range();
        match self.advance()? {
            Token::Quoted(name) if name.is_empty() => Err(self.refuse(range, "expected a name that is not empty")),
            Token::Quoted(name) => Ok(name),
            Token::Name(name) => Ok(name.to_owned()),
            _ => Err(self.refuse(range, expected)),
        }
    }

    /// A path whose first name has been read.
    pub(super) fn path_from(&mut self, attribute: String) -> Result<Path, SyntaxError> {
        let mut steps = Vec::new();
        loop {
            if self.take_symbol(".")? {
                steps.push(Step::Name(self.name("expected a name after the point")?));
            } else if self.take_symbol("[")? {
                let index = "expected the place in a list: digits, from 0 on";
                steps.push(Step::Index(self.whole(index, 0..=u32::MAX)?));
                self.expect("]", "expected ]")?;
            } else if matches!(*self.token(), Token::Number(number) if number.starts_with('.')) {
                let message = "expected an operator, or a name after the point; one that begins with a digit is written in \
                               backquotes, `name`";
                return Err(self.unexpected(message));
            } else {
                return Ok(Path { attribute, steps });
            }
        }
    }

    /// A whole number in plain digits.
    pub(super) fn whole(&mut self, expected: &str, bounds: RangeInclusive<u32>) -> Result<u32, SyntaxError> {
        let digits = match *self.token() {
            Token::Number(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits,
            _ => return Err(self.unexpected(expected)),
        };
        let number = digits.parse().ok().filter(|number| bounds.contains(number));
        let number = number.ok_or_else(|| self.unexpected(expected))?;
        self.advance()?;
        Ok(number)
    }

    /// A number without a sign.
    pub(super) fn number(&mut self) -> Result<Number, SyntaxError> {
        let Token::Number(digits) = *self.token() else { return Err(self.unexpected("expected a number")) };
        let number = digits.parse::<Number>().map_err(|_| {
            self.unexpected("expected a number that DynamoDB can hold: up to 38 digits, between 1e-130 and 9.99e125")
        })?;
        self.advance()?;
        Ok(number)
    }

    /// A number with or without a sign.
    pub(super) fn signed_number(&mut self) -> Result<Number, SyntaxError> {
        if self.take_symbol("-")? {
            return self.number().map(|number| -number);
        }
        self.take_symbol("+")?;
        self.number()
    }

    pub(super) fn literal(&mut self) -> Result<Literal, SyntaxError> {
        match *self.token() {
            Token::Text(_) => match self.advance()? {
                Token::Text(text) => Ok(Literal::Text(text)),
                _ => Err(self.unexpected(LITERAL)),
            },
            Token::Number(_) | Token::Symbol("-" | "+") => self.signed_number().map(Literal::Number),
            Token::Name(name) if name.eq_ignore_ascii_case("true") => self.advance().map(|_| Literal::Bool(true)),
            Token::Name(name) if name.eq_ignore_ascii_case("false") => self.advance().map(|_| Literal::Bool(false)),
            _ => Err(self.unexpected(LITERAL)),
        }
    }
}
