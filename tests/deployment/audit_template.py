"""What the template makes for an audit on a schedule: the auditor, its rights, and what starts and watches it."""

import json
import re

from cloud import ROOT
from evaluate import Json, Template
from template import AUDIT_METRICS, KEY, TOPIC, actions, as_list, check, metrics, statements

SCHEDULE = "rate(1 day)"
STREAM = "arn:aws:dynamodb:us-east-1:000000000000:table/App/stream/2026-01-01T00:00:00.000"

# What the auditor's role allows, and what for.
READS = {
    "dynamodb:DescribeTable": "keys and stream of the tables",
    "dynamodb:Scan": "the first pass",
    "dynamodb:Query": "source items of what differs, and the index of the quarantine",
    "dynamodb:GetItem": "the definition of the function, single items",
    "dynamodb:BatchGetItem": "view items and markers",
    "dynamodb:DescribeStream": "shards",
    "dynamodb:GetRecords": "records that the function may not have applied",
    "dynamodb:GetShardIterator": "the same",
    "sqs:SendMessage": "Lambda: the dead-letter queue",
    "logs:CreateLogStream": "Lambda: log lines",
    "logs:PutLogEvents": "Lambda: log lines",
}
POSITION = {"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"}


def audited(**parameters: str) -> Template:
    return Template.read(**{"AuditSchedule": SCHEDULE, "AuditCodeS3Key": "auditor.zip"} | parameters)


def statement(template: Template, sid: str) -> Json:
    (found,) = (one for one in statements(template, "AuditRole") if one.get("Sid") == sid)
    return found


@check
def without_a_schedule_there_is_no_auditor() -> None:
    for parameters in ({}, {"AuditWorkers": "4", "AuditRepairs": "true", "AuditReportBucket": "reports"}):
        template = Template.read(**parameters)
        assert not [name for name in template.resources() if name.startswith("Audit")]
        assert "Audit" not in template.properties("Dashboard")["DashboardBody"]
        assert "AuditorName" not in template.outputs()


@check
def a_schedule_is_a_rate_or_a_cron_and_needs_the_code() -> None:
    text = audited().text
    pattern = text["Parameters"]["AuditSchedule"]["AllowedPattern"]
    for taken in ("", "rate(1 day)", "rate(12 hours)", "cron(0 3 * * ? *)"):
        assert re.fullmatch(pattern, taken), taken
    for refused in ("daily", "rate(1 day", "rate(0 days)", "1 day", "cron()"):
        assert not re.fullmatch(pattern, refused), refused
    rule = text["Rules"]["CodeOfTheAuditor"]
    (assertion,) = rule["Assertions"]
    assert json.dumps(rule["RuleCondition"]).count("AuditSchedule") == 1
    assert assertion["Assert"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "AuditCodeS3Key"}, ""]}]}
    assert "AuditCodeS3Key" in assertion["AssertDescription"]


