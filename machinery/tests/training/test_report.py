"""The report has each figure with its interval and its baseline, and what the project's hooks add."""

import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from machinery.tests.conftest import Trained
from machinery.tests.projects import moved
from rung_ops import contract
from rung_ops.data import blocks
from rung_ops.errors import StageError
from rung_ops.project import current, hooks
from rung_ops.project.paths import params
from rung_ops.stages import predict_rows, score
from rung_ops.system import git
from rung_ops.training import baseline, estimator, evaluate, evaluation_page


@pytest.fixture
def report(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Path]:
    """Write a report with hooks, below a folder."""

    def write(**named: Callable[..., Any]) -> Path:
        names = ("metrics", "plots", "predictions", "report", "train")
        moved(monkeypatch, **{name: tmp_path / name for name in names})
        trained.train.write_parquet(tmp_path / "train")
        for module in (evaluate, evaluation_page):
            monkeypatch.setattr(module, "shown", lambda path: os.path.relpath(path, tmp_path))
        monkeypatch.setattr(hooks, "load", lambda name: named.get(name))
        predicted = estimator.predict(trained.estimator, trained.test)
        scores = contract.score(estimator.truth(trained.test), predicted)
        evaluate.write_report(trained.estimator, trained.test, predicted, scores)
        return tmp_path

    return write


def test_the_report_has_figures_with_intervals_and_baseline_columns_and_pipeline(
    report: Callable[..., Path], trained: Trained
) -> None:
    predicted = estimator.predict(trained.estimator, trained.test)
    scores = contract.score(estimator.truth(trained.test), predicted)
    simple = baseline.best(trained.train, trained.test)
    by_baseline = contract.score(estimator.truth(trained.test), simple.predictions)

    page = (report() / "report").read_text()

    for name, value in scores.items():
        words = "_<wbr>".join(name.split("_"))
        cells = re.findall(rf"<td>{words}</td><td>(.*?)</td><td>(.*?)</td><td>(.*?)</td>", page)
        low, high = map(float, cells[0][1].split(" to "))
        assert low < value < high
        assert float(cells[0][2]) == pytest.approx(by_baseline[name], abs=1e-3)
    for name, column in contract.Row.to_schema().columns.items():
        described = re.search(rf"<tr><td>{name}</td>.*?</tr>", page)
        assert described and ("may be missing" in described[0]) == column.nullable
    stages = re.findall(r"<g><title>(\w+): .*?</title>", page)
    assert {"ingest", "train", "evaluate", "track"} <= set(stages)


