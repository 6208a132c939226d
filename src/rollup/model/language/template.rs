//! Texts with holes, which a key or a constant is made from.

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

/// A value of the template is longer than anything that a key can be, or has a number that DynamoDB cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the value is out of bounds: a text of more than {COMPUTED_TEXT_BYTES} bytes, or a number that DynamoDB cannot hold"
)]
pub struct OutOfBounds;

impl Template {
    /// The template that is the value of an attribute as it is.
    #[must_use]
    pub fn attribute(name: impl Into<String>) -> Self {
        let hole = Hole::Of(Value::Path(Path::attribute(name)));
        Self { beginning: String::new(), rest: vec![(hole, String::new())] }
    }

    /// Reads a template. `{{` and `}}` are braces.
    ///
    /// # Errors
    /// When the text is empty, has a brace without its other one, a hole that is no expression, or two holes with `each`;
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
                return Err(SyntaxError::new(text, at..at + 1, "there is no { before it; a brace alone is written }}"));
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

    /// The values of the template of an item: none if a hole has none; with `each` one for each distinct element.
    ///
    /// A template that is one hole keeps the type of its value, whatever it is, except for NULL, which is no value. One
    /// with text, or with more than one hole, is a text; a list, a map, a set and bytes in it are no value.
    ///
    /// # Errors
    /// When a value is out of bounds, or all together are longer than an item can be.
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

    /// The template as a text with one element in the place of `each`, also where it is one hole: a number and a boolean
    /// become text, and a list, a map, a set and bytes are no value.
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

    /// Whether the literal texts of the template are in a text, in their places: the template could have made it, if its
    /// holes can have any value.
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
            return Err(parser.refuse(start, "expected a value: a template has one each at the most"));
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
mod tests {
    use serde_json::json;

    use super::*;

    fn item() -> Item {
        serde_json::from_value(json!({
            "Id": {"S": "7"}, "Empty": {"S": ""}, "N": {"N": "1E3"}, "Yes": {"BOOL": true}, "B": {"B": "AQID"},
            "Nothing": {"NULL": true}, "L": {"L": []}, "M": {"M": {"x": {"S": "deep"}}}, "Bad": {"N": "1e999"},
            "Max": {"N": "9e125"}, "At": {"S": "2026-03-05"}, "Tags": {"SS": ["b", "a"]}, "Long": {"S": "x".repeat(300_000)},
            "Mixed": {"L": [{"N": "1.0"}, {"S": "1"}, {"BOOL": true}, {"S": "z"}]}, "SK": {"S": "LIKE#9"}
        }))
        .unwrap()
    }

