"""The tutorial on a stack with defaults only; then it is changed, deleted, and made again on the tables that stayed."""

import json
import threading
import time
from typing import Any

from cloud import ROOT, Cloud, Stack, raises, wait_for_equal, wait_until
from counters import TUTORIAL, recounted, sample, stored, wait_for_counters
from template import METRICS

DAY_SECONDS = 24 * 60 * 60
BROKEN = "BrokenMapId"


class Defaults:
    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.stack: Stack = cloud.stack("points")
        self.stream = ""

    def the_stack_is_created(self) -> None:
        self.stack.create()
        assert self.cloud.tables() == {"Point", "Map", "Idempotency"}
        for table in (self.stack.source, self.stack.view, self.stack.markers):
            assert table.describe()["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
        self.stream = self.stack.source.describe()["LatestStreamArn"]
        assert self.stack.outputs["SourceStreamArn"] == self.stream

    def the_samples_are_counted(self) -> None:
        for one in sample("maps"):
            self.stack.view.put(**one)
        for one in sample("points"):
            self.stack.source.put(**one)
        wait_for_counters(self.stack, TUTORIAL)
        assert (self.stack.view.get(MapId="SeattleMapId") or {}).items() >= sample("maps")[0].items(), (
            "the map lost attributes"
        )

    def every_record_has_one_marker(self) -> None:
        markers = self.stack.counted()
        assert len(markers) == len(sample("points"))
        for marker in markers:
            assert (marker["Outcome"], marker["EventName"]) == ("APPLIED", "INSERT")
            assert marker["Stream"] == self.stream
            assert abs(int(marker["ExpiresAt"]) - time.time() - 14 * DAY_SECONDS) < 600
            (delta,) = marker["Deltas"]
            assert delta["Item"] == {"MapId": marker["SourceKey"]["MapId"]}
            assert delta["Measures"]["TotalPoints"] == 1

    def the_command_finds_everything_in_order(self) -> None:
        # The emulator does not switch on what the template says of expiry.
        assert self.stack.wrong() == ["the time-to-live attribute"]
        self.stack.markers.expire_by("ExpiresAt")
        assert self.stack.wrong() == []
        code, report = self.stack.command("audit")
        assert (code, report["exact"]) == (0, len(sample("maps"))), report

    def what_is_changed_by_hand_is_found(self) -> None:
        mapping = self.stack.mapping()
        change = self.cloud.functions.update_event_source_mapping
        change(UUID=mapping["UUID"], FunctionResponseTypes=[])
        assert self.stack.wrong("--function", self.stack.outputs["FunctionName"]) == ["ReportBatchItemFailures"]
        change(UUID=mapping["UUID"], FunctionResponseTypes=mapping["FunctionResponseTypes"])

    def a_category_changes_and_a_point_goes_and_comes_again(self) -> None:
        needle = {"MapId": "SeattleMapId", "PointId": "SpaceNeedleId"}
        self.stack.source.set(needle, "Category", "Restaurant")
        wait_for_counters(self.stack, TUTORIAL | {"SeattleMapId": (2, {"Restaurant": 2})})
        self.stack.source.delete(**needle)
        wait_for_counters(self.stack, TUTORIAL | {"SeattleMapId": (1, {"Restaurant": 1})})
        self.stack.source.put(**needle, Category="Landmark")
        wait_for_counters(self.stack, TUTORIAL)
        assert len(self.stack.counted()) == len(sample("points")) + 3

    def the_test_event_of_the_console_counts_once(self) -> None:
        event = (ROOT / "tests/fixtures/console-test-event.json").read_text()
        for _ in range(2):
            assert self.stack.invoke(event) == {"batchItemFailures": []}
        wait_for_counters(self.stack, TUTORIAL | {"SeattleMapId": (3, {"Landmark": 2, "Restaurant": 1})})
        # No point is behind it. It is taken back, so that a recount says what the counters say.
        undo = json.loads(event)
        record = undo["Records"][0]
        record["eventID"], record["eventName"] = "2", "REMOVE"
        record["dynamodb"]["SequenceNumber"] = "112"
        record["dynamodb"]["OldImage"] = record["dynamodb"].pop("NewImage")
        assert self.stack.invoke(json.dumps(undo)) == {"batchItemFailures": []}
        wait_for_counters(self.stack, TUTORIAL)

    def a_record_that_cannot_be_counted_is_kept_and_its_neighbours_are_counted(self) -> None:
        self.stack.view.put(MapId=BROKEN, TotalPoints="many", CategoryCounts={})
        self.stack.source.put(MapId="SydneyMapId", PointId="before", Category="Park")
        self.stack.source.put(MapId=BROKEN, PointId="broken", Category="Park")
        self.stack.source.put(MapId="SydneyMapId", PointId="behind", Category="Park")

        def sydney() -> Any:
            return (self.stack.view.get(MapId="SydneyMapId") or {})["TotalPoints"]

        wait_for_equal("the neighbours are counted", sydney, 3)
        wait_until("the record is in quarantine", lambda: bool(self._quarantined()))
        (marker,) = self._quarantined()
        assert marker["SourceKey"] == {"MapId": BROKEN, "PointId": "broken"}
        assert json.loads(marker["Record"])["dynamodb"]["SequenceNumber"] == marker["SequenceNumber"]
        assert BROKEN in marker["Reason"] and "ExpiresAt" not in marker
        self.stack.view.delete(MapId=BROKEN)
        self.stack.source.delete(MapId=BROKEN, PointId="broken")
        wait_for_equal("the counter is below zero", lambda: self._total(BROKEN), -1)
        self.stack.view.delete(MapId=BROKEN)

    def the_function_publishes_the_metrics_that_the_alarms_watch(self) -> None:
        lines = [line for line in self.stack.log_lines() if "_aws" in line]
        for line in lines:
            (directive,) = line["_aws"]["CloudWatchMetrics"]
            assert directive["Namespace"] == "ddb-rollup"
            assert directive["Dimensions"] == [["FunctionName"]]
            assert {metric["Name"] for metric in directive["Metrics"]} == METRICS
            assert line["FunctionName"] == self.stack.outputs["FunctionName"]
            assert "level" not in line, "then Lambda counts it as INFO, which no LogLevel of the template drops"
        outcomes = [marker["Outcome"] for marker in self.stack.counted()]
        assert sum(line["Applied"] for line in lines) == outcomes.count("APPLIED")
        assert sum(line["Quarantined"] for line in lines) == outcomes.count("QUARANTINED") == 1

    def what_is_written_while_the_stack_is_updated_is_counted(self) -> None:
        written = 0
        stop = threading.Event()

        def write() -> None:
            nonlocal written
            while written < 100 or not stop.is_set():
                self.stack.source.put(MapId="BusyMapId", PointId=f"point-{written}", Category=f"c{written % 3}")
                written += 1

        writer = threading.Thread(target=write)
        writer.start()
        try:
            wait_until("some points are written", lambda: written > 10)
            self.stack.update(
                CodeS3Key="two.zip",
                BatchSize="7",
                MaxInFlight="2",
                MemorySize="512",
                MarkerRetentionDays="30",
                LogLevel="DEBUG",
                BillingMode="PROVISIONED",
                MaximumRetryAttempts="7",
                CreateDashboard="false",
            )
            before = written
            wait_until("more points are written", lambda: written > before + 10)
        finally:
            stop.set()
            writer.join()
        wait_for_counters(self.stack, recounted(self.stack))
        assert stored(self.stack)["BusyMapId"][0] == written

    def the_updated_stack_has_its_new_parameters(self) -> None:
        mapping, environment = self.stack.mapping(), self.stack.environment()
        assert mapping["BatchSize"] == 7 and mapping["MaximumRetryAttempts"] == 7
        assert environment["ROLLUP_MAX_IN_FLIGHT"] == "2"
        assert environment["ROLLUP_MARKER_RETENTION_DAYS"] == "30"
        assert self.stack.function()["LoggingConfig"]["ApplicationLogLevel"] == "DEBUG"
        assert "Dashboard" not in self.stack.resources()
        for table in (self.stack.source, self.stack.view, self.stack.markers):
            assert table.throughput() == (5, 200)
        self.stack.source.put(MapId="SydneyMapId", PointId="updated", Category="Park")
        wait_for_counters(self.stack, recounted(self.stack))
        longest = max(int(marker.get("ExpiresAt", 0)) for marker in self.stack.counted())
        assert abs(longest - time.time() - 30 * DAY_SECONDS) < 600

    def a_value_that_is_not_allowed_is_refused(self) -> None:
        before = dict(self.stack.parameters)
        for name, value in (("LogLevel", "ERROR"), ("BatchSize", "0"), ("OnMissingViewItem", "maybe")):
            with raises(self.cloud.cloudformation.exceptions.ClientError) as refusal:
                self.stack.update(**{name: value})
            assert name in str(refusal), refusal
            self.stack.parameters = dict(before)

    def the_deleted_stack_leaves_its_tables(self) -> None:
        outputs, role = self.stack.outputs, self.stack.role().name
        functions, queues, iam = self.cloud.functions, self.cloud.queues, self.cloud.iam
        self.stack.delete()
        assert self.cloud.tables() == {"Point", "Map", "Idempotency"}
        assert stored(self.stack) == recounted(self.stack)
        with raises(functions.exceptions.ResourceNotFoundException):
            functions.get_function(FunctionName=outputs["FunctionName"])
        with raises(queues.exceptions.QueueDoesNotExist):
            queues.get_queue_attributes(QueueUrl=outputs["FailureQueueUrl"])
        with raises(iam.exceptions.NoSuchEntityException):
            iam.get_role(RoleName=role)
        assert not functions.list_event_source_mappings(EventSourceArn=self.stream)["EventSourceMappings"]
        assert not self.cloud.logs.describe_log_groups(logGroupNamePrefix=outputs["LogGroupName"])["logGroups"]

    def a_stack_on_the_tables_that_stayed_counts_nothing_again(self) -> None:
        again = self.cloud.stack(
            "points-again",
            ExistingSourceStreamArn=self.stream,
            CreateViewTable="false",
            CreateIdempotencyTable="false",
        ).create()
        # The mapping begins at the beginning of the stream: every record comes a second time, and then this one.
        markers = len(again.counted())
        again.source.put(MapId="OlympiaMapId", PointId="last", Category="Park")
        wait_for_counters(again, recounted(again))
        assert len(again.counted()) == markers + 1

    def _quarantined(self) -> list[dict[str, Any]]:
        return [marker for marker in self.stack.counted() if marker["Outcome"] == "QUARANTINED"]

    def _total(self, one: str) -> Any:
        return (self.stack.view.get(MapId=one) or {}).get("TotalPoints")
