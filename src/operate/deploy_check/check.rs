//! The properties that a deployment must have, checked against the answers of the services. It makes no requests
//! itself.

use std::borrow::Cow;

use aws_sdk_dynamodb::types::{KeySchemaElement, TableDescription, TimeToLiveDescription, TimeToLiveStatus};

use super::filtering::OFF;
use crate::config::Config;
use crate::operate::agreement::Announced;
use crate::operate::commands::Commands;
use crate::operate::marker_table::{QUARANTINE_INDEX_USABLE, quarantine_index};
use crate::operate::shell_option::option;
use crate::rollup::model::definition::{Definition, ViewTable};
use crate::rollup::model::marker::{EXPIRES_AT, SEQUENCE_NUMBER, STREAM};

pub(super) const ABSENT: &str = "absent";

/// A check of one property of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The resource that has the property.
    pub subject: String,
    /// The name of the property.
    pub what: &'static str,
    /// Its value.
    pub found: String,
    /// The value on which the roll-up relies.
    pub needed: String,
    /// What goes wrong with another value, and how to fix it.
    pub why: Cow<'static, str>,
}

impl Check {
    /// Whether the property has the needed value.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.found == self.needed
    }
}

/// The checks of one resource.
pub(super) struct Checks {
    subject: String,
    pub(super) checks: Vec<Check>,
}

impl Checks {
    pub(super) fn of(subject: String) -> Self {
        Self { subject, checks: Vec::new() }
    }

    pub(super) fn that(
        &mut self,
        what: &'static str,
        found: impl Into<String>,
        needed: impl Into<String>,
        why: impl Into<Cow<'static, str>>,
    ) {
        let (found, needed, why) = (found.into(), needed.into(), why.into());
        self.checks.push(Check { subject: self.subject.clone(), what, found, needed, why });
    }

    /// Checks that the table can be used. If it cannot, further checks of it are pointless.
    fn table_is_active(&mut self, table: Option<&TableDescription>) -> bool {
        let status = table.map_or(ABSENT, |table| table.table_status().map_or("unknown", |status| status.as_str()));
        // A table can be written while it is updated.
        let found = if status == "UPDATING" { "ACTIVE" } else { status };
        self.that(
            "the status",
            found,
            "ACTIVE",
            "wait until the table is created, name another table, or deploy the template",
        );
        found == "ACTIVE"
    }
}

/// Checks the source table and its stream.
#[must_use]
pub fn source(definition: &Definition, table: Option<&TableDescription>, commands: &Commands) -> Vec<Check> {
    let mut checks = Checks::of(format!("source table {}", definition.source_table()));
    if checks.table_is_active(table)
        && let Some(table) = table
    {
        let stream = table.stream_specification().filter(|stream| stream.stream_enabled());
        let carries = stream.and_then(|stream| stream.stream_view_type());
        checks.that(
            "the stream's view type",
            carries.map_or(OFF, |carries| carries.as_str()),
            "NEW_AND_OLD_IMAGES",
            format!(
                "the roll-up needs both images to compute what a write changed. The type of a stream cannot be changed: switch \
                 the stream off, and on again with this type. Then count what was written in between: {}",
                commands.run("repair")
            ),
        );
    }
    checks.checks
}

/// Checks a view table.
#[must_use]
pub fn view(needed: &ViewTable, table: Option<&TableDescription>) -> Vec<Check> {
    let mut checks = Checks::of(format!("view table {}", needed.name));
    if checks.table_is_active(table)
        && let Some(table) = table
    {
        let parts: Vec<_> = needed.key.iter().map(|(attribute, kind)| format!("{attribute} ({kind})")).collect();
        checks.that("the key", key(table), parts.join(", "), "the counters are on the items of this key");
    }
    checks.checks
}

/// Checks the idempotency table.
#[must_use]
pub fn idempotency(
    name: &str,
    table: Option<&TableDescription>,
    expiry: Option<&TimeToLiveDescription>,
    commands: &Commands,
) -> Vec<Check> {
    let mut checks = Checks::of(format!("idempotency table {name}"));
    if checks.table_is_active(table)
        && let Some(table) = table
    {
        let needed = format!("{SEQUENCE_NUMBER} (S), {STREAM} (S)");
        checks.that("the key", key(table), needed, "a marker is found by its record's sequence number and stream");
        let on = |found: &&TimeToLiveDescription| {
            matches!(found.time_to_live_status(), Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling))
        };
        let attribute = expiry.filter(on).and_then(|found| found.attribute_name());
        checks.that(
            "the time-to-live attribute",
            attribute.unwrap_or(OFF),
            EXPIRES_AT,
            format!(
                "without it, markers are kept and billed permanently. Switch it on: {}",
                commands.aws(&format!(
                    "dynamodb update-time-to-live{} --time-to-live-specification \
                     Enabled=true,AttributeName={EXPIRES_AT}",
                    option("--table-name", name)
                ))
            ),
        );
        checks.that(
            "the index Quarantine",
            quarantine_index(table),
            QUARANTINE_INDEX_USABLE,
            format!(
                "without it, `{}` reads the whole table. Wait until the index is created, or add it as \
                 docs/operating/quarantine.md shows",
                commands.run("quarantine list")
            ),
        );
    }
    checks.checks
}

