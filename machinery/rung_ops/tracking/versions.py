"""Score rows with a version of the registry by the code that it was made with.

The model and the features of a version belong together, and src/ has moved on since. So each
version is scored in a process of its own, which imports src/ as the run recorded it.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import polars as pl
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from rung_ops import contract
from rung_ops.project.errors import StageError
from rung_ops.project.paths import ROOT
from rung_ops.training import estimator

CODE = "code"  # artifact of a run: src/ as it was
ORIGIN = ("version", "run_id", "git_commit", "git_author", "git_dirty", "data_hash", "params_hash")


class ScoringError(StageError):
    """A version gives no predictions; the message says which and why."""


def origin_of(version: ModelVersion) -> dict[str, str]:
    """Tell what a version is: its number, its run, and what it was made from."""
    known = version.tags | {"version": str(version.version), "run_id": str(version.run_id)}
    return {name: known.get(name, "") for name in ORIGIN}


def predictions(version: ModelVersion, rows: Path) -> np.ndarray:
    """Score a Parquet file of rows.

    Returns:
        Shape (n_rows,), as estimator.predict() gives them.

    Raises:
        ScoringError: the store lacks the model or its code, or the code cannot score the rows.
    """
    name = f"version {version.version}"
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        model = _fetch(place / "model", artifact_uri=f"models:/{version.name}/{version.version}")
        code = _fetch(place / "run", run_id=version.run_id, artifact_path=CODE)
        models = sorted(model.rglob("*.skops")) if model else []
        if len(models) != 1:
            raise ScoringError(f"{name}: the store holds {len(models)} models in skops' format")
        if code is None:
            raise ScoringError(
                f"{name}: its run holds no `{CODE}`, so its features are not known. "
                "Versions that `uv run poe pipeline` records from now on have it."
            )
        if _same(code, ROOT / "src"):  # which saves the start of a process
            return estimator.predict(estimator.load(models[0]), pl.read_parquet(rows))
        answers = place / "predictions.npy"
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "rung_ops.tracking.versions",
                *map(str, (code, models[0], rows, answers)),
            ],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(code)},
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            reason = (done.stderr.strip() or "no message").splitlines()[-1]
            raise ScoringError(f"{name} cannot score these rows: {reason}")
        return np.asarray(np.load(answers, allow_pickle=False))


def slices(version: ModelVersion) -> list[dict[str, Any]]:
    """Read the slices of a version's own evaluation; empty where none were recorded."""
    with tempfile.TemporaryDirectory() as folder:
        found = _fetch(Path(folder), run_id=version.run_id, artifact_path="reports/slices.json")
        return list(json.loads(found.read_text(encoding="utf-8"))) if found else []


def _fetch(place: Path, **wanted: Any) -> Path | None:
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    place.mkdir(exist_ok=True)
    try:
        return Path(mlflow.artifacts.download_artifacts(**wanted, dst_path=str(place)))
    except (MlflowException, OSError):
        return None


def _same(one: Path, other: Path) -> bool:
    texts = [
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.py")}
        for folder in (one, other)
    ]
    return texts[0] == texts[1]


def _score(code: Path, model: Path, rows: Path, answers: Path) -> None:
    source = Path(str(sys.modules[contract.Row.__module__].__file__))
    if not source.is_relative_to(code):
        raise ScoringError(f"its package is called otherwise than {contract.Row.__module__}")
    np.save(answers, estimator.predict(estimator.load(model), pl.read_parquet(rows)))


if __name__ == "__main__":
    _score(*map(Path, sys.argv[1:]))
