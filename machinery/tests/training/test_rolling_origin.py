"""The window of training rows is chosen on rows that do not judge the version."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from machinery.tests.projects import moved
from rung_ops import contract
from rung_ops.data import blocks
from rung_ops.errors import StageError
from rung_ops.project.parameters import SplitSettings
from rung_ops.training import estimator, rolling_origin, window
from rung_ops.training.rolling_origin import WINDOWS, choose

DAYS, ROWS = 400, 4_000
JUDGED = 300


@pytest.fixture(autouse=True)
def rows_of_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of a column x, a target and a TIME; no forecast."""
    for name, value in {"TIME": "time", "HORIZON": None, "ORIGIN": None}.items():
        monkeypatch.setattr(contract, name, value, raising=False)
    monkeypatch.setattr(estimator, "truth", lambda rows: rows["y"].to_numpy())


def stream(seed: int, turned: float) -> pl.DataFrame:
    """Draw rows whose slope turns from 1 to -1 so many days before their end."""
    draws = np.random.default_rng(seed)
    days = np.sort(draws.uniform(0, DAYS, ROWS))
    x = draws.normal(size=ROWS)
    slope = np.where(days < DAYS - turned, 1.0, -1.0)
    time = [datetime(2025, 1, 1) + timedelta(days=day) for day in days.tolist()]
    return pl.DataFrame({"time": time, "x": x, "y": slope * x + draws.normal(size=ROWS)})


def line(learn: pl.DataFrame, weights: np.ndarray | None, judge: pl.DataFrame) -> np.ndarray:
    """Fit a line, and predict by it."""
    root = np.sqrt(np.ones(learn.height) if weights is None else weights)
    terms = np.column_stack([learn["x"].to_numpy(), np.ones(learn.height)])
    found = np.linalg.lstsq(terms * root[:, None], learn["y"].to_numpy() * root, rcond=None)[0]
    return np.asarray(judge["x"].to_numpy() * found[0] + found[1])


def error(truth: np.ndarray, predicted: np.ndarray) -> float:
    return -float(np.abs(truth - predicted).mean())


def test_after_a_change_only_newer_rows_are_learned_from() -> None:
    choice = choose(stream(1, turned=60), JUDGED, line, error)

    assert choice.window.months in (1, 2)
    assert not choice.window.half_life
    assert choice.judged == JUDGED


def test_without_a_change_all_rows_are_learned_from() -> None:
    """With 5 % for each of six windows; not more than one in five of these fifty, by far."""
    chosen = [choose(stream(seed, turned=0), JUDGED, line, error).window for seed in range(50)]

    assert sum(window != WINDOWS[0] for window in chosen) <= 10


def test_no_row_that_is_judged_is_learned_from() -> None:
    rows, seen = stream(2, turned=60), []

    def record(learn: pl.DataFrame, weights: np.ndarray | None, judge: pl.DataFrame) -> np.ndarray:
        seen.append((learn["time"].max(), judge["time"].min()))
        return line(learn, weights, judge)

    choose(rows, JUDGED, record, error)

    assert seen
    assert all(learned < judged for learned, judged in seen)


def test_too_few_rows_keep_the_widest_window() -> None:
    choice = choose(stream(3, turned=60).tail(150), JUDGED, line, error)

    assert (choice.window, choice.candidates) == (WINDOWS[0], ())


def test_a_window_that_no_model_can_learn_from_is_left_out() -> None:
    def unweighted(
        learn: pl.DataFrame, weights: np.ndarray | None, judge: pl.DataFrame
    ) -> np.ndarray:
        if weights is not None:
            raise StageError("Ridge takes no `sample_weight`")
        return line(learn, weights, judge)

    choice = choose(stream(4, turned=60), JUDGED, unweighted, error)

    assert choice.candidates
    assert not any(each.window.half_life for each in choice.candidates)


def test_a_figure_that_is_undefined_is_no_evidence() -> None:
    choice = choose(stream(5, turned=60), JUDGED, line, lambda truth, predicted: float("nan"))

    assert choice.window == WINDOWS[0]


def test_rows_without_a_time_have_one_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stream(1, turned=0).write_parquet(tmp_path / "rows.parquet")
    moved(monkeypatch, rows=tmp_path / "rows.parquet", test=tmp_path / "rows.parquet")
    monkeypatch.setattr(contract, "TIME", None)

    assert rolling_origin.main([]) == 0
    assert "there is one window: all rows" in capsys.readouterr().out


@pytest.mark.parametrize("size", [blocks.BYTES, 10_000])
def test_rows_before_begins_are_left_out_and_those_outside_the_window_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], size: int
) -> None:
    monkeypatch.setattr(blocks, "BYTES", size)
    rows = stream(1, turned=0)
    parts = {"rows": rows, "train": rows[3_000:3_400], "test": rows[3_400:]}
    for name, part in parts.items():
        part.write_parquet(tmp_path / f"{name}.parquet")
    moved(monkeypatch, **{name: tmp_path / f"{name}.parquet" for name in parts})
    split = SplitSettings(begins="2025-02-01", window="1 month")
    monkeypatch.setattr(window, "settings", lambda: split)
    compared: list[pl.DataFrame] = []
    monkeypatch.setattr(rolling_origin, "of_project", lambda rows, judged: compared.append(rows))

    rolling_origin.before_test()

    after = rows.filter(pl.col("time") >= datetime(2025, 2, 1))
    known = after.filter(pl.col("time") < parts["test"]["time"][0])
    if size == 10_000:  # above a block, a sample of one
        most = blocks.block_rows(rows.lazy())
        assert compared[0].height == most < known.height
        assert compared[0].join(known, on=known.columns, how="anti").is_empty()
        assert f"a sample of {most:,} of {known.height:,} rows" in capsys.readouterr().out
    else:
        assert compared[0].equals(known)


def test_the_table_says_what_was_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    score = {"score": {"metric": "mae", "higher_is_better": False}}
    monkeypatch.setattr(rolling_origin, "params", lambda: score)

    table = rolling_origin.lines(choose(stream(1, turned=60), JUDGED, line, error))

    assert table[0].startswith("mae on the newest 300 rows before the test, from 2026-01-")
    assert any(text.startswith("half-life 3 months") for text in table)
    assert table[-1].endswith("better than the widest with 95 % probability.")
