//! Checks that a function has the settings that the command was given.

use std::collections::{BTreeMap, HashMap};

use super::check::{Check, Checks};
use crate::config::{
    Config, IDEMPOTENCY_TABLE, MARKER_RETENTION_DAYS, ON_MISSING_VIEW_ITEM, QUARANTINE_RETENTION_DAYS, SOURCE_TABLE,
    VIEW_DEFINITION, VIEW_TABLE,
};
use crate::rollup::model::arn::table_name;
use crate::rollup::model::language::{Condition, MeasureExpression};
use crate::rollup::model::set_attribute::SetValue;
use crate::rollup::model::view::{KeyPart, View};

const THE_SAME: &str = "the same";
const TABLES: &str = "the function uses another table than this command. Give this command the function's table, or set the function's variable";
const OTHERS: &str = "the function has another setting than this command, so repair and replay would not do what it does. Set the variable for this command as the function has it";

/// Compares the function's settings with those of the command.
pub(super) fn of_function(config: &Config, function: &str, variables: Option<&HashMap<String, String>>) -> Vec<Check> {
    let mut checks = Checks::of(format!("function {function}"));
    let variable = |name: &str| variables.and_then(|variables| variables.get(name).cloned());
    // A file in the function's zip archive cannot be read from here. The fingerprint that the function recorded is
    // compared instead.
    let in_a_file = variable(VIEW_DEFINITION).is_some_and(|value| value.trim_start().starts_with('@'));
    let readable =
        |name: &str| variable(name).filter(|_| !(in_a_file && [VIEW_DEFINITION, VIEW_TABLE].contains(&name)));
    let theirs = match Config::read(readable) {
        Ok(theirs) => theirs,
        Err(error) => {
            checks.that("the settings", error.to_string(), "settings that can be used", "the function cannot start");
            return checks.checks;
        }
    };
    checks.that(SOURCE_TABLE, theirs.definition.source_table(), config.definition.source_table(), TABLES);
    checks.that(IDEMPOTENCY_TABLE, &theirs.idempotency_table, &config.idempotency_table, TABLES);
    if !in_a_file {
        let tables = |config: &Config| {
            let mut names: Vec<_> = config.definition.tables().iter().map(|table| table_name(&table.name)).collect();
            names.sort_unstable();
            names.join(", ")
        };
        checks.that(VIEW_TABLE, tables(&theirs), tables(config), TABLES);
        let same = by_name(&theirs).map(CountedBy::of).eq(by_name(config).map(CountedBy::of));
        checks.that(VIEW_DEFINITION, if same { THE_SAME } else { "another" }, THE_SAME, OTHERS);
        let missing =
            |config: &Config| by_name(config).map(|view| view.on_missing().as_str()).collect::<Vec<_>>().join(", ");
        checks.that(ON_MISSING_VIEW_ITEM, missing(&theirs), missing(config), OTHERS);
    }
    let days = |config: &Config| config.marker_retention_days.to_string();
    checks.that(MARKER_RETENTION_DAYS, days(&theirs), days(config), OTHERS);
    let kept =
        |config: &Config| config.quarantine_retention_days.map_or_else(|| "empty".to_owned(), |days| days.to_string());
    checks.that(QUARANTINE_RETENTION_DAYS, kept(&theirs), kept(config), OTHERS);
    checks.checks
}

/// The views sorted by name, because their order in the definition has no meaning.
fn by_name(config: &Config) -> impl Iterator<Item = &View> {
    let mut views: Vec<_> = config.definition.views().iter().collect();
    views.sort_unstable_by_key(|view| view.name());
    views.into_iter()
}

/// What a view counts, in whatever order its parts are given.
#[derive(PartialEq)]
struct CountedBy<'v> {
    name: &'v str,
    condition: Option<&'v Condition>,
    key: &'v [KeyPart],
    measures: BTreeMap<&'v str, &'v MeasureExpression>,
    set: BTreeMap<&'v str, &'v SetValue>,
}

impl<'v> CountedBy<'v> {
    fn of(view: &'v View) -> Self {
        Self {
            name: view.name(),
            condition: view.condition(),
            key: view.key(),
            measures: view.measures().iter().map(|one| (one.attribute.as_str(), &one.expression)).collect(),
            set: view.set().iter().map(|one| (one.attribute.as_str(), &one.value)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operate::deploy_check::check::tests::{config, wrong};

    #[test]
    fn the_functions_settings_are_the_commands() {
        let check = |variables: &[(&str, &str)]| {
            let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            wrong(of_function(&config(), "f", Some(&variables)))
        };
        assert_eq!(check(&[]), []);
        assert_eq!(check(&[(VIEW_TABLE, "Region")]), [(VIEW_TABLE, "Region".to_owned())]);
        assert_eq!(check(&[(QUARANTINE_RETENTION_DAYS, "90")]), [(QUARANTINE_RETENTION_DAYS, "90".to_owned())]);
        assert_eq!(check(&[(ON_MISSING_VIEW_ITEM, "skip")]), [(ON_MISSING_VIEW_ITEM, "skip".to_owned())]);
        let definition = r#"{ "key": [{ "attribute": "MapId", "type": "S" }], "measures": { "Points": "count" } }"#;
        assert_eq!(check(&[(VIEW_DEFINITION, definition)]), [(VIEW_DEFINITION, "another".to_owned())]);
        let shipped = r#"{ "measures": { "CategoryCounts": "count by Category", "TotalPoints": "count" },
            "key": [{ "attribute": "MapId", "type": "S", "missing": "quarantine" }] }"#;
        assert_eq!(check(&[(VIEW_DEFINITION, shipped)]), [], "the order of measures means nothing");
        let unusable = check(&[(MARKER_RETENTION_DAYS, "never")]);
        assert!(unusable[0].1.contains("ROLLUP_MARKER_RETENTION_DAYS is \"never\""), "{unusable:?}");
    }

    #[test]
    fn views_are_the_same_in_any_order_and_a_file_is_not_compared() {
        let view = |name: &str, more: &str| {
            format!(
                r#"{{ "name": "{name}", "table": "Sum{name}", {more} "measures": {{ "N": "count" }},
                    "key": [{{ "attribute": "Id", "type": "S" }}] }}"#
            )
        };
        let of = |views: &[String]| format!(r#"{{ "views": [{}] }}"#, views.join(","));
        let (a, b) = (view("A", ""), view("B", r#""on_missing": "skip","#));
        let ours = of(&[a.clone(), b.clone()]);
        let config = Config::read(|name| (name == VIEW_DEFINITION).then(|| ours.clone())).unwrap();
        let check = |definition: String| {
            wrong(of_function(&config, "f", Some(&HashMap::from([(VIEW_DEFINITION.to_owned(), definition)]))))
        };
        assert_eq!(check(of(&[b.clone(), a.clone()])), []);
        assert_eq!(check("@views.json".to_owned()), []);
        let renamed = view("C", r#""on_missing": "skip","#).replace("SumC", "SumB");
        assert_eq!(check(of(&[a.clone(), renamed])), [(VIEW_DEFINITION, "another".to_owned())]);
        let found = check(of(&[a.replace("SumA", "Other"), b]));
        assert_eq!(found, [(VIEW_TABLE, "Other, SumB".to_owned())]);
    }
}
