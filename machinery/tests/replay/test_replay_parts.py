"""A replay goes through all rows once, and leaves everything outside its copy alone."""

import os
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from machinery.tests.conftest import Patch
from rung_ops import contract
from rung_ops.errors import OpsError
from rung_ops.gate import rules
from rung_ops.project import active_addons
from rung_ops.replay import periods, project_copy, simulation
from rung_ops.replay.periods import MONTH, TENTH, WHEN

ROWS = 240


@pytest.fixture
def timed(monkeypatch: Patch) -> pl.DataFrame:
    """Rows of six months, out of order."""
    monkeypatch.setattr(contract, "TIME", "at")
    months = [datetime(2025, 10 + n, 1) if n < 3 else datetime(2026, n - 2, 1) for n in range(6)]
    at = [month.replace(day=1 + day % 28) for month in months for day in range(ROWS // 6)]
    return pl.DataFrame({"at": at, "x": range(ROWS)}).sample(fraction=1.0, shuffle=True, seed=1)


def test_the_impact_metric_is_read_from_the_use_case(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(simulation, "current", lambda: SimpleNamespace(root=tmp_path))
    assert simulation.impact_metric() == ""

    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/use_case.md").write_text("# Use\n\n## Impact metric\nMissed\nconnections\n")
    assert simulation.impact_metric() == "Missed connections"


@pytest.mark.parametrize("kind", [pl.Datetime("us"), pl.Date])
def test_rows_with_a_time_are_cut_into_months(timed: pl.DataFrame, kind: pl.DataType) -> None:
    unit, result = periods.cut(timed.with_columns(pl.col("at").cast(kind)))

    assert unit == MONTH
    assert [each.name for each in result] == [
        *("2025-10", "2025-11", "2025-12", "2026-01", "2026-02", "2026-03")
    ]
    assert (result[2].start, result[2].end) == (
        datetime(2025, 12, 1, tzinfo=UTC),
        datetime(2026, 1, 1, tzinfo=UTC),
    )
    assert sorted(value for each in result for value in each.rows["x"]) == list(range(ROWS))
    for each in result:
        assert each.rows[WHEN].is_sorted()
        assert each.rows[WHEN].is_between(each.start, each.end, closed="left").all()


def test_rows_of_few_months_are_cut_into_tenths_by_time(timed: pl.DataFrame) -> None:
    unit, result = periods.cut(timed.filter(pl.col("at") < datetime(2026, 1, 1)))

    assert unit == TENTH
    assert len(result) == 10
    assert all(a.end > b.start for a, b in zip(result[1:], result, strict=False))
    assert result[0].rows["at"].max() <= result[1].rows["at"].min()  # type: ignore[operator]


def test_rows_without_a_time_are_cut_into_tenths_in_their_order(monkeypatch: Patch) -> None:
    monkeypatch.setattr(contract, "TIME", None)

    unit, result = periods.cut(pl.DataFrame({"x": range(95)}))

    assert unit == TENTH
    assert [value for each in result for value in each.rows["x"]] == list(range(95))
    assert [each.end for each in result[:-1]] == [each.start for each in result[1:]]
    for each in result:
        assert each.rows[WHEN].is_between(each.start, each.end, closed="left").all()


def test_a_handful_of_rows_cannot_be_replayed(monkeypatch: Patch) -> None:
    monkeypatch.setattr(contract, "TIME", None)

    with pytest.raises(OpsError, match="12 rows"):
        periods.cut(pl.DataFrame({"x": range(12)}))


@pytest.mark.parametrize(("min_rows", "begins"), [(10, 2), (60, 3), (90, 5)])
def test_the_first_release_is_made_of_as_many_rows_as_the_gate_asks_for(
    monkeypatch: Patch, timed: pl.DataFrame, min_rows: int, begins: int
) -> None:
    monkeypatch.setattr(rules, "read", lambda: rules.Rules(min_rows=min_rows))
    monkeypatch.setattr(periods, "params", lambda: {"split": {"test_share": 0.5}})

    assert begins == periods.beginning(periods.cut(timed)[1])


def test_a_replay_begins_at_the_given_period(monkeypatch: Patch, timed: pl.DataFrame) -> None:
    monkeypatch.setattr(rules, "read", lambda: rules.Rules(min_rows=60))
    monkeypatch.setattr(periods, "params", lambda: {"split": {"test_share": 0.5}})
    result = periods.cut(timed)[1]

    assert [3, 4, 5] == [periods.beginning(result, each.name) for each in result[3:]]
    for refused in (
        result[2].name,
        "2031-01",
    ):  # too few rows before it, and no month of these rows
        with pytest.raises(OpsError, match=f"got '{refused}'; expected one of {result[3].id}, "):
            periods.beginning(result, refused)


def test_of_many_months_the_newest_are_replayed(monkeypatch: Patch) -> None:
    monkeypatch.setattr(rules, "read", lambda: rules.Rules(min_rows=1))
    monkeypatch.setattr(contract, "TIME", "at")
    days = pl.datetime_range(datetime(2023, 1, 1), datetime(2025, 12, 31), "7d", eager=True)
    rows = pl.DataFrame(
        {"at": days, "when": range(len(days))}
    )  # a column of the name of ours, once
    unit, result = periods.cut(rows)

    assert (unit, len(result), periods.beginning(result)) == (MONTH, 36, 12)
    assert [value for each in result for value in each.rows["when"]] == list(range(len(days)))
    assert periods.beginning(result, "2023-06") == 5


def test_a_first_release_that_leaves_no_period_is_refused(
    monkeypatch: Patch, timed: pl.DataFrame
) -> None:
    monkeypatch.setattr(rules, "read", lambda: rules.Rules(min_rows=ROWS))

    with pytest.raises(OpsError, match="the gate needs 240 test rows"):
        periods.beginning(periods.cut(timed)[1])


def test_values_are_changed_where_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "some.toml"
    path.write_text('# why\n[one] # a table\na = 1 # kept\nb = [1, 2]\n\n[two]\na = "x"\n')

    project_copy.override(
        path, {"two": {"a": 'y"', "new": True}, "one": {"b": [3]}, "three": {"c": 0.5}}
    )

    assert tomllib.loads(path.read_text()) == {
        "one": {"a": 1, "b": [3]},
        "two": {"a": 'y"', "new": True},
        "three": {"c": 0.5},
    }
    assert "# why\n[one] # a table\na = 1 # kept\n" in path.read_text()


def test_programs_of_the_copy_cannot_reach_outside(monkeypatch: Patch) -> None:
    for name in project_copy.OUTSIDE:
        monkeypatch.setenv(name, "elsewhere")
    monkeypatch.setenv("PYTHONPATH", "elsewhere")

    made = project_copy.environment()

    assert not project_copy.OUTSIDE & made.keys()
    assert made["PYTHONPATH"].split(os.pathsep) == [
        str(project_copy.copy_folder() / "src"),
        "elsewhere",
    ]


def test_where_python_may_write_no_bytecode_the_copy_keeps_its_own(monkeypatch: Patch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")

    made = project_copy.environment()

    assert "PYTHONDONTWRITEBYTECODE" not in made
    assert made["PYTHONPYCACHEPREFIX"] == str(project_copy.copy_folder() / "bytecode")


def test_the_copy_of_an_ejected_project_runs_its_own_library(
    monkeypatch: Patch, tmp_path: Path
) -> None:
    for package in ("machinery/rung_ops", "machinery/governance/rung_governance"):
        (tmp_path / package).mkdir(parents=True)
        (tmp_path / package / "__init__.py").touch()
    monkeypatch.setattr(project_copy, "copy_folder", lambda: tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)

    result = project_copy.environment()["PYTHONPATH"].split(os.pathsep)

    folders = ("src", "machinery/governance", "machinery")
    assert result == [str(tmp_path / name) for name in folders]


def test_a_copy_makes_keys_of_its_own() -> None:
    """`keys` leaves public keys alone that are there, and their private halves are not copied."""
    keys = [key for addon in active_addons.active().values() for key in addon.keys]

    assert [name for name in ("release.pub", *keys) if project_copy._is_copied(name)] == []
