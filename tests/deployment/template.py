"""What the emulator ignores or accepts unseen, asserted on the template itself."""

import json
import re
from collections.abc import Callable
from typing import Any

from cloud import ROOT, TEMPLATE
from evaluate import Json, Template

TABLES = ("SourceTable", "ViewTable", "IdempotencyTable")
KEY = "arn:aws:kms:us-east-1:000000000000:key/11111111-2222-3333-4444-555555555555"
TOPIC = "arn:aws:sns:us-east-1:000000000000:alarms"

# The metrics of the two functions, as their reference has them; the stories find them in the log lines.
DOCUMENTED_METRICS = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/reference/metrics.md").read_text(), re.MULTILINE))
AUDIT_METRICS = {name for name in DOCUMENTED_METRICS if name.startswith("Audit")}
METRICS = DOCUMENTED_METRICS - AUDIT_METRICS

# What the role allows, and who needs it.
RIGHTS = {
    "dynamodb:PutItem": "the function: markers",
    "dynamodb:UpdateItem": "the function: counters",
    "dynamodb:BatchGetItem": "the function: view items that it has not seen, markers of what is delivered again",
    "dynamodb:GetItem": "the function: view items that cannot be updated, counters below zero",
    "dynamodb:DescribeStream": "Lambda: the event source mapping",
    "dynamodb:GetRecords": "Lambda: the event source mapping",
    "dynamodb:GetShardIterator": "Lambda: the event source mapping",
    "dynamodb:ListStreams": "Lambda: the event source mapping",
    "sqs:SendMessage": "Lambda: the failure destination",
    "logs:CreateLogStream": "Lambda: log lines",
    "logs:PutLogEvents": "Lambda: log lines",
    "xray:PutTraceSegments": "Lambda: active tracing",
    "xray:PutTelemetryRecords": "Lambda: active tracing",
}


CHECKS: list[Callable[[], None]] = []


def check(function: Callable[[], None]) -> Callable[[], None]:
    CHECKS.append(function)
    return function


def statements(template: Template, role: str = "FunctionRole") -> list[Json]:
    """The statements of a role's one policy."""
    (policy,) = template.properties(role)["Policies"]
    return list(policy["PolicyDocument"]["Statement"])


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def actions(template: Template, role: str = "FunctionRole") -> set[str]:
    """All that a role allows."""
    return {action for one in statements(template, role) for action in as_list(one["Action"])}


def metrics(widget: Json) -> list[tuple[str, str]]:
    """Namespace and name of a widget's metrics, with CloudWatch's shorthands spelled out."""
    found: list[list[Any]] = []
    for row in widget["properties"].get("metrics", []):
        fields = [part for part in row if not isinstance(part, dict)]
        if fields[0] == "...":
            fields = found[-1][: len(found[-1]) - len(fields) + 1] + fields[1:]
        found.append([found[-1][place] if part == "." else part for place, part in enumerate(fields)])
    return [(namespace, name) for namespace, name, *_ in found]


@check
def a_failed_record_is_reported_retried_halved_and_kept() -> None:
    mapping = Template.read().properties("EventSourceMapping")
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["StartingPosition"] == "TRIM_HORIZON"
    assert mapping["BisectBatchOnFunctionError"] is True
    assert mapping["DestinationConfig"] == {"OnFailure": {"Destination": {"Fn::GetAtt": ["FailureQueue", "Arn"]}}}
    assert mapping["MetricsConfig"] == {"Metrics": ["EventCount"]}
    stream_seconds = 24 * 60 * 60
    assert int(mapping["MaximumRecordAgeInSeconds"]) < stream_seconds
    assert int(mapping["MaximumRetryAttempts"]) == -1, "the age ends them"


@check
def a_failed_batch_stays_in_the_queue_as_long_as_a_queue_can() -> None:
    assert Template.read().properties("FailureQueue")["MessageRetentionPeriod"] == 14 * 24 * 60 * 60


@check
def markers_expire_and_nothing_else_does() -> None:
    tables = {name: Template.read().properties(name) for name in TABLES}
    assert tables["IdempotencyTable"]["TimeToLiveSpecification"] == {"AttributeName": "ExpiresAt", "Enabled": True}
    assert all("TimeToLiveSpecification" not in tables[name] for name in TABLES[:2])


