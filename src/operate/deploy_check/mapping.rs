//! The properties that an event source mapping must have.

use aws_sdk_dynamodb::types::TableDescription;
use aws_sdk_lambda::types::{EventSourceMappingConfiguration, EventSourcePosition, FunctionResponseType};
use serde_json::Value;

use super::check::{ABSENT, Check, Checks};
use super::filtering::{self, OFF};
use crate::operate::commands::Commands;
use crate::rollup::model::definition::Definition;

const ON: &str = "on";

/// Checks the event source mappings between the source table's stream and a function.
#[must_use]
pub fn mappings(
    definition: &Definition,
    source: &TableDescription,
    stream: &str,
    mappings: &[EventSourceMappingConfiguration],
    commands: &Commands,
) -> Vec<Check> {
    let reads = |mapping: &&EventSourceMappingConfiguration| mapping.event_source_arn() == Some(stream);
    let mut checks = Checks::of(format!("stream {stream}"));
    let mut read = mappings.iter().filter(reads).peekable();
    let mut streams = mappings.iter().filter_map(|mapping| mapping.event_source_arn());
    let before = streams.find(|arn| are_of_one_table(arn, stream));
    let (found, why) = match before {
        _ if read.peek().is_some() => (ON.to_owned(), String::new()),
        Some(before) => (
            format!("on {before}"),
            format!(
                "nothing is counted: the table's stream was switched off and on, and the function still reads the old stream. \
                 Connect the mapping to the current stream. Then count what was written in between: {}",
                commands.run("repair")
            ),
        ),
        None => (
            OFF.to_owned(),
            "nothing is counted: no function reads the stream of the table. Deploy the template, or create a mapping"
                .to_owned(),
        ),
    };
    checks.that("the event source mapping", found, ON, why);
    let safe = filtering::safe_patterns(definition, source);
    checks.checks.into_iter().chain(read.flat_map(|one| mapping(one, safe.as_deref(), commands))).collect()
}

/// Whether two stream ARNs belong to the same table, which may have had several streams.
#[must_use]
pub fn are_of_one_table(one: &str, other: &str) -> bool {
    let table = |arn: &str| arn.split_once("/stream/").map(|(table, _)| table.to_owned());
    table(one).is_some() && table(one) == table(other)
}

fn mapping(
    mapping: &EventSourceMappingConfiguration,
    safe_patterns: Option<&[Value]>,
    commands: &Commands,
) -> Vec<Check> {
    let mut checks = Checks::of(format!("event source mapping {}", mapping.uuid().unwrap_or_default()));
    let state = match mapping.state() {
        Some("Creating" | "Enabling" | "Updating") => "Enabled",
        state => state.unwrap_or("unknown"),
    };
    checks.that(
        "the state",
        state,
        "Enabled",
        "nothing is counted. Records wait in the stream, which keeps them for 24 hours. Update the stack with \
         MappingEnabled=true, or enable the mapping",
    );
    let reports = mapping.function_response_types().contains(&FunctionResponseType::ReportBatchItemFailures);
    checks.that(
        "ReportBatchItemFailures",
        if reports { ON } else { OFF },
        ON,
        "Lambda treats every response as success, so a record that was not processed is lost. Switch it on in the mapping",
    );
    let position = mapping.starting_position().map_or(ABSENT, EventSourcePosition::as_str);
    checks.that(
        "the starting position",
        position,
        "TRIM_HORIZON",
        format!(
            "records that were written while the mapping was being created may be missed. Create the mapping again with this \
             position, then check the counters: {}",
            commands.run("audit")
        ),
    );
    let destination = mapping.destination_config().and_then(|destination| destination.on_failure());
    let destination = destination.and_then(|destination| destination.destination());
    checks.that(
        "the failure destination",
        if destination.is_some_and(|arn| !arn.is_empty()) { ON } else { OFF },
        ON,
        "without one, a batch that Lambda gives up on is lost. Name a queue or a bucket in the mapping",
    );
    let (found, needed) = filtering::found_and_needed(mapping, safe_patterns);
    checks.that(
        "filtering",
        found,
        needed,
        format!(
            "records that must be counted may be dropped. Remove the filter, or set exactly the patterns that this command \
             prints: {}. Then count what was dropped: {}",
            commands.run("view filter"),
            commands.run("repair")
        ),
    );
    checks.checks
}