@check
def the_auditor_may_read_and_keep_its_position() -> None:
    template = audited()
    assert actions(template, "AuditRole") == READS.keys() | POSITION
    for one in statements(template, "AuditRole"):
        assert "*" not in as_list(one["Resource"]), one
        if POSITION & set(as_list(one["Action"])):
            assert one["Sid"] == "KeepPosition"
            assert one["Resource"].endswith(":table/Idempotency")
            # A key that begins with digits is a marker's.
            assert one["Condition"] == {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": "audit*"}}
    markers, index = statement(template, "ReadMarkers")["Resource"]
    assert statement(template, "ReadSource")["Resource"] == {"Fn::GetAtt": ["SourceTable", "Arn"]}
    assert (markers + "/index/Quarantine", markers) == (index, statement(template, "KeepPosition")["Resource"])
    source = statement(audited(ExistingSourceStreamArn=STREAM), "ReadSource")["Resource"]
    assert source == "arn:aws:dynamodb:us-east-1:000000000000:table/App"


@check
def an_auditor_that_repairs_may_write_what_the_function_writes() -> None:
    for given in ({"CreateViewTable": "false"}, {"ViewTableNames": "Day,Week"}):
        template = audited(AuditRepairs="true", **given)
        assert actions(template, "AuditRole") == READS.keys() | POSITION | {
            "dynamodb:PutItem",
            "dynamodb:UpdateItem",
            "dynamodb:ConditionCheckItem",
        }
        assert "Condition" not in statement(template, "KeepPosition")
        (views,) = (one for one in statements(template) if one["Sid"] == "UpdateViews")
        for reading in (template, audited(**given)):
            mine = statement(reading, "ReadViews")
            assert ("dynamodb:PutItem" in mine["Action"]) == (reading is template)
            assert (mine["Resource"], mine["Condition"]) == (views["Resource"], views["Condition"])


@check
def the_auditor_writes_a_report_and_uses_keys_on_request() -> None:
    assert "s3:PutObject" not in actions(audited(), "AuditRole")
    (report,) = (
        one for one in statements(audited(AuditReportBucket="reports"), "AuditRole") if one["Action"] == "s3:PutObject"
    )
    assert report["Resource"] == "arn:${AWS::Partition}:s3:::reports/ddb-rollup/*"
    use = statement(audited(TableKmsKeyArns=KEY), "UseKey")
    assert use["Resource"] in (KEY, [KEY]) and "kms:ViaService" in use["Condition"]["StringEquals"]


@check
def the_auditor_counts_by_the_definition_of_the_function() -> None:
    template = audited(
        ExistingSourceStreamArn=STREAM,
        CreateViewTable="false",
        ViewDefinition="@views.json",
        OnMissingViewItem="skip",
        MarkerRetentionDays="3",
        AuditSlices="8",
        AuditMaxReadUnits="200",
        AuditRepairs="true",
        AuditReportBucket="reports",
    )
    function, auditor = template.properties("Function"), template.properties("Auditor")
    own = {
        "ROLLUP_AUDIT_SLICES": "8",
        "ROLLUP_AUDIT_MAX_READ_UNITS": "200",
        "ROLLUP_AUDIT_REPAIRS": "true",
        "ROLLUP_AUDIT_REPORT_BUCKET": "reports",
    }
    assert auditor["Environment"]["Variables"] == function["Environment"]["Variables"] | own
    for same in ("Runtime", "Architectures", "Handler"):
        assert auditor[same] == function[same]
    assert auditor["Code"] == {"S3Bucket": "bucket", "S3Key": "auditor.zip"}
    assert (auditor["Timeout"], auditor["MemorySize"], auditor["ReservedConcurrentExecutions"]) == (900, "1024", "1")
    assert auditor["LoggingConfig"] == function["LoggingConfig"] | {"LogGroup": {"Ref": "AuditLogGroup"}}


@check
def one_auditor_is_started_by_the_schedule() -> None:
    template = audited()
    timer = template.properties("AuditTimer")
    target = timer["Target"]
    assert (timer["ScheduleExpression"], target["Input"]) == (SCHEDULE, "{}")
    assert target["Arn"] == {"Fn::GetAtt": ["Auditor", "Arn"]}
    assert target["RoleArn"] == {"Fn::GetAtt": ["AuditScheduleRole", "Arn"]}
    queue = {"Fn::GetAtt": ["AuditQueue", "Arn"]}
    assert target["DeadLetterConfig"] == {"Arn": queue} and target["RetryPolicy"]
    assert template.properties("Auditor")["DeadLetterConfig"] == {"TargetArn": queue}
    assert "AuditWorkflow" not in template.resources()
    assert actions(template, "AuditScheduleRole") == {"lambda:InvokeFunction", "sqs:SendMessage"}


@check
def several_workers_are_started_by_a_state_machine() -> None:
    template = audited(AuditWorkers="4")
    assert template.properties("Auditor")["ReservedConcurrentExecutions"] == "4"
    assert template.properties("AuditTimer")["Target"]["Arn"] == {"Ref": "AuditWorkflow"}
    states = json.loads(template.properties("AuditWorkflow")["DefinitionString"])["States"]
    plan, slices = states["Plan"], states["Audit"]
    assert plan["Parameters"] == {"plan": True} and plan["Next"] == "Audit" and slices["Next"] == "Sum"
    assert slices["ItemProcessor"]["ProcessorConfig"]["Mode"] == "DISTRIBUTED" and slices["MaxConcurrency"] == 4
    assert slices["ItemSelector"] == {"run.$": "$.run", "slice.$": "$$.Map.Item.Value"}
    assert slices["ResultPath"] is None, "the plan stays"
    assert states["Sum"]["Parameters"] == {"sum": {"run.$": "$.run", "of.$": "$.of"}}
    for task in (plan, states["Sum"], *slices["ItemProcessor"]["States"].values()):
        assert task["Resource"] == "${Auditor.Arn}" and task["Retry"]
    added = actions(template, "AuditScheduleRole") - actions(audited(), "AuditScheduleRole")
    assert added == {"states:StartExecution", "states:DescribeExecution", "states:StopExecution"}


@check
def roles_of_the_audit_have_a_boundary_or_are_yours() -> None:
    boundary, own = "arn:aws:iam::000000000000:policy/limit", "arn:aws:iam::000000000000:role/rollup"
    bounded = audited(PermissionsBoundaryArn=boundary, SubnetIds="subnet-1", SecurityGroupIds="sg-1")
    for role in ("AuditRole", "AuditScheduleRole"):
        assert bounded.properties(role)["PermissionsBoundary"] == boundary
    for mine, functions, same in (
        ("Auditor", "Function", "VpcConfig"),
        ("AuditRole", "FunctionRole", "ManagedPolicyArns"),
    ):
        assert bounded.properties(mine)[same] == bounded.properties(functions)[same]
    yours = audited(FunctionRoleArn=own, AuditWorkers="2")
    assert not yours.resources("AWS::IAM::Role")
    given = [yours.properties("Auditor")["Role"], yours.properties("AuditTimer")["Target"]["RoleArn"]]
    assert {*given, yours.properties("AuditWorkflow")["RoleArn"]} == {own}
    page = (ROOT / "docs/start/deploy.md").read_text()
    everything = audited(AuditRepairs="true", AuditReportBucket="reports", AuditWorkers="2")
    needed = actions(everything, "AuditRole") | actions(everything, "AuditScheduleRole")
    assert needed <= set(re.findall(r"`([a-z0-9]+:[A-Za-z*]+)`", page))


@check
def alarms_of_the_audit_ring_and_the_dashboard_shows_it() -> None:
    template = audited(AlarmTopicArn=TOPIC, AuditAlarmDays="3")
    alarms = template.resources("AWS::CloudWatch::Alarm").keys() - Template.read().resources().keys()
    assert alarms == {"AuditDriftAlarm", "AuditPassAlarm", "AuditErrorsAlarm"}
    for name in alarms:
        properties = template.properties(name)
        assert properties["Dimensions"] == [{"Name": "FunctionName", "Value": {"Ref": "Auditor"}}]
        assert properties["AlarmActions"] == properties["OKActions"] == [TOPIC]
        assert properties["Namespace"] == "AWS/Lambda" or properties["MetricName"] in AUDIT_METRICS
    # A pass that does not end leaves no value: what is missing rings.
    silent = template.properties("AuditPassAlarm")
    assert (silent["Statistic"], silent["ComparisonOperator"]) == ("SampleCount", "LessThanThreshold")
    assert (silent["TreatMissingData"], silent["Period"], silent["EvaluationPeriods"]) == ("breaching", 86_400, "3")
    widgets = json.loads(template.properties("Dashboard")["DashboardBody"])["widgets"]
    shown = {name for widget in widgets for _, name in metrics(widget) if name.startswith("Audit")}
    assert shown == AUDIT_METRICS
    assert {f"${{{name}.Arn}}" for name in alarms} <= set(widgets[0]["properties"]["alarms"])
