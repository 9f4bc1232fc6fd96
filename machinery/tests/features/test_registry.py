"""The registry says of each feature what the code declares, and what report and monitor found."""

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from machinery.tests.conftest import Capture, Patch
from machinery.tests.projects import moved
from rung_ops import contract
from rung_ops.features import EntityFeature, raw_rows, registry
from rung_ops.project import paths
from rung_ops.project.paths import project_name

OWN = project_name()


def declared(**changed: Any) -> EntityFeature:
    settings: dict[str, Any] = {
        **{"name": "late_7d", "entity": ["shop"], "source": raw_rows, "time": "at"},
        **{"aggregate": pl.col("late").mean(), "window": timedelta(days=7)},
        **{"cadence": timedelta(hours=6), "max_age": timedelta(days=2), "default": 0.2},
        **{"unit": "share", "owner": "ops", "description": "Late sales"},
    }
    return EntityFeature(**(settings | changed))


def declare(monkeypatch: Patch, features: Sequence[pl.Expr], *entity: EntityFeature) -> None:
    """Let the project's features.py declare these."""
    monkeypatch.setattr(contract.features, "FEATURES", list(features))
    monkeypatch.setattr(contract.features, "ENTITY_FEATURES", list(entity), raising=False)


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: Patch) -> Path:
    """A home of the model without reports, for the files that the registry reads and writes."""
    package = paths.package_name()
    monkeypatch.setattr(paths, "package_name", lambda: package)
    monkeypatch.setattr(paths, "model_folders", lambda: {".": tmp_path})
    moved(monkeypatch, registry, paths, repository=tmp_path)
    monkeypatch.setattr(registry, "project_name", lambda home: OWN)
    monkeypatch.setattr(registry, "page_file", lambda: tmp_path / "reports/features.html")
    return tmp_path / "reports"


def test_an_entity_feature_has_what_it_declares(reports: Path, monkeypatch: Patch) -> None:
    features = [pl.col("late_7d"), pl.col("late_7d").log().alias("loud")]
    declare(monkeypatch, features, declared(), declared(name="unread"))

    by_name = {entry["feature"]: entry for entry in registry.features()}

    plain = by_name["late_7d"]
    expected = {
        **{"entity": "shop", "source": "raw_rows", "window": "7 d", "cadence": "6 h"},
        **{"max_age": "2 d", "default": 0.2, "unit": "share", "owner": "ops"},
        **{"description": "Late sales", "models": [OWN], "importance": {}, "drift": {}},
    }
    assert {name: plain[name] for name in expected} == expected
    # What is computed from it has its source and window, and another unit.
    derived = by_name["loud"]
    assert (derived["reads"], derived["window"], derived["unit"]) == (["late_7d"], "7 d", None)
    assert by_name["unread"]["definition"].startswith("not read by FEATURES")


def test_a_feature_of_the_row_has_what_its_column_says(reports: Path, monkeypatch: Patch) -> None:
    columns = contract.Row.to_schema().columns
    name = next(n for n, column in columns.items() if (column.metadata or {}).get("unit"))
    declare(monkeypatch, [pl.col(name)])

    (entry,) = registry.features()

    assert entry["unit"] == columns[name].metadata["unit"]
    assert entry["description"] == columns[name].description
    assert (entry["reads"], entry["source"], entry["window"]) == ([name], None, None)


def test_importance_and_drift_are_those_of_the_last_report_and_monitor(
    reports: Path, monkeypatch: Patch
) -> None:
    declare(monkeypatch, [pl.col("amount"), pl.col("late_7d")], declared())
    (reports / "plots").mkdir(parents=True)
    (reports / "plots/importances.csv").write_text(
        "feature,importance,deviation\namount,0.25,0.1\n"
    )
    (reports / "monitor").mkdir()
    pl.DataFrame({"feature": ["amount", "late_7d"], "drifted": [True, None]}).write_parquet(
        reports / "monitor/drift.parquet"
    )

    by_name = {entry["feature"]: entry for entry in registry.features()}

    assert by_name["amount"]["importance"] == {OWN: 0.25}
    assert by_name["amount"]["drift"] == {OWN: "drifted"}
    assert by_name["late_7d"]["drift"] == {OWN: "not judged"}


def test_importances_stand_below_each_other_with_their_intervals(
    reports: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    declare(monkeypatch, [pl.col("amount"), pl.col("late_7d")], declared())
    (reports / "plots").mkdir(parents=True)
    (reports / "plots/importances.csv").write_text(
        "feature,importance,low,high\namount,0.25,0.125,0.375\nlate_7d,2.5754e-9,,\n"
    )

    assert registry.main([]) == 0

    head, *lines = capsys.readouterr().out.splitlines()[:3]
    amount, late = sorted(lines)
    end = head.index("importance") + len("importance")
    assert (amount[:end].split()[-1], late[:end].split()[-1]) == ("0.2500", "2.575e-9")
    assert amount[: head.index("interval") + len("interval")].endswith("0.1250 to 0.3750")
    page = (reports / "features.html").read_text()
    assert '<td class="number">2.575e-9</td><td class="number"></td>' in page
    listed = {entry["feature"]: entry for entry in registry.features()}
    assert listed["amount"]["interval"] == {OWN: (0.125, 0.375)}
    assert listed["late_7d"]["interval"] == {}


def test_models_share_an_entry_only_where_they_define_it_alike(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    homes = {".": tmp_path, "models/b": tmp_path / "b", "models/c": tmp_path / "c"}
    windows = dict(zip(homes.values(), (7, 7, 14), strict=True))
    monkeypatch.setattr(paths, "model_folders", lambda: homes)
    monkeypatch.setattr(registry, "project_name", lambda home: home.name)

    dataset = contract.dataset

    def modules(home: Path, *names: str) -> tuple[Any, Any]:
        class Features:
            FEATURES = [pl.col("late_7d")]
            ENTITY_FEATURES = [declared(window=timedelta(days=windows[home]))]

        return dataset, Features

    monkeypatch.setattr(paths, "modules_of", modules)

    shared, other = registry.features()

    assert (shared["models"], shared["window"]) == ([tmp_path.name, "b"], "7 d")
    assert (other["models"], other["window"]) == (["c"], "14 d")


def test_it_prints_a_table_and_writes_a_page(
    reports: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    declare(monkeypatch, [pl.col("late_7d")], declared(description="<b>late</b>"))

    assert registry.main([]) == 0

    head, row = capsys.readouterr().out.splitlines()[:2]
    assert head.split()[:5] == ["feature", "entity", "reads", "source", "window"]
    assert row.split()[:4] == ["late_7d", "shop", "late_7d", "raw_rows"]
    assert "drift" not in head  # of which nothing is known
    page = (reports / "features.html").read_text()
    assert "&lt;b&gt;late&lt;/b&gt;" in page


def test_programs_get_json_and_no_page(reports: Path, monkeypatch: Patch, capsys: Capture) -> None:
    declare(monkeypatch, [pl.col("late_7d")], declared())

    assert registry.main(["--json"]) == 0

    (entry,) = json.loads(capsys.readouterr().out)
    assert (entry["feature"], entry["default"], entry["models"]) == ("late_7d", 0.2, [OWN])
    assert not reports.exists()
