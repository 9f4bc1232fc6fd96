"""`rung demo` shows what really ran; its last part is `poe replay`: months through the real service and
the real autopilot, and a page of them.
"""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.command import git, rung
from tests.product.browser import opened
from tests.product.flown import tree
from tests.product.test_pages import look
from tests.product.variants import Project

pytestmark = pytest.mark.slow

MONTHS = ["2013-03", "2013-04", "2013-05", "2013-06"]


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project of a demo, which ends with a replay."""
    folder = tmp_path_factory.mktemp("demo")
    done = rung("demo", "--keep", folder / "made", cwd=folder, expect=0)
    made = Project(folder / "made")
    made.printed = done.stdout  # type: ignore[attr-defined]
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


def row(line: str) -> tuple[str, list[str]]:
    """Give what a row of the replay's table says last: features that drifted, what happened."""
    *_, drifted, autopilot = re.split(r" {2,}", line.strip())
    return drifted, autopilot.split(", ")


def test_the_demo_climbs_to_the_top_commits_each_rung_and_ends_with_the_replay(
    replayed: Project,
) -> None:
    text, made = replayed.printed, replayed.folder  # type: ignore[attr-defined]

    for shown in ("reports/report.html", "RUNG.md", "reports/replay/timeline.html"):
        assert str(made / shown) in text
        assert (made / shown).is_file()
    assert "4 months, replayed on rung 4:" in text
    months = text[text.index("4 months, replayed") : text.index("Where to look:")]
    drifted, happened = zip(*(row(line) for line in months.splitlines()[2:6]), strict=True)
    assert any(int(features) for features in drifted)
    assert {"trained", "promoted"} <= {kind for kinds in happened for kind in kinds}
    assert ["1: Tested", "2: Trained", "3: Deployed", "4: Autonomous"] == [
        line.removeprefix("Climb to rung ")
        for line in git(made, "log", "--reverse", "--format=%s").splitlines()
        if line.startswith("Climb to rung ")
    ]


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
    first, *_, tried, last = timeline["periods"]
    journal = sorted((replayed.folder / ".replay/releases/autopilot/passes").glob("*.json"))

    assert len(journal) == 3  # none after the last month, of which nothing would be seen
    assert tried["pass"]["outcome"] == "on trial"
    assert {"kind": "trained", "when": "after", "says": "version 2 was trained"} in tried["events"]
    assert next(event["kind"] for event in last["events"]) == "promoted"
    assert {share["release"].split("-")[0] for share in last["answered"]} == {"v1", "v2"}
    assert first["difference"]["figure"] == 0  # the same release answered
    assert last["difference"]["low"] > 0  # the new version is better
    happened = [event["kind"] for each in timeline["periods"] for event in each["events"]]
    assert timeline["figures"]["promoted"] == str(happened.count("promoted"))


def test_the_page_opens_the_period_that_its_address_names_and_asks_for_nothing(
    replayed: Project, timeline: dict[str, Any], tmp_path: Path
) -> None:
    page, chosen = replayed.folder / "reports/replay/timeline.html", timeline["periods"][-1]["id"]
    document, console = opened(page, tmp_path, f"#{chosen}")
    periods = dict(re.findall(r'<details class="period" id="([^"]*)"([^>]*)>', document))

    assert console == []
    assert [each["id"] for each in timeline["periods"]] == list(periods)
    assert [chosen] == [name for name, attributes in periods.items() if " open" in attributes]
    assert len(re.findall("<polyline", document)) == 2  # with and without the autopilot


@pytest.fixture(scope="module")
def pages(replayed: Project) -> Path:
    """The folder of reports, with every kind of page that the library writes for velocity."""
    reports = replayed.folder / "reports"
    shutil.copytree(replayed.folder / ".replay/reports/monitor", reports / "monitor")
    replayed.run("uv run poe features && uv run poe reports")
    return reports


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (400, "dark")])
@pytest.mark.parametrize(
    "name", ["index", "report", "features", "monitor/report", "replay/timeline"]
)
def test_a_page_fits_and_axe_finds_nothing(
    pages: Path, tmp_path: Path, name: str, width: int, scheme: str
) -> None:
    text = (pages / f"{name}.html").read_text("utf-8")
    observed = look(text, tmp_path, width, scheme)

    assert observed["needed"] <= width
    assert observed["passes"] > 10
    assert [] == observed["violations"]
    assert "`" not in text.partition("</style>")[2].partition("<script")[0]


def test_the_arrow_keys_read_the_values_of_a_plot(pages: Path, tmp_path: Path) -> None:
    press = """<script>addEventListener("load", () => {
      const plot = document.querySelector("svg[role=application]");
      plot.focus();
      for (const key of ["End", "ArrowLeft", "Home"])
        plot.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    });</script>"""
    page = tmp_path / "report.html"
    text = (pages / page.name).read_text("utf-8")
    page.write_text(text.replace("</body>", f"{press}</body>"), "utf-8")
    (tmp_path / "opened").mkdir()

    document, console = opened(page, tmp_path / "opened")

    first = re.search(r"<svg role=.*?<title>(.*?)</title>", text, re.DOTALL)
    values = re.findall(r'<div id="value"[^>]*>(.*?)</div>', document)
    assert first and values == [first[1]]
    assert 1 == document.count('class="at-mark"')
    assert console == []


def test_a_replay_leaves_the_project_alone(replayed: Project) -> None:
    """The last of them: it rewrites the page."""
    files = outside_the_copy(replayed.folder)

    replayed.run("uv run poe replay --months 1")

    assert files == outside_the_copy(replayed.folder)
    assert replayed.is_clean()