def test_a_perfect_figure_has_no_interval_and_the_report_says_what_it_may_hide(
    report: Callable[..., Path], trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    metric, scored = params()["score"]["metric"], contract.score

    def score(actual: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
        return scored(actual, predicted) | {metric: 1.0}

    monkeypatch.setattr(contract.model, "score", score)

    page = (report() / "report").read_text()

    row = re.search(
        rf"<td>{'_<wbr>'.join(metric.split('_'))}</td><td>1.0000</td><td>(.*?)</td>", page
    )
    assert row and row[1] == "&ndash;"
    assert f"No interval of {metric}: the same, whichever rows are left out." in page
    assert f"up to {3 / trained.test.height:.1%} of others" in page
    plotted = [pl.read_csv(path) for path in (report() / "plots").glob("by_*.csv")]
    assert plotted and all(table["low"].null_count() == table.height for table in plotted)


def test_the_report_says_what_it_was_made_from(
    report: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report()
    root, rows = tmp_path / "checkout", tmp_path / "checkout/rows"
    root.mkdir()
    moved(monkeypatch, evaluation_page, root=root, rows=rows)

    assert "Commit not known." in (report() / "report").read_text()
    rows.write_text("rows")
    ada = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    for words in (["init"], ["add", "--all"], [*ada, "commit", "--message=Start"]):
        git.output(root, *words)
    commit = f"Commit <code>{git.output(root, 'rev-parse', 'HEAD')}</code>"
    data = f"; hash of the data <code>{hashlib.md5(b'rows').hexdigest()}</code>."
    page = (report() / "report").read_text()
    assert re.search(r">Not versioned yet; evaluated \d{4}-\d\d-\d\d \d\d:\d\d UTC\. ", page)
    assert f"{commit}{data}" in page
    (root / "params.toml").write_text("")
    assert f"{commit}, with uncommitted changes{data}" in (report() / "report").read_text()


@pytest.mark.parametrize("kept", ["evaluation.html", "report"])  # the latter in an earlier dvc.yaml
def test_what_dvc_keeps_names_no_commit_and_no_time(
    kept: str, report: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report()
    git.output(tmp_path, "init")
    (tmp_path / "dvc.yaml").write_text(f"stages: {{judge: {{cmd: c, outs: [{kept}]}}}}")
    moved(monkeypatch, evaluate, evaluation_page, root=tmp_path, reports=tmp_path)

    folder = report()

    assert not re.search(
        r"UTC|Commit (<code>|not known)|made from the page", (folder / kept).read_text()
    )
    if kept != "report":
        assert "Commit not known." in (folder / "report").read_text()
        assert evaluation_page.is_current()
        (folder / kept).write_text("restored")
        assert not evaluation_page.is_current()


def test_figures_and_plots_of_hooks_are_in_the_report(report: Callable[..., Path]) -> None:
    def one(model: Any, rows: pl.DataFrame, predicted: np.ndarray) -> list[evaluate.Plot]:
        table = pl.DataFrame({"x": [0, 1], "y": [1, 2]})
        return [evaluate.Plot("ours", "What it costs", table, lambda axes, t: axes.plot(t["x"]))]

    folder = report(
        report_metrics=lambda rows, predicted: {"euros saved": predicted.size}, report_plots=one
    )

    page = (folder / "report").read_text()
    assert json.loads((folder / "metrics").read_text())["euros saved"] > 0
    assert "euros saved" in page and 'aria-label="What it costs"' in page
    assert (folder / "plots/ours.csv").exists()


@pytest.mark.parametrize(
    ("name", "hook", "message"),
    [
        ("report_metrics", lambda rows, predicted: [1], "expected a dict"),
        ("report_metrics", lambda rows, predicted: {"a": "many"}, "must be a number"),
        ("report_plots", lambda model, rows, predicted: ["a"], "expected rung_ops"),
    ],
)
def test_a_hook_that_returns_something_else_is_refused(
    report: Callable[..., Path], name: str, hook: Callable[..., Any], message: str
) -> None:
    with pytest.raises(StageError, match=message):
        report(**{name: hook})


def test_more_rows_than_a_block_give_the_same_report_and_hooks_a_sample(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, tuple[pl.DataFrame, np.ndarray]] = {}

    def figures(rows: pl.DataFrame, predicted: np.ndarray) -> dict[str, float]:
        seen[current().reports.name] = rows, predicted
        return {"columns": rows.width}

    def of_all(
        model: Any, rows: Any, predicted: Any, all_columns: pl.LazyFrame
    ) -> dict[str, float]:
        assert all_columns.collect_schema().names() == trained.test.columns
        return {}

    monkeypatch.setattr(evaluate, "_interval_metrics", of_all)
    named = {"report_metrics": figures}
    monkeypatch.setattr(hooks, "load", lambda name: named.get(name))
    monkeypatch.setattr(evaluate, "shown", lambda path: path.name)
    for folder, size in (("whole", blocks.BYTES), ("parts", 5_000)):
        reports = tmp_path / folder
        reports.mkdir()
        names = ("metrics", "plots", "predictions", "report", "train", "test")
        moved(monkeypatch, reports=reports, **{name: reports / name for name in names})
        trained.train.write_parquet(current().train)
        trained.test.write_parquet(current().test)
        monkeypatch.setattr(blocks, "BYTES", size)
        rows, predicted = predict_rows(trained.estimator, current().test)
        evaluate.write_report(trained.estimator, rows, predicted, score(rows, predicted))

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert json.loads((parts / "metrics").read_text()) == pytest.approx(
        json.loads((whole / "metrics").read_text())
    )
    # The last digit of a sum depends on how many rows are summed at once.
    assert_frame_equal(
        pl.read_parquet(parts / "predictions"), pl.read_parquet(whole / "predictions")
    )
    for table in (whole / "plots").iterdir():
        if table.name != "importances.csv":
            assert_frame_equal(pl.read_csv(parts / "plots" / table.name), pl.read_csv(table))
    some, their_predictions = seen["parts"]
    assert some.columns == trained.test.columns
    assert len(some) == len(their_predictions) < len(trained.test)
    drawn = some.with_columns(predicted=their_predictions)
    assert drawn.join(
        pl.read_parquet(parts / "predictions"), on=drawn.columns, how="anti", nulls_equal=True
    ).is_empty()
    assert (
        f"Feature importance, and what hooks add, is of a sample of {len(some):,} rows"
        in (parts / "report").read_text()
    )
    assert "a sample of" not in (whole / "report").read_text()
