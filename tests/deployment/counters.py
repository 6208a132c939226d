"""The counters of the view, and what they should be."""

import json
from collections import Counter
from typing import Any

from cloud import ROOT, Stack, wait_for_equal

Counts = dict[str, tuple[int, dict[str, int]]]


def sample(name: str) -> list[dict[str, Any]]:
    """Items of the tutorial: `maps` or `points`."""
    return list(json.loads((ROOT / "tests" / "fixtures" / f"{name}.json").read_text()))


# What the tutorial's points add up to.
TUTORIAL: Counts = {
    "SeattleMapId": (2, {"Landmark": 1, "Restaurant": 1}),
    "OlympiaMapId": (1, {"Landmark": 1}),
    "SydneyMapId": (1, {"Landmark": 1}),
    "TownsvilleMapId": (3, {"Landmark": 2, "Restaurant": 1}),
}


def stored(stack: Stack) -> Counts:
    """The counters as the view has them. Zero and absent mean the same."""
    return {
        item["MapId"]: (
            int(item["TotalPoints"]),
            {group: int(count) for group, count in item["CategoryCounts"].items() if count},
        )
        for item in stack.view.all()
        if item.get("TotalPoints")
    }


def recounted(stack: Stack) -> Counts:
    """The counters as the points are."""
    points = stack.source.all()
    maps = {point["MapId"] for point in points}
    return {
        one: (
            sum(point["MapId"] == one for point in points),
            dict(Counter(point["Category"] for point in points if point["MapId"] == one)),
        )
        for one in maps
    }


def wait_for_counters(stack: Stack, wanted: Counts) -> None:
    wait_for_equal("the counters are right", lambda: stored(stack), wanted)
