//! The grammar of values and conditions, as one function a rule.
//!
//! A parenthesis can begin a value or a condition, and only what follows tells which. So one set of rules reads both,
//! and each rule says which of them it needs.

use std::ops::RangeInclusive;

use crate::rollup::model::language::cursor::Parser;
use crate::rollup::model::language::error::SyntaxError;
use crate::rollup::model::language::syntax::{Comparator, Condition, Literal, Path, Sign, Step, Value};
use crate::rollup::model::language::token::{Token, is_reserved};
use crate::rollup::model::number::Number;

const COMPARISON: &str = "expected =, <>, <, <=, >, >=, IN or BETWEEN";
const LITERAL: &str = "expected a literal: 'text', a number, true or false";
const VALUE: &str = "expected a value: a path, 'text', a number, true, false or a function";

/// What a rule has read.
pub(super) enum Parsed {
    Value(Value),
    Condition(Condition),
}

impl Parsed {
    fn is_value(&self) -> bool {
        matches!(self, Self::Value(_))
    }
}

impl Parser<'_> {
    pub(super) fn value(&mut self) -> Result<Value, SyntaxError> {
        let start = self.range().start;
        let parsed = self.sum()?;
        self.need_value(start, parsed)
    }

    pub(super) fn condition(&mut self) -> Result<Condition, SyntaxError> {
        let parsed = self.or()?;
        self.need_condition(parsed)
    }

    fn need_value(&self, start: usize, parsed: Parsed) -> Result<Value, SyntaxError> {
        match parsed {
            Parsed::Value(value) => Ok(value),
            Parsed::Condition(_) => Err(self.refuse(self.since(start), "expected a value, not a condition")),
        }
    }

    fn need_condition(&self, parsed: Parsed) -> Result<Condition, SyntaxError> {
        match parsed {
            Parsed::Condition(condition) => Ok(condition),
            Parsed::Value(Value::Path(_)) => {
                let message = format!("{COMPARISON}: a path alone is no condition; write `path = true`");
                Err(self.unexpected(&message))
            }
            Parsed::Value(_) => Err(self.unexpected(COMPARISON)),
        }
    }

    /// A chain of conditions, or what is no chain.
    fn chain(
        &mut self,
        keyword: &str,
        one: fn(&mut Self) -> Result<Parsed, SyntaxError>,
        join: fn(Vec<Condition>) -> Condition,
    ) -> Result<Parsed, SyntaxError> {
        let first = one(self)?;
        if !self.is_keyword(keyword) {
            return Ok(first);
        }
        let mut conditions = vec![self.need_condition(first)?];
        while self.take_keyword(keyword)? {
            let next = one(self)?;
            conditions.push(self.need_condition(next)?);
        }
        Ok(Parsed::Condition(join(conditions)))
    }

    fn or(&mut self) -> Result<Parsed, SyntaxError> {
        self.chain("or", Self::and, Condition::Or)
    }

    fn and(&mut self) -> Result<Parsed, SyntaxError> {
        self.chain("and", Self::not, Condition::And)
    }

    fn not(&mut self) -> Result<Parsed, SyntaxError> {
        if !self.take_keyword("not")? {
            return self.comparison();
        }
        let parsed = self.nested(Self::not)?;
        let condition = self.need_condition(parsed)?;
        Ok(Parsed::Condition(Condition::Not(Box::new(condition))))
    }

    fn comparison(&mut self) -> Result<Parsed, SyntaxError> {
        let start = self.range().start;
        let parsed = self.sum()?;
        let comparator = self.comparator();
        if comparator.is_none() && !self.is_keyword("in") && !self.is_keyword("between") {
            return Ok(parsed);
        }
        let left = self.need_value(start, parsed)?;
        let word = self.advance()?;
        let condition = if let Some(comparator) = comparator {
            Condition::Compare(left, comparator, self.value()?)
        } else if matches!(word, Token::Name(word) if word.eq_ignore_ascii_case("in")) {
            self.expect("(", "expected the literals in parentheses: IN ('a', 'b')")?;
            let mut literals = vec![self.literal()?];
            while self.take_symbol(",")? {
                literals.push(self.literal()?);
            }
            self.expect(")", "expected , or )")?;
            Condition::In(left, literals)
        } else {
            let low = self.literal()?;
            if !self.take_keyword("and")? {
                return Err(self.unexpected("expected AND and the upper bound: BETWEEN 1 AND 9"));
            }
            Condition::Between(left, low, self.literal()?)
        };
        Ok(Parsed::Condition(condition))
    }

    /// The comparator that the token is.
    pub(super) fn comparator(&self) -> Option<Comparator> {
        let Token::Symbol(symbol) = *self.token() else { return None };
        Some(match symbol {
            "=" => Comparator::Equal,
            "<>" => Comparator::NotEqual,
            "<" => Comparator::Less,
            "<=" => Comparator::LessOrEqual,
            ">" => Comparator::Greater,
            ">=" => Comparator::GreaterOrEqual,
            _ => return None,
        })
    }

    fn sum(&mut self) -> Result<Parsed, SyntaxError> {
        let start = self.range().start;
        let first = self.product()?;
        if !self.is_symbol("+") && !self.is_symbol("-") {
            return Ok(first);
        }
        let first = Box::new(self.need_value(start, first)?);
        let mut rest = Vec::new();
        loop {
            let sign = match *self.token() {
                Token::Symbol("+") => Sign::Plus,
                Token::Symbol("-") => Sign::Minus,
                _ => return Ok(Parsed::Value(Value::Sum(first, rest))),
            };
            self.advance()?;
            let start = self.range().start;
            let next = self.product()?;
            rest.push((sign, self.need_value(start, next)?));
        }
    }

    fn product(&mut self) -> Result<Parsed, SyntaxError> {
        let start = self.range().start;
        let first = self.unary()?;
        if !self.is_symbol("*") {
            return Ok(first);
        }
        let mut factors = vec![self.need_value(start, first)?];
        while self.take_symbol("*")? {
            let start = self.range().start;
            let next = self.unary()?;
            factors.push(self.need_value(start, next)?);
        }
        Ok(Parsed::Value(Value::Product(factors)))
    }

    fn unary(&mut self) -> Result<Parsed, SyntaxError> {
        if self.is_symbol("+") {
            return self.literal().map(|literal| Parsed::Value(Value::Literal(literal)));
        }
        if !self.take_symbol("-")? {
            return self.primary();
        }
        if let Token::Number(_) = *self.token() {
            let number = self.number()?;
            return Ok(Parsed::Value(Value::Literal(Literal::Number(-number))));
        }
        let start = self.range().start;
        let operand = self.nested(Self::unary)?;
        Ok(Parsed::Value(Value::Negative(Box::new(self.need_value(start, operand)?))))
    }

    fn primary(&mut self) -> Result<Parsed, SyntaxError> {
        match *self.token() {
            Token::Symbol("(") => {
                self.advance()?;
                let inside = self.nested(Self::or)?;
                let expected = if inside.is_value() { "expected ) or an operator" } else { "expected AND, OR or )" };
                self.expect(")", expected)?;
                Ok(inside)
            }
            Token::Text(_) | Token::Number(_) => self.literal().map(|literal| Parsed::Value(Value::Literal(literal))),
            Token::Name(_) if self.is_keyword("true") || self.is_keyword("false") => {
                self.literal().map(|literal| Parsed::Value(Value::Literal(literal)))
            }
            Token::Name(name) => {
                let range = self.range();
                self.refuse_keyword(VALUE)?;
                self.advance()?;
                if self.is_symbol("(") {
                    return self.function(name, range);
                }
                self.path_from(name.to_owned()).map(|path| Parsed::Value(Value::Path(path)))
            }
            Token::Quoted(_) => self.path().map(|path| Parsed::Value(Value::Path(path))),
            Token::Symbol(_) | Token::End => Err(self.unexpected(VALUE)),
        }
    }

    fn refuse_keyword(&self, expected: &str) -> Result<(), SyntaxError> {
        let Token::Name(name) = *self.token() else { return Ok(()) };
        if !is_reserved(name) {
            return Ok(());
        }
        let null =
            if name.eq_ignore_ascii_case("null") { "; for NULL there is attribute_type(path, 'NULL')" } else { "" };
        let message = format!("{expected}; {name} is a keyword: an attribute of this name is written `{name}`{null}");
        Err(self.refuse(self.range(), message))
    }

    /// A path, from its first name on.
    pub(super) fn path(&mut self) -> Result<Path, SyntaxError> {
        let name = self.name("expected a path: a name, with .name or [0] for what is inside")?;
        self.path_from(name)
    }

    fn name(&mut self, expected: &str) -> Result<String, SyntaxError> {
        self.refuse_keyword(expected)?;
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
    fn path_from(&mut self, attribute: String) -> Result<Path, SyntaxError> {
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
    fn number(&mut self) -> Result<Number, SyntaxError> {
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
