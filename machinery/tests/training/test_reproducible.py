"""The same commit and the same data give the same predictions."""

import os
import subprocess
import sys
from pathlib import Path

from rung_ops.project.paths import ROOT

TRAIN_AND_PREDICT = """
import hashlib
from machinery.tests.in_project import fit, split
from rung_ops.data.ingest import sample_rows
from rung_ops.project.paths import params
from rung_ops.training import estimator

rows = sample_rows()
rows = rows.sample(min(3_000, rows.height), seed=1)
train, test = split(rows, params()["split"]["test_share"], params()["seed"])
print(hashlib.sha256(estimator.predict(fit(train), test).tobytes()).hexdigest())
"""


def predictions() -> str:
    """Train in a separate process and hash what the model predicts."""
    return subprocess.run(
        [sys.executable, "-c", TRAIN_AND_PREDICT],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def test_training_twice_gives_the_same_predictions() -> None:
    first, second = predictions(), predictions()

    assert len(first.strip()) == 64
    assert first == second
