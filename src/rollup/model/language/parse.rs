//! The grammar of values and conditions, with one function for each rule.
//!
//! A parenthesis can begin a value or a condition; only what follows shows which. So one set of rules reads both, and
//! each rule says which one it needs.

use crate::rollup::model::language::cursor::Parser;
use crate::rollup::model::language::error::SyntaxError;
use crate::rollup::model::language::syntax::{Comparator, Condition, Literal, Sign, Value};
use crate::rollup::model::language::token::Token;

const COMPARISON: &str = "expected =, <>, <, <=, >, >=, IN or BETWEEN";
const VALUE: &str = "expected a value: a path, 'text', a number, true, false or a function";

/// What a rule has read.
pub(super) enum Operand {
    Value(Value),
    Condition(Condition),
}

impl Operand {
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

    fn need_value(&self, start: usize, parsed: Operand) -> Result<Value, SyntaxError> {
        match parsed {
            Operand::Value(value) => Ok(value),
            Operand::Condition(_) => Err(self.refuse(self.since(start), "expected a value, not a condition")),
        }
    }

    fn need_condition(&self, parsed: Operand) -> Result<Condition, SyntaxError> {
        match parsed {
            Operand::Condition(condition) => Ok(condition),
            // Where the condition ends after a path, the path was meant as one.
            Operand::Value(Value::Path(_))
                if *self.token() == Token::End
                    || self.is_symbol(")")
                    || ["and", "or", "by"].iter().any(|word| self.is_keyword(word)) =>
            {
                let message = format!("{COMPARISON}: a path alone is not a condition; write `path = true`");
                Err(self.unexpected(&message))
            }
            Operand::Value(_) => Err(self.unexpected(COMPARISON)),
        }
    }

    /// A chain of conditions, or a single one.
    fn chain(
        &mut self,
        keyword: &str,
        one: fn(&mut Self) -> Result<Operand, SyntaxError>,
        join: fn(Vec<Condition>) -> Condition,
    ) -> Result<Operand, SyntaxError> {
        let first = one(self)?;
        if !self.is_keyword(keyword) {
            return Ok(first);
        }
        let mut conditions = vec![self.need_condition(first)?];
        while self.take_keyword(keyword)? {
            let next = one(self)?;
            conditions.push(self.need_condition(next)?);
        }
        Ok(Operand::Condition(join(conditions)))
    }

    fn or(&mut self) -> Result<Operand, SyntaxError> {
        self.chain("or", Self::and, Condition::Or)
    }

    fn and(&mut self) -> Result<Operand, SyntaxError> {
        self.chain("and", Self::not, Condition::And)
    }

    fn not(&mut self) -> Result<Operand, SyntaxError> {
        if !self.take_keyword("not")? {
            return self.comparison();
        }
        let parsed = self.nested(Self::not)?;
        let condition = self.need_condition(parsed)?;
        Ok(Operand::Condition(Condition::Not(Box::new(condition))))
    }

