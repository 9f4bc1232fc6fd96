"""Every combination of answers gives a project that is whole and parses."""

import calendar
import json
import re
import shutil
import subprocess
import sys
import tomllib
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from rung_ops.project import documents
from tests.conftest import (
    CI,
    COMBINATIONS,
    GAMES,
    LEVELS,
    TEAM_SIZES,
    TOGETHER,
    VENDORS,
    Render,
    files_of,
)
from tests.conftest import name_of as name
from tests.parsing import PARSERS

# These name the project's rung, so only they may differ between rungs.
DIFFER_BY_RUNG = {
    *("pyproject.toml", "RUNG.md", "ops/tasks.toml", ".copier-answers.yml"),
    *(f"models/{name}/poe_tasks.toml" for name in ("cancellations", "household_credits")),
    "docs/runbook.md",  # whoever is called at night reads one page, with no command that is missing
}
BINARY = {".parquet", ".whl"}
every_combination = pytest.mark.parametrize("answers", COMBINATIONS, ids=name)


@every_combination
def test_a_rendered_project_parses_and_holds_no_trace_of_its_making(
    render: Render, answers: dict[str, Any]
) -> None:
    for path, content in files_of(render(**answers)).items():
        if Path(path).suffix in BINARY:
            assert content, path
            continue
        text = content.decode()
        if Path(path).suffix in PARSERS:
            PARSERS[Path(path).suffix](text)
        # A doubled brace means something else in Python, and in the rules of Prometheus.
        own = Path(path).suffix == ".py" or path.startswith(
            ("ops/prometheus/", "deploy/kubernetes/")
        )
        assert own or not re.search(r"(?<!\$)\{\{|\{%", text), path
        assert text, path
        assert "\r" not in text, path
        assert text.endswith("\n") and not text.endswith("\n\n"), path
        assert not re.search("__pycache__|_cache|[.]jinja$|[.]pyc$", path), path
    folders = [path for path in render(**answers).rglob("*") if path.is_dir()]
    assert [folder for folder in folders if not any(folder.iterdir())] == []


@every_combination
def test_what_a_document_refers_to_is_there_in_every_model(
    render: Render, answers: dict[str, Any]
) -> None:
    project = render(**answers)
    # `poe models` copies the documents of the first model; the use case is each model's own.
    homes = [project, *(path.parents[1] for path in project.glob("models/*/docs/use_case.md"))]
    texts = [path.read_text("utf-8") for path in project.glob("docs/*.md")]
    texts += [path.read_text("utf-8") for path in project.glob("governance/**/*.*")]

    broken = {home.name: documents.broken_references("\n".join(texts), home) for home in homes}

    assert not any(broken.values()), broken


@every_combination
def test_the_generator_is_named_only_where_it_must_be(
    render: Render, answers: dict[str, Any]
) -> None:
    kept = "Rung keeps this file"
    for path, content in files_of(render(**answers)).items():
        # Renovate's own updater of such projects is turned off by its name.
        if path in {".copier-answers.yml", "RUNG.md", "renovate.json"}:
            continue
        if Path(path).suffix in BINARY:
            continue
        for line in content.decode().splitlines():
            assert "copier" not in line.lower(), path
            mentions = re.search(r"\bRung\b(?! keeps)", line)
            assert kept in line or not mentions or path in {"README.md", "CONTRIBUTING.md"}, (
                f"{path}: {line}"
            )


@pytest.mark.parametrize("use_case", GAMES)
@pytest.mark.parametrize("team_size, ci", TOGETHER)
def test_a_file_is_the_same_on_every_rung_that_has_it(
    render: Render, use_case: str, team_size: str, ci: str
) -> None:
    trees = [
        files_of(render(use_case=use_case, team_size=team_size, ci=ci, level=level))
        for level in LEVELS
    ]
    for lower, higher in pairwise(trees):
        assert set(lower) <= set(higher)
        changed = {path for path, content in lower.items() if higher[path] != content}
        assert changed <= DIFFER_BY_RUNG


@pytest.mark.parametrize("use_case", GAMES)
@pytest.mark.parametrize("level", LEVELS)
def test_every_command_that_a_page_names_is_there(
    render: Render, use_case: str, level: int
) -> None:
    vendor, size = VENDORS[level % len(VENDORS)], TEAM_SIZES[level % len(TEAM_SIZES)]
    project = render(use_case=use_case, level=level, ci=vendor, team_size=size)
    known = tomllib.loads((project / "ops/tasks.toml").read_text())["tool"]["poe"]["tasks"]
    for page in project.rglob("*.md"):
        here = re.sub(r"\bat rung \d `poe [a-z-]+`", "", page.read_text())  # and says so
        named = set(re.findall(r"(?:uv run |`)poe ([a-z][a-z-]*)", here))

        assert named <= set(known), f"{page.relative_to(project)}: {named - set(known)}"


