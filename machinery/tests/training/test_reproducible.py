"""The same commit and the same data give the same predictions."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from machinery.tests.in_project import ROOT
from rung_ops.data.ingest import sample_rows
from rung_ops.project.paths import params
from rung_ops.training import estimator

ELSEWHERE = (
    "from machinery.tests.training.test_reproducible import predictions; print(predictions())"
)


def predictions() -> str:
    """Train and hash what the model predicts."""
    from machinery.tests.in_project import fit, split

    rows = sample_rows()
    rows = rows.sample(min(3_000, rows.height), seed=1)
    train, test = split(rows, params()["split"]["test_share"], params()["seed"])
    return hashlib.sha256(estimator.predict(fit(train), test).tobytes()).hexdigest()


def test_training_twice_gives_the_same_predictions() -> None:
    """Here and in another process, as hashes of text and the order of threads differ there."""
    elsewhere = subprocess.run(
        [sys.executable, "-c", ELSEWHERE],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()

    assert len(elsewhere) == 64
    assert predictions() == elsewhere
