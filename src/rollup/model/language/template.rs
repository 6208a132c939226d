//! Texts with holes, from which keys and `set` attributes are made.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use crate::rollup::Item;
use crate::rollup::model::language::COMPUTED_TEXT_BYTES;
use crate::rollup::model::language::cursor::Parser;
use crate::rollup::model::language::datum::Datum;
use crate::rollup::model::language::elements::Elements;
use crate::rollup::model::language::error::SyntaxError;
use crate::rollup::model::language::evaluate::concat;
use crate::rollup::model::language::syntax::{Path, Value, attributes};

/// A text with holes: `USER#{Post.Owner}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Template {
    beginning: String,
    /// Each hole with the text behind it.
    rest: Vec<(Hole, String)>,
}

/// What a hole is filled with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Hole {
    /// The value of an expression.
    Of(Value),
    /// Each distinct element of a list or set, or each name of a map: the template has as many values.
    Each(Path),
}

/// A value of the template is longer than any key can be, or has a number that DynamoDB cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the value is out of bounds: a text of more than {COMPUTED_TEXT_BYTES} bytes, or a number that DynamoDB cannot hold"
)]
pub struct OutOfBounds;

impl Template {
    /// The template whose value is the attribute as it is.
    #[must_use]
    pub fn attribute(name: impl Into<String>) -> Self {
        let hole = Hole::Of(Value::Path(Path::attribute(name)));
        Self { beginning: String::new(), rest: vec![(hole, String::new())] }
    }

