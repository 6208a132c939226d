"""The emulated account: clients, stacks, and waiting for what becomes true."""

import io
import json
import os
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.config import Config

ROOT = Path(__file__).resolve().parent.parent.parent
TEMPLATE = ROOT / "template.json"

Item = dict[str, Any]

BUCKET = "code"
PATIENCE_SECONDS = 30.0


def wait_until(what: str, holds: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"after {seconds:.0f} seconds still not: {what}"
        time.sleep(0.1)


def wait_for_equal(what: str, seen: Callable[[], Any], wanted: Any, seconds: float = PATIENCE_SECONDS) -> None:
    """Waits until what is seen is what is wanted, and shows both if it never is."""
    last: list[Any] = [None]

    def equal() -> bool:
        last[0] = seen()
        return bool(last[0] == wanted)

    try:
        wait_until(what, equal, seconds)
    except AssertionError as error:
        raise AssertionError(f"{error}\n  wanted {wanted}\n  seen   {last[0]}") from None


@contextmanager
def raises(kind: type[Exception]) -> Iterator[list[Exception]]:
    """What happens inside must end with an exception of this kind, which is then in the list."""
    raised: list[Exception] = []
    try:
        yield raised
    except kind as error:
        raised.append(error)
    else:
        raise AssertionError(f"no {kind.__name__} was raised")


class Cloud:
    """Clients of one emulated account and Region."""

    def __init__(self, endpoint: str, architecture: str, command: Path) -> None:
        session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
        config = Config(retries={"mode": "standard", "max_attempts": 3}, read_timeout=30)

        def client(service: str) -> Any:
            return session.client(service, endpoint_url=endpoint, config=config)

        self.architecture = architecture
        self.endpoint = endpoint
        self.command = command.resolve()
        self.cloudformation = client("cloudformation")
        self.cloudwatch = client("cloudwatch")
        self.dynamodb = client("dynamodb")
        self.functions = client("lambda")
        self.iam = client("iam")
        self.logs = client("logs")
        self.queues = client("sqs")
        self.s3 = client("s3")
        self.schedules = client("scheduler")
        self.workflows = client("stepfunctions")

    def wait_until_up(self) -> None:
        def up() -> bool:
            try:
                self.s3.list_buckets()
            except Exception:  # whatever it says before it is up
                return False
            return True

        wait_until("the emulator answers", up)

    def upload_code(self, bootstrap: Path, *keys: str) -> None:
        """A zip with nothing but the binary, as bootstrap and executable, under these keys."""
        self.s3.create_bucket(Bucket=BUCKET)
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o755 << 16
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zip_file:
            zip_file.writestr(entry, bootstrap.read_bytes())
        for key in keys:
            self.s3.put_object(Bucket=BUCKET, Key=key, Body=archive.getvalue())

    def tables(self) -> set[str]:
        return set(self.dynamodb.list_tables()["TableNames"])

    def table(self, name: str) -> "Table":
        return Table(self, name)

    def make_table(self, name: str, *key: str, stream: bool = False) -> None:
        """A table of the user's own, with texts as its key."""
        images = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
        self.dynamodb.create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[
                {"AttributeName": part, "KeyType": role} for part, role in zip(key, ("HASH", "RANGE"), strict=False)
            ],
            AttributeDefinitions=[{"AttributeName": part, "AttributeType": "S"} for part in key],
            **({"StreamSpecification": images} if stream else {}),
        )

    def stack(self, name: str, **parameters: str) -> "Stack":
        return Stack(self, name, {"CodeS3Bucket": BUCKET, "CodeS3Key": "one.zip", **parameters})


@dataclass
class Table:
    """A table, with items as plain values."""

    cloud: Cloud
    name: str

    def put(self, **item: Any) -> None:
        self.cloud.dynamodb.put_item(TableName=self.name, Item=packed(item))

    def set(self, key: Item, attribute: str, value: Any) -> None:
        self.cloud.dynamodb.update_item(
            TableName=self.name,
            Key=packed(key),
            UpdateExpression="SET #a = :v",
            ExpressionAttributeNames={"#a": attribute},
            ExpressionAttributeValues=packed({":v": value}),
        )

    def delete(self, **key: Any) -> None:
        self.cloud.dynamodb.delete_item(TableName=self.name, Key=packed(key))

    def get(self, **key: Any) -> Item | None:
        found = self.cloud.dynamodb.get_item(TableName=self.name, Key=packed(key), ConsistentRead=True)
        return plain(found["Item"]) if "Item" in found else None

    def all(self) -> list[Item]:
        pages = self.cloud.dynamodb.get_paginator("scan").paginate(TableName=self.name, ConsistentRead=True)
        return [plain(item) for page in pages for item in page["Items"]]

    def describe(self) -> Item:
        return dict(self.cloud.dynamodb.describe_table(TableName=self.name)["Table"])

    def expire_by(self, attribute: str) -> None:
        expiry = {"Enabled": True, "AttributeName": attribute}
        self.cloud.dynamodb.update_time_to_live(TableName=self.name, TimeToLiveSpecification=expiry)

    def throughput(self) -> tuple[int, int]:
        """Read and write units. The emulator gives those of CloudFormation back as text."""
        throughput = self.describe()["ProvisionedThroughput"]
        return int(throughput["ReadCapacityUnits"]), int(throughput["WriteCapacityUnits"])


