//! What the template declares: the tables, the function's settings, and how the function is connected to the stream.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::{KeyType, ProjectionType, ScalarAttributeType, StreamViewType};

use super::poller::EventSourceMapping;
use super::poller::batch_delivery::FailurePolicy;
use super::template::{Property, StackTemplate, TemplateError};

/// The template of this release.
pub(super) const TEMPLATE: &str = include_str!("../../../template.json");

/// Logical ids of the template.
const SOURCE_TABLE: &str = "SourceTable";
const VIEW_TABLE: &str = "ViewTable";
const IDEMPOTENCY_TABLE: &str = "IdempotencyTable";
const FUNCTION: &str = "Function";
const EVENT_SOURCE_MAPPING: &str = "EventSourceMapping";

/// What the template declares, with values for its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StackDefinition {
    /// The table whose items are counted; it has a stream.
    pub(super) source: TableDefinition,
    /// The tables of the view items, in addition to the source table.
    pub(super) views: Vec<TableDefinition>,
    /// The table of the markers.
    pub(super) idempotency: TableDefinition,
    /// The function's environment variables.
    pub(super) environment: BTreeMap<String, String>,
    /// The event source mapping.
    pub(super) mapping: EventSourceMapping,
    /// How many batches of a shard Lambda would process concurrently. The local poller always processes one.
    pub(super) parallelization_factor: u32,
}

/// A table, with the properties that the local engine supports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableDefinition {
    pub(super) name: String,
    /// The key attributes, the partition key first.
    pub(super) key: Vec<KeyAttribute>,
    /// Its global secondary indexes.
    pub(super) indexes: Vec<IndexDefinition>,
    /// The view type of its stream; `None` without a stream.
    pub(super) stream: Option<StreamViewType>,
    /// The attribute with an item's expiry time; `None` if items do not expire.
    pub(super) time_to_live: Option<String>,
}

/// A global secondary index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IndexDefinition {
    pub(super) name: String,
    /// The key attributes, the partition key first.
    pub(super) key: Vec<KeyAttribute>,
    pub(super) projection: ProjectionType,
    /// The attributes that an index includes in addition to keys; empty if it includes none by name.
    pub(super) included: Vec<String>,
}

/// One attribute of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyAttribute {
    pub(super) name: String,
    pub(super) kind: ScalarAttributeType,
    pub(super) role: KeyType,
}

/// Properties of a table that make no difference on one machine.
const WITHOUT_EFFECT: [&str; 9] = [
    "AttributeDefinitions",
    "BillingMode",
    "DeletionProtectionEnabled",
    "PointInTimeRecoverySpecification",
    "ProvisionedThroughput",
    "OnDemandThroughput",
    "SSESpecification",
    "TableClass",
    "Tags",
];

impl StackDefinition {
    /// Reads what a template declares.
    pub(super) fn read(mut template: StackTemplate) -> Result<Self, TemplateError> {
        // The mapping names the stream before any table exists, so a placeholder stands for its ARN.
        const STREAM: &str = "the stream of the source table";
        template.set_attribute(format!("{SOURCE_TABLE}.StreamArn"), STREAM);
        let table = |id| read_table(&template.resource(id, "AWS::DynamoDB::Table")?);
        let source = table(SOURCE_TABLE)?;
        if source.stream != Some(StreamViewType::NewAndOldImages) {
            let source = template.resource(SOURCE_TABLE, "AWS::DynamoDB::Table")?;
            return Err(source.wrong("it must have a stream of NEW_AND_OLD_IMAGES, to tell what a write changed"));
        }
        let function = template.resource(FUNCTION, "AWS::Lambda::Function")?;
        let mapping = template.resource(EVENT_SOURCE_MAPPING, "AWS::Lambda::EventSourceMapping")?;
        let event_source = mapping.get("EventSourceArn")?;
        if event_source.text()? != STREAM {
            return Err(event_source.wrong(format!("it must be {SOURCE_TABLE}.StreamArn")));
        }
        let called = mapping.get("FunctionName")?;
        if called.text()? != FUNCTION {
            return Err(called.wrong(format!("it must be {FUNCTION}")));
        }
        Ok(Self {
            views: vec![table(VIEW_TABLE)?],
            idempotency: table(IDEMPOTENCY_TABLE)?,
            source,
            environment: read_environment(&function)?,
            parallelization_factor: number(&mapping, "ParallelizationFactor", 1)?,
            mapping: read_mapping(&mapping, &function)?,
        })
    }
}

