//! The output device of a command: how wide its lines are, and whether it shows colours.

use std::env;
use std::io::IsTerminal;

use terminal_size::{Width, terminal_size_of};

/// A narrower terminal has no room for words, so its width is treated as unknown.
const LEAST_COLUMNS: usize = 20;

/// How many columns the rest of a wrapped line is indented further than its beginning.
const INDENT: usize = 4;

/// The number of columns on `stream`: the value of `COLUMNS`, otherwise the terminal's width. `None` if neither is
/// known, as in a file or a pipe. Lines there are not wrapped, because programs read them.
#[must_use]
pub fn columns(stream: impl std::os::fd::AsFd) -> Option<usize> {
    let named = env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let columns = named.or_else(|| terminal_size_of(stream).map(|(Width(columns), _)| columns.into()));
    columns.filter(|columns| *columns >= LEAST_COLUMNS)
}

/// Whether `stream` shows colours and bold text: a terminal does, unless `NO_COLOR` is set and not empty
/// (<https://no-color.org>).
#[must_use]
pub fn has_colours(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Wraps lines between words so that they fit. Longer words stay whole, and so do commands, because they are copied.
#[must_use]
pub fn wrapped(text: &str, columns: Option<usize>) -> String {
    let Some(columns) = columns else { return text.to_owned() };
    let mut wrapped = String::with_capacity(text.len());
    for (place, line) in text.split('\n').enumerate() {
        if place > 0 {
            wrapped.push('\n');
        }
        if is_command(line) { wrapped.push_str(line) } else { wrap_line(line, columns, &mut wrapped) }
    }
    wrapped
}

fn is_command(line: &str) -> bool {
    ["ddb-rollup ", "aws "].iter().any(|program| line.trim_start().starts_with(program))
}

fn wrap_line(line: &str, columns: usize, wrapped: &mut String) {
    let indent = line.chars().take_while(|c| *c == ' ').count();
    let further = (indent + INDENT).min(columns / 2);
    let (mut used, mut has_words) = (0, false);
    for word in line.split_inclusive(' ') {
        let width = word.trim_end().chars().count();
        if has_words && used + width > columns {
            wrapped.truncate(wrapped.trim_end_matches(' ').len());
            wrapped.push('\n');
            wrapped.extend(std::iter::repeat_n(' ', further));
            (used, has_words) = (further, false);
        }
        has_words |= width > 0;
        if has_words || used < indent {
            wrapped.push_str(word);
            used += word.chars().count();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words_and_commands_stay_whole() {
        let text = "short\n  drifted   a_key_of_one_word\n    ddb-rollup repair --endpoint-url http://localhost:8000\nsix words of text in a line";
        for (columns, expected) in [
            (None, text),
            (Some(200), text),
            (
                Some(24),
                "short\n  drifted\n      a_key_of_one_word\n    ddb-rollup repair --endpoint-url http://localhost:8000\n\
                 six words of text in a\n    line",
            ),
        ] {
            assert_eq!(wrapped(text, columns), expected, "{columns:?}");
        }
    }

    #[test]
    fn nothing_but_spaces_is_lost_and_each_line_fits() {
        let text = "view items: 5 exact, 2 behind, 1 unstable,  3 drifted; the others were not examined\n\n    indented text of a finding that is long\n";
        for columns in LEAST_COLUMNS..90 {
            let wrapped = wrapped(text, Some(columns));
            assert!(wrapped.lines().all(|line| line.chars().count() <= columns), "{columns}: {wrapped}");
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(words(&wrapped), words(text), "{columns}");
            assert!(wrapped.ends_with('\n') && wrapped.contains("\n\n"), "{columns}: {wrapped:?}");
        }
    }
}