@pytest.mark.parametrize("game", ["velocity", "governance"])
def test_documents_of_a_project_of_another_name_say_nothing_of_the_example(
    render: Render, game: str
) -> None:
    folder = render(level=2, use_case=game, project_name="Bike rentals")

    for page in ("model_card", "datasheet"):
        text = (folder / f"docs/{page}.md").read_text("utf-8")
        assert "Bike rentals" in text
        assert "Not written yet" in text
        assert not re.search("flight|credit", text, re.IGNORECASE)


# The user's own, planted with the data and the model of the example.
OF_THE_EXAMPLE = ("src/", "data/sample/", "queries/", "docs/use_case.md", "params.toml")


@pytest.mark.parametrize("game", GAMES)
def test_a_document_of_the_example_says_so_at_its_head(render: Render, game: str) -> None:
    folder = render(level=4, use_case=game, project_name="Bike rentals")
    pages = {
        path: text.decode()
        for path, text in files_of(folder).items()
        if path.endswith((".md", ".yaml", ".toml")) and not path.startswith(OF_THE_EXAMPLE)
    }

    for path, text in pages.items():
        if re.search("flight|credit|applicant", text, re.IGNORECASE):
            head = " ".join(text.splitlines()[:20])
            assert "for the credit example" in head, path


@pytest.mark.parametrize("game", GAMES)
def test_dvc_asks_for_no_parameter_that_poe_check_does_not_ask_for(
    render: Render, game: str
) -> None:
    project = render(level=2, use_case=game)
    request = {
        name
        for file in project.rglob("dvc.yaml")
        for stage in yaml.safe_load(file.read_text())["stages"].values()
        for entry in stage.get("params", [])
        for name in entry["params.toml"] or []
    }

    assert request == {"seed", "split", "model", "score"}


@pytest.mark.parametrize(
    ("files", "schedule", "answers"),
    [
        # Where schedules are made on a page, the comment of a job names one.
        *(
            (f"{Path(CI[ci].jobs['train']).parent}/*.yml", r'(?:cron: "|^# `)(\d+) ', {"ci": ci})
            for ci in VENDORS
        ),
        ("dags/rung_pipeline.py", r'"(\d+) [*\d]+ \* \* [*\d]"', {"orchestrator": "airflow"}),
        (
            "deploy/kubernetes/overlays/scheduled/schedule.yaml",
            r'"(\d+) [*\d]+ \* \* [*\d]"',
            {"compute": "kubernetes"},
        ),
    ],
    ids=lambda value: "-".join(value.values()) if isinstance(value, dict) else "",
)
def test_scheduled_jobs_of_two_projects_begin_at_different_times(
    render: Render, files: str, schedule: str, answers: dict[str, str]
) -> None:
    def times(package: str) -> tuple[set[str], set[str], set[str]]:
        project = render(level=4, use_case="governance", package=package, **answers)
        texts = [file.read_text() for file in project.glob(files)]
        updates = [project / name for name in (".github/dependabot.yml", "renovate.json")]
        named = [
            re.findall(r"\b(?:day: |on )(\w+day)\b", f.read_text()) for f in updates if f.exists()
        ]
        return (
            {minute for text in texts for minute in re.findall(schedule, text, re.MULTILINE)},
            {day for text in texts for day in re.findall(r"\d \d \* \* (\d)\b", text)},
            set(chain(*named)),
        )

    one, other = times("late_flights"), times("early_trains")

    assert [len(found) for found in one] == [1, "kubernetes" not in files, 1]
    assert one[0] != other[0] and one[2] != other[2]
    assert one[1] != other[1] or not one[1]
    for day in one[1]:
        assert {calendar.day_name[int(day) - 1].lower()} == one[2]


@pytest.mark.parametrize(
    ("answers", "hour"),
    [
        ({}, "6"),
        ({"use_case": "governance"}, "*"),  # as its monitoring plan says
        ({"monitor_every": "hour"}, "*"),
        ({"use_case": "governance", "monitor_every": "day"}, "6"),
    ],
)
def test_how_often_the_monitor_runs_is_a_setting(
    render: Render, answers: dict[str, str], hour: str
) -> None:
    project = render(level=3, **answers)
    schedule = re.search(r'cron: "\d+ (\S+) ', (project / CI["github"].jobs["monitor"]).read_text())

    assert schedule is not None and schedule[1] == hour
    recorded = yaml.safe_load((project / ".copier-answers.yml").read_text())
    assert recorded.get("monitor_every") == answers.get("monitor_every")


