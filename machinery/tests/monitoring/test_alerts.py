"""Alert rules and dashboard come from the contract, and name figures that there are."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
import yaml

from machinery.tests.monitoring.made import DAY, NOW, SETTINGS, log, released, rows
from rung_ops import contract
from rung_ops.monitoring import alerts, check, exposition
from rung_ops.monitoring.feature_labels import Subject
from rung_ops.monitoring.limits import Limits
from rung_ops.monitoring.monitor_rules import monitor_rules
from rung_ops.monitoring.outcomes import TRUTH, Outcomes
from rung_ops.monitoring.panels import COLUMNS
from rung_ops.monitoring.rule_tests import rule_tests
from rung_ops.monitoring.rules import Rule, group
from rung_ops.monitoring.service_rules import service_rules
from rung_ops.monitoring.window import Newest
from rung_ops.serving.metrics import Metrics
from rung_ops.serving.slo import Promise

HOSTILE = Subject('a "quoted" {{ name }} \\ é', "in {{ braces }}")
# Words of PromQL in the rules and panels that are no figure.
WORDS = {"bool", "by", "group_left", "histogram_quantile", "ignoring", "increase", "max", "on"}
WORDS |= {"or", "rate", "sum", "time", "unless", "vector", "count", "without", "and", "up"}


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of this project, written into a folder of their own."""
    monkeypatch.setattr(alerts, "FOLDER", tmp_path)
    assert alerts.main([]) == 0
    return tmp_path


def test_the_files_of_this_project_are_up_to_date() -> None:
    if not any((alerts.FOLDER / name).is_file() for name in (alerts.RULES, alerts.DASHBOARD)):
        pytest.skip("there are no alert rules yet: `uv run poe alerts` writes them")

    assert alerts.out_of_date() == []


def test_each_feature_of_the_contract_has_an_alert_and_a_panel(written: Path) -> None:
    names = [feature.meta.output_name() for feature in contract.FEATURES]

    groups = yaml.safe_load((written / alerts.RULES).read_text(encoding="utf-8"))["groups"]
    board = json.loads((written / alerts.DASHBOARD).read_text(encoding="utf-8"))

    of_features = [
        rule["labels"]["feature"]
        for each in groups
        for rule in each["rules"]
        if rule["alert"] == "FeatureDrifted"
    ]
    assert of_features == names
    assert {*names, "prediction"} <= {panel["title"] for panel in board["panels"]}


