"""What tests of training share."""

from pathlib import Path

import pytest

from machinery.tests.conftest import Trained
from machinery.tests.projects import moved
from rung_ops.data import blocks
from rung_ops.project import Project
from rung_ops.training import estimator

BLOCKS = 10  # at least, of `stored`


@pytest.fixture
def here(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A model and its rows, in a folder of their own."""
    made = moved(
        monkeypatch,
        train=tmp_path / "train.parquet",
        test=tmp_path / "test.parquet",
        model_file=tmp_path / "model.skops",
        refitted=tmp_path / "refit/model.skops",
        reports=tmp_path,
    )
    trained.train.write_parquet(made.train)
    trained.test.write_parquet(made.test)
    estimator.save(trained.estimator, made.model_file)
    return made


@pytest.fixture
def stored(here: Project, trained: Trained, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Training rows of several blocks, in a file."""
    trained.train.write_parquet(here.train, row_group_size=100)
    monkeypatch.setattr(blocks, "BYTES", int(trained.train.estimated_size()) // BLOCKS)
    return here.train
