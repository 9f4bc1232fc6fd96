"""`poe replay`: three months through the real service and the real autopilot, and a page of it."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.product.browser import opened
from tests.product.flown import tree
from tests.product.variants import Project, start

pytestmark = pytest.mark.slow

MONTHS = ["2013-03", "2013-04", "2013-05"]
# So that there is something to see within three months, whatever the year brings.
EAGER = {
    "ops/autopilot.toml": [("\nnew_rows = 0\n", "\nnew_rows = 1000\n")],
    "ops/gate.toml": [("margin = 0.0075", "margin = 0.2"), ("max_drop = 0.05", "max_drop = 0.5")],
}


class Elements(HTMLParser):
    """The elements of a document, each with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def of(self, tag: str, **attributes: str) -> list[dict[str, str | None]]:
        """Give the attributes of the elements that have these."""
        return [
            result
            for name, result in self.elements
            if name == tag and all(result.get(key) == value for key, value in attributes.items())
        ]


@pytest.fixture(scope="module")
def replayed(copier_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project after a replay of three months, in which the autopilot had a reason to train."""
    folder = tmp_path_factory.mktemp("replayed") / "project"
    made = start(copier_template, folder, use_case="velocity", level=4)
    for name, changes in EAGER.items():
        text = (folder / name).read_text()
        for before, after in changes:
            assert before in text
            text = text.replace(before, after, 1)
        (folder / name).write_text(text)
    made.commit("Be eager")
    files = outside_the_copy(folder)
    made.printed = made.run("uv run poe replay --months 3")  # type: ignore[attr-defined]
    assert files == outside_the_copy(folder)
    assert made.is_clean()
    return made


@pytest.fixture(scope="module")
def timeline(replayed: Project) -> dict[str, Any]:
    """What the page tells, as data."""
    text = (replayed.folder / "reports/replay/timeline.json").read_text()
    return dict(json.loads(text))


def outside_the_copy(folder: Path) -> set[str]:
    """Name the files of a project that a replay has to leave alone, with what they are."""
    made = (".replay/", "reports/replay/", ".git/index")
    return {
        f"{name} {message}"
        for name, message in tree(folder).items()
        if not f"{name}/".startswith(made)
    }


def test_every_month_was_answered_by_the_service_row_by_row(
    replayed: Project, timeline: dict[str, Any]
) -> None:
    log = (replayed.folder / ".replay/service.log").read_text()

    assert MONTHS == [each["name"] for each in timeline["periods"]]
    for each in timeline["periods"]:
        assert sum(share["rows"] for share in each["answered"]) == each["rows"] > 1000
        assert each["with"]["low"] < each["with"]["figure"] < each["with"]["high"]
    assert "Traceback" not in log


def test_a_version_was_trained_and_took_over_and_that_is_reported(
    replayed: Project, timeline: dict[str, Any]
) -> None:
    first, second, third = timeline["periods"]
    journal = sorted((replayed.folder / ".replay/releases/autopilot/passes").glob("*.json"))

    assert len(journal) == 2  # none after the last month, of which nothing would be seen
    assert first["pass"]["outcome"] == "on trial"
    assert {"kind": "trained", "when": "after", "says": "version 2 was trained"} in first["events"]
    assert next(event["kind"] for event in second["events"]) == "promoted"
    assert {share["release"].split("-")[0] for share in second["answered"]} == {"v1", "v2"}
    assert third["answered"][0]["release"].startswith("v2-")
    assert first["difference"]["figure"] == 0  # the same release answered
    assert third["difference"]["figure"] != 0
    happened = [event["kind"] for each in timeline["periods"] for event in each["events"]]
    assert timeline["figures"]["promoted"] == str(happened.count("promoted"))


def test_the_terminal_tells_the_same_as_the_page(
    replayed: Project, timeline: dict[str, Any]
) -> None:
    reported = replayed.printed  # type: ignore[attr-defined]

    for each in timeline["periods"]:
        figures = (f"{each[side]['figure']:.3f}" for side in ("with", "without"))
        assert re.search(rf"{each['name']} +{each['rows']:,} +{' +'.join(figures)}", reported)
    assert timeline["outcome"] in reported
    assert "Wrote reports/replay/timeline.html" in reported


def test_the_page_opens_in_a_browser_and_asks_for_nothing(
    replayed: Project, timeline: dict[str, Any], tmp_path: Path
) -> None:
    page = replayed.folder / "reports/replay/timeline.html"
    chosen = timeline["periods"][1]["id"]

    document, console = opened(page, tmp_path, f"#{chosen}")
    elements = Elements(document)

    assert console == []
    assert len(elements.of("svg", role="group")) == 1
    assert len(elements.of("polyline")) == 2  # with and without the autopilot
    for each in timeline["periods"]:
        assert elements.of("a", href=f"#{each['id']}")
        assert elements.of("details", id=each["id"])
    assert [result["id"] for result in elements.of("details", open="")] == [chosen]
    for name in ("quality", "table", "drift"):
        assert elements.of("h2", id=name)
    assert elements.of("path", **{"class": "mark promoted"})
    assert "Where it did not help" in document


def test_a_page_that_asks_for_something_would_be_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text('<meta charset="utf-8"><img src="http://127.0.0.1:9/x.png"><p id="x">')
    directory = tmp_path / "browser"
    directory.mkdir()

    document, console = opened(page, directory)

    assert 'id="x"' in document
    assert any("Content Security Policy" in line for line in console)
