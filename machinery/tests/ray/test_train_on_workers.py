"""Two workers of Ray fit XGBoost as one process does, also where one of them is killed."""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars.selectors as cs
import pytest

from machinery.tests.conftest import Trained
from machinery.tests.projects import moved

pytest.importorskip("xgboost", reason="an ejected project does not install it")
pytest.importorskip("ray", reason="needs Ray: the extra `ray` of rung-ops")
from xgboost import XGBClassifier, XGBRegressor

from rung_ops import contract
from rung_ops.errors import StageError
from rung_ops.project.parameters import checked
from rung_ops.project.paths import params
from rung_ops.ray import connect, train
from rung_ops.ray.settings import Settings
from rung_ops.stages import features, fit_on_ray, read_parts, truth, weight_arguments
from rung_ops.training import window

pytestmark = pytest.mark.slow

# So many bins that each value has its own, however the rows are shared.
TREES = {"n_estimators": 8, "max_bin": 4_096, "random_state": 7, "n_jobs": 1}


@pytest.fixture(scope="module")
def running() -> Iterator[Any]:
    """Ray on this machine, started once for all tests."""
    with connect.connected(Settings()) as ray:
        yield ray


@pytest.fixture
def rows(running: Any, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Training rows whose features are numbers."""
    monkeypatch.setattr(connect, "connected", lambda *_: contextlib.nullcontext(running))
    monkeypatch.setattr(train, "settings", Settings)
    numbers = [(cs.numeric() | cs.boolean()) - cs.by_name(contract.TARGET)]
    monkeypatch.setattr(contract, "FEATURES", numbers)
    here = moved(monkeypatch, train=tmp_path / "train.parquet")
    trained.train.write_parquet(here.train)
    return here.train


@pytest.mark.parametrize("classes", [0, 2, 4])
def test_two_workers_predict_what_one_process_does(
    classes: int, rows: Path, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = params() | {"split": {"test_share": 0.25, "window": "half-life 1 months"}}
    monkeypatch.setattr(window, "parameters", lambda: checked(values))
    outcomes = truth(trained.train)
    if classes:
        outcomes = (np.arange(len(outcomes)) + outcomes.astype(int)) % classes
    monkeypatch.setattr(train, "truth", lambda _: outcomes)
    kind = XGBClassifier if classes else XGBRegressor

    fitted = fit_on_ray(kind(**TREES), read_parts(rows), workers=2)

    weights = weight_arguments(kind(), trained.train)
    expected = kind(**TREES).fit(features(trained.train), outcomes, **weights)
    assert weights
    ask = "predict_proba" if classes else "predict"
    found, wanted = (getattr(model, ask)(features(trained.test)) for model in (fitted, expected))
    assert np.ptp(wanted) > 0.1
    assert found == pytest.approx(wanted, abs=1e-6)


def train_workers() -> list[int]:
    """Find the processes of Ray Train that this process started."""
    listed = subprocess.run(
        ["ps", "-axo", "pid=,ppid=,command="], capture_output=True, text=True, check=True
    )
    processes = [line.split(maxsplit=2) for line in listed.stdout.splitlines()]
    below = {os.getpid()}
    while more := {int(pid) for pid, parent, *_ in processes if int(parent) in below} - below:
        below |= more
    return [
        int(pid)
        for pid, _, command in processes
        if int(pid) in below and "RayTrainWorker" in command
    ]


@contextlib.contextmanager
def killed_after_checkpoints(folder: Path) -> Iterator[None]:
    """Kill a worker at the third checkpoint: Ray has recorded the first by then."""
    seen: set[str] = set()
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.05):
            seen.update(file.parent.name for file in folder.glob(".*/*/run/checkpoint_*/model.ubj"))
            if len(seen) > 2:
                os.kill(train_workers()[-1], signal.SIGKILL)
                return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_training_continues_from_a_checkpoint_where_a_worker_is_killed(
    rows: Path, trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    with killed_after_checkpoints(rows.parent):
        fitted = fit_on_ray(XGBRegressor(**TREES), read_parts(rows), 2, checkpoint_rounds=1)

    assert "a worker was lost: training continued after round " in capsys.readouterr().out
    expected = XGBRegressor(**TREES).fit(features(trained.train), truth(trained.train))
    assert fitted.get_booster().get_dump() == expected.get_booster().get_dump()


def test_a_worker_that_is_killed_more_often_than_retries_allow_is_named(
    rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "settings", lambda: Settings(retries=0))

    with (
        killed_after_checkpoints(rows.parent),
        pytest.raises(StageError, match="Workers ended before they finished, more often than"),
    ):
        fit_on_ray(XGBRegressor(**TREES), read_parts(rows), 2, checkpoint_rounds=1)
