//! Makes data safe to print. A terminal obeys control characters, and anyone who can write an item can put them into
//! it. So they are shown as escapes.

use std::fmt::{Display, Write};

/// Data in one line. Control characters, including line ends, are shown as Rust escapes.
#[must_use]
pub fn printable(data: impl Display) -> String {
    escaped(&data.to_string(), is_control)
}

/// Text of several lines. Control characters in it are shown as Rust escapes, except line ends.
#[must_use]
pub fn printable_lines(text: impl Display) -> String {
    escaped(&text.to_string(), |c| c != '\n' && is_control(c))
}

/// A number with its noun: `1 record`, `2 records`.
#[must_use]
pub fn counted<N: Display + PartialEq + From<u8> + Copy>(number: N, one: &str, many: &str) -> String {
    let noun = if number == N::from(1) { one } else { many };
    format!("{number} {noun}")
}

fn escaped(text: &str, hidden: impl Fn(char) -> bool) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut shown, c| {
        if hidden(c) {
            // Writing to a String cannot fail.
            let _ = write!(shown, "{}", c.escape_default());
        } else {
            shown.push(c);
        }
        shown
    })
}

/// A control character, or one that changes the direction of the text around it.
pub(super) fn is_control(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || c.is_control()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        for (data, expected) in [
            ("plain, \"quoted\", \\, é, 漢, 🗺", "plain, \"quoted\", \\, é, 漢, 🗺"),
            ("\u{1b}[31mred", "\\u{1b}[31mred"),
            ("bell\u{7}, nul\0, del\u{7f}, csi\u{9b}", "bell\\u{7}, nul\\u{0}, del\\u{7f}, csi\\u{9b}"),
            ("a\rb\tc\nd", "a\\rb\\tc\\nd"),
            (
                "\u{200e}\u{200f}\u{202a}\u{202e}\u{2066}\u{2069}",
                "\\u{200e}\\u{200f}\\u{202a}\\u{202e}\\u{2066}\\u{2069}",
            ),
        ] {
            assert_eq!(printable(data), expected, "{data:?}");
        }
        assert_eq!(printable_lines("one\u{1b}\ntwo\r\n"), "one\\u{1b}\ntwo\\r\n");
    }
}
