"""Score a file of rows as the approval allows, and log each prediction: `uv run poe predict`.

While production is stopped nothing is scored. Of a model that is not approved, the change control
plan says whether nothing is scored (`batch: refuse`) or each row says so (`batch: mark`).
"""

import functools
import sys

import polars as pl

from rung_ops.batch import predict, predict_logged
from rung_ops.batch.predict import PredictionError
from rung_ops.governance import approval, plan
from rung_ops.project.errors import StageError
from rung_ops.release import paths, state

NOT_APPROVED = "not_approved"  # column of the output: why, in every row
UNKNOWN = "whether it is approved is not known here"


def log_predictions(scored: pl.DataFrame) -> pl.DataFrame:
    """Log scored rows as rung_ops.batch.predict_logged does; mark those of an unapproved model.

    Raises:
        PredictionError: production is stopped, the plan lets no unapproved model score, or the log
            could not be written.
    """
    folder = paths.environment(paths.PRODUCTION)
    if stopped := state.read(folder).stopped:
        raise PredictionError(
            f"Nothing was scored: {stopped.by} stopped the model at {stopped.at}: {stopped.reason}"
        )
    if not (reasons := objections()):
        return predict_logged.log_predictions(scored)
    told = f"The model is not approved: {'; '.join(reasons)}"
    if plan.approval_terms().refuses_batch:
        raise PredictionError(f"Nothing was scored. {told}")
    print(told, file=sys.stderr)
    marked = scored.with_columns(pl.lit("; ".join(reasons)).alias(NOT_APPROVED))
    return predict_logged.log_predictions(marked)


@functools.cache
def objections() -> list[str]:
    """List why the model at hand is not approved; it is asked for once."""
    name = predict_logged.release()
    version, _, digest = name.removeprefix("v").partition("-")
    if not version.isdecimal():
        return [f"model {digest} was not registered by the pipeline"]
    try:
        from rung_ops.tracking import registry

        return approval.objections(registry.version(version), answered=True)
    except (ImportError, StageError) as error:
        return [f"{UNKNOWN}: {error}"]
    except Exception as error:  # MLflow's own; the image for scoring does not have it
        return [f"{UNKNOWN}: {str(error).splitlines()[0]}"]


def main() -> int:
    """Score a file; return the exit code."""
    return predict.main(before_writing=log_predictions)