fn read_table(table: &Property<'_>) -> Result<TableDefinition, TemplateError> {
    let mut kinds = Kinds::new();
    for attribute in table.get("AttributeDefinitions")?.items()? {
        let kind = attribute.get("AttributeType")?;
        let kind = ScalarAttributeType::try_parse(&kind.text()?).map_err(|_| kind.wrong("it must be S, N or B"))?;
        kinds.insert(attribute.get("AttributeName")?.text()?, kind);
    }
    let key = read_key(table, &kinds)?;
    let indexes = table.find("GlobalSecondaryIndexes")?.map(|indexes| indexes.items()).transpose()?.unwrap_or_default();
    let indexes = indexes.iter().map(|index| read_index(index, &kinds)).collect::<Result<_, _>>()?;
    let stream = match table.find("StreamSpecification")? {
        None => None,
        Some(stream) => {
            let kind = stream.get("StreamViewType")?;
            Some(StreamViewType::try_parse(&kind.text()?).map_err(|_| kind.wrong("there is no such view type"))?)
        }
    };
    let time_to_live = match table.find("TimeToLiveSpecification")? {
        Some(ttl) if ttl.get("Enabled")?.parse()? => Some(ttl.get("AttributeName")?.text()?),
        _ => None,
    };
    let is_supported = |name: &&str| {
        ["TableName", "KeySchema", "GlobalSecondaryIndexes", "StreamSpecification", "TimeToLiveSpecification"]
            .contains(name)
            || WITHOUT_EFFECT.contains(name)
    };
    if let Some(name) = table.names().find(|name| !is_supported(name)) {
        return Err(table.wrong(format!("a table with {name} cannot be made on this machine")));
    }
    Ok(TableDefinition { name: table.get("TableName")?.text()?, key, indexes, stream, time_to_live })
}

/// The types of attributes, by their names.
type Kinds = BTreeMap<String, ScalarAttributeType>;

fn read_key(owner: &Property<'_>, kinds: &Kinds) -> Result<Vec<KeyAttribute>, TemplateError> {
    let part = |part: &Property<'_>| {
        let name = part.get("AttributeName")?.text()?;
        let role = part.get("KeyType")?;
        let role = KeyType::try_parse(&role.text()?).map_err(|_| role.wrong("it must be HASH or RANGE"))?;
        let kind = kinds.get(&name).cloned();
        let kind = kind.ok_or_else(|| part.wrong(format!("{name} is not among the AttributeDefinitions")))?;
        Ok(KeyAttribute { name, kind, role })
    };
    owner.get("KeySchema")?.items()?.iter().map(part).collect()
}

fn read_index(index: &Property<'_>, kinds: &Kinds) -> Result<IndexDefinition, TemplateError> {
    let projection = index.get("Projection")?;
    let kind = projection.get("ProjectionType")?;
    let included = projection.find("NonKeyAttributes")?.map(|names| names.items()).transpose()?.unwrap_or_default();
    Ok(IndexDefinition {
        name: index.get("IndexName")?.text()?,
        key: read_key(index, kinds)?,
        projection: ProjectionType::try_parse(&kind.text()?)
            .map_err(|_| kind.wrong("it must be ALL, KEYS_ONLY or INCLUDE"))?,
        included: included.iter().map(Property::text).collect::<Result<_, _>>()?,
    })
}

fn read_environment(function: &Property<'_>) -> Result<BTreeMap<String, String>, TemplateError> {
    let Some(variables) = function.find("Environment")?.map(|found| found.get("Variables")).transpose()? else {
        return Ok(BTreeMap::new());
    };
    variables.names().map(|name| Ok((name.to_owned(), variables.get(name)?.text()?))).collect()
}

