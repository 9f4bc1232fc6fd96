"""A replay drives a trial by the times of its rows, with the project's own rules."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rung_ops import contract, prediction_log
from rung_ops.release import state
from rung_ops.release.rollout import Comparison, read_policy
from rung_ops.replay import project_copy, traffic
from rung_ops.replay.periods import WHEN, Period
from rung_ops.serving.rollout import Rollout

START = datetime(2025, 4, 1, tzinfo=UTC)
DAYS, A_DAY = 30, 24  # rows
RULES = """
false_abort = 0.01
[shadow]
share = 1.0
min_rows = 1000
min_seconds = 60
enough_seconds = 172800
max_failed = 0.01
max_changed = 0.5
changed_by = 2.0
[canary]
steps = [0.25, 1.0]
min_requests = 500
min_seconds = 60
enough_seconds = 259200
max_bad_increase = 0.01
max_latency_ratio = 2.0
max_drift = 0.5
"""


class Answering:
    """Stands for the service: answers all rows alike, and judges when it is asked."""

    def __init__(self, folder: Path) -> None:
        self.rollout = Rollout(folder, read_policy(project_copy.copy_folder() / "ops/rollout.toml"))
        self.compared = Comparison()
        self.sent: list[int] = []

    def send(self, rows: pl.DataFrame, ids: Sequence[str]) -> list[traffic.Answer]:
        now = traffic.serving_state()
        if now.shadow:
            self.compared.observe(rows["x"].to_numpy(), rows["x"].to_numpy())
        if now.canary:
            self.rollout.step(now)
            self.rollout.observe("canary", [0.01], ["key"], rows["x"].to_numpy()[:1])
        self.sent.append(rows.height)
        return [traffic.Answer(name, 0.5, str(now.serving)) for name in ids]

    def has_judged(self, now: datetime) -> bool:
        self.rollout.step(traffic.serving_state(), self.compared)
        return self.rollout.judged >= now.timestamp()


@pytest.fixture
def copy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A copy in which v1 serves, with the clock at the beginning of a month."""
    monkeypatch.setattr(project_copy, "copy_folder", lambda: tmp_path)
    monkeypatch.setattr(contract, "TARGET", "y")
    monkeypatch.setattr(traffic, "GATHERED", 0.0)
    monkeypatch.setenv(state.CLOCK, project_copy.environment()[state.CLOCK])
    (tmp_path / "ops").mkdir()
    (tmp_path / "ops/rollout.toml").write_text(RULES)
    project_copy.set_clock(START)
    state.serve(traffic.production(), "v1", "Ada")
    return tmp_path


def month() -> Period:
    times = [START + timedelta(days=number / A_DAY) for number in range(DAYS * A_DAY)]
    rows = pl.DataFrame({"x": range(len(times)), "y": 0}).cast({"x": pl.Float64})
    rows = rows.with_columns(pl.Series(WHEN, times).cast(pl.Datetime("us", "UTC")))
    return Period("2025-04", rows, START, START + timedelta(days=DAYS))


def test_stages_end_by_the_times_of_the_rows(copy: Path) -> None:
    state.shadow(traffic.production(), "v2", 1.0, "Ada")
    service: Any = Answering(traffic.production())

    served = traffic.serve(service, month())

    ended = {event["event"]: event["row"] / A_DAY for event in served.events}
    # Two days of shadow and three of canary, each at most a part of a stage late.
    assert ended["canary"] == pytest.approx(2, abs=0.5)
    assert ended["promote"] == pytest.approx(5, abs=1)
    assert len(served.answers) == sum(service.sent) == DAYS * A_DAY
    assert state.clock() == (START + timedelta(days=DAYS)).timestamp()


def test_without_a_trial_rows_are_sent_in_large_chunks(copy: Path) -> None:
    service: Any = Answering(traffic.production())

    traffic.serve(service, month())

    assert service.sent == [traffic.CHUNK, DAYS * A_DAY - traffic.CHUNK]


def test_the_log_of_a_period_is_in_the_order_of_its_rows(copy: Path) -> None:
    """Whichever caller was first, as what is judged depends on the order."""
    period = month()
    period = replace(period, rows=period.rows[:A_DAY].with_columns(pl.lit(START).alias(WHEN)))
    ids = traffic.request_ids(period)
    folder = copy / "logs/production/predictions"
    answered = [
        {"id": name, "time": START, "release": "v1", "arm": "serving", "prediction": 0.5}
        for name in ids[::-1]
    ]
    frame = pl.DataFrame(answered, schema_overrides={"time": prediction_log.TIME}).with_columns(
        row=pl.struct(x=pl.lit(1.0)),
        features=pl.struct(x=pl.lit(1.0)),
        defaults_used=pl.lit(None, pl.List(pl.String)),
    )
    prediction_log.write_predictions(frame, folder)

    traffic.date_log(traffic.Served(period, []), START - timedelta(days=1))

    dated = prediction_log.read(copy / project_copy.LOGS / "production/predictions").collect()
    assert dated["id"].to_list() == ids
