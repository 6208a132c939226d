//! Reads expressions: recursive descent over their words. It accepts what the contract's grammar has, and is not made to
//! explain what is wrong.

use super::decimal::Decimal;
use super::syntax::{Amount, Comparator, Condition, Group, Literal, Measure, Path, Piece, Step, Template, Unit, Value};
use super::words::{Word, words};

pub type Read<T> = Result<T, String>;

const KEYWORDS: [&str; 10] = ["and", "between", "by", "each", "false", "in", "not", "or", "true", "where"];

struct Parser {
    words: Vec<Word>,
    at: usize,
}

/// Reads a whole text with one of the functions below.
fn whole<T>(text: &str, read: impl FnOnce(&mut Parser) -> Read<T>) -> Read<T> {
    let mut parser = Parser { words: words(text)?, at: 0 };
    let found = read(&mut parser)?;
    if parser.at == parser.words.len() { Ok(found) } else { Err(parser.wrong("the end")) }
}

pub fn condition(text: &str) -> Read<Condition> {
    whole(text, Parser::condition)
}

pub fn measure(text: &str) -> Read<Measure> {
    whole(text, Parser::measure)
}

/// Reads a template: text with `{expression}` holes, in which `{{` and `}}` are braces.
pub fn template(text: &str) -> Read<Template> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let doubled = rest.starts_with("{{") || rest.starts_with("}}");
        if doubled || !matches!(first, '{' | '}') {
            literal.push(first);
            rest = &rest[first.len_utf8() * if doubled { 2 } else { 1 }..];
        } else {
            let end = end_of_hole(rest).ok_or("a hole is not closed")?;
            if !literal.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut literal)));
            }
            pieces.push(whole(&rest[1..end], Parser::hole)?);
            rest = &rest[end + 1..];
        }
    }
    if !literal.is_empty() {
        pieces.push(Piece::Text(literal));
    }
    Ok(pieces)
}

/// Where the hole ends that the text begins with; a brace in quotes does not end it.
fn end_of_hole(text: &str) -> Option<usize> {
    let mut quote = None;
    for (place, letter) in text.char_indices() {
        match quote {
            Some(open) => quote = Some(open).filter(|open| *open != letter),
            None if letter == '}' => return Some(place),
            None => quote = Some(letter).filter(|letter| matches!(letter, '\'' | '`')),
        }
    }
    None
}

impl Parser {
    fn wrong(&self, wanted: &str) -> String {
        format!("{wanted} is expected at word {} of {:?}", self.at, self.words)
    }

    fn peek(&self, ahead: usize) -> Option<&Word> {
        self.words.get(self.at + ahead)
    }

    fn mark(&mut self, mark: &'static str) -> bool {
        let there = self.peek(0) == Some(&Word::Mark(mark));
        self.at += usize::from(there);
        there
    }

    fn need(&mut self, mark: &'static str) -> Read<()> {
        if self.mark(mark) { Ok(()) } else { Err(self.wrong(mark)) }
    }

    fn keyword(&mut self, keyword: &str) -> bool {
        let there = matches!(self.peek(0), Some(Word::Name(name)) if name.eq_ignore_ascii_case(keyword));
        self.at += usize::from(there);
        there
    }

    /// The name of the function that is called here, in lower case.
    fn call(&mut self) -> Option<String> {
        let Some(Word::Name(name)) = self.peek(0) else { return None };
        let name = name.to_ascii_lowercase();
        if self.peek(1) != Some(&Word::Mark("(")) || KEYWORDS.contains(&name.as_str()) {
            return None;
        }
        self.at += 2;
        Some(name)
    }

    fn text(&mut self) -> Read<String> {
        let Some(Word::Text(text)) = self.peek(0).cloned() else { return Err(self.wrong("a text")) };
        self.at += 1;
        Ok(text)
    }

    fn whole_number(&mut self) -> Read<i64> {
        let number = self.number()?;
        number.to_string().parse().map_err(|_| self.wrong("a whole number"))
    }