@pytest.mark.parametrize("level", [0, 1, 2])
def test_the_documents_of_governance_come_on_any_rung_without_its_machinery(
    render: Render, level: int
) -> None:
    without = files_of(render(use_case="governance", level=level))
    early = files_of(render(use_case="governance", level=level, documents="now"))
    whole = files_of(render(use_case="governance", level=3))
    documents = set(early) - set(without)

    assert {"governance/oversight.md", "governance/technical_file/annex_iv.md"} <= documents
    assert {path for path in documents if not path.startswith(("docs/", "governance/"))} == set()
    assert {path: early[path] for path in documents} == {path: whole[path] for path in documents}
    assert set(files_of(render(level=level, documents="now"))) == set(files_of(render(level=level)))


def test_the_runbook_has_a_heading_for_every_alert(render: Render) -> None:
    project = render(use_case="velocity", level=4)
    rules = yaml.safe_load((project / "ops/prometheus/alerts.yml").read_text())
    headings = re.findall(r"^#+ (.+)$", (project / "docs/runbook.md").read_text(), re.MULTILINE)
    anchors = {
        re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }

    links = {rule["annotations"]["runbook"] for group in rules["groups"] for rule in group["rules"]}

    assert len(links) > 15
    assert {link for link in links if link.partition("#")[2] not in anchors} == set()


@pytest.mark.parametrize("ci", [ci for ci in VENDORS if "renovate.json" in str(CI[ci].owns)])
def test_renovate_does_not_update_the_template_by_plain_copier(render: Render, ci: str) -> None:
    rules = json.loads((render(level=1, ci=ci) / "renovate.json").read_text())["packageRules"]

    (copier,) = (rule for rule in rules if rule["matchManagers"] == ["copier"])
    assert copier["enabled"] is False


def test_format_lays_the_code_out_also_where_lint_finds_a_long_line(
    render: Render, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    shutil.copytree(render(use_case="velocity", level=0, team_size="one"), project)
    long = f"LONG = '{'x' * 200}'\n"  # which nothing can break
    (project / "pipeline/own.py").write_text(f"import os\n{long}def  one( ):\n    return   1\n")
    tasks = tomllib.loads((project / "ops/tasks.toml").read_text())["tool"]["poe"]["tasks"]

    def run(command: str) -> subprocess.CompletedProcess[str]:
        tool, *text = command.split()
        here = Path(sys.executable).with_name(tool)
        return subprocess.run(
            [here, *text], cwd=project, capture_output=True, text=True, check=False
        )

    for step in tasks["format"]["sequence"]:
        assert 0 == run(step["cmd"]).returncode  # the next one would not run
    assert "def one():\n    return 1\n" in (project / "pipeline/own.py").read_text()
    assert "E501" in run(tasks["lint"]["cmd"]).stdout


@pytest.mark.parametrize(
    ("file", "answers"),
    [
        ("ops/tasks.toml", {"use_case": "velocity", "level": 0}),
        ("ops/tasks.toml", {"use_case": "governance", "level": 1}),
        ("models/household_credits/poe_tasks.toml", {"use_case": "governance", "level": 4}),
    ],
)
def test_the_checks_run_to_their_end_and_name_all_that_fail(
    render: Render, tmp_path: Path, file: str, answers: dict[str, Any]
) -> None:
    tables = tomllib.loads((render(team_size="teams", **answers) / file).read_text())
    check = tables.get("tool", {}).get("poe", tables)["tasks"]["check"]
    parts = [part["ref"].partition(" ")[0] if "ref" in part else part for part in check["sequence"]]
    program = f"{Path(sys.executable).as_posix()} -c"
    own = {name: {"cmd": f'{program} "print({name!r})"'} for name in parts}
    own["lint"] = own["test"] = {"cmd": f'{program} "raise SystemExit(1)"'}
    settings = {"executor": "simple", "tasks": {**own, "check": check}}
    (tmp_path / "poe_tasks.json").write_text(json.dumps(settings))

    poe = [sys.executable, "-m", "poethepoet", "-C", str(tmp_path), "check"]
    done = subprocess.run(poe, capture_output=True, text=True, check=False)

    assert 1 == done.returncode
    assert "Subtasks 'lint', 'test' returned non-zero" in done.stderr
    assert {*parts} - {"lint", "test"} <= {*done.stdout.split()}


def test_what_dvc_and_mlflow_keep_is_ignored_before_and_after_their_rungs(render: Render) -> None:
    """On the way back to rung 0 the cache stays where it is, with all rows.

    The journal is beside MLflow's store while a run is recorded, and after Ctrl-C.
    """
    project = render(level=0)
    subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)
    kept = [".dvc/cache/files/md5/00/1", ".dvc/config.local", ".dvc/tmp/lock", "mlflow.db-journal"]

    ignored = subprocess.run(
        ["git", "check-ignore", *kept], cwd=project, text=True, capture_output=True, check=True
    )

    assert ignored.stdout.splitlines() == kept