/// Reads the event source mapping. A missing property has Lambda's default.
fn read_mapping(mapping: &Property<'_>, function: &Property<'_>) -> Result<EventSourceMapping, TemplateError> {
    let position = mapping.get("StartingPosition")?;
    if position.text()? != "TRIM_HORIZON" {
        return Err(position.wrong("it must be TRIM_HORIZON: any other can miss records"));
    }
    if let Some(enabled) = mapping.find("Enabled")?
        && !enabled.parse()?
    {
        return Err(enabled.wrong("it must be true, or nothing is delivered: leave MappingEnabled at its default"));
    }
    if let Some(filters) = mapping.find("FilterCriteria")? {
        return Err(filters.wrong("records are not filtered on this machine: leave the filter patterns empty"));
    }
    let answers = mapping.find("FunctionResponseTypes")?.map(|types| types.items()).transpose()?.unwrap_or_default();
    let answers: Vec<_> = answers.iter().map(Property::text).collect::<Result<_, _>>()?;
    let flag = mapping.find("BisectBatchOnFunctionError")?;
    Ok(EventSourceMapping {
        function: FUNCTION.to_owned(),
        time_limit: Duration::from_secs(number(function, "Timeout", 3)?),
        batch_size: number::<usize>(mapping, "BatchSize", 100)?.max(1),
        batching_window: Duration::from_secs(number(mapping, "MaximumBatchingWindowInSeconds", 0)?),
        policy: FailurePolicy {
            report_item_failures: answers.iter().any(|answer| answer == "ReportBatchItemFailures"),
            bisect: flag.map_or(Ok(false), |flag| flag.parse())?,
            // In Lambda, -1 means no limit; a limit larger than the count can be treated the same.
            retries: u32::try_from(number(mapping, "MaximumRetryAttempts", -1_i64)?).ok(),
        },
        maximum_record_age: u64::try_from(number(mapping, "MaximumRecordAgeInSeconds", -1_i64)?)
            .ok()
            .map(Duration::from_secs),
    })
}

