//! The tokens of a text, read one after the other.

use std::ops::Range;

use crate::rollup::model::language::error::SyntaxError;

/// One token of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token<'t> {
    /// A name, a keyword or a function.
    Name(&'t str),
    /// A name in backquotes, without them.
    Quoted(String),
    /// A text in quotes, without them.
    Text(String),
    /// Digits with what belongs to them, without a sign.
    Number(&'t str),
    /// An operator or another mark.
    Symbol(&'static str),
    /// The end of the text.
    End,
}

/// The longer ones first, as each begins with a shorter one.
const SYMBOLS: [&str; 17] = ["<>", "<=", ">=", "=", "<", ">", "+", "-", "*", "(", ")", "[", "]", ",", ".", "{", "}"];

/// Symbols of other languages, with what to write instead.
const FOREIGN: [(&str, &str); 9] = [
    ("!=", "write <> for \"not equal\""),
    ("!", "write NOT for \"not\""),
    ("&&", "write AND"),
    ("||", "write OR between conditions, concat(a, b) for texts"),
    ("\"", "write a text in single quotes, 'text', and an unusual name in backquotes, `name`"),
    ("/", "there is no division: its result is not exact; multiply by a decimal instead"),
    ("#", "write the attribute's name itself; an unusual one in backquotes, `name`"),
    (":", "write the value itself: 'text', a number, true or false"),
    ("$", "a path begins with the attribute's name"),
];

/// Reads the token of `text` that begins at `from` or, after spaces, behind it; and where it stands.
///
/// # Errors
/// When no token begins there.
pub(super) fn next(text: &str, from: usize) -> Result<(Token<'_>, Range<usize>), SyntaxError> {
    let rest = text.get(from..).unwrap_or_default();
    let start = text.len() - rest.trim_start().len();
    let rest = rest.trim_start();
    let Some(first) = rest.chars().next() else { return Ok((Token::End, start..start)) };
    let token = |token, length: usize| Ok((token, start..start + length));
    if is_name_start(first) {
        let length = rest.find(|c| !is_name_part(c)).unwrap_or(rest.len());
        return token(Token::Name(&rest[..length]), length);
    }
    if first.is_ascii_digit() || first == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit()) {
        let length = number_length(rest);
        if rest[length..].starts_with(is_name_part) {
            let word = rest.find(|c| !is_name_part(c) && c != '.').unwrap_or(rest.len());
            let message = "expected a number such as 1000, 0.5 or 1e3; a name that begins with a digit is written in \
                           backquotes, `name`";
            return Err(SyntaxError::new(text, start..start + word, message));
        }
        return token(Token::Number(&rest[..length]), length);
    }
    if first == '\'' || first == '`' {
        let Some((content, length)) = quoted(rest, first) else {
            let what = if first == '\'' { "text" } else { "name" };
            return Err(SyntaxError::new(text, start..text.len(), format!("the {what} has no closing {first}")));
        };
        return token(if first == '\'' { Token::Text(content) } else { Token::Quoted(content) }, length);
    }
    if first == '=' && rest[1..].starts_with('=') {
        return Err(SyntaxError::new(text, start..start + 2, "write = for \"equal\""));
    }
    if let Some(symbol) = SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol)) {
        return token(Token::Symbol(symbol), symbol.len());
    }
    let foreign = FOREIGN.into_iter().find(|(word, _)| rest.starts_with(word));
    let (word, hint) = foreign.map_or((first.len_utf8(), None), |(word, hint)| (word.len(), Some(hint)));
    let usual = "a name of other characters than A-Z, a-z, 0-9 and _ is written in backquotes, `name`";
    Err(SyntaxError::new(text, start..start + word, hint.unwrap_or(usual)))
}

/// Whether a name can begin with the character without backquotes. Only ASCII: which other characters are letters
/// changes with the version of Unicode, and the meaning of a definition must never change.
fn is_name_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

