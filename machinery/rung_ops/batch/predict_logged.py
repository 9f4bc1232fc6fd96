"""Score a file of rows and log each prediction: `uv run poe predict INPUT [OUTPUT]`."""

import hashlib
import importlib
import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import polars as pl

from rung_ops import prediction_log
from rung_ops.batch.predict import predictions_of, schema
from rung_ops.errors import StageError
from rung_ops.features.point_in_time import join
from rung_ops.model.added_columns import DEFAULTS_USED, PREDICTION, PREDICTION_ID
from rung_ops.prediction_log import sealed
from rung_ops.project import current, service_settings
from rung_ops.project.paths import shown
from rung_ops.system.files import draft_folder, md5, private_folder
from rung_ops.system.printable import counted
from rung_ops.training import estimator, refit

ENVIRONMENT = "batch"
ARM = "batch"
CHUNK = 50_000  # rows written at a time, to limit memory


@contextmanager
def log_predictions() -> Iterator[Callable[[pl.DataFrame], pl.DataFrame]]:
    """Lend a function that logs predictions of score(), a block of rows at a time.

    Where the block of code ends, the log has all of them; where it raises, none. The function returns
    its rows with the column PREDICTION_ID, null for rows without a prediction.

    Raises:
        StageError: the log could not be written, so no prediction may be used; or it has to be
            encrypted, and there is no key.
    """
    try:
        sealed.require(service_settings.log_settings().encrypted)
    except sealed.SealedError as error:
        raise StageError(f"Nothing was scored. {error}") from error
    folder, writer, model = (
        prediction_log.folder(ENVIRONMENT),
        prediction_log.writer_name(),
        release(),
    )
    batch, time = uuid.uuid4().hex, prediction_log.now()
    seen = logged = files = 0

    def log(scored: pl.DataFrame) -> pl.DataFrame:
        nonlocal seen, logged, files
        number = pl.int_range(seen + 1, seen + 1 + scored.height, dtype=pl.Int64)
        seen += scored.height
        identity = pl.format("{}-{}", pl.lit(batch), number)
        named = scored.with_columns(
            pl.when(pl.col(PREDICTION).is_not_null()).then(identity).alias(PREDICTION_ID)
        )
        good = named.filter(pl.col(PREDICTION_ID).is_not_null())
        typed = _typed(good) if good.height else good  # at once: it reads the events of entities
        for part, rows in zip(good.iter_slices(CHUNK), typed.iter_slices(CHUNK), strict=True):
            batch_of_log = prediction_log.Batch(
                time=time,
                ids=part[PREDICTION_ID].to_list(),
                release=model,
                arm=ARM,
                rows=rows,
                features=estimator.features(rows),
                predictions=predictions_of(part),
                defaults=part[DEFAULTS_USED].to_list(),
                kind=estimator.kind(),
            )
            files += 1
            with _refused(folder):
                prediction_log.write(
                    prediction_log.assemble([batch_of_log]), drafts, writer, files, files
                )
        logged += good.height
        return named

    with ExitStack() as stack:
        with _refused(folder):
            private_folder(folder)
            drafts = stack.enter_context(draft_folder(folder))
        yield log
        with _refused(folder):
            prediction_log.publish(drafts, folder)
    print(f"{counted(logged, 'prediction')} of {model} logged: {shown(folder)}")


@contextmanager
def _refused(folder: Path) -> Iterator[None]:
    """Refuse all predictions where the log cannot be written."""
    try:
        yield
    except OSError as error:
        raise StageError(
            f"{shown(folder)} cannot be written ({error}). Predictions that are not logged may not "
            "be used, so nothing was logged or written. Free disk space, or set LOGS to another "
            "folder, and score the file again."
        ) from error


def release() -> str:
    """Name the model: its version if the last run registered it, and its hash: `v3-9f86d081`."""
    digest = hashlib.sha256(refit.served_model().read_bytes()).hexdigest()[:8]
    path = current().model_file
    run, lock = current().reports / "run.json", current().root / "dvc.lock"
    if run.is_file() and lock.is_file():
        # Left out of the import at the top: the image for scoring has neither file nor package.
        stages = importlib.import_module("yaml").safe_load(lock.read_text(encoding="utf-8"))
        tracked = stages.get("stages", {}).get("track", {}).get("deps", [])
        recorded = {dependency["path"]: dependency.get("md5") for dependency in tracked}
        if recorded.get(shown(path)) == md5(path):
            version = json.loads(run.read_text(encoding="utf-8"))["version"]
            return f"v{version}-{digest}"
    return f"unregistered-{digest}"


def _typed(rows: pl.DataFrame) -> pl.DataFrame:
    columns = schema().columns
    return join(rows.select(pl.col(n).cast(column.dtype.type) for n, column in columns.items()))
