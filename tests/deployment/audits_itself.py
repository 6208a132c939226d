"""A stack with an auditor: what a schedule starts, what it finds, what it may do, and several workers."""

import json
from typing import Any

from cloud import Cloud, Item, Role, Stack, raises, wait_for_equal, wait_until
from counters import stored, wait_for_counters
from lost_rights import without
from template import AUDIT_METRICS

REPORTS = "reports"
RIGHT = {"m": (2, {"Park": 2}), "n": (1, {"Park": 1})}
# What these tables are too small and too quiet for: a query instead of a scan, a view item that is written constantly.
# And what only a repair reads: the index of the quarantine.
SELDOM_USED = {
    ("ReadSource", "dynamodb:Query"),
    ("ReadViews", "dynamodb:GetItem"),
    ("ReadMarkers", "dynamodb:Query"),
}
# A rate is a minute at the least; then the emulator looks once in some seconds.
SCHEDULED_SECONDS = 180.0


class AuditsItself:
    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.stack: Stack = cloud.stack("unset")

    def a_schedule_without_the_auditors_code_is_refused(self) -> None:
        with raises(self.cloud.cloudformation.exceptions.ClientError) as refusal:
            self.cloud.stack("uncoded", AuditSchedule="rate(1 day)").create()
        assert "AuditCodeS3Key" in str(refusal), refusal

    def the_stack_is_created_with_an_auditor(self) -> None:
        self.cloud.s3.create_bucket(Bucket=REPORTS)
        self.stack = self.cloud.stack(
            "audited",
            SourceTableName="AuditedPoint",
            ViewTableName="AuditedMap",
            IdempotencyTableName="AuditedSeen",
            AuditSchedule="rate(1 minute)",
            AuditCodeS3Key="auditor.zip",
            AuditReportBucket=REPORTS,
        ).create()
        self._streams_without_names()
        for map_name, point in (("m", "1"), ("m", "2"), ("n", "1")):
            self.stack.source.put(MapId=map_name, PointId=point, Category="Park")
        wait_for_counters(self.stack, RIGHT)

    def a_counter_that_is_tampered_with_is_found_by_the_next_scheduled_run(self) -> None:
        self._tamper()
        wait_until("an audit that the schedule started tells of the drift", self._tells_drift, SCHEDULED_SECONDS)
        assert any(line.get("AuditDrifted") == 1 for line in self._metrics()), "the metric"
        found = [line for line in self._lines() if "AuditedMap" in json.dumps(line) and "99" in json.dumps(line)]
        assert found, "the log names the view item and its counter"
        assert stored(self.stack)["m"] == (99, {"Park": 2}), "it only reads"

    def every_metric_of_an_audit_is_written(self) -> None:
        self._update(AuditSchedule="rate(1 day)")
        self._audit()
        written = {name for line in self._metrics() for name in line}
        assert written >= AUDIT_METRICS, AUDIT_METRICS - written
        lines = [line for line in self._metrics() if "AuditViewItems" in line]
        assert lines[-1]["AuditViewItems"] == 2, lines[-1]

    def it_needs_each_of_its_rights_to_read(self) -> None:
        role = self._role()
        name, policy = role.policy()
        rights = {(one["Sid"], action) for one in policy["Statement"] if "Sid" in one for action in one["Action"]}
        reading = {(sid, action) for sid, action in rights if sid.startswith("Read")}
        assert reading > SELDOM_USED
        for sid, action in sorted(reading - SELDOM_USED):
            role.put(name, without(policy, action, sid))
            assert "FunctionError" in self._invoke(), f"{sid}: {action} is not needed"
        role.put(name, policy)

    def an_auditor_that_would_repair_is_denied_unless_the_parameter_allows_it(self) -> None:
        before = len(self._lines())
        self._set(ROLLUP_AUDIT_REPAIRS="true")
        self._audit(fails=True)
        said = json.dumps(self._lines()[before:])
        assert "AccessDenied" in said or "not authorized" in said, said
        assert stored(self.stack)["m"] == (99, {"Park": 2})

    def with_the_parameter_it_repairs(self) -> None:
        self._update(AuditRepairs="true")
        self._set(ROLLUP_AUDIT_REPAIRS="true")
        self._audit()
        wait_for_equal("the counter is right again", lambda: stored(self.stack), RIGHT)
        code, report = self.stack.command("audit")
        assert (code, report["drifted"], report["exact"]) == (0, 0, 2), report

    def an_auditor_under_another_definition_refuses(self) -> None:
        self._tamper()
        before = len(self._metrics())
        self._set(ROLLUP_ON_MISSING_VIEW_ITEM="skip")
        self._audit(fails=True)
        self._set(ROLLUP_ON_MISSING_VIEW_ITEM="create")
        metrics = self._metrics()[before:]
        assert any(line.get("AuditRefused") == 1 for line in metrics), metrics
        assert not any("AuditViewItems" in line or line.get("AuditDrifted") for line in metrics), "it does not judge"
        assert stored(self.stack)["m"] == (99, {"Park": 2})

    def several_workers_audit_the_slices_and_the_reports_are_added_up(self) -> None:
        self._update(AuditWorkers="2", AuditSlices="4", AuditRepairs="false")
        before = len(self._metrics())
        output = self._start()
        metrics = self._metrics()[before:]
        whole = [line for line in metrics if "AuditViewItems" in line]
        assert [line["AuditViewItems"] for line in whole] == [2], (output, metrics)
        assert whole[-1]["AuditDrifted"] == 1, whole
        assert stored(self.stack)["m"] == (99, {"Park": 2})

    def several_workers_repair(self) -> None:
        self._update(AuditRepairs="true")
        self._start()
        wait_for_equal("the counter is right again", lambda: stored(self.stack), RIGHT)

    def the_report_of_a_whole_audit_is_in_the_bucket(self) -> None:
        objects = self.cloud.s3.list_objects_v2(Bucket=REPORTS).get("Contents", [])
        keys = [one["Key"] for one in objects]
        assert all(key.startswith(f"ddb-rollup/{self.stack.outputs['AuditorName']}/") for key in keys), keys
        pages = [key for key in keys if key.endswith("/report.html")]
        assert len(pages) * 2 == len(keys) > 0, "a page, and the same as JSON"
        texts = [self.cloud.s3.get_object(Bucket=REPORTS, Key=key)["Body"].read().decode() for key in pages]
        assert any("TotalPoints" in text and "99" in text for text in texts), "the counter that was tampered with"
        assert all("<html" in text for text in texts)

    def the_stack_goes_on_without_an_auditor(self) -> None:
        self.stack.update(AuditSchedule="")
        assert not [name for name in self.stack.resources() if name.startswith("Audit")]
        self.stack.source.put(MapId="n", PointId="2", Category="Park")
        wait_for_counters(self.stack, RIGHT | {"n": (2, {"Park": 2})})

    def _update(self, **parameters: str) -> None:
        self.stack.update(**parameters)
        self._streams_without_names()

    def _streams_without_names(self) -> None:
        """The emulator does not know which stream a request is about: to it, every stream is *."""
        role = self._role()
        policy_name, policy = role.policy()
        (reading,) = (one for one in policy["Statement"] if one.get("Sid") == "ReadStream")
        if reading["Resource"] != "*":
            assert "/stream/" in json.dumps(reading["Resource"]), reading
            reading["Resource"] = "*"
            role.put(policy_name, policy)

    def _role(self) -> Role:
        found = self.cloud.functions.get_function_configuration(FunctionName=self.stack.outputs["AuditorName"])
        return Role(self.cloud, str(found["Role"]).rsplit("/", 1)[-1])

    def _tamper(self) -> None:
        self.stack.view.set({"MapId": "m"}, "TotalPoints", 99)

    def _tells_drift(self) -> bool:
        return any(line.get("AuditDrifted") == 1 for line in self._metrics())

    def _target(self) -> Item:
        """What the schedule starts, and with what."""
        schedule = self.cloud.schedules.get_schedule(Name=self.stack.resources()["AuditTimer"])
        return dict(schedule["Target"])

    def _audit(self, fails: bool = False) -> Any:
        """Sends the auditor what the schedule sends."""
        answer = self._invoke()
        body = answer["Payload"].read().decode()
        assert ("FunctionError" in answer) is fails, body
        return json.loads(body)

    def _invoke(self) -> Item:
        target = self._target()
        return dict(self.cloud.functions.invoke(FunctionName=target["Arn"], Payload=target["Input"]))

    def _start(self) -> Any:
        """Starts the state machine as the schedule does, and waits for its end."""
        target = self._target()
        started = self.cloud.workflows.start_execution(stateMachineArn=target["Arn"], input=target["Input"])

        def described() -> Item:
            return dict(self.cloud.workflows.describe_execution(executionArn=started["executionArn"]))

        wait_until("the state machine ends", lambda: described()["status"] != "RUNNING", SCHEDULED_SECONDS)
        ended = described()
        assert ended["status"] == "SUCCEEDED", ended
        return json.loads(ended["output"])

    def _set(self, **variables: str) -> None:
        """Changes variables of the auditor, without those of its role."""
        name = self.stack.outputs["AuditorName"]
        found = self.cloud.functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        self.cloud.functions.update_function_configuration(
            FunctionName=name, Environment={"Variables": found | variables}
        )

    def _lines(self) -> list[Item]:
        return self.stack.log_lines(self.stack.resources()["AuditLogGroup"])

    def _metrics(self) -> list[Item]:
        return [line for line in self._lines() if "_aws" in line]
