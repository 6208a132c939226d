//! An option of a command, written for a shell: what an item contains can be copied safely.

use std::fmt::Write;

use super::printable::is_control;

/// An option and its value, with a space before it. A value that begins with `-` is joined with `=`, so that it is not
/// read as an option.
#[must_use]
pub fn option(name: &str, value: &str) -> String {
    let between = if value.starts_with('-') { '=' } else { ' ' };
    format!(" {name}{between}{}", quoted(value))
}

/// A word, quoted for a shell. Control characters are not in it, because a terminal would obey them: `printf` creates
/// them. (A shell drops the line ends at the end of the output of `printf`. That is accepted, because no known key ends
/// with one.)
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./:=@%+,#".contains(c);
    if word.chars().any(is_control) {
        return format!("\"$(printf '{}')\"", printf_format(word));
    }
    if !word.is_empty() && !word.starts_with('#') && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A format from which `printf` creates the word.
fn printf_format(word: &str) -> String {
    let mut format = String::new();
    for c in word.chars() {
        match c {
            '%' => format.push_str("%%"),
            c if c == '\\' || c == '\'' || is_control(c) => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    // Writing to a String cannot fail.
                    let _ = write!(format, "\\{byte:03o}");
                }
            }
            c => format.push(c),
        }
    }
    format
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_reads_each_value_as_it_is() {
        for value in [
            "plain",
            "",
            "#x",
            "-5",
            "two words",
            "it's",
            "$HOME `id` \"!\" \\ * ~",
            r#"{"Id":{"N":"1"}}"#,
            "é 漢",
            "m\u{1b}[31m\nexact\u{202e} 100% '\\n",
        ] {
            let shown = option("--item", value);
            assert!(!shown.chars().any(is_control), "{shown}");
            let script = format!("printf '<%s>'{shown}");
            let printed = Command::new("sh").args(["-c", &script]).output().unwrap().stdout;
            let printed = String::from_utf8(printed).unwrap();
            let joined =
                if value.starts_with('-') { format!("<--item={value}>") } else { format!("<--item><{value}>") };
            assert_eq!(printed, joined, "{shown}");
        }
    }
}