@check
def tables_are_kept_backed_up_and_encrypted() -> None:
    for name, table in Template.read().resources("AWS::DynamoDB::Table").items():
        assert name in TABLES
        # A stack that fails to be created takes its empty tables with it, so that it can be created again.
        assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
        properties = table["Properties"]
        assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
        assert properties["SSESpecification"] == {"SSEEnabled": True, "SSEType": "KMS"}
        assert properties["DeletionProtectionEnabled"] is False


@check
def tables_are_protected_and_markers_kept_without_backups_on_request() -> None:
    template = Template.read(DeletionProtection="true", IdempotencyTableRecovery="false")
    for name in TABLES:
        assert template.properties(name)["DeletionProtectionEnabled"] is True
        backed_up = "PointInTimeRecoverySpecification" in template.properties(name)
        assert backed_up is (name != "IdempotencyTable")


@check
def a_stack_with_defaults_only_is_on_demand_without_key_topic_or_reservation() -> None:
    template = Template.read()
    for name in TABLES:
        assert template.properties(name)["BillingMode"] == "PAY_PER_REQUEST"
        assert "ProvisionedThroughput" not in template.properties(name)
    assert template.properties("FailureQueue")["SqsManagedSseEnabled"] is True
    assert "ReservedConcurrentExecutions" not in template.properties("Function")
    assert KEY not in json.dumps(template.resources()) and "kms:" not in json.dumps(statements(template))


@check
def provisioned_tables_have_five_and_two_hundred_unless_told_otherwise() -> None:
    for reads, writes, given in (("5", "200", {}), ("7", "8", {"ReadCapacityUnits": "7", "WriteCapacityUnits": "8"})):
        template = Template.read(BillingMode="PROVISIONED", **given)
        for name in TABLES:
            wanted = {"ReadCapacityUnits": reads, "WriteCapacityUnits": writes}
            assert template.properties(name)["ProvisionedThroughput"] == wanted


@check
def a_key_encrypts_whatever_the_stack_creates() -> None:
    template = Template.read(KmsKeyArn=KEY)
    for name in TABLES:
        assert template.properties(name)["SSESpecification"]["KMSMasterKeyId"] == KEY
    queue = template.properties("FailureQueue")
    assert queue["KmsMasterKeyId"] == KEY and "SqsManagedSseEnabled" not in queue
    assert template.properties("FunctionLogGroup")["KmsKeyId"] == KEY
    (use,) = (one for one in statements(template) if one["Sid"] == "UseKey")
    assert use["Resource"] == KEY and "kms:ViaService" in use["Condition"]["StringEquals"]


@check
def keys_of_tables_that_were_there_can_be_used() -> None:
    def used(**parameters: str) -> list[Any]:
        return [one["Resource"] for one in statements(Template.read(**parameters)) if one["Sid"] == "UseKey"]

    others = [KEY.replace("1111", "2222"), KEY.replace("1111", "3333")]
    assert used() == []
    assert used(KmsKeyArn=KEY) == [KEY]
    assert used(TableKmsKeyArns=",".join(others)) == [others]
    both = Template.read(KmsKeyArn=KEY, TableKmsKeyArns=",".join(others))
    assert used(**both.parameters) == [[KEY, *others]]
    assert both.properties("IdempotencyTable")["SSESpecification"]["KMSMasterKeyId"] == KEY
    assert "KMSMasterKeyId" not in Template.read(TableKmsKeyArns=others[0]).properties("ViewTable")["SSESpecification"]
    pattern = both.text["Parameters"]["TableKmsKeyArns"]["AllowedPattern"]
    assert re.fullmatch(pattern, ",".join(others)) and not re.fullmatch(pattern, f"{KEY} {KEY}")


@check
def the_role_has_a_boundary_or_is_yours() -> None:
    boundary, own = "arn:aws:iam::000000000000:policy/limit", "arn:aws:iam::000000000000:role/rollup"
    made = Template.read()
    assert "PermissionsBoundary" not in made.properties("FunctionRole")
    assert made.properties("Function")["Role"] == {"Fn::GetAtt": ["FunctionRole", "Arn"]}
    bounded = Template.read(PermissionsBoundaryArn=boundary)
    assert bounded.properties("FunctionRole")["PermissionsBoundary"] == boundary
    yours = Template.read(FunctionRoleArn=own, SubnetIds="subnet-1", SecurityGroupIds="sg-1", KmsKeyArn=KEY)
    assert "FunctionRole" not in yours.resources() and "FunctionRole" not in json.dumps(yours.resources())
    assert yours.properties("Function")["Role"] == own