    /// Reads a template. `{{` and `}}` are braces.
    ///
    /// # Errors
    /// When the text is empty, or has a single brace, a hole that is not an expression, or two holes with `each`;
    /// the error names the place and what is expected there.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        // The limit of the length is the parser's: a text without a hole has it as well.
        Parser::new(text, text.len())?;
        if text.is_empty() {
            return Err(SyntaxError::new(text, 0..0, "expected a text, or a hole such as {CustomerId}"));
        }
        let mut template = Self { beginning: String::new(), rest: Vec::new() };
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let literal = rest.find(['{', '}']).unwrap_or(rest.len());
            template.text().push_str(&rest[..literal]);
            at += literal;
            let rest = &rest[literal..];
            if rest.starts_with("{{") || rest.starts_with("}}") {
                template.text().push_str(&rest[..1]);
                at += 2;
            } else if rest.starts_with('{') {
                let (hole, end) = hole(text, at, template.has_each())?;
                template.rest.push((hole, String::new()));
                at = end;
            } else if rest.starts_with('}') {
                return Err(SyntaxError::new(text, at..at + 1, "there is no { before it; write a single brace as }}"));
            }
        }
        Ok(template)
    }

    /// The text that is being added to.
    fn text(&mut self) -> &mut String {
        match self.rest.last_mut() {
            Some((_, text)) => text,
            None => &mut self.beginning,
        }
    }

    /// The values of the template for an item: none if a hole has none; with `each`, one for each distinct element.
    ///
    /// A template that is one hole keeps the type of its value; NULL is not a value. A template with text, or with more
    /// than one hole, is a text; it has no value if a hole is a list, a map, a set or bytes.
    ///
    /// # Errors
    /// When a value is out of bounds, or when all together are longer than an item can be.
    pub fn of<'a>(&'a self, item: &'a Item) -> Result<Vec<Datum<'a>>, OutOfBounds> {
        if let [(Hole::Of(value), _)] = self.rest.as_slice()
            && self.is_single_hole()
        {
            return match value.of(item) {
                None | Some(Datum::Null) => Ok(Vec::new()),
                Some(Datum::OutOfBounds) => Err(OutOfBounds),
                Some(datum) => Ok(vec![datum]),
            };
        }
        let elements = if self.has_each() { self.elements(item) } else { vec![String::new()] };
        let mut values = Vec::new();
        let mut bytes = 0;
        for element in elements {
            let Some(text) = self.text_of(item, &element)? else { return Ok(Vec::new()) };
            bytes += text.len();
            if bytes > COMPUTED_TEXT_BYTES {
                return Err(OutOfBounds);
            }
            values.push(Datum::Text(text.into()));
        }
        Ok(values)
    }

    /// The elements that `each` goes over, in the order of [`Template::of`]; none without `each`.
    #[must_use]
    pub fn elements(&self, item: &Item) -> Vec<String> {
        self.each().map(|path| Elements::of(path, item).names.into_iter().collect()).unwrap_or_default()
    }

    /// The template as a text, with one element in the place of `each`, even if it is one hole. A number and a boolean
    /// become text; a list, a map, a set and bytes are not a value.
    ///
    /// # Errors
    /// When the text is out of bounds.
    pub fn text_of(&self, item: &Item, element: &str) -> Result<Option<String>, OutOfBounds> {
        let literal = |text| Some(Datum::Text(Cow::Borrowed(text)));
        let rest = self.rest.iter().flat_map(|(hole, text)| {
            let value = match hole {
                Hole::Of(value) => value.of(item),
                Hole::Each(_) => literal(element),
            };
            [value, literal(text)]
        });
        match concat(std::iter::once(literal(&self.beginning)).chain(rest)) {
            Some(Datum::Text(text)) => Ok(Some(text.into_owned())),
            Some(_) => Err(OutOfBounds),
            None => Ok(None),
        }
    }

    /// The text before the first hole.
    #[must_use]
    pub fn literal_prefix(&self) -> &str {
        &self.beginning
    }

    /// The texts around the holes: one more than there are holes, some of them empty.
    #[must_use]
    pub fn literal_parts(&self) -> Vec<&str> {
        std::iter::once(self.beginning.as_str()).chain(self.rest.iter().map(|(_, text)| text.as_str())).collect()
    }

    /// The holes, in their order.
    pub fn holes(&self) -> impl Iterator<Item = &Hole> {
        self.rest.iter().map(|(hole, _)| hole)
    }

    /// Whether the template is one hole without text, so that its value keeps its type.
    #[must_use]
    pub fn is_single_hole(&self) -> bool {
        matches!(self.rest.as_slice(), [(_, text)] if text.is_empty() && self.beginning.is_empty())
    }

    /// Whether the template has a value for each of several elements.
    #[must_use]
    pub fn has_each(&self) -> bool {
        self.each().is_some()
    }

    fn each(&self) -> Option<&Path> {
        self.holes().find_map(|hole| match hole {
            Hole::Of(_) => None,
            Hole::Each(path) => Some(path),
        })
    }

    /// Whether a text contains the literal texts of the template, in their places: then the template could have made
    /// it, with any values in its holes.
    #[must_use]
    pub fn fits(&self, text: &str) -> bool {
        let Some(mut text) = text.strip_prefix(self.beginning.as_str()) else { return false };
        let Some(((_, ending), between)) = self.rest.split_last() else { return text.is_empty() };
        for (_, literal) in between {
            // The first place leaves the most for what follows.
            let Some((_, behind)) = text.split_once(literal.as_str()) else { return false };
            text = behind;
        }
        text.ends_with(ending.as_str())
    }

    /// Every path that the template reads, in the order of the text.
    #[must_use]
    pub fn paths(&self) -> Vec<&Path> {
        self.holes().flat_map(Hole::paths).collect()
    }

    /// The item's attributes that the template reads.
    #[must_use]
    pub fn reads(&self) -> BTreeSet<&str> {
        attributes(self.paths())
    }
}

impl Hole {
    /// Every path that the hole reads, in the order of the text.
    #[must_use]
    pub fn paths(&self) -> Vec<&Path> {
        match self {
            Self::Of(value) => value.paths(),
            Self::Each(path) => vec![path],
        }
    }
}

/// The hole that begins at a brace, and where it ends.
fn hole(text: &str, at: usize, has_each: bool) -> Result<(Hole, usize), SyntaxError> {
    let mut parser = Parser::new(text, at + 1)?;
    let start = parser.range();
    let hole = if parser.take_keyword("each")? {
        if has_each {
            return Err(parser.refuse(start, "expected a value: a template has at most one each"));
        }
        Hole::Each(parser.path()?)
    } else {
        Hole::Of(parser.value()?)
    };
    if !parser.is_symbol("}") {
        let operators = if matches!(hole, Hole::Of(_)) { "+, -, * or " } else { "" };
        return Err(parser.unexpected(&format!("expected {operators}}} at the end of the hole")));
    }
    Ok((hole, parser.range().end))
}

impl fmt::Display for Hole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(value) => value.fmt(f),
            Self::Each(path) => write!(f, "each {path}"),
        }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let literal = |text: &str| text.replace('{', "{{").replace('}', "}}");
        f.write_str(&literal(&self.beginning))?;
        self.rest.iter().try_for_each(|(hole, text)| write!(f, "{{{hole}}}{}", literal(text)))
    }
}

#[cfg(test)]
mod tests;
