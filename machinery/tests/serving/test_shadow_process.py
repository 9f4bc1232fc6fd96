"""A release scores in a separate process as it does in this one, and harms nothing by ending."""

import io
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from machinery.tests.conftest import Trained
from rung_ops.model import bundle
from rung_ops.model import released as releases
from rung_ops.serving import shadow_process
from rung_ops.serving.hooks import ScoringError
from rung_ops.serving.shadow_process import SeparateRelease


@pytest.fixture
def separate(
    release_folder: Path, release_key: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SeparateRelease]:
    (tmp_path / "release.pub").write_bytes(release_key)
    monkeypatch.setenv("RELEASE_KEY", str(tmp_path / "release.pub"))
    copied = tmp_path / release_folder.name
    shutil.copytree(release_folder, copied)
    made = SeparateRelease(copied)
    yield made
    made.close()


def test_it_scores_as_the_release_does(
    separate: SeparateRelease, release_folder: Path, release_key: bytes, trained: Trained
) -> None:
    loaded = releases.load(release_folder, release_key)
    rows = trained.test.head(64).select(list(loaded.schema))

    for some in (rows, rows[:1]):
        features, predictions = separate.score(some)

        expected = loaded.score(some)
        assert features.equals(expected[0])
        assert np.array_equal(predictions, expected[1])


def test_probabilities_of_several_classes_keep_their_shape() -> None:
    rows = pl.DataFrame({"a": [1.0, 2.0]})
    three = np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]])
    release = SimpleNamespace(score=lambda rows: (rows, three))
    loaded: Any = SimpleNamespace(lookup=None, release=release)

    _, sent = shadow_process._answer(shadow_process._table(rows), loaded)

    assert np.array_equal(np.load(io.BytesIO(sent), allow_pickle=False), three)


def test_what_cannot_be_scored_is_reported_and_the_next_rows_are(
    separate: SeparateRelease, trained: Trained
) -> None:
    with pytest.raises(ScoringError, match="ColumnNotFoundError"):
        separate.score(trained.test.head(1).select([]))

    assert separate.score(trained.test.head(3))[1].shape == (3,)


def test_a_release_that_must_not_be_used_is_not_imported(
    separate: SeparateRelease, trained: Trained, tmp_path: Path
) -> None:
    (tmp_path / separate.id / bundle.METRICS).write_text("{}")

    with pytest.raises(ScoringError, match="was changed after it was signed"):
        separate.score(trained.test.head(1))


def test_after_its_process_ended_it_scores_nothing(
    separate: SeparateRelease, trained: Trained
) -> None:
    separate.score(trained.test.head(1))
    assert separate._process
    os.kill(separate._process.pid, signal.SIGKILL)

    for _ in range(2):
        with pytest.raises(ScoringError, match="has ended"):
            separate.score(trained.test.head(1))