def test_what_changed_is_told_and_written_anew(
    written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert alerts.main(["--check"]) == 0
    (written / alerts.RULES).write_text("groups: []\n", encoding="utf-8")

    assert alerts.main(["--check"]) == 1
    assert "alerts.yml is out of date: `uv run poe alerts`" in capsys.readouterr().out
    assert alerts.main([]) == 0
    assert alerts.main(["--check"]) == 0


def test_a_promise_that_means_nothing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "service.toml"
    bad.write_text("[slo]\np99_ms = -1\n", encoding="utf-8")
    monkeypatch.setattr(alerts.slo.promise, "__defaults__", (bad,))

    assert alerts.main([]) == 2
    assert "p99_ms" in capsys.readouterr().err


def test_rules_and_panels_name_figures_that_service_and_monitor_give(
    written: Path, tmp_path: Path
) -> None:
    names = figures(tmp_path / "release")
    groups = yaml.safe_load((written / alerts.RULES).read_text(encoding="utf-8"))["groups"]
    board = json.loads((written / alerts.DASHBOARD).read_text(encoding="utf-8"))
    asked = [rule["expr"] for each in groups for rule in each["rules"]]
    asked += [each["expr"] for panel in board["panels"] for each in panel.get("targets", [])]

    unknown = {name for expr in asked for name in named(expr) if name not in names}

    assert len(asked) > 40
    assert unknown == set()


def figures(folder: Path) -> set[str]:
    """The names of all series that the service gives, with those of the monitor passed on."""
    well = rows(400, seed=2)
    truth = pl.Series(TRUTH, [1.0, 0.0] * 200)
    ids = pl.Series("id", range(400), dtype=pl.Int64).cast(pl.String)
    known = Outcomes(pl.DataFrame([ids, truth]), pl.DataFrame(schema={TRUTH: pl.Float64}))
    beyond = log(well.with_columns(size=pl.lit(200.0)))
    seen = check.look(
        released(folder),
        beyond,
        beyond,
        known,
        Newest(NOW, NOW),
        NOW - DAY,
        NOW,
        Limits(),
        SETTINGS,
    )
    passed_on = folder / "monitor.prom"
    passed_on.write_bytes(exposition.text(seen))
    metrics = Metrics(passed_on)
    metrics.standing({"serving": "v1"}, True, False)
    metrics.observe_batch("serving", [0.001], 1, [["size"]])
    written = SimpleNamespace(written=1, dropped=0, failures=0, restarts=0, waiting=0)
    metrics.follow(log=written)
    text = metrics.exposition().decode()
    return set(re.findall(r"^(\w+)[ {]", text, re.MULTILINE))


def named(expr: str) -> Iterator[str]:
    """The names of series in a query."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", expr)  # texts
    bare = re.sub(r"\{[^}]*\}|\[\w+\]", "", bare)  # matchers and spans
    bare = re.sub(r"\b(?:by|on|without|group_left|ignoring) \([^)]*\)", "", bare)  # labels
    yield from (word for word in re.findall(r"[a-z_]{2,}", bare) if word not in WORDS)


def test_the_age_of_rows_is_asked_for_only_where_they_have_one() -> None:
    with_time, without = ({rule.name for rule in monitor_rules([], time)} for time in (True, False))

    assert with_time - without == {"RowsStale"}


def test_every_rule_says_what_to_do_and_where_to_read_on() -> None:
    for rule in [*service_rules(Promise()), *monitor_rules([HOSTILE], True)]:
        found = rule.written()

        assert found["labels"]["severity"] in ("critical", "warning")
        assert found["annotations"]["runbook"] == f"docs/runbook.md#{rule.name.lower()}"
        assert len(found["annotations"]["description"]) > 60


def test_panels_lie_beside_each_other(written: Path) -> None:
    panels = json.loads((written / alerts.DASHBOARD).read_text(encoding="utf-8"))["panels"]

    taken = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < COLUMNS
    assert len({panel["id"] for panel in panels}) == len(panels)


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is not on this machine; it comes with Prometheus")
    return subprocess.run([tool, *arguments], capture_output=True, text=True, check=False)


def test_each_alert_fires_where_it_should_and_only_there(written: Path) -> None:
    assert promtool("check", "rules", written / alerts.RULES).returncode == 0
    tested = promtool("test", "rules", written / alerts.TESTS)

    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize(
    "promise", [Promise(), Promise(p99_ms=1.5, max_failed=0.2, max_refused=0.5)]
)
def test_rules_hold_for_other_promises_and_for_any_name(tmp_path: Path, promise: Promise) -> None:
    every = [*service_rules(promise), *monitor_rules([HOSTILE], False)]
    write(tmp_path, every, every)

    tested = promtool("test", "rules", tmp_path / alerts.TESTS)

    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_a_rule_that_never_fires_fails_its_test(tmp_path: Path) -> None:
    every = service_rules(Promise())
    mute = [Rule(**{**vars(rule), "expr": f"({rule.expr}) and vector(0) == 1"}) for rule in every]
    write(tmp_path, mute, every)

    tested = promtool("test", "rules", tmp_path / alerts.TESTS)

    assert tested.returncode == 1
    for rule in every:
        assert rule.name in tested.stdout + tested.stderr


def write(folder: Path, loaded: list[Rule], expected: list[Rule]) -> None:
    """Write some rules, and the tests of others."""
    documents = {
        alerts.RULES: {"groups": [group("all", loaded)]},
        alerts.TESTS: rule_tests(alerts.RULES, expected),
    }
    for name, document in documents.items():
        (folder / name).write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