    fn shown(text: &str) -> String {
        let template = Template::parse(text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(Template::parse(&template.to_string()).as_ref(), Ok(&template), "{text}");
        let item = item();
        let Ok(values) = template.of(&item) else { return "out of bounds".to_owned() };
        let of = |value: &Datum<'_>| match value {
            Datum::Text(text) => {
                assert!(template.is_single_hole() || template.fits(text), "{template} could have made {text}");
                format!("S {text}")
            }
            Datum::Number(number) => format!("N {number}"),
            Datum::Bytes(bytes) => format!("B {bytes:?}"),
            other => format!("{other:?}"),
        };
        values.iter().map(of).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn a_template_gives_a_text_and_a_lone_hole_its_value() {
        for (text, expected) in [
            ("ALL", "S ALL"),
            ("USER#{Id}", "S USER#7"),
            ("{Id}", "S 7"),
            ("{ Id }", "S 7"),
            ("{N}", "N 1000"),
            ("{N * 2}", "N 2000"),
            ("{Max * 10}", &format!("N 9{}", "0".repeat(126))),
            ("{B}", "B [1, 2, 3]"),
            ("{Empty}", "S "),
            ("{Yes}", "Bool(true)"),
            ("{Nothing}", ""),
            ("{Absent}", ""),
            ("{Bad}", "out of bounds"),
            ("{N}#", "S 1000#"),
            ("{Yes}/{N}/{day(At)}", "S true/1000/2026-03-05"),
            ("{Id}{Id}", "S 77"),
            ("POST#{after(SK, '#')}", "S POST#9"),
            ("P#{M.x}", "S P#deep"),
            ("P#{Empty}", "S P#"),
            ("P#{Absent}", ""),
            ("P#{Nothing}", ""),
            ("P#{B}", ""),
            ("P#{L}", ""),
            ("P#{M}", ""),
            ("P#{Tags}", ""),
            ("P#{Bad}", "out of bounds"),
            ("{{{Id}}}", "S {7}"),
            ("{{}}{{Id}}", "S {}{Id}"),
            ("{concat('}', Id, '{', '''')}", "S }7{'"),
            ("\u{e4}{Id}\u{1F600}", "S \u{e4}7\u{1F600}"),
            ("{Long}{Long}", "out of bounds"),
            ("{Long}{Long}{Absent}", ""),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn each_gives_a_text_for_each_distinct_element() {
        for (text, expected) in [
            ("{each Tags}", "S a, S b"),
            ("TAG#{each Tags}#{Id}", "S TAG#a#7, S TAG#b#7"),
            ("{EACH Mixed}", "S 1, S z"),
            ("{each M}", "S x"),
            ("{each L}", ""),
            ("{each Id}", ""),
            ("{each Absent}", ""),
            ("{each Tags}{Absent}", ""),
            ("{Long}{each Tags}", "out of bounds"),
            ("{`each`}", ""),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn a_template_gives_the_text_of_one_element() {
        let item = item();
        for (text, elements, expected) in [
            ("{N}", vec![], Ok(Some("1000"))),
            ("{Yes}", vec![], Ok(Some("true"))),
            ("{B}", vec![], Ok(None)),
            ("{Nothing}", vec![], Ok(None)),
            ("{Bad}", vec![], Err(OutOfBounds)),
            ("{each Tags}", vec!["a", "b"], Ok(Some("z"))),
            ("{Id}/{each Mixed}", vec!["1", "z"], Ok(Some("7/z"))),
        ] {
            let template = Template::parse(text).unwrap();
            assert_eq!(template.elements(&item), elements, "{text}");
            assert_eq!(
                template.text_of(&item, "z").as_ref().map(Option::as_deref),
                expected.as_ref().copied(),
                "{text}"
            );
        }
    }

    #[test]
    fn a_text_fits_if_the_literal_texts_are_in_it() {
        for (template, fitting, others) in [
            ("ALL", "ALL", "ALL2;AL;all;ALLALL"),
            ("USER#{Id}", "USER#;USER#7;USER#USER#", "USER;user#7;XUSER#7"),
            ("{Id}#END", "#END;7#END;#END#END", "#END7;END"),
            ("A#{Id}#B#{N}#C", "A#1#B#2#C;A##B##C;A##B#B##C", "A#B#C;A#1#B#C;A#1#C;A#1#B#2#"),
            ("aXa{Id}aXa", "aXaaXa;aXa1aXa", "aXa;aXaXa"),
            ("{Id}{N}", "x;1", ""),
            ("{Id}{{{N}", "{;a{b", "ab"),
        ] {
            let template = Template::parse(template).unwrap();
            for (texts, fits) in [(fitting, true), (others, false)] {
                for text in texts.split(';').filter(|text| !text.is_empty()) {
                    assert_eq!(template.fits(text), fits, "{template} and {text}");
                }
            }
        }
    }

    #[test]
    fn a_template_tells_what_it_is_made_of() {
        for (text, parts, single, each, reads) in [
            ("ALL", vec!["ALL"], false, false, ""),
            ("{Id}", vec!["", ""], true, false, "Id"),
            ("{each Tags}", vec!["", ""], true, true, "Tags"),
            ("{{A#{Id.x}#{N + Z}", vec!["{A#", "#", ""], false, false, "Id N Z"),
        ] {
            let template = Template::parse(text).unwrap();
            assert_eq!(template.literal_parts(), parts, "{text}");
            assert_eq!(template.literal_prefix(), parts[0], "{text}");
            assert_eq!(template.holes().count() + 1, parts.len(), "{text}");
            assert_eq!((template.is_single_hole(), template.has_each()), (single, each), "{text}");
            assert_eq!(template.reads().into_iter().collect::<Vec<_>>().join(" "), reads, "{text}");
        }
    }

    #[test]
    fn what_is_no_template_is_refused_with_its_place() {
        let long = format!("\u{e4}{}", "x".repeat(4_095));
        for (text, at, message) in [
            ("", 0, "expected a text, or a hole"),
            ("A}", 1, "there is no {"),
            ("A{", 2, "expected a value"),
            ("A{}", 2, "expected a value"),
            ("{Id", 3, "at the end of the hole"),
            ("{Id{{", 3, "at the end of the hole"),
            ("{Id = 1}", 4, "at the end of the hole"),
            ("{'x}", 1, "no closing '"),
            ("{each Tags}{each Tags}", 12, "one each at the most"),
            ("{each lower(Tags)}", 11, "at the end of the hole"),
            ("{each 'x'}", 6, "expected a path"),
            ("\u{e4}{Id }}", 7, "there is no {"),
            (&long, 4_096, "4097 bytes"),
        ] {
            let error = Template::parse(text).unwrap_err();
            assert_eq!(error.at(), at, "{text}: {error}");
            assert!(error.message().contains(message), "{text}: {error}");
        }
    }
}