/// Checks the definition that a function recorded when it started.
#[must_use]
pub fn definition(config: &Config, found: &Announced, function: Option<&str>) -> Vec<Check> {
    let mut checks = Checks::of(format!("idempotency table {}", config.idempotency_table));
    checks.that(
        "the definition under which the function counts",
        &found.fingerprint,
        config.definition.fingerprint().as_str(),
        "the commands would compare its counters with another definition. Give them the function's definition \
         (--definition FILE). If you have just deployed a new one, wait until the function has counted its first records",
    );
    if let Some(function) = function {
        let name = function.rsplit(':').next().unwrap_or(function);
        checks.that(
            "the function that wrote last",
            &found.function,
            name,
            "two functions that share a stream and its markers treat each other's records as counted. Give each function its \
             own idempotency table",
        );
    }
    checks.checks
}

fn key(table: &TableDescription) -> String {
    let kind = |name: &str| {
        let definition = table.attribute_definitions().iter().find(|one| one.attribute_name() == name);
        definition.map_or("?", |definition| definition.attribute_type().as_str())
    };
    let parts = table.key_schema().iter().map(KeySchemaElement::attribute_name);
    parts.map(|name| format!("{name} ({})", kind(name))).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
pub(super) mod tests {
    use aws_sdk_dynamodb::types::{
        AttributeDefinition, GlobalSecondaryIndexDescription, IndexStatus, KeyType, ScalarAttributeType,
        StreamSpecification, StreamViewType, TableStatus,
    };
    use aws_sdk_lambda::types::{
        DestinationConfig, EventSourceMappingConfiguration, EventSourcePosition, Filter, FilterCriteria,
        FunctionResponseType, OnFailure,
    };

    use super::*;
    use crate::config::Tables;
    use crate::operate::deploy_check::mapping::mappings;

    const STREAM_ARN: &str = "arn:aws:dynamodb:eu-west-1:1:table/Point/stream/now";

    fn table(key: &[(&str, ScalarAttributeType)]) -> TableDescription {
        let mut table = TableDescription::builder().table_status(TableStatus::Active);
        for (place, (name, kind)) in key.iter().enumerate() {
            let role = if place == 0 { KeyType::Hash } else { KeyType::Range };
            let definition = AttributeDefinition::builder().attribute_name(*name).attribute_type(kind.clone());
            let element = KeySchemaElement::builder().attribute_name(*name).key_type(role);
            table = table.attribute_definitions(definition.build().unwrap()).key_schema(element.build().unwrap());
        }
        table.build()
    }

    pub(in crate::operate::deploy_check) fn wrong(checks: Vec<Check>) -> Vec<(&'static str, String)> {
        checks.into_iter().filter(|check| !check.is_right()).map(|check| (check.what, check.found)).collect()
    }

    pub(in crate::operate::deploy_check) fn config() -> Config {
        Config::of(Tables::default()).unwrap()
    }

    #[test]
    fn a_source_table_needs_a_stream_of_both_images() {
        let with = |kind: Option<StreamViewType>| {
            let mut table = table(&[("MapId", ScalarAttributeType::S)]);
            table.stream_specification = kind.map(|kind| {
                StreamSpecification::builder().stream_enabled(true).stream_view_type(kind).build().unwrap()
            });
            wrong(source(&config().definition, Some(&table), &Commands::default()))
        };
        assert_eq!(with(Some(StreamViewType::NewAndOldImages)), []);
        assert_eq!(with(Some(StreamViewType::KeysOnly)), [("the stream's view type", "KEYS_ONLY".to_owned())]);
        assert_eq!(with(None), [("the stream's view type", OFF.to_owned())]);
        assert_eq!(
            wrong(source(&config().definition, None, &Commands::default())),
            [("the status", ABSENT.to_owned())]
        );
    }

    #[test]
    fn keys_are_compared_with_their_types() {
        let view_of = |key: &[_]| wrong(view(&config().definition.tables()[0], Some(&table(key))));
        assert_eq!(view_of(&[("MapId", ScalarAttributeType::S)]), []);
        assert_eq!(view_of(&[("MapId", ScalarAttributeType::N)]), [("the key", "MapId (N)".to_owned())]);
        let more = [("MapId", ScalarAttributeType::S), ("Day", ScalarAttributeType::S)];
        assert_eq!(view_of(&more), [("the key", "MapId (S), Day (S)".to_owned())]);

        let of_markers = |markers: &TableDescription, status| {
            let expiry = TimeToLiveDescription::builder().attribute_name(EXPIRES_AT).time_to_live_status(status);
            idempotency("I", Some(markers), Some(&expiry.build()), &Commands::default())
        };
        let mut markers = table(&[(SEQUENCE_NUMBER, ScalarAttributeType::S), (STREAM, ScalarAttributeType::S)]);
        let index = |parts: &[&str], status| {
            let parts: Vec<_> = parts.iter().map(|name| (*name, ScalarAttributeType::S)).collect();
            let index = GlobalSecondaryIndexDescription::builder().index_name("Quarantine");
            index.set_key_schema(table(&parts).key_schema).index_status(status).build()
        };
        let key = ["InQuarantine", "RecordedAt"];
        for (indexes, found) in [
            (vec![], "absent"),
            (vec![index(&key, IndexStatus::Creating)], "on InQuarantine, RecordedAt; CREATING"),
            (vec![index(&key[..1], IndexStatus::Active)], "on InQuarantine; ACTIVE"),
        ] {
            markers.global_secondary_indexes = Some(indexes);
            let wrong = wrong(of_markers(&markers, TimeToLiveStatus::Enabled));
            assert_eq!(wrong, [("the index Quarantine", found.to_owned())]);
        }
        markers.global_secondary_indexes = Some(vec![index(&key, IndexStatus::Updating)]);
        let with = |status| wrong(of_markers(&markers, status));
        assert_eq!(with(TimeToLiveStatus::Enabled), []);
        assert_eq!(with(TimeToLiveStatus::Disabled), [("the time-to-live attribute", OFF.to_owned())]);
        assert_eq!(wrong(idempotency("I", None, None, &Commands::default())), [("the status", ABSENT.to_owned())]);
    }

    #[test]
    fn every_property_of_the_mapping_is_looked_at() {
        let good = || {
            let destination = OnFailure::builder().destination("arn:aws:sqs:eu-west-1:1:q").build();
            EventSourceMappingConfiguration::builder()
                .event_source_arn(STREAM_ARN)
                .state("Enabled")
                .starting_position(EventSourcePosition::TrimHorizon)
                .function_response_types(FunctionResponseType::ReportBatchItemFailures)
                .destination_config(DestinationConfig::builder().on_failure(destination).build())
        };
        let source = table(&[("MapId", ScalarAttributeType::S)]);
        let definition = config().definition;
        let check = |mapping| wrong(mappings(&definition, &source, STREAM_ARN, &[mapping], &Commands::default()));
        assert_eq!(check(good().build()), []);
        assert_eq!(check(good().state("Disabled").build()), [("the state", "Disabled".to_owned())]);
        let latest = good().starting_position(EventSourcePosition::Latest).build();
        assert_eq!(check(latest), [("the starting position", "LATEST".to_owned())]);
        let silent = good().set_function_response_types(None).build();
        assert_eq!(check(silent), [("ReportBatchItemFailures", OFF.to_owned())]);
        assert_eq!(check(good().set_destination_config(None).build()), [("the failure destination", OFF.to_owned())]);
        let filtered = FilterCriteria::builder().filters(Filter::builder().pattern("{}").build()).build();
        assert_eq!(check(good().filter_criteria(filtered).build()), [("filtering", "{}".to_owned())]);
        let old = good().event_source_arn("arn:aws:dynamodb:eu-west-1:1:table/Point/stream/before").build();
        let found = "on arn:aws:dynamodb:eu-west-1:1:table/Point/stream/before".to_owned();
        assert_eq!(check(old), [("the event source mapping", found)]);
        let other = good().event_source_arn("arn:aws:dynamodb:eu-west-1:1:table/Points/stream/now").build();
        assert_eq!(check(other), [("the event source mapping", OFF.to_owned())]);
        let both = [good().event_source_arn(format!("{STREAM_ARN}-before")).build(), good().build()];
        assert_eq!(wrong(mappings(&definition, &source, STREAM_ARN, &both, &Commands::default())), []);
    }
}