    fn comparison(&mut self) -> Result<Operand, SyntaxError> {
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
        Ok(Operand::Condition(condition))
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

    fn sum(&mut self) -> Result<Operand, SyntaxError> {
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
                _ => return Ok(Operand::Value(Value::Sum(first, rest))),
            };
            self.advance()?;
            let start = self.range().start;
            let next = self.product()?;
            rest.push((sign, self.need_value(start, next)?));
        }
    }

    fn product(&mut self) -> Result<Operand, SyntaxError> {
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
        Ok(Operand::Value(Value::Product(factors)))
    }

    fn unary(&mut self) -> Result<Operand, SyntaxError> {
        if self.is_symbol("+") {
            return self.literal().map(|literal| Operand::Value(Value::Literal(literal)));
        }
        if !self.take_symbol("-")? {
            return self.primary();
        }
        if let Token::Number(_) = *self.token() {
            let number = self.number()?;
            return Ok(Operand::Value(Value::Literal(Literal::Number(-number))));
        }
        let start = self.range().start;
        let operand = self.nested(Self::unary)?;
        Ok(Operand::Value(Value::Negative(Box::new(self.need_value(start, operand)?))))
    }

    fn primary(&mut self) -> Result<Operand, SyntaxError> {
        match *self.token() {
            Token::Symbol("(") => {
                self.advance()?;
                let inside = self.nested(Self::or)?;
                let expected = if inside.is_value() { "expected ) or an operator" } else { "expected AND, OR or )" };
                self.expect(")", expected)?;
                Ok(inside)
            }
            Token::Text(_) | Token::Number(_) => self.literal().map(|literal| Operand::Value(Value::Literal(literal))),
            Token::Name(_) if self.is_keyword("true") || self.is_keyword("false") => {
                self.literal().map(|literal| Operand::Value(Value::Literal(literal)))
            }
            Token::Name(name) => {
                let range = self.range();
                self.refuse_keyword(VALUE)?;
                self.advance()?;
                if self.is_symbol("(") {
                    return self.function(name, range);
                }
                self.path_from(name.to_owned()).map(|path| Operand::Value(Value::Path(path)))
            }
            Token::Quoted(_) => self.path().map(|path| Operand::Value(Value::Path(path))),
            Token::Symbol(_) | Token::End => Err(self.unexpected(VALUE)),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::rollup::model::language::{Condition, NESTING_DEPTH, Value};

    #[test]
    fn what_is_no_value_is_refused_with_its_place() {
        for (text, at, message) in [
            ("", 0, "expected a value"),
            ("  ", 2, "expected a value"),
            ("a b", 2, "expected +, -, * or the end"),
            ("a +", 3, "expected a value"),
            ("a + * b", 4, "expected a value"),
            ("+a", 1, "expected a number"),
            ("(a", 2, "expected ) or an operator"),
            ("(a = 1", 6, "expected AND, OR or )"),
            ("(a = 1)", 0, "expected a value, not a condition"),
            ("1 + (a = 1) * 2", 4, "expected a value, not a condition"),
            ("a)", 1, "expected +, -, * or the end"),
            ("a.", 2, "expected a name after the point"),
            ("a.'x'", 2, "expected a name after the point"),
            ("a.0", 1, "backquotes"),
            ("a[", 2, "expected the place in a list"),
            ("a[x]", 2, "expected the place in a list"),
            ("a[-1]", 2, "expected the place in a list"),
            ("a[1.5]", 2, "expected the place in a list"),
            ("a[4294967296]", 2, "expected the place in a list"),
            ("a[1", 3, "expected ]"),
            ("``", 0, "a name that is not empty"),
            ("by", 0, "by is a keyword: an attribute of this name is written `by`"),
            ("a + Where", 4, "Where is a keyword"),
            ("a.in(1)", 4, "expected +, -, * or the end"),
            ("null", 0, "attribute_type(path, 'NULL')"),
            ("1e126", 0, "up to 38 digits"),
            ("123456789012345678901234567890123456789", 0, "up to 38 digits"),
            ("a = 1", 2, "expected +, -, * or the end"),
            ("NOT a", 0, "expected a value"),
            ("'a' 'b'", 4, "expected +, -, * or the end"),
            ("a,", 1, "expected +, -, * or the end"),
            ("{a}", 0, "expected a value"),
        ] {
            let error = Value::parse(text).unwrap_err();
            assert_eq!(error.at(), at, "{text}: {error}");
            assert!(error.message().contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_no_condition_is_refused_with_its_place() {
        for (text, at, message) in [
            ("", 0, "expected a value"),
            ("a", 1, "a path alone is not a condition"),
            ("a AND b = 1", 2, "a path alone is not a condition"),
            ("a + 1 OR b = 1", 6, "expected =, <>"),
            ("a = 1 AND b", 11, "a path alone is not a condition"),
            ("NOT a", 5, "a path alone is not a condition"),
            ("(a) AND b = 1", 4, "a path alone is not a condition"),
            ("a = 1 b = 2", 6, "expected AND, OR or the end"),
            ("a = 1 = 2", 6, "expected AND, OR or the end"),
            ("(a = 1) = 2", 0, "expected a value, not a condition"),
            ("a = (b = 1)", 4, "expected a value, not a condition"),
            ("a = 1 LIMIT 5", 6, "expected AND, OR or the end"),
            ("a = null", 4, "attribute_type(path, 'NULL')"),
            ("a LIKE 'x%'", 2, "begins_with(value, 'text')"),
            ("a IS NULL", 2, "attribute_not_exists(path)"),
            ("a NOT IN (1)", 2, "NOT a IN (...)"),
            ("a IN 1", 5, "in parentheses"),
            ("a IN ()", 6, "expected a literal"),
            ("a IN (b)", 6, "expected a literal"),
            ("a IN (1", 7, "expected , or )"),
            ("a IN (1 2)", 8, "expected , or )"),
            ("a BETWEEN b AND 2", 10, "expected a literal"),
            ("a BETWEEN 1", 11, "expected AND and the upper bound"),
            ("a BETWEEN 1 AND", 15, "expected a literal"),
            ("a AND", 2, "a path alone"),
            ("a = 1 AND", 9, "expected a value"),
            ("AND a = 1", 0, "AND is a keyword"),
            ("a == 1", 2, "write ="),
            ("a => 1", 3, "expected a value"),
        ] {
            let error = Condition::parse(text).unwrap_err();
            assert_eq!(error.at(), at, "{text}: {error}");
            assert!(error.message().contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn a_message_reads_as_a_whole() {
        let error = Condition::parse("Plan = 'pro' LIMIT 5").unwrap_err().to_string();
        let expected = "at character 14, \"LIMIT\": expected AND, OR or the end; in `Plan = 'pro' >>>LIMIT 5`";
        assert_eq!(error, expected);
    }

    #[test]
    fn nesting_has_a_limit() {
        let of = |open: &str, inside: &str, close: &str, depth: usize| {
            format!("{}{inside}{}", open.repeat(depth), close.repeat(depth))
        };
        for (open, inside, close) in
            [("(", "a", ")"), ("-", "a", ""), ("lower(", "a", ")"), ("concat(b, ", "a", ")"), ("1 + (", "a", ")")]
        {
            let fits = Value::parse(&of(open, inside, close, NESTING_DEPTH)).unwrap();
            assert_eq!(Value::parse(&fits.to_string()), Ok(fits), "{open}");
            for depth in [NESTING_DEPTH + 1, 600] {
                let error = Value::parse(&of(open, inside, close, depth)).unwrap_err();
                assert!(depth > 400 || error.message().contains("nested more than 32 levels deep"), "{open}: {error}");
            }
        }
        for (open, inside, close) in [("NOT ", "a = 1", ""), ("(", "a = 1", ")"), ("NOT (a = 1 OR ", "b = 2", ")")] {
            let depth = if open.contains("NOT (") { NESTING_DEPTH / 2 } else { NESTING_DEPTH };
            let fits = Condition::parse(&of(open, inside, close, depth)).unwrap();
            assert_eq!(Condition::parse(&fits.to_string()), Ok(fits), "{open}");
            for depth in [depth + 1, 900] {
                assert!(Condition::parse(&of(open, inside, close, depth)).is_err(), "{open}");
            }
        }
    }

    #[test]
    fn a_long_chain_is_not_deep() {
        let sum = Value::parse(&format!("a{}", "+a".repeat(2_000))).unwrap();
        assert_eq!(sum.paths().len(), 2_001);
        let product = Value::parse(&format!("a{}", "*-a".repeat(1_000))).unwrap();
        assert_eq!(product.paths().len(), 1_001);
        for keyword in ["AND", "OR"] {
            let condition = Condition::parse(&format!("a=1{}", format!(" {keyword} a=1").repeat(400))).unwrap();
            assert_eq!(condition.paths().len(), 401);
        }
    }

    #[test]
    fn a_text_has_a_limit() {
        let of = |bytes: usize| Value::parse(&format!("'{}'", "x".repeat(bytes - 2)));
        assert!(of(4_096).is_ok());
        assert_eq!(of(4_097).unwrap_err().message(), "the text has 4097 bytes; the limit is 4096");
    }
}