@check
def the_rights_that_a_role_of_your_own_needs_are_documented() -> None:
    page = (ROOT / "docs/start/deploy.md").read_text()
    needed = actions(Template.read(OnMissingViewItem="skip", KmsKeyArn=KEY))
    assert needed <= set(re.findall(r"`([a-z0-9]+:[A-Za-z*]+)`", page))


@check
def the_function_runs_in_a_vpc_on_request() -> None:
    assert "VpcConfig" not in Template.read().properties("Function")
    assert "ManagedPolicyArns" not in Template.read().properties("FunctionRole")
    inside = Template.read(SubnetIds="subnet-1,subnet-2", SecurityGroupIds="sg-1")
    wanted = {"SubnetIds": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]}
    assert inside.properties("Function")["VpcConfig"] == wanted
    (policy,) = inside.properties("FunctionRole")["ManagedPolicyArns"]
    assert policy.endswith(":policy/service-role/AWSLambdaVPCAccessExecutionRole")


@check
def concurrency_is_reserved_on_request() -> None:
    template = Template.read(ReservedConcurrency="3")
    assert template.properties("Function")["ReservedConcurrentExecutions"] == "3"


@check
def the_role_allows_nothing_that_is_not_used() -> None:
    assert actions(Template.read()) == RIGHTS.keys()
    skipping = Template.read(OnMissingViewItem="skip")
    assert actions(skipping) == RIGHTS.keys() | {"dynamodb:ConditionCheckItem"}
    # These three cannot be limited to a resource.
    everywhere = {"dynamodb:ListStreams", "xray:PutTraceSegments", "xray:PutTelemetryRecords"}
    for statement in statements(skipping):
        if statement["Resource"] == "*":
            assert set(as_list(statement["Action"])) <= everywhere


@check
def the_role_writes_the_named_view_tables_and_no_others() -> None:
    def written(**parameters: str) -> list[Json | str]:
        (views,) = (one for one in statements(Template.read(**parameters)) if one["Sid"] == "UpdateViews")
        assert {"dynamodb:UpdateItem", "dynamodb:GetItem", "dynamodb:BatchGetItem"} <= set(views["Action"])
        return as_list(views["Resource"])

    def exact(name: str) -> str:
        return f"arn:${{AWS::Partition}}:dynamodb:${{AWS::Region}}:${{AWS::AccountId}}:table/{name}"

    def named(*names: str) -> list[str]:
        return [f"arn:*:dynamodb:*:*:table/{name}" for name in names]

    assert written() == [{"Fn::GetAtt": ["ViewTable", "Arn"]}]
    assert written(ViewTableNames="Day") == named("Map", "Day")
    yours = {"ViewTableName": "App", "CreateViewTable": "false"}
    assert written(**yours) == [exact("App")]
    assert written(**yours, ViewTableNames="Day,Week") == named("App", "Day", "Week")
    most = [f"View.{number}" for number in range(19)]
    assert written(**yours, ViewTableNames=",".join(most)) == named("App", *most)
    # What the names leave open, the condition says: the stack's own Region and account.
    (views,) = (one for one in statements(Template.read(ViewTableNames="Day")) if one["Sid"] == "UpdateViews")
    own = {"aws:RequestedRegion": {"Ref": "AWS::Region"}, "aws:ResourceAccount": {"Ref": "AWS::AccountId"}}
    assert views["Condition"] == {"StringEqualsIfExists": own}
    # A definition has at most twenty views: a twentieth name is refused.
    pattern = Template.read().text["Parameters"]["ViewTableNames"]["AllowedPattern"]
    assert re.fullmatch(pattern, ",".join(most))
    for refused in (",".join([*most, "View.19"]), "Day,", ",Day", "Day, Week", "Day,,Week", "no", "Day*"):
        assert not re.fullmatch(pattern, refused), refused