    fn number(&mut self) -> Read<Decimal> {
        match self.literal()? {
            Literal::Number(number) => Ok(number),
            _ => Err(self.wrong("a number")),
        }
    }

    fn literal(&mut self) -> Read<Literal> {
        if let Some(Word::Text(text)) = self.peek(0).cloned() {
            self.at += 1;
            return Ok(Literal::Text(text));
        }
        for (keyword, value) in [("true", true), ("false", false)] {
            if self.keyword(keyword) {
                return Ok(Literal::Bool(value));
            }
        }
        let negative = self.mark("-");
        if !negative {
            self.mark("+");
        }
        let Some(Word::Number(text)) = self.peek(0).cloned() else { return Err(self.wrong("a literal")) };
        self.at += 1;
        let number = Decimal::read(&text).ok_or("a number that is none")?;
        Ok(Literal::Number(if negative { number.negated() } else { number }))
    }

    fn path(&mut self) -> Read<Path> {
        let mut path = vec![self.name(true)?];
        loop {
            if self.mark(".") {
                path.push(self.name(false)?);
            } else if self.mark("[") {
                let index = self.whole_number()?;
                path.push(Step::Index(index.try_into().map_err(|_| "an index below zero")?));
                self.need("]")?;
            } else {
                return Ok(path);
            }
        }
    }

    fn name(&mut self, first: bool) -> Read<Step> {
        let name = match self.peek(0) {
            Some(Word::Backquoted(name)) => name.clone(),
            Some(Word::Name(name)) if !first || !KEYWORDS.contains(&name.to_ascii_lowercase().as_str()) => name.clone(),
            _ => return Err(self.wrong("an attribute")),
        };
        self.at += 1;
        Ok(Step::Name(name))
    }

    fn value(&mut self) -> Read<Value> {
        let mut left = self.product()?;
        loop {
            if self.mark("+") {
                left = Value::Plus(left.into(), self.product()?.into());
            } else if self.mark("-") {
                left = Value::Minus(left.into(), self.product()?.into());
            } else {
                return Ok(left);
            }
        }
    }

    fn product(&mut self) -> Read<Value> {
        let mut left = self.signed()?;
        while self.mark("*") {
            left = Value::Times(left.into(), self.signed()?.into());
        }
        Ok(left)
    }

    fn signed(&mut self) -> Read<Value> {
        if self.mark("-") {
            return Ok(Value::Negated(self.signed()?.into()));
        }
        if self.mark("(") {
            let inner = self.value()?;
            self.need(")")?;
            return Ok(inner);
        }
        if let Some(name) = self.call() {
            return self.function(&name);
        }
        let before = self.at;
        if let Ok(literal) = self.literal() {
            return Ok(Value::Literal(literal));
        }
        self.at = before;
        Ok(Value::Path(self.path()?))
    }

    fn function(&mut self, name: &str) -> Read<Value> {
        let first: Box<Value> = self.value()?.into();
        let value = match name {
            "minute" => self.time(Unit::Minute, first)?,
            "hour" => self.time(Unit::Hour, first)?,
            "day" => self.time(Unit::Day, first)?,
            "week" => self.time(Unit::Week, first)?,
            "month" => self.time(Unit::Month, first)?,
            "year" => self.time(Unit::Year, first)?,
            "before" => Value::Before(first, self.argument(Self::text)?),
            "after" => Value::After(first, self.argument(Self::text)?),
            "lower" => Value::Lower(first),
            "round" => Value::Round(first, self.argument(Self::whole_number)?),
            "shard" => Value::Shard(first, self.argument(Self::whole_number)?.try_into().map_err(|_| "shards")?),
            "concat" => {
                let mut parts = vec![*first];
                while self.mark(",") {
                    parts.push(self.value()?);
                }
                Value::Concat(parts)
            }
            other => return Err(format!("{other} is no function")),
        };
        self.need(")")?;
        Ok(value)
    }

