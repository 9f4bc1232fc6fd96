"""Score a file of rows as the approval allows, and log each prediction: `uv run poe predict`.

While production is stopped nothing is scored. Of a model that is not approved, the change control
plan says whether nothing is scored (`batch: refuse`) or each row says so (`batch: mark`). The image
for scoring runs this too; at rung 1, without validation, files are only scored.
"""

import functools
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from rung_governance import approval, carried_approval, plan
from rung_governance.signed_state import SignedStateReader
from rung_ops import contract
from rung_ops.batch import predict, predict_logged
from rung_ops.batch.predict import NOT_APPROVED, PredictionError
from rung_ops.errors import StageError
from rung_ops.model import bundle
from rung_ops.prediction_log import sealed
from rung_ops.project import current, release_folders
from rung_ops.project.paths import shown
from rung_ops.release import source_hash, state

UNKNOWN = "whether it is approved is not known here"


def log_predictions(scored: pl.DataFrame) -> pl.DataFrame:
    """Log scored rows as rung_ops.batch.predict_logged does; mark those of an unapproved model.

    Raises:
        PredictionError: production is stopped, the plan lets no unapproved model score, or the log
            could not be written.
    """
    _refuse_while_stopped(release_folders.environment(release_folders.PRODUCTION))
    try:
        sealed.require(sealed.required())
    except sealed.SealedError as error:
        raise PredictionError(f"Nothing was scored. {error}") from error
    if not (reasons := objections()):
        return predict_logged.log_predictions(scored)
    message = f"The model is not approved: {'; '.join(reasons)}"
    if plan.approval_terms().refuses_batch:
        raise PredictionError(f"Nothing was scored. {message}")
    print(message, file=sys.stderr)
    marked = scored.with_columns(pl.lit("; ".join(reasons)).alias(NOT_APPROVED))
    return predict_logged.log_predictions(marked)


def _refuse_while_stopped(folder: Path) -> None:
    """Raise PredictionError while a stop holds, or if that cannot be determined."""
    try:
        stopped = state.read(folder).stopped
    except state.BadState:
        stopped = None  # the log says what holds
    if (folder / state.HISTORY).exists() and not stopped:
        reading = SignedStateReader(folder).read()
        stopped = reading.state.stopped
        if not stopped and not reading.is_valid:
            raise PredictionError(f"Nothing was scored. {' '.join(reading.problems)}")
    if stopped:
        raise PredictionError(
            f"Nothing was scored: {stopped.by} stopped the model at {stopped.at}: {stopped.reason}"
        )


@functools.cache
def objections() -> list[str]:
    """List why this model is not approved; computed once."""
    if importlib.util.find_spec("mlflow") is None:
        return list(carried_approval.objections())
    name = predict_logged.release()
    version, _, digest = name.removeprefix("v").partition("-")
    if not version.isdecimal():
        return [f"model {digest} was not registered by the pipeline"]
    try:
        from rung_ops.tracking import registry

        registered = registry.version(version)
        return [*approval.objections(registered, answered=True), *_not_at_hand(registered)]
    except (ImportError, StageError) as error:
        return [f"{UNKNOWN}: {error}"]
    except Exception as error:  # MLflow's own; the image for scoring does not have it
        return [f"{UNKNOWN}: {str(error).splitlines()[0]}"]


def _not_at_hand(version: approval.Version) -> Iterator[str]:
    """Say where model/ and src/ are not those of the version that dvc.lock leads to."""
    if bundle.digest(current().model_file) != version.tags.get("model_file"):
        yield f"{shown(current().model_file)} is not the model of version {version.version}"
    commit, package = version.tags.get("git_commit", ""), contract.package()
    committed = source_hash.of_commit(current().root, commit, package)
    if not committed:
        yield f"this clone lacks commit {commit[:12]}, whose source version {version.version} has"
    elif source_hash.of_folder(current().root, package) != committed:
        yield f"src/{package} is not as commit {commit[:12]} of version {version.version} has it"


def main(arguments: list[str] | None = None) -> int:
    """Score a file; return the exit code."""
    if not (current().root / approval.RECORDS).is_dir():
        return predict.main(arguments)
    return predict.main(arguments, before_writing=log_predictions)


def on_ray(arguments: list[str] | None = None) -> int:
    """Score on Ray and log each prediction; return the exit code."""
    from rung_ops.ray import predict as ray_predict  # its packages come with the answer `compute`

    return ray_predict.main(arguments, before_writing=log_predictions)