@check
def a_table_that_is_source_and_view_is_written_and_its_stream_is_read() -> None:
    stream = "arn:aws:dynamodb:us-east-1:000000000000:table/App/stream/2026-01-01T00:00:00.000"
    template = Template.read(ExistingSourceStreamArn=stream, ViewTableName="App", CreateViewTable="false")
    resources = {one["Sid"]: one["Resource"] for one in statements(template)}
    assert resources["ReadStream"] == template.properties("EventSourceMapping")["EventSourceArn"] == stream
    assert resources["UpdateViews"].endswith(":table/App")
    variables = template.properties("Function")["Environment"]["Variables"]
    assert variables["ROLLUP_SOURCE_TABLE"] == variables["ROLLUP_VIEW_TABLE"] == "App"
    assert template.resources("AWS::DynamoDB::Table").keys() == {"IdempotencyTable"}


@check
def records_are_filtered_by_the_patterns_that_are_given() -> None:
    def criteria(**parameters: str) -> Any:
        return Template.read(**parameters).properties("EventSourceMapping").get("FilterCriteria")

    one, other = (json.dumps({"dynamodb": {"Keys": {"SK": {"S": [{"prefix": text}]}}}}) for text in ("LIKE#", "POST#"))
    assert criteria() is None
    for place in range(1, 6):
        assert criteria(**{f"FilterPattern{place}": one}) == {"Filters": [{"Pattern": one}]}
    assert criteria(FilterPattern1=one, FilterPattern4=other) == {"Filters": [{"Pattern": one}, {"Pattern": other}]}


@check
def the_function_can_be_kept_from_the_stream() -> None:
    assert Template.read().properties("EventSourceMapping")["Enabled"] is True
    assert Template.read(MappingEnabled="false").properties("EventSourceMapping")["Enabled"] is False


