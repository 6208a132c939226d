"""A definition of two views: one on the source table itself, one on a table of its own; with a filter."""

import json
from typing import Any

from cloud import Cloud, Item, Stack, wait_for_equal, wait_until

APP, DAYS = "App", "App-Days"

DEFINITION = json.dumps(
    {
        "views": [
            {
                "name": "Totals",
                "table": APP,
                "where": "begins_with(SK, 'ORDER#')",
                "key": [
                    {"attribute": "PK", "type": "S"},
                    {"attribute": "SK", "type": "S", "value": "TOTALS"},
                ],
                "measures": {"Orders": "count", "Revenue": "sum Price"},
            },
            {
                "name": "Days",
                "table": DAYS,
                "where": "begins_with(SK, 'ORDER#') AND Paid = true",
                "key": [{"attribute": "Day", "type": "S", "value": "{day(At)}"}],
                "measures": {"Orders": "count"},
            },
        ]
    }
)


class SingleTable:
    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.stack: Stack = cloud.stack("app")

    def the_tables_are_there_first(self) -> None:
        self.cloud.make_table(APP, "PK", "SK", stream=True)
        self.cloud.make_table(DAYS, "Day")

    def the_stack_is_created_on_a_table_that_is_source_and_view(self) -> None:
        self.stack = self.cloud.stack(
            "app",
            ExistingSourceStreamArn=self.cloud.table(APP).describe()["LatestStreamArn"],
            ViewTableName=APP,
            CreateViewTable="false",
            IdempotencyTableName="App-Seen",
            ViewDefinition=DEFINITION,
            MaximumBatchingWindowInSeconds="0",
        ).create()
        assert self.stack.source.name == self.stack.view.name == APP
        assert not {"SourceTable", "ViewTable"} & self.stack.resources().keys()
        assert "ViewTableStreamArn" not in self.stack.outputs

    def without_its_name_the_other_view_table_cannot_be_written(self) -> None:
        self.stack.source.put(PK="ann", SK="ORDER#1", Price=5, Paid=True, At="2026-03-05T10:00:00Z")
        failed = "the function fails on a table that ViewTableNames does not name"
        wait_until(failed, lambda: self.stack.mapping()["LastProcessingResult"] == "FAILED")
        assert self.stack.counted() == []

    def with_its_name_the_record_is_counted_on_both(self) -> None:
        self.stack.update(ViewTableNames=DAYS)
        wait_for_equal("the order is counted on both tables", self._counters, ((1, 5), {"2026-03-05": 1}))

    def what_the_function_writes_into_its_source_is_not_counted(self) -> None:
        self.stack.source.put(PK="ann", SK="ORDER#2", Price=7, Paid=False, At="2026-03-06")
        wait_for_equal("the second order is in the totals alone", self._counters, ((2, 12), {"2026-03-05": 1}))
        assert len(self.stack.counted()) == 2

    def the_filter_that_the_command_tells_drops_nothing_that_counts(self) -> None:
        code, criteria = self.stack.command("view", "filter", ROLLUP_VIEW_DEFINITION=DEFINITION)
        (one,) = criteria["Filters"]
        assert (code, json.loads(one["Pattern"])) == (0, pattern("ORDER#"))
        self.stack.update(FilterPattern1=one["Pattern"])
        assert self.stack.mapping()["FilterCriteria"] == criteria
        self.stack.source.put(PK="ann", SK="NOTE#1")
        self.stack.source.set({"PK": "ann", "SK": "ORDER#2"}, "Paid", True)
        days = {"2026-03-05": 1, "2026-03-06": 1}
        wait_for_equal("the payment is counted", self._counters, ((2, 12), days))

    def the_command_finds_everything_in_order(self) -> None:
        self.stack.markers.expire_by("ExpiresAt")
        assert self.stack.wrong(ROLLUP_VIEW_DEFINITION=DEFINITION) == []
        code, report = self.stack.command("audit", ROLLUP_VIEW_DEFINITION=DEFINITION)
        assert (code, report["exact"]) == (0, 3), report

    def any_other_filter_is_found(self) -> None:
        self.stack.update(FilterPattern1=json.dumps(pattern("ORDER#1")))
        assert self.stack.wrong(ROLLUP_VIEW_DEFINITION=DEFINITION) == ["filtering"]

    def _counters(self) -> tuple[tuple[Any, Any] | None, dict[str, int]]:
        totals = self.stack.source.get(PK="ann", SK="TOTALS")
        days = {item["Day"]: int(item["Orders"]) for item in self.cloud.table(DAYS).all()}
        return (totals["Orders"], totals["Revenue"]) if totals else None, days


def pattern(beginning: str) -> Item:
    return {"dynamodb": {"Keys": {"SK": {"S": [{"prefix": beginning}]}}}}
