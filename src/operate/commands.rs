//! The commands that a report tells an operator to run: complete, with the options of the current run, ready to be
//! copied.

use aws_config::SdkConfig;

#[cfg(feature = "cli")]
use super::args::Shared;
use super::shell_option::option;
use crate::config::Config;
use crate::rollup::model::definition::{Definition, ViewTable};

/// The options that follow-up commands share. Each part is a list of quoted options, with a space before each.
#[derive(Debug, Clone, Default)]
pub struct Commands {
    /// The options that determine the service; they are the same for `ddb-rollup` and `aws`.
    service: String,
    /// The options for the tables and the definition.
    tables: String,
    /// The options for how fast tables are read, such as `--settle`.
    pace: String,
    /// The options for which part of the tables is read, such as `--view`.
    part: String,
}

impl Commands {
    /// Commands with the service, the tables and the definition of these options.
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

    /// Commands for the tables of a deployed stack. Where its definition is not the default one, an operator must give the file
    /// with it: `FILE` stands for that.
    #[must_use]
    pub fn of_stack(sdk: &SdkConfig, config: &Config) -> Self {
        let region = sdk.region().map(|region| option("--region", region.as_ref()));
        let endpoint = sdk.endpoint_url().map(|url| option("--endpoint-url", url));
        let definition = &config.definition;
        let by_default = |table: &ViewTable| {
            Definition::points_of_maps(definition.source_table(), table.name.as_str())
                .is_ok_and(|default| default.fingerprint() == definition.fingerprint())
        };
        let views = match definition.tables() {
            [table] if by_default(table) => option("--view-table", &table.name),
            _ => option("--definition", "FILE"),
        };
        let source = option("--source-table", definition.source_table());
        let markers = option("--idempotency-table", &config.idempotency_table);
        Self {
            service: endpoint.into_iter().chain(region).collect(),
            tables: [source, markers, views].concat(),
            ..Self::default()
        }
    }

    /// The same, for a run that reads tables at this pace, and only this part of them.
    #[must_use]
    pub fn reading(self, pace: String, part: String) -> Self {
        Self { pace, part, ..self }
    }

    /// A subcommand on the same tables. `subcommand` includes its own options.
    #[must_use]
    pub fn run(&self, subcommand: &str) -> String {
        format!("ddb-rollup {subcommand}{}{}", self.service, self.tables)
    }

    /// The same, for a subcommand that reads tables: at the same pace.
    #[must_use]
    pub fn read(&self, subcommand: &str) -> String {
        format!("{}{}", self.run(subcommand), self.pace)
    }

    /// The same, for a subcommand that reads tables: the same part, at the same pace.
    #[must_use]
    pub fn read_same(&self, subcommand: &str) -> String {
        format!("{}{}", self.read(subcommand), self.part)
    }

    /// A command of the AWS CLI, on the same service. `command` includes its own options.
    #[must_use]
    pub fn aws(&self, command: &str) -> String {
        format!("aws {command}{}", self.service)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

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
}