@check
def the_view_table_has_a_stream_on_request() -> None:
    quiet = Template.read()
    assert "StreamSpecification" not in quiet.properties("ViewTable")
    assert "ViewTableStreamArn" not in quiet.outputs()
    streaming = Template.read(ViewTableStream="true")
    assert streaming.properties("ViewTable")["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert "ViewTableStreamArn" in streaming.outputs()
    assert "ViewTableStreamArn" not in Template.read(ViewTableStream="true", CreateViewTable="false").outputs()


@check
def the_template_fits_into_a_request() -> None:
    assert TEMPLATE.stat().st_size <= 51_200


@check
def the_function_is_logged_and_traced() -> None:
    function = Template.read().properties("Function")
    assert (function["Runtime"], function["Handler"], function["Timeout"]) == ("provided.al2023", "bootstrap", 25)
    assert function["TracingConfig"] == {"Mode": "Active"}
    assert function["LoggingConfig"]["LogFormat"] == "JSON"
    assert Template.read(LogRetentionInDays="7").properties("FunctionLogGroup")["RetentionInDays"] == "7"


@check
def every_setting_of_the_function_can_be_given() -> None:
    settings = set(re.findall(r"`(ROLLUP_\w+)`", (ROOT / "docs/reference/settings.md").read_text()))
    given = Template.read().properties("Function")["Environment"]["Variables"].keys()
    assert {name for name in settings if not name.startswith("ROLLUP_AUDIT_")} == given


@check
def no_log_level_drops_the_lines_that_carry_the_metrics() -> None:
    # A JSON line without a level counts as INFO, and metric lines have none.
    assert Template.read().text["Parameters"]["LogLevel"]["AllowedValues"] == ["TRACE", "DEBUG", "INFO"]


@check
def every_parameter_is_explained_and_limited_and_in_one_group() -> None:
    text = Template.read().text
    groups = text["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    grouped = [name for group in groups for name in group["Parameters"]]
    assert sorted(grouped) == sorted(text["Parameters"])
    for name, parameter in text["Parameters"].items():
        assert parameter["Description"].endswith("."), name
        assert parameter.keys() & {"AllowedValues", "AllowedPattern", "MinValue"}, name
        assert "Default" in parameter or name in {"CodeS3Bucket", "CodeS3Key"}, name
        if "AllowedPattern" in parameter and "Default" in parameter:
            assert re.fullmatch(parameter["AllowedPattern"], parameter["Default"]), name
        if "MinValue" in parameter:
            assert parameter["MinValue"] <= parameter["Default"] <= parameter["MaxValue"], name
        if "AllowedValues" in parameter:
            assert parameter["Default"] in parameter["AllowedValues"], name


@check
def alarms_watch_metrics_that_there_are_and_tell_a_topic_if_there_is_one() -> None:
    quiet, told = Template.read(), Template.read(AlarmTopicArn=TOPIC, IteratorAgeAlarmSeconds="60")
    alarms = quiet.resources("AWS::CloudWatch::Alarm")
    assert len(alarms) == 11
    for name, alarm in alarms.items():
        properties = alarm["Properties"]
        assert properties["AlarmActions"] == properties["OKActions"] == [], name
        assert properties["TreatMissingData"] == "notBreaching", name
        if "Metrics" in properties:
            assert alarm["Condition"] == "AlarmsCanCalculate", f"{name} cannot be tried on the emulator"
        else:
            assert properties["Namespace"] != "ddb-rollup" or properties["MetricName"] in METRICS, name
    for name, alarm in told.resources("AWS::CloudWatch::Alarm").items():
        assert alarm["Properties"]["AlarmActions"] == alarm["Properties"]["OKActions"] == [TOPIC], name
    assert told.properties("IteratorAgeAlarm")["Threshold"] == "60000", "IteratorAge is in milliseconds"


@check
def a_pipeline_that_stops_rings() -> None:
    stream = "arn:aws:dynamodb:us-east-1:000000000000:table/App/stream/2026-01-01T00:00:00.000"
    alarm = Template.read(ExistingSourceStreamArn=stream).properties("PipelineStoppedAlarm")
    expression, *watched = alarm["Metrics"]
    assert "ReturnData" not in expression and all(one["ReturnData"] is False for one in watched)
    found = {one["Id"]: one["MetricStat"]["Metric"] for one in watched}
    assert all(name in expression["Expression"] for name in found)
    written, reached = found["written"], found["read"]
    assert (written["Namespace"], written["MetricName"]) == ("AWS/DynamoDB", "ConsumedWriteCapacityUnits")
    assert written["Dimensions"] == [{"Name": "TableName", "Value": "App"}], "the table in the ARN"
    assert (reached["Namespace"], reached["MetricName"]) == ("AWS/Lambda", "InvokedEventCount")
    assert reached["Dimensions"] == [{"Name": "EventSourceMappingUUID", "Value": {"Ref": "EventSourceMapping"}}]
    # A filter that is meant may keep every record of a quarter of an hour from the function.
    filtered = Template.read(FilterPattern2="{}").properties("PipelineStoppedAlarm")["Metrics"][2]
    assert filtered["MetricStat"]["Metric"]["MetricName"] == "PolledEventCount"
    # The mapping has these metrics only where they are asked for; a batch may wait for its window.
    mapping = Template.read().properties("EventSourceMapping")
    assert mapping["MetricsConfig"] == {"Metrics": ["EventCount"]}
    seconds = alarm["EvaluationPeriods"] * watched[0]["MetricStat"]["Period"]
    assert seconds >= 3 * Template.read().text["Parameters"]["MaximumBatchingWindowInSeconds"]["MaxValue"]


@check
def every_alarm_has_a_chapter_in_the_runbook() -> None:
    runbook = (ROOT / "docs/operating/alarms.md").read_text()
    chapters = set(re.findall(r"^## (\w+Alarm)$", runbook, re.MULTILINE))
    assert chapters == Template.read(AuditSchedule="rate(1 day)").resources("AWS::CloudWatch::Alarm").keys()


@check
def the_dashboard_shows_every_metric_and_every_alarm() -> None:
    template = Template.read()
    _, names = template.text["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    widgets = json.loads(template.properties("Dashboard")["DashboardBody"])["widgets"]
    shown = {metric for widget in widgets for metric in metrics(widget)}
    # Lambda's own duration is shown in the place of the function's.
    assert {name for namespace, name in shown if namespace == "ddb-rollup"} == METRICS - {"Duration"}
    assert {"IteratorAge", "DroppedEventCount"} <= {name for namespace, name in shown if namespace == "AWS/Lambda"}
    assert {namespace for namespace, _ in shown} == {"ddb-rollup", "AWS/Lambda", "AWS/DynamoDB", "AWS/SQS"}
    (listed,) = (widget["properties"]["alarms"] for widget in widgets if widget["type"] == "alarm")
    alarms = template.resources("AWS::CloudWatch::Alarm")
    assert [name.removeprefix("${").removesuffix(".Arn}") for name in listed] == [*alarms]
    assert names["PipelineStoppedAlarm"]["Fn::If"][1] == {"Fn::GetAtt": ["PipelineStoppedAlarm", "Arn"]}
    assert "Dashboard" not in Template.read(CreateDashboard="false").resources()