fn is_name_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Whether a name can be written without backquotes, keywords aside.
pub(super) fn is_plain_name(name: &str) -> bool {
    name.starts_with(is_name_start) && name.chars().all(is_name_part)
}

/// Whether a name means an attribute only in backquotes: a keyword in any case, and `null`, because a comparison with
/// it would not test for NULL.
pub(super) fn is_reserved(name: &str) -> bool {
    const KEYWORDS: [&str; 10] = ["and", "between", "by", "each", "false", "in", "not", "or", "true", "where"];
    KEYWORDS.into_iter().any(|word| word.eq_ignore_ascii_case(name)) || name == "null" || name == "NULL"
}

/// The length of the number that a text begins with.
fn number_length(text: &str) -> usize {
    let digits = |from: usize| from + text[from..].bytes().take_while(u8::is_ascii_digit).count();
    let mut end = digits(0);
    if text[end..].starts_with('.') {
        end = digits(end + 1);
    }
    if text[end..].starts_with(['e', 'E']) {
        let sign = usize::from(text[end + 1..].starts_with(['+', '-']));
        let exponent = digits(end + 1 + sign);
        if exponent > end + 1 + sign {
            end = exponent;
        }
    }
    end
}

/// What stands between the quotes that a text begins with (two quotes are one), and how long it is with them.
fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut content = String::new();
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((place, character)) = characters.next() {
        if character != quote {
            content.push(character);
        } else if characters.next_if(|(_, next)| *next == quote).is_some() {
            content.push(quote);
        } else {
            return Some((content, place + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Result<Vec<Token<'_>>, SyntaxError> {
        let mut tokens = Vec::new();
        let mut from = 0;
        loop {
            let (token, range) = next(text, from)?;
            if token == Token::End {
                return Ok(tokens);
            }
            from = range.end;
            tokens.push(token);
        }
    }

    #[test]
    fn every_kind_of_word_is_told_from_the_others() {
        use Token::{Name, Number, Quoted, Symbol, Text};
        for (text, expected) in [
            ("", vec![]),
            (" \n\u{a0} ", vec![]),
            ("a _b1 A", vec![Name("a"), Name("_b1"), Name("A")]),
            ("`a b` ```` `\u{e4}``'`", vec![Quoted("a b".into()), Quoted("`".into()), Quoted("\u{e4}`'".into())]),
            ("'' '''' 'it''s'", vec![Text(String::new()), Text("'".into()), Text("it's".into())]),
            ("1 1.5 .5 5. 1e3 1E-3 2e+1", ["1", "1.5", ".5", "5.", "1e3", "1E-3", "2e+1"].map(Number).into()),
            ("-1", vec![Symbol("-"), Number("1")]),
            ("a.b[0]", vec![Name("a"), Symbol("."), Name("b"), Symbol("["), Number("0"), Symbol("]")]),
            ("<<=<>>=>=", ["<", "<=", "<>", ">=", ">="].map(Symbol).into()),
        ] {
            assert_eq!(all(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_word_is_refused_with_what_to_write() {
        for (text, at, hint) in [
            ("a != 1", 2, "write <>"),
            ("a == 1", 2, "write ="),
            ("a && b", 2, "write AND"),
            ("a || b", 2, "concat(a, b)"),
            ("a = \"x\"", 4, "single quotes"),
            ("a / 2", 2, "no division"),
            ("#a", 0, "name itself"),
            ("a = :v", 4, "value itself"),
            ("a = 'x", 4, "no closing '"),
            ("`x", 0, "no closing `"),
            ("a = 'x'' ", 4, "no closing '"),
            ("1_000", 0, "expected a number"),
            ("2nd", 0, "backquotes"),
            ("1e", 0, "expected a number"),
            ("\u{e4}", 0, "backquotes"),
            ("a \u{1F600}", 2, "backquotes"),
        ] {
            let error = all(text).unwrap_err();
            assert_eq!(error.at(), at, "{text}: {error}");
            assert!(error.message().contains(hint), "{text}: {error}");
        }
    }
}
