"""Runs the chapters of the stories, in the order in which they are written, and closes with how many passed."""

import argparse
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import audit_template  # noqa: F401, it adds its checks
import template
from audits_itself import AuditsItself
from cloud import Cloud
from company import Company
from defaults import Defaults
from existing_tables import ExistingTables
from lost_rights import LostRights
from single_table import SingleTable
from view_of_view import ViewOfView

Chapter = tuple[str, Callable[[], None]]


def chapters(story: object) -> Iterator[Chapter]:
    for name, chapter in vars(type(story)).items():
        if callable(chapter) and not name.startswith("_"):
            yield name.replace("_", " "), chapter.__get__(story)


def run(title: str, steps: Iterator[Chapter], independent: bool) -> tuple[int, int]:
    print(f"\n{title}")
    passed = failed = 0
    for name, step in steps:
        if failed and not independent:
            failed += 1
            print(f"  not run {name}")
            continue
        began = time.monotonic()
        try:
            step()
        except Exception:
            failed += 1
            print(f"  FAILED  {name}")
            traceback.print_exc(file=sys.stdout)
        else:
            passed += 1
            print(f"  ok      {name} ({time.monotonic() - began:.1f} s)")
        sys.stdout.flush()
    return passed, failed


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--endpoint", required=True)
    options.add_argument("--bootstrap", required=True, type=Path)
    options.add_argument("--auditor", required=True, type=Path)
    options.add_argument("--architecture", required=True)
    options.add_argument("--command", required=True, type=Path)
    options.add_argument("story", nargs="?", default="", help="only stories whose title has this text")
    given = options.parse_args()

    results = [
        run(
            "What the emulator ignores stands in the template",
            ((check.__name__.replace("_", " "), check) for check in template.CHECKS),
            independent=True,
        )
    ]
    cloud = Cloud(given.endpoint, given.architecture, given.command)
    cloud.wait_until_up()
    cloud.upload_code(given.bootstrap, "one.zip", "two.zip")
    cloud.upload_code(given.auditor, "auditor.zip")
    stories = {
        "A stack with defaults only": Defaults(cloud),
        "A stack on tables that are there": ExistingTables(cloud),
        "A table that is source and view, and another view table": SingleTable(cloud),
        "A stack over the view of a stack": ViewOfView(cloud),
        "A stack as a company has it": Company(cloud),
        "A role that loses its rights": LostRights(cloud),
        "A stack that audits itself": AuditsItself(cloud),
    }
    for title, story in stories.items():
        if given.story not in title:
            continue
        results.append(run(title, chapters(story), independent=False))
    passed, failed = (sum(column) for column in zip(*results, strict=True))
    print(f"\n{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