    fn argument<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        self.need(",")?;
        read(self)
    }

    fn time(&mut self, unit: Unit, time: Box<Value>) -> Read<Value> {
        let mut offset_minutes = 0;
        if self.mark(",") {
            let text = self.text()?;
            offset_minutes = super::time::offset_minutes(&text).ok_or("an offset that is none")?;
        }
        Ok(Value::Time { unit, time, offset_minutes })
    }

    fn hole(&mut self) -> Read<Piece> {
        Ok(if self.keyword("each") { Piece::Each(self.path()?) } else { Piece::Hole(self.value()?) })
    }

    fn measure(&mut self) -> Read<Measure> {
        let amount = if self.keyword("count") {
            Amount::Count
        } else if self.keyword("sum") {
            if self.keyword("each") { Amount::SumEach(self.path()?) } else { Amount::Sum(self.value()?) }
        } else {
            return Err(self.wrong("count or sum"));
        };
        let group = match (self.keyword("by"), &amount) {
            (false, _) => None,
            (true, Amount::SumEach(_)) => return Err("sum each has no by".to_owned()),
            (true, _) if self.keyword("each") => Some(Group::ByEach(self.path()?)),
            (true, _) => Some(Group::By(self.value()?)),
        };
        let condition = if self.keyword("where") { Some(self.condition()?) } else { None };
        Ok(Measure { amount, group, condition })
    }

    fn condition(&mut self) -> Read<Condition> {
        let mut left = self.all_of()?;
        while self.keyword("or") {
            left = Condition::Or(left.into(), self.all_of()?.into());
        }
        Ok(left)
    }

    fn all_of(&mut self) -> Read<Condition> {
        let mut left = self.negation()?;
        while self.keyword("and") {
            left = Condition::And(left.into(), self.negation()?.into());
        }
        Ok(left)
    }

    fn negation(&mut self) -> Read<Condition> {
        if self.keyword("not") {
            return Ok(Condition::Not(self.negation()?.into()));
        }
        // A parenthesis opens a condition or a value: try the condition first, then the value from the same place.
        let before = self.at;
        if self.mark("(") {
            if let Ok(inner) = self.condition()
                && self.mark(")")
            {
                return Ok(inner);
            }
            self.at = before;
        }
        self.predicate()
    }

    fn predicate(&mut self) -> Read<Condition> {
        let before = self.at;
        let found = match self.call().as_deref() {
            Some("begins_with") => Condition::BeginsWith(self.value()?, self.argument(Self::text)?),
            Some("contains") => Condition::Contains(self.path()?, self.argument(Self::literal)?),
            Some("attribute_exists") => Condition::Exists(self.path()?),
            Some("attribute_not_exists") => Condition::NotExists(self.path()?),
            Some("attribute_type") => Condition::HasType(self.path()?, self.argument(Self::text)?),
            Some("size") => {
                let path = self.path()?;
                self.need(")")?;
                let comparator = self.comparator()?;
                return Ok(Condition::Size(path, comparator, self.number()?));
            }
            _ => {
                self.at = before;
                return self.comparison();
            }
        };
        self.need(")")?;
        Ok(found)
    }

    fn comparison(&mut self) -> Read<Condition> {
        let left = self.value()?;
        if self.keyword("in") {
            self.need("(")?;
            let mut literals = vec![self.literal()?];
            while self.mark(",") {
                literals.push(self.literal()?);
            }
            self.need(")")?;
            return Ok(Condition::In(left, literals));
        }
        if self.keyword("between") {
            let low = self.literal()?;
            if !self.keyword("and") {
                return Err(self.wrong("and"));
            }
            return Ok(Condition::Between(left, low, self.literal()?));
        }
        let comparator = self.comparator()?;
        Ok(Condition::Compare(left, comparator, self.value()?))
    }

    fn comparator(&mut self) -> Read<Comparator> {
        let known = [
            ("=", Comparator::Equal),
            ("<>", Comparator::Unequal),
            ("<", Comparator::Less),
            ("<=", Comparator::LessOrEqual),
            (">", Comparator::Greater),
            (">=", Comparator::GreaterOrEqual),
        ];
        for (mark, comparator) in known {
            if self.mark(mark) {
                return Ok(comparator);
            }
        }
        Err(self.wrong("a comparator"))
    }
}