fn number<T>(properties: &Property<'_>, name: &str, default: T) -> Result<T, TemplateError>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    properties.find(name)?.map_or(Ok(default), |property| property.parse())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::rollup::model::marker::{REASON, RECORDED_AT};
    use crate::rollup::model::quarantine_index::{IN_QUARANTINE, INDEX};

    fn definition(overrides: &[(&str, &str)]) -> Result<StackDefinition, TemplateError> {
        let overrides = overrides.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        StackDefinition::read(StackTemplate::new(TEMPLATE, &overrides)?)
    }

    #[test]
    fn the_template_that_ships_is_understood() {
        let definition = definition(&[]).unwrap();
        let key = |table: &TableDefinition| {
            table.key.iter().map(|key| format!("{} {} {}", key.name, key.kind, key.role)).collect::<Vec<_>>()
        };
        assert_eq!(definition.source.name, "Point");
        assert_eq!(key(&definition.source), ["MapId S HASH", "PointId S RANGE"]);
        assert_eq!(definition.source.stream, Some(StreamViewType::NewAndOldImages));
        assert_eq!(definition.views[0].name, "Map");
        assert_eq!(key(&definition.views[0]), ["MapId S HASH"]);
        assert_eq!(definition.views[0].stream, None);
        assert_eq!(definition.idempotency.name, "Idempotency");
        assert_eq!(key(&definition.idempotency), ["SequenceNumber S HASH", "Stream S RANGE"]);
        let [index] = &definition.idempotency.indexes[..] else { panic!("{:?}", definition.idempotency) };
        assert_eq!((index.name.as_str(), index.included.as_slice()), (INDEX, &[REASON.to_owned()][..]));
        let names: Vec<_> = index.key.iter().map(|part| part.name.as_str()).collect();
        assert_eq!(names, [IN_QUARANTINE, RECORDED_AT]);
        assert_eq!(definition.idempotency.time_to_live.as_deref(), Some("ExpiresAt"));
        assert_eq!(definition.environment["ROLLUP_SOURCE_TABLE"], "Point");
        assert!(definition.mapping.policy.report_item_failures && definition.mapping.policy.bisect);
    }

    #[test]
    fn parameters_reach_what_they_are_for() {
        let definition = definition(&[
            ("SourceTableName", "Site"),
            ("ViewTableName", "Region"),
            ("IdempotencyTableName", "Seen"),
            ("BatchSize", "7"),
            ("MaximumBatchingWindowInSeconds", "5"),
            ("MaximumRetryAttempts", "-1"),
            ("MaximumRecordAgeInSeconds", "60"),
            ("ParallelizationFactor", "10"),
            ("ViewTableStream", "true"),
        ])
        .unwrap();
        let names =
            [&definition.source, &definition.views[0], &definition.idempotency].map(|table| table.name.as_str());
        assert_eq!(names, ["Site", "Region", "Seen"]);
        assert_eq!(definition.views[0].stream, Some(StreamViewType::NewAndOldImages));
        assert_eq!(definition.environment["ROLLUP_SOURCE_TABLE"], "Site");
        assert_eq!(definition.environment["ROLLUP_VIEW_TABLE"], "Region");
        assert_eq!(definition.environment["ROLLUP_IDEMPOTENCY_TABLE"], "Seen");
        assert_eq!(definition.parallelization_factor, 10);
        assert_eq!(definition.mapping.batch_size, 7);
        assert_eq!(definition.mapping.batching_window, Duration::from_secs(5));
        assert_eq!(definition.mapping.policy.retries, None);
        assert_eq!(definition.mapping.maximum_record_age, Some(Duration::from_mins(1)));
    }

    fn edited(edit: impl FnOnce(&mut Value)) -> Result<StackDefinition, TemplateError> {
        let mut document: Value = serde_json::from_str(TEMPLATE).unwrap();
        edit(&mut document["Resources"]);
        StackDefinition::read(StackTemplate::new(&document.to_string(), &BTreeMap::new())?)
    }

    #[test]
    fn what_is_absent_has_lambdas_default() {
        let mapping = edited(|resources| {
            let mapping = &mut resources["EventSourceMapping"]["Properties"];
            *mapping = json!({
                "FunctionName": mapping["FunctionName"],
                "EventSourceArn": mapping["EventSourceArn"],
                "StartingPosition": "TRIM_HORIZON",
            });
            resources["Function"]["Properties"] = json!({});
        });
        let expected = EventSourceMapping {
            function: "Function".into(),
            time_limit: Duration::from_secs(3),
            batch_size: 100,
            batching_window: Duration::ZERO,
            policy: FailurePolicy { report_item_failures: false, bisect: false, retries: None },
            maximum_record_age: None,
        };
        assert_eq!(mapping.unwrap().mapping, expected);
    }

    #[test]
    fn what_cannot_be_run_here_is_named() {
        type Edit = fn(&mut Value);
        let cases: [(Edit, &str); 8] = [
            (
                |r| r["SourceTable"]["Properties"]["LocalSecondaryIndexes"] = json!([]),
                "SourceTable in the template: a table with LocalSecondaryIndexes",
            ),
            (
                |r| r["SourceTable"]["Properties"]["StreamSpecification"] = json!({"StreamViewType": "KEYS_ONLY"}),
                "SourceTable in the template: it must have a stream of NEW_AND_OLD_IMAGES",
            ),
            (
                |r| r["ViewTable"]["Properties"]["AttributeDefinitions"] = json!([]),
                "ViewTable.KeySchema[0] in the template: MapId is not among the AttributeDefinitions",
            ),
            (
                |r| r["ViewTable"]["Properties"]["KeySchema"][0]["KeyType"] = json!("SORT"),
                "ViewTable.KeySchema[0].KeyType in the template: it must be HASH or RANGE",
            ),
            (
                |r| r["EventSourceMapping"]["Properties"]["EventSourceArn"] = json!("arn:other"),
                "EventSourceMapping.EventSourceArn in the template: it must be SourceTable.StreamArn",
            ),
            (
                |r| r["EventSourceMapping"]["Properties"]["FunctionName"] = json!("Other"),
                "EventSourceMapping.FunctionName in the template: it must be Function",
            ),
            (
                |r| r["EventSourceMapping"]["Properties"]["StartingPosition"] = json!("LATEST"),
                "EventSourceMapping.StartingPosition in the template: it must be TRIM_HORIZON",
            ),
            (
                |r| r["EventSourceMapping"]["Properties"]["BatchSize"] = json!("all"),
                "EventSourceMapping.BatchSize in the template: \"all\" cannot be used",
            ),
        ];
        for (edit, problem) in cases {
            let error = edited(edit).unwrap_err().to_string();
            assert!(error.starts_with(problem), "{error}");
        }
        for (name, value, problem) in [
            ("ExistingSourceStreamArn", "arn:x", "the condition SourceTableIsNew is false"),
            ("MappingEnabled", "false", "EventSourceMapping.Enabled in the template: it must be true"),
            ("FilterPattern4", "{}", "EventSourceMapping.FilterCriteria in the template: records are not filtered"),
        ] {
            let error = definition(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }
}
