"""A release in the shadow sees a share of the traffic, and can harm nothing."""

import os
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from machinery.tests.conftest import LogCapture, Patch, Trained
from machinery.tests.serving.calls import soon
from rung_ops import prediction_log
from rung_ops.model import bundle
from rung_ops.model import released as releases
from rung_ops.model.target import ONE_NUMBER
from rung_ops.release.rollout import CanaryPolicy, Policy, ShadowPolicy, shadow_verdict
from rung_ops.serving import shadow
from rung_ops.serving.hooks import ScoringError
from rung_ops.serving.log_writer import PredictionLog
from rung_ops.serving.shadow import Offer, Shadow
from rung_ops.serving.shadow_process import SeparateRelease


class Doubling:
    """A release that predicts twice the distance."""

    id = "v2"
    kind = ONE_NUMBER

    def __init__(self) -> None:
        self.batches: list[int] = []

    def score(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, np.ndarray]:
        self.batches.append(rows.height)
        features = rows.select(miles=pl.col("distance") * 2.0)
        return features, features["miles"].to_numpy()


class Broken(Doubling):
    """A release whose features the rows do not have."""

    def score(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, np.ndarray]:
        return rows.select("tail"), np.zeros(rows.height)


@pytest.fixture(autouse=True)
def brief(monkeypatch: Patch) -> None:
    monkeypatch.setattr(shadow, "GATHER", 0.01)


@pytest.fixture
def release() -> Doubling:
    return Doubling()


def offer(to: Shadow, count: int = 4, name: str = "row") -> None:
    rows = pl.DataFrame({"distance": np.arange(count, dtype=float)})
    ids = [f"{name}-{number}" for number in range(count)]
    to.offer(Offer(ids, rows, np.ones(count), [count]))


class BrokenAlone(Doubling):
    """A release that cannot score certain single rows, and can among others."""

    def score(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, np.ndarray]:
        if rows.height == 1 and rows["distance"][0] % 14 == 0:  # 7 % of them
            raise ValueError("Expected 2D array, got 1D array instead")
        return super().score(rows)


def test_a_fault_of_single_rows_does_not_pass_the_shadow() -> None:
    single = Shadow(BrokenAlone(), 1.0)
    comparison = single.comparison
    for start in range(0, 1000, 25):  # as many batches as a service makes of a burst
        rows = pl.DataFrame({"distance": np.arange(start, start + 25, dtype=float)})
        names = [f"{start}-{number}" for number in range(25)]
        single.offer(Offer(names, rows, rows["distance"].to_numpy() * 2, [1] * 25))
        soon(lambda start=start: comparison.compared + comparison.failed == start + 25)
    single.close()
    limits = ShadowPolicy(1.0, 1000, 60, 3600, 0.01, 0.5, 2.0)
    canary = CanaryPolicy([0.01, 0.05, 0.25, 1.0], 500, 60, 3600, 0.01, 2.0, 0.5)

    result = shadow_verdict(comparison, Policy(0.01, limits, canary), 60)

    assert (result.action, "as their callers sent them" in result.reason) == ("abort", True)
    assert comparison.failed < 60  # among others, the rows are scored


def test_a_share_of_the_traffic_is_checked(release: Doubling, monkeypatch: Patch) -> None:
    monkeypatch.setattr(shadow, "LIMIT", 10_000)
    quarter = Shadow(release, 0.25)
    for _ in range(2_000):
        offer(quarter, 1)
    soon(lambda: sum(release.batches) + quarter.dropped >= 400)
    quarter.close()

    # Five standard errors of a binomial share.
    assert sum(release.batches) / 2_000 == pytest.approx(0.25, abs=0.05)


def test_its_answer_is_logged_and_distinguished(release: Doubling, tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, seconds=0.02)
    logged = Shadow(release, 1.0, log)
    offer(logged, 2, "a")
    one = pl.DataFrame({"distance": [7.0]})
    logged.offer(Offer(["b-0"], one, np.ones(1), [1], [["distance"]], [["weight"]]))
    soon(lambda: logged.comparison.compared == 3)
    logged.close()
    log.close()

    result = prediction_log.read(tmp_path).sort("id").collect()
    assert result["id"].to_list() == ["a-0", "a-1", "b-0"]
    assert set(result["arm"]) == {"shadow"}
    assert set(result["release"]) == {"v2"}
    assert result["prediction"].to_list() == [0.0, 2.0, 14.0]
    assert result["row"].struct.field("distance").to_list() == [0.0, 1.0, 7.0]
    assert result["features"].struct.field("miles").to_list() == [0.0, 2.0, 14.0]
    assert result["defaults_used"].to_list() == [[], [], ["distance"]]
    assert result["sent"].to_list() == [None, None, ["weight"]]


class Panicking(Doubling):
    """A release on which polars itself breaks."""

    def score(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, np.ndarray]:
        raise pl.exceptions.PanicException("called `Option::unwrap()` on a `None` value")


@pytest.mark.parametrize("release", [Broken(), Panicking()])
def test_a_release_that_cannot_score_is_counted_and_reported_once(
    caplog: LogCapture, release: Doubling
) -> None:
    broken = Shadow(release, 1.0)
    offer(broken)
    soon(lambda: broken.comparison.failed == 4)
    offer(broken)
    soon(lambda: broken.comparison.failed == 8)
    broken.close()

    assert broken.comparison.compared == 0
    assert sum("The shadow v2 cannot score" in each for each in caplog.messages) == 1


def test_a_slow_release_piles_nothing_up(monkeypatch: Patch) -> None:
    monkeypatch.setattr(shadow, "LIMIT", 10)
    going_on = threading.Event()

    class Slow(Doubling):
        def score(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, np.ndarray]:
            going_on.wait(10)
            return super().score(rows)

    slow = Shadow(Slow(), 1.0)
    for _ in range(10):
        offer(slow)
    assert slow.dropped == 32
    going_on.set()
    soon(lambda: slow.comparison.compared == 8)
    offer(slow)
    soon(lambda: slow.comparison.compared == 12)
    slow.close()

    assert slow.dropped == 32


@pytest.fixture
def separate(
    release_folder: Path, release_key: bytes, tmp_path: Path, monkeypatch: Patch
) -> Iterator[SeparateRelease]:
    (tmp_path / "release.pub").write_bytes(release_key)
    monkeypatch.setenv("RELEASE_KEY", str(tmp_path / "release.pub"))
    copied = tmp_path / release_folder.name
    shutil.copytree(release_folder, copied)
    made = SeparateRelease(copied)
    yield made
    made.close()


def test_it_scores_as_the_release_does_until_its_process_ends(
    separate: SeparateRelease, release_folder: Path, release_key: bytes, trained: Trained
) -> None:
    loaded = releases.load(release_folder, release_key)
    rows = trained.test.head(64).select(list(loaded.schema))
    with pytest.raises(ScoringError, match="ColumnNotFoundError"):
        separate.score(rows.select([]).head(1))

    for some in (rows, rows[:1]):
        features, predictions = separate.score(some)

        expected = loaded.score(some)
        assert features.equals(expected[0])
        assert np.array_equal(predictions, expected[1])

    assert separate._process
    os.kill(separate._process.pid, signal.SIGKILL)
    for _ in range(2):
        with pytest.raises(ScoringError, match="has ended"):
            separate.score(rows)


def test_a_release_that_must_not_be_used_is_not_imported(
    separate: SeparateRelease, trained: Trained, tmp_path: Path
) -> None:
    (tmp_path / separate.id / bundle.METRICS).write_text("{}")

    with pytest.raises(ScoringError, match="was changed after it was signed"):
        separate.score(trained.test.head(1))
