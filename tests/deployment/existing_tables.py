"""A stack on a source and a view table that were there before it, with other names and every optional parameter."""

from cloud import Cloud, Stack, wait_until
from counters import wait_for_counters
from template import KEY, TOPIC

SOURCE, VIEW, MARKERS = "Shop.Places", "Shop_Cities", "Shop-Seen"


class ExistingTables:
    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.stack: Stack = cloud.stack("shop")

    def tables_and_points_are_there_first(self) -> None:
        self.cloud.make_table(SOURCE, "MapId", "PointId", stream=True)
        self.cloud.make_table(VIEW, "MapId")
        self.cloud.table(VIEW).put(MapId="known", City="Perth")
        self.cloud.table(SOURCE).put(MapId="known", PointId="1", Category="Park")

    def the_stack_is_created_with_every_parameter(self) -> None:
        stream = self.cloud.table(SOURCE).describe()["LatestStreamArn"]
        self.stack = self.cloud.stack(
            "shop",
            SourceTableName="Unused",
            ExistingSourceStreamArn=stream,
            ViewTableName=VIEW,
            CreateViewTable="false",
            IdempotencyTableName=MARKERS,
            OnMissingViewItem="skip",
            MarkerRetentionDays="1",
            BillingMode="PROVISIONED",
            ReadCapacityUnits="3",
            WriteCapacityUnits="4",
            KmsKeyArn=KEY,
            ReservedConcurrency="2",
            BatchSize="10",
            MaximumBatchingWindowInSeconds="0",
            ParallelizationFactor="10",
            MaxInFlight="3",
            MaximumRetryAttempts="5",
            MaximumRecordAgeInSeconds="60",
            MemorySize="128",
            LogLevel="TRACE",
            LogRetentionInDays="1",
            AlarmTopicArn=TOPIC,
            IteratorAgeAlarmSeconds="60",
            CreateDashboard="false",
        ).create()
        assert (self.stack.source.name, self.stack.view.name) == (SOURCE, VIEW)
        assert "Unused" not in self.cloud.tables()
        assert not {"SourceTable", "ViewTable", "Dashboard"} & self.stack.resources().keys()
        assert self.stack.markers.throughput() == (3, 4)
        queue = self.cloud.queues.get_queue_attributes(
            QueueUrl=self.stack.outputs["FailureQueueUrl"], AttributeNames=["All"]
        )
        assert queue["Attributes"]["KmsMasterKeyId"] == KEY
        actions = [one["Action"] for one in self.stack.role().policy()[1]["Statement"]]
        assert any("kms:Decrypt" in some for some in actions)

    def the_alarms_tell_the_topic(self) -> None:
        resources = self.stack.resources()
        names = [physical for logical, physical in resources.items() if logical.endswith("Alarm")]
        alarms = self.cloud.cloudwatch.describe_alarms(AlarmNames=names)["MetricAlarms"]
        assert len(alarms) == len(names) == 10, "all but the one that calculates"
        assert all(alarm["AlarmActions"] == alarm["OKActions"] == [TOPIC] for alarm in alarms)
        by_metric = {alarm["MetricName"]: alarm for alarm in alarms}
        assert by_metric["IteratorAge"]["Threshold"] == 60_000
        (dimension,) = by_metric["DroppedEventCount"]["Dimensions"]
        assert dimension["Value"] == self.stack.mapping()["UUID"] == self.stack.outputs["EventSourceMappingId"]

    def points_written_before_the_stack_are_counted(self) -> None:
        wait_for_counters(self.stack, {"known": (1, {"Park": 1})})
        assert (self.stack.view.get(MapId="known") or {})["City"] == "Perth"

    def a_point_of_a_map_that_is_not_there_is_marked_and_not_counted(self) -> None:
        self.stack.source.put(MapId="unknown", PointId="1", Category="Park")
        wait_until("both records have a marker", lambda: len(self.stack.counted()) == 2)
        skipped = [one for one in self.stack.counted() if one["SourceKey"]["MapId"] == "unknown"]
        assert [(one["Outcome"], one["Deltas"]) for one in skipped] == [("APPLIED", [])]
        assert self.stack.view.get(MapId="unknown") is None

    def the_command_needs_the_settings_of_the_function(self) -> None:
        self.stack.markers.expire_by("ExpiresAt")
        # What is done about a missing view item is a part of the definition.
        definition = "the definition under which the function counts"
        assert self.stack.wrong() == [definition, "ROLLUP_ON_MISSING_VIEW_ITEM", "ROLLUP_MARKER_RETENTION_DAYS"]
        same = {"ROLLUP_MARKER_RETENTION_DAYS": "1", "ROLLUP_ON_MISSING_VIEW_ITEM": "skip"}
        assert self.stack.wrong(**same) == []

    def the_deleted_stack_leaves_what_was_there(self) -> None:
        self.stack.delete()
        assert {SOURCE, VIEW, MARKERS} <= self.cloud.tables()