def packed(item: Item) -> Item:
    return {name: TypeSerializer().serialize(value) for name, value in item.items()}


def plain(item: Item) -> Item:
    return {name: TypeDeserializer().deserialize(value) for name, value in item.items()}


@dataclass
class Stack:
    """A stack of template.json."""

    cloud: Cloud
    name: str
    parameters: dict[str, str]
    outputs: dict[str, str] = field(default_factory=dict)

    def create(self) -> "Stack":
        self.cloud.cloudformation.create_stack(**self._request())
        self._settled("CREATE_COMPLETE")
        self._numbers_as_numbers()
        return self

    def create_and_roll_back(self) -> None:
        """Creates the stack with a resource more, which the emulator cannot make once the mapping is there."""
        template = json.loads(TEMPLATE.read_text())
        template["Resources"]["Impossible"] = {
            "Type": "AWS::CloudWatch::Alarm",
            "DependsOn": "EventSourceMapping",
            "Properties": {"Metrics": [{"Id": "none", "Expression": "1"}], "EvaluationPeriods": 1, "Threshold": 1},
        }
        # Without spaces, or it would be too long for a request.
        body = json.dumps(template, separators=(",", ":"))
        self.cloud.cloudformation.create_stack(**self._request() | {"TemplateBody": body})
        wait_until(f"the stack {self.name} settles", lambda: not self.status().endswith("IN_PROGRESS"))
        assert self.status() == "ROLLBACK_COMPLETE", self.status()

    def deleted(self) -> set[str]:
        """The logical names of what CloudFormation deleted again."""
        events = self.cloud.cloudformation.describe_stack_events(StackName=self.name)["StackEvents"]
        return {one["LogicalResourceId"] for one in events if one["ResourceStatus"] == "DELETE_COMPLETE"}

    def update(self, **parameters: str) -> "Stack":
        self.parameters |= parameters
        self.cloud.cloudformation.update_stack(**self._request())
        self._settled("UPDATE_COMPLETE")
        self._numbers_as_numbers()
        return self

    def delete(self) -> None:
        self.cloud.cloudformation.delete_stack(StackName=self.name)
        wait_until(f"the stack {self.name} is gone", lambda: self.status() == "DELETE_COMPLETE")

    def status(self) -> str:
        try:
            stacks = self.cloud.cloudformation.describe_stacks(StackName=self.name)["Stacks"]
        except self.cloud.cloudformation.exceptions.ClientError as error:
            assert "does not exist" in str(error), error
            return "DELETE_COMPLETE"
        return str(stacks[0]["StackStatus"])

    def resources(self) -> dict[str, str]:
        """Physical names by logical ones."""
        found = self.cloud.cloudformation.describe_stack_resources(StackName=self.name)["StackResources"]
        return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in found}

    def function(self) -> Item:
        name = self.outputs["FunctionName"]
        return dict(self.cloud.functions.get_function_configuration(FunctionName=name))

    def environment(self) -> dict[str, str]:
        return dict(self.function()["Environment"]["Variables"])

    def mapping(self) -> Item:
        found = self.cloud.functions.list_event_source_mappings(FunctionName=self.outputs["FunctionName"])
        (mapping,) = found["EventSourceMappings"]
        return dict(mapping)

    def role(self) -> "Role":
        return Role(self.cloud, str(self.function()["Role"]).rsplit("/", 1)[-1])

    def counted(self) -> list[Item]:
        """The markers. The item beside them that tells the definition is none."""
        return [item for item in self.markers.all() if item["SequenceNumber"] != "definition"]

    def invoke(self, event: str) -> Item:
        answer = self.cloud.functions.invoke(FunctionName=self.outputs["FunctionName"], Payload=event)
        body = answer["Payload"].read()
        assert "FunctionError" not in answer, body
        return dict(json.loads(body))

    def command(self, *arguments: str, **environment: str) -> tuple[int, Item]:
        """Runs the operator's command on the stack's tables: its exit code and what it says as JSON."""
        aws = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
        tables = {
            "ROLLUP_SOURCE_TABLE": self.source.name,
            "ROLLUP_VIEW_TABLE": self.view.name,
            "ROLLUP_IDEMPOTENCY_TABLE": self.markers.name,
        }
        ran = subprocess.run(
            [self.cloud.command, *arguments, "--json", "--endpoint-url", self.cloud.endpoint],
            env={"PATH": os.environ["PATH"], **aws, **tables, **environment},
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS * 4,
            check=False,
        )
        assert ran.returncode < 2, ran
        return ran.returncode, dict(json.loads(ran.stdout))

    def wrong(self, *arguments: str, **environment: str) -> list[str]:
        """What `deploy-check` finds wrong."""
        code, report = self.command("deploy-check", *arguments, **environment)
        wrong = [one["what"] for one in report["checks"] if not one["ok"]]
        assert (code, report["wrong"]) == (1 if wrong else 0, len(wrong)), report
        return wrong

    def log_lines(self, group: str | None = None) -> list[Item]:
        """What the function wrote, or another one into its log group, as far as it is JSON."""
        group = group or self.outputs["LogGroupName"]
        pages = self.cloud.logs.get_paginator("filter_log_events").paginate(logGroupName=group)
        messages = [event["message"] for page in pages for event in page["events"]]
        lines = [line for message in messages for line in message.splitlines()]
        return [json.loads(line) for line in lines if line.startswith("{")]

    @property
    def source(self) -> Table:
        return self.cloud.table(self.outputs["SourceTableName"])

    @property
    def view(self) -> Table:
        return self.cloud.table(self.outputs["ViewTableName"])

    @property
    def markers(self) -> Table:
        return self.cloud.table(self.outputs["IdempotencyTableName"])

    def _request(self) -> Item:
        return {
            "StackName": self.name,
            "TemplateBody": TEMPLATE.read_text(),
            "Capabilities": ["CAPABILITY_IAM"],
            "Parameters": [
                {"ParameterKey": name, "ParameterValue": value}
                for name, value in {"Architecture": self.cloud.architecture, **self.parameters}.items()
            ],
        }

    def _numbers_as_numbers(self) -> None:
        """The emulator has parameters that are numbers as text: its poller fails at that, and so does an SDK."""
        mapping = self.mapping()
        names = (
            "BatchSize",
            "MaximumBatchingWindowInSeconds",
            "MaximumRecordAgeInSeconds",
            "MaximumRetryAttempts",
            "ParallelizationFactor",
        )
        numbers = {name: int(mapping[name]) for name in names}
        self.cloud.functions.update_event_source_mapping(UUID=mapping["UUID"], **numbers)
        self._index_with_a_state()
        for table in (self.source, self.view, self.markers):
            reads, writes = table.throughput()
            if table.describe()["BillingModeSummary"]["BillingMode"] == "PROVISIONED":
                # A change to what is there already would be refused.
                for other in (1, 0):
                    units = {"ReadCapacityUnits": reads + other, "WriteCapacityUnits": writes + other}
                    self.cloud.dynamodb.update_table(TableName=table.name, ProvisionedThroughput=units)

    def _index_with_a_state(self) -> None:
        """An index that the emulator made from a template has no state, and its units as text: it is made once more."""
        for found in self.markers.describe().get("GlobalSecondaryIndexes", []):
            if "IndexStatus" in found:
                continue
            names = ("IndexName", "KeySchema", "Projection")
            units = {name: int(number) for name, number in found.get("ProvisionedThroughput", {}).items()}
            index = {name: found[name] for name in names} | ({"ProvisionedThroughput": units} if units else {})
            parts = [{"AttributeName": part["AttributeName"], "AttributeType": "S"} for part in index["KeySchema"]]
            gone = {"Delete": {"IndexName": found["IndexName"]}}
            change = self.cloud.dynamodb.update_table
            change(TableName=self.markers.name, GlobalSecondaryIndexUpdates=[gone])
            change(
                TableName=self.markers.name,
                AttributeDefinitions=parts,
                GlobalSecondaryIndexUpdates=[{"Create": index}],
            )

    def _settled(self, wanted: str) -> "Stack":
        wait_until(f"the stack {self.name} settles", lambda: not self.status().endswith("IN_PROGRESS"))
        events = self.cloud.cloudformation.describe_stack_events(StackName=self.name)["StackEvents"]
        failed = [
            f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason')}"
            for event in events
            if event["ResourceStatus"].endswith("FAILED")
        ]
        assert self.status() == wanted, (self.status(), failed)
        (stack,) = self.cloud.cloudformation.describe_stacks(StackName=self.name)["Stacks"]
        self.outputs = {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}
        return self


@dataclass
class Role:
    """The function's role. The emulator checks every request of the function against it."""

    cloud: Cloud
    name: str

    def policy(self) -> tuple[str, Item]:
        (name,) = self.cloud.iam.list_role_policies(RoleName=self.name)["PolicyNames"]
        found = self.cloud.iam.get_role_policy(RoleName=self.name, PolicyName=name)["PolicyDocument"]
        return name, json.loads(found) if isinstance(found, str) else dict(found)

    def put(self, name: str, policy: Item) -> None:
        self.cloud.iam.put_role_policy(RoleName=self.name, PolicyName=name, PolicyDocument=json.dumps(policy))
