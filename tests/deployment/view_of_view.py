"""A second stack counts what the first one keeps: points on maps, and maps in states."""

import json

from cloud import Cloud, Stack, wait_for_equal
from counters import stored

STATES = "World-State"

DEFINITION = json.dumps(
    {
        "key": [{"attribute": "StateId", "type": "S", "value": "{State}"}],
        "measures": {"Maps": "count", "Points": "sum TotalPoints"},
    }
)


class ViewOfView:
    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.points: Stack = cloud.stack(
            "world",
            SourceTableName="World-Point",
            ViewTableName="World-Map",
            ViewTableStream="true",
            IdempotencyTableName="World-Seen",
        )
        self.states: Stack = cloud.stack("world-states")

    def the_view_table_of_the_first_stack_has_a_stream(self) -> None:
        self.points.create()
        table = self.points.view.describe()
        assert table["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
        assert self.points.outputs["ViewTableStreamArn"] == table["LatestStreamArn"]

    def the_second_stack_reads_it_and_waits(self) -> None:
        self.cloud.make_table(STATES, "StateId")
        self.states = self.cloud.stack(
            "world-states",
            ExistingSourceStreamArn=self.points.outputs["ViewTableStreamArn"],
            ViewTableName=STATES,
            CreateViewTable="false",
            IdempotencyTableName="World-States-Seen",
            ViewDefinition=DEFINITION,
            MappingEnabled="false",
        ).create()
        assert self.states.source.name == self.points.view.name
        for one, state in (("Seattle", "Washington"), ("Olympia", "Washington"), ("Sydney", "New South Wales")):
            self.points.view.put(MapId=one, State=state)
        for number in range(5):
            self.points.source.put(MapId="Seattle" if number else "Sydney", PointId=str(number), Category="Park")
        wanted = {"Seattle": (4, {"Park": 4}), "Sydney": (1, {"Park": 1})}
        wait_for_equal("the points are counted", lambda: stored(self.points), wanted)
        assert self._states() == {} and self.states.counted() == []

    def switched_on_it_counts_what_has_waited(self) -> None:
        self.states.update(MappingEnabled="true")
        self._wait_for({"Washington": (2, 4), "New South Wales": (1, 1)})

    def a_map_that_moves_takes_its_points_along(self) -> None:
        self.points.view.set({"MapId": "Seattle"}, "State", "Oregon")
        self._wait_for({"Oregon": (1, 4), "Washington": (1, 0), "New South Wales": (1, 1)})

    def both_stacks_audit_clean(self) -> None:
        for stack, environment in ((self.points, {}), (self.states, {"ROLLUP_VIEW_DEFINITION": DEFINITION})):
            code, report = stack.command("audit", **environment)
            assert code == 0, report

    def _wait_for(self, wanted: dict[str, tuple[int, int]]) -> None:
        wait_for_equal("the states are right", self._states, wanted)

    def _states(self) -> dict[str, tuple[int, int]]:
        items = self.states.view.all()
        return {item["StateId"]: (int(item["Maps"]), int(item.get("Points", 0))) for item in items}
