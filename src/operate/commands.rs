//! Commands that a report tells an operator to run: whole, with the options of the run that reports, ready to be copied.

use std::fmt::Write;

#[cfg(feature = "cli")]
use super::args::Shared;
use super::printable::is_control;

/// What commands have in common that follow a run. Each part is options, quoted, with a space before each.
#[derive(Debug, Clone, Default)]
pub struct Commands {
    /// Where the service is; the options are the same for `ddb-rollup` and `aws`.
    service: String,
    /// The tables and the definition.
    tables: String,
    /// How tables are read, as `--settle`.
    pace: String,
    /// What of the tables is read, as `--view`.
    part: String,
}

impl Commands {
    /// Commands on the tables that these options name.
    #[cfg(feature = "cli")]
    #[must_use]
    pub fn of(shared: &Shared) -> Self {
        let Shared { endpoint_url, region, profile, source_table, view_table, idempotency_table, definition, json: _ } =
            shared;
        let definition = definition.as_ref().map(|file| file.display().to_string());
        let options = |given: &[(&str, &Option<String>)]| {
            given.iter().filter_map(|(name, value)| value.as_ref().map(|value| option(name, value))).collect()
        };
        Self {
            service: options(&[("--endpoint-url", endpoint_url), ("--region", region), ("--profile", profile)]),
            tables: options(&[
                ("--source-table", source_table),
                ("--view-table", view_table),
                ("--idempotency-table", idempotency_table),
                ("--definition", &definition),
            ]),
            ..Self::default()
        }
    }

    /// The same, for a run that reads tables at this pace, and of them only this part.
    #[must_use]
    pub fn reading(self, pace: String, part: String) -> Self {
        Self { pace, part, ..self }
    }

    /// A subcommand with its own options, on the same tables.
    #[must_use]
    pub fn run(&self, subcommand: &str) -> String {
        format!("ddb-rollup {subcommand}{}{}", self.service, self.tables)
    }

    /// A subcommand that reads tables at the same pace.
    #[must_use]
    pub fn read(&self, subcommand: &str) -> String {
        format!("{}{}", self.run(subcommand), self.pace)
    }

    /// A subcommand that reads the same part of the tables, at the same pace.
    #[must_use]
    pub fn read_same(&self, subcommand: &str) -> String {
        format!("{}{}", self.read(subcommand), self.part)
    }

    /// A command of the AWS CLI, at the same service.
    #[must_use]
    pub fn aws(&self, command: &str) -> String {
        format!("aws {command}{}", self.service)
    }
}

/// An option and its value, with a space before it. A value that looks like an option is joined to the name.
#[must_use]
pub fn option(name: &str, value: &str) -> String {
    let between = if value.starts_with('-') { '=' } else { ' ' };
    format!(" {name}{between}{}", quoted(value))
}

/// A word for a shell. What a terminal would obey is not in it: `printf` creates it. (A shell drops line ends at the
/// end of what `printf` makes; no key of an item is known to have one.)
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

/// A format of which `printf` makes the word.
fn printf_format(word: &str) -> String {
    let mut format = String::new();
    for c in word.chars() {
        match c {
            '%' => format.push_str("%%"),
            c if c == '\\' || c == '\'' || is_control(c) => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    // A String takes whatever is written to it.
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
    use std::path::PathBuf;
    use std::process::Command;

    use super::*;

    #[test]
    fn the_options_in_use_are_in_every_command() {
        let shared = Shared {
            endpoint_url: Some("http://localhost:8000".to_owned()),
            view_table: Some("Region".to_owned()),
            definition: Some(PathBuf::from("my views.json")),
            json: true,
            ..Shared::default()
        };
        let commands = Commands::of(&shared).reading(option("--settle", "1"), " --adopt".to_owned());
        let expected =
            "ddb-rollup repair --endpoint-url http://localhost:8000 --view-table Region --definition 'my views.json'";
        assert_eq!(commands.run("repair"), expected);
        assert_eq!(commands.read("repair"), format!("{expected} --settle 1"));
        assert_eq!(commands.read_same("repair"), format!("{expected} --settle 1 --adopt"));
        assert_eq!(
            commands.aws("dynamodb list-tables"),
            "aws dynamodb list-tables --endpoint-url http://localhost:8000"
        );
        assert_eq!(Commands::default().run("audit"), "ddb-rollup audit");
    }

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
