"""Each right of the role is needed: without it the function fails loudly, and when it is back nothing was lost."""

import copy

from cloud import Cloud, Item, Stack, wait_for_equal, wait_until
from counters import stored, wait_for_counters

MAXIMUM_AGE_SECONDS = 60


class LostRights:
    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.stack: Stack = cloud.stack(
            "rights",
            SourceTableName="RightsPoint",
            ViewTableName="RightsMap",
            IdempotencyTableName="RightsSeen",
            OnMissingViewItem="skip",
            MaximumRecordAgeInSeconds=str(MAXIMUM_AGE_SECONDS),
        )

    def the_stack_is_created(self) -> None:
        self.stack.create()
        self.stack.view.put(MapId="known")
        self.stack.source.put(MapId="known", PointId="0", Category="Park")
        wait_for_counters(self.stack, {"known": (1, {"Park": 1})})

    def without_the_right_to_put_markers_nothing_is_counted(self) -> None:
        self._without("dynamodb:PutItem", {"MapId": "known", "PointId": "1", "Category": "Park"})
        wait_for_counters(self.stack, {"known": (2, {"Park": 2})})

    def without_the_right_to_update_views_nothing_is_counted(self) -> None:
        self._without("dynamodb:UpdateItem", {"MapId": "known", "PointId": "2", "Category": "Park"})
        wait_for_counters(self.stack, {"known": (3, {"Park": 3})})

    def without_the_right_to_check_views_nothing_is_skipped(self) -> None:
        self._without("dynamodb:ConditionCheckItem", {"MapId": "unknown", "PointId": "1", "Category": "Park"})

    def without_the_right_to_read_views_nothing_is_quarantined(self) -> None:
        self.stack.view.put(MapId="broken", TotalPoints="many", CategoryCounts={})
        self._without("dynamodb:GetItem", {"MapId": "broken", "PointId": "1", "Category": "Park"})
        outcomes = [one["Outcome"] for one in self.stack.counted() if one["SourceKey"]["MapId"] == "broken"]
        assert outcomes == ["QUARANTINED"]
        self.stack.view.delete(MapId="broken")

    def without_the_right_to_look_views_up_nothing_is_counted(self) -> None:
        self.stack.view.put(MapId="new")
        point = {"MapId": "new", "PointId": "1", "Category": "Park"}
        self._without("dynamodb:BatchGetItem", point, statement="UpdateViews")
        wait_for_counters(self.stack, {"known": (3, {"Park": 3}), "new": (1, {"Park": 1})})
        self.stack.view.delete(MapId="new")

    def without_the_right_to_look_markers_up_everything_is_counted(self) -> None:
        role = self.stack.role()
        name, policy = role.policy()
        role.put(name, without(policy, "dynamodb:BatchGetItem", "WriteMarkers"))
        before = len(self.stack.counted())
        self.stack.source.put(MapId="known", PointId="as before", Category="Park")
        wait_for_equal("the record has a marker", lambda: len(self.stack.counted()), before + 1)
        role.put(name, policy)
        self.stack.source.delete(MapId="known", PointId="as before")
        wait_for_counters(self.stack, {"known": (3, {"Park": 3})})

    def what_fails_for_too_long_goes_to_the_failure_queue_and_the_stream_goes_on(self) -> None:
        role = self.stack.role()
        name, policy = role.policy()
        role.put(name, without(policy, "dynamodb:PutItem"))
        self.stack.source.put(MapId="known", PointId="given up", Category="Park")
        url = self.stack.outputs["FailureQueueUrl"]

        def messages() -> int:
            found = self.cloud.queues.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
            return int(found["ApproximateNumberOfMessages"])

        wait_until("the batch is in the failure queue", lambda: messages() > 0, MAXIMUM_AGE_SECONDS + 30)
        role.put(name, policy)
        self.stack.source.put(MapId="known", PointId="3", Category="Park")
        wait_for_equal("the next record is counted", lambda: stored(self.stack)["known"], (4, {"Park": 4}))

    def what_lambda_gave_up_on_is_replayed_from_the_queue(self) -> None:
        url = self.stack.outputs["FailureQueueUrl"]
        code, report = self.stack.command("replay", "--from-queue", url, ROLLUP_ON_MISSING_VIEW_ITEM="skip")
        assert (code, report["read"], report["applied"]) == (0, 1, 1), report
        assert stored(self.stack)["known"] == (5, {"Park": 5})
        code, report = self.stack.command("replay", "--from-queue", url, ROLLUP_ON_MISSING_VIEW_ITEM="skip")
        assert (code, report["read"]) == (0, 0), report

    def _without(self, action: str, point: Item, statement: str | None = None) -> None:
        """Takes the right away, writes the point, and gives the right back once the function has failed."""
        markers = len(self.stack.counted())
        role = self.stack.role()
        name, policy = role.policy()
        role.put(name, without(policy, action, statement))
        failed = f"the function fails without {action}"
        self.stack.source.put(**point)
        wait_until(failed, lambda: self.stack.mapping()["LastProcessingResult"] == "FAILED")
        assert len(self.stack.counted()) == markers
        role.put(name, policy)
        wait_for_equal("the record has a marker", lambda: len(self.stack.counted()), markers + 1)


def without(policy: Item, action: str, of: str | None = None) -> Item:
    """A policy that allows one action less: of the statement with that name, or of the only one that has it."""
    less = copy.deepcopy(policy)
    removed = 0
    for statement in less["Statement"]:
        if of not in (None, statement.get("Sid")):
            continue
        allowed = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        removed += action in allowed
        statement["Action"] = [one for one in allowed if one != action]
    assert removed == 1, f"the role does not have {action} once"
    less["Statement"] = [statement for statement in less["Statement"] if statement["Action"]]
    return less
