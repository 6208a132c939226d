//! What to do about what an audit found, as commands that can be copied.

use std::fmt;

#[cfg(feature = "cli")]
use super::AuditScope;
use super::report::{AuditReport, key_json};
use crate::operate::audit::uncountable::UncountableItem;
use crate::operate::commands::Commands;
use crate::operate::shell_option::option;
use crate::rollup::check::ledger::Finding;
use crate::rollup::model::view::ViewKey;

/// What to do about a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::operate) struct Remedy {
    /// What the commands do, as the beginning of a line that they follow.
    pub(in crate::operate) does: String,
    /// The commands, in the order in which to run them.
    pub(in crate::operate) commands: Vec<String>,
}

impl Remedy {
    fn new(does: &str, commands: impl IntoIterator<Item = String>) -> Self {
        Self { does: does.to_owned(), commands: commands.into_iter().collect() }
    }
}

/// For people: what it does, and below it the commands.
impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {}:", self.does)?;
        self.commands.iter().try_for_each(|command| writeln!(f, "    {command}"))
    }
}

#[cfg(feature = "cli")]
impl AuditScope {
    /// The commands for a report of a run with this scope, so that they repeat its options.
    #[must_use]
    pub(in crate::operate) fn commands(&self, commands: Commands, slices: &str) -> Commands {
        let Self { item, view, slice, adopt, all_markers, pace, agreement } = self;
        let flag = |name: &str, given: bool| if given { format!(" {name}") } else { String::new() };
        let value = |name, value: Option<String>| value.map(|value| option(name, &value)).unwrap_or_default();
        let part = [
            value("--item", item.clone()),
            value("--view", view.clone()),
            value("--slice", slice.map(|slice| slice.to_string())),
            slices.to_owned(),
        ];
        let how = [flag("--adopt", *adopt), flag("--all-markers", *all_markers), pace.options()];
        commands.reading(how.concat() + agreement.options(), part.concat())
    }
}

/// What to do about the findings of one report.
#[derive(Debug, Clone, Copy)]
pub(in crate::operate) struct Remedies<'a> {
    pub(in crate::operate) report: &'a AuditReport,
    pub(in crate::operate) commands: &'a Commands,
}

impl Remedies<'_> {
    fn repair(&self) -> String {
        self.commands.read_same("repair")
    }

    pub(in crate::operate) fn of_drift(&self) -> Remedy {
        Remedy::new("To set these counters to what the source says", [self.repair()])
    }

    pub(in crate::operate) fn of_the_rest(&self) -> Remedy {
        Remedy::new("To examine the rest, run it again", [self.commands.read_same("audit")])
    }

    pub(in crate::operate) fn of_unstable(&self, key: &ViewKey) -> Remedy {
        let definition = &self.report.definition;
        let item = match key_json(definition, key) {
            serde_json::Value::String(text) => text,
            object => object.to_string(),
        };
        // If several tables can have such a key, the command needs a view, which determines the table.
        let view = definition.fitting(key).iter().next().filter(|_| definition.tables().len() > 1);
        let view = view.map(|view| option("--view", definition[view].name())).unwrap_or_default();
        let command = format!("{}{}{view}", self.commands.read("audit"), option("--item", &item));
        Remedy::new("To look at this item alone", [command])
    }

    pub(in crate::operate) fn of_quarantine(&self) -> Remedy {
        Remedy::new(
            "To read the reasons, then apply the records whose cause is fixed, then close those that can never be applied",
            [
                self.commands.run("quarantine list"),
                self.commands.run("quarantine replay --all"),
                self.commands.read("repair"),
            ],
        )
    }

    /// What to do about findings of the ledger, by kind of finding.
    pub(in crate::operate) fn of_ledger(&self) -> Vec<Remedy> {
        let has = |invariants: &[&str]| {
            self.report.findings.iter().any(|Finding { invariant, .. }| invariants.contains(invariant))
        };
        let counters = Remedy::new("To correct these counters (XO-4, XO-5)", [self.repair()]);
        let markers = Remedy::new(
            "A contradiction between markers (XO-1, XO-2, XO-3) ends when the marker expires. To correct what it did to counters",
            [self.repair()],
        );
        let reasons = Remedy::new(
            "To look at a record in quarantine without a reason (XO-6), then apply it again",
            [self.commands.run("quarantine list"), self.commands.run("quarantine replay --all")],
        );
        let kinds: [(&[&str], _); 3] =
            [(&["XO-4", "XO-5"], counters), (&["XO-1", "XO-2", "XO-3"], markers), (&["XO-6"], reasons)];
        kinds.into_iter().filter(|(invariants, _)| has(invariants)).map(|(_, remedy)| remedy).collect()
    }

    pub(in crate::operate) fn of_uncountable(&self, item: &UncountableItem) -> Remedy {
        let table = option("--table-name", self.report.definition.source_table());
        let command = self.commands.aws(&format!("dynamodb get-item{table}{}", option("--key", &item.key_text())));
        Remedy::new("To look at it; correct or delete this source item, and the function counts the change", [command])
    }

    pub(in crate::operate) fn of_unreadable(&self) -> Remedy {
        Remedy::new("To see why, for the first items of the source table", [self.commands.run("view try")])
    }

    pub(in crate::operate) fn of_zero_groups(&self) -> Remedy {
        Remedy::new("To remove them", [self.commands.read_same("repair --remove-zero-groups")])
    }

    pub(in crate::operate) fn of_large(&self, key: &ViewKey) -> Remedy {
        if self.report.sizes.with_zero_groups.contains_key(key) {
            return Remedy::new(
                "To remove its groups that count nothing",
                [self.commands.read_same("repair --remove-zero-groups")],
            );
        }
        Remedy::new(
            "Deploy a definition that groups by something coarser, or whose key makes more and smaller items. Then, to set their \
             counters",
            [self.repair()],
        )
    }

    pub(in crate::operate) fn of_others(&self) -> Remedy {
        Remedy::new(
            "If these attributes are counters of the view, set them",
            [self.commands.read_same("repair --adopt")],
        )
    }

    pub(in crate::operate) fn of_orphans(&self) -> Remedy {
        Remedy::new("This alone is not an error. To list the keys", [self.commands.read_same("audit --json")])
    }

    pub(in crate::operate) fn of_no_stream(&self) -> Remedy {
        let table = option("--table-name", self.report.definition.source_table());
        let specification = "--stream-specification StreamEnabled=true,StreamViewType=NEW_AND_OLD_IMAGES";
        let command = self.commands.aws(&format!("dynamodb update-table{table} {specification}"));
        Remedy::new("To switch its stream on", [command])
    }
}
