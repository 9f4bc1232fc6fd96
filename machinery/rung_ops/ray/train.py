"""Fit a model on several workers of Ray, each of which learns from a share of the rows."""

import contextlib
import importlib
import os
import secrets
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from rung_ops.data import blocks
from rung_ops.errors import StageError
from rung_ops.project import current
from rung_ops.ray import connect
from rung_ops.ray.settings import Settings, settings
from rung_ops.system import files
from rung_ops.training.estimator import truth
from rung_ops.training.window import Parts, weight_arguments

OUTCOME, WEIGHT = "outcome of the row", "weight of the row"  # no names of columns in Row
# Models that a module of this folder fits to a share, by library.
ESTIMATORS = {
    "lightgbm": ("LGBMClassifier", "LGBMRegressor"),
    "xgboost": ("XGBClassifier", "XGBRegressor"),
}

os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")


def fit_on_ray(model: Any, parts: Parts, workers: int, checkpoint_rounds: int = 20) -> Any:
    """Fit a model of LightGBM or XGBoost on several workers of Ray at the same time.

    Each worker learns from every n-th row, with its weight where params.toml weighs rows. The number
    of workers changes the trees a little; the same number makes the same trees. What is lost with a
    worker are the rounds since the last checkpoint.

    Args:
        model: from build(), not fitted.
        parts: from read_parts(); also what `fit_parts(parts)` of pipeline/train.py gets.
        workers: processes; ops/ray.toml says what each needs, and how often lost ones are retried.
        checkpoint_rounds: rounds between two checkpoints.

    Returns:
        The fitted model.

    Raises:
        StageError: it is another model, there are too few rows or machines, or workers were lost more
            often than `retries`.
    """
    chosen = msgspec.structs.replace(settings(), workers=workers)
    outcomes = truth(parts.rows)
    library = _library(model)
    values = library.settings_of(model, outcomes, workers)
    if len(outcomes) < workers:
        raise StageError(f"There are too few rows for {workers} workers.")
    _check_features(parts)
    # Rows pass through Ray's store on their way to a worker.
    store = connect.STORE + 2 * blocks.block_bytes()
    with _storage(chosen) as (system, folder), connect.connected(chosen, store) as ray:
        _check_room(ray, chosen)
        weights = weight_arguments(model, parts.rows).get("sample_weight")
        _write(parts, outcomes, weights, workers, system, folder)
        task = {"model": model, "settings": values, "checkpoint_rounds": checkpoint_rounds}
        return _trained(task, chosen, library, system, folder)


def _library(model: Any) -> ModuleType:
    """Return the module that fits such a model on Ray."""
    for kind in type(model).__mro__:
        package = kind.__module__.partition(".")[0]
        if kind.__name__ in ESTIMATORS.get(package, ()):
            return importlib.import_module(f"rung_ops.ray.train_{package}")
    raise StageError(
        f"{type(model).__name__} cannot be fitted on Ray: build() in model.py must return LightGBM's "
        "LGBMClassifier or LGBMRegressor, or XGBoost's XGBClassifier or XGBRegressor. Preprocessing "
        "that is fitted to all rows, such as steps of a Pipeline, is not distributed: write it as "
        "expressions in FEATURES."
    )


def _check_features(parts: Parts) -> None:
    """Refuse features that are not numbers.

    They would end a worker of LightGBM without a message, and XGBoost's workers would number categories
    as they occur in their share.
    """
    for name, dtype in parts[:0].schema.items():
        if not (dtype.is_numeric() or dtype == pl.Boolean):
            raise StageError(
                f"The feature `{name}` is of type {dtype}, and workers of Ray learn from numbers: write "
                "it as a number in FEATURES, for example with replace_strict()."
            )


def _check_room(ray: Any, chosen: Settings) -> None:
    """Refuse more workers than have room at the same time: Ray would wait forever."""
    wanted = {"CPU": chosen.cpus, "memory": chosen.memory_mb * connect.MB}
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    needs = {name: need for name, need in wanted.items() if need}
    room = sum(
        min((int(has.get(name, 0) // need) for name, need in needs.items()), default=chosen.workers)
        for has in machines
    )
    if room < chosen.workers:
        raise StageError(
            f"The machines have room for {room} of {chosen.workers} workers at the same time. Add "
            "machines, or lower `cpus` or `memory_mb` in ops/ray.toml, or `workers` of fit_on_ray()."
        )


@contextlib.contextmanager
def _storage(chosen: Settings) -> Iterator[tuple[fs.FileSystem, str]]:
    """Lend a new folder that all workers reach; remove it afterwards."""
    if chosen.address and not chosen.storage:
        raise StageError(
            "`storage` in ops/ray.toml is empty: training on a cluster needs a folder or a bucket "
            'that all its machines reach, such as "s3://bucket/folder".'
        )
    with contextlib.ExitStack() as ended:
        root = chosen.storage or str(
            ended.enter_context(files.draft_folder(current().train.parent))
        )
        try:
            system, path = fs.FileSystem.from_uri(root)
        except (pa.ArrowException, ValueError) as error:
            raise StageError(f"`storage` in ops/ray.toml: {error}") from error
        folder = f"{path}/rung-train-{secrets.token_hex(8)}"
        system.create_dir(folder)
        ended.callback(system.delete_dir, folder)
        yield system, folder


def _write(
    parts: Parts,
    outcomes: np.ndarray,
    weights: np.ndarray | None,
    workers: int,
    system: fs.FileSystem,
    folder: str,
) -> None:
    """Write features and outcomes: row i is in the share of worker `i % workers`, a block at a time."""
    added = {OUTCOME: outcomes} | ({} if weights is None else {WEIGHT: weights})
    size = max(parts.size // workers, 1) * workers
    for number in range(workers):
        system.create_dir(f"{folder}/rows/{number}")
    for first in range(0, len(parts), size):
        columns = [pl.Series(name, all_[first : first + size]) for name, all_ in added.items()]
        rows = parts[first : first + size].with_columns(columns)
        for number in range(workers):
            path = f"{folder}/rows/{number}/{first:015}.parquet"
            pq.write_table(rows[number::workers].to_arrow(), path, filesystem=system)


def _share(ray: Any, system: fs.FileSystem, folder: str) -> Any:
    """Return the rows of a worker.

    read_parquet() would list files in a task with a CPU of its own, and wait forever for it where the
    workers hold all of them.
    """
    paths = sorted(file.path for file in system.get_file_info(fs.FileSelector(folder)))
    items = ray.data.from_items([{"path": path} for path in paths], override_num_blocks=len(paths))

    def table(batch: pa.Table) -> pa.Table:
        return pq.read_table(batch["path"][0].as_py(), filesystem=system)

    return items.map_batches(table, batch_size=1, batch_format="pyarrow", num_cpus=0)


def _trained(
    task: dict[str, Any],
    chosen: Settings,
    library: ModuleType,
    system: fs.FileSystem,
    folder: str,
) -> Any:
    import ray
    from ray import train

    execution = ray.data.ExecutionOptions(preserve_order=True)
    trainer = library.trainer()(
        work,
        train_loop_config=task | {"threads": max(1, int(chosen.cpus))},
        datasets={
            str(number): _share(ray, system, f"{folder}/rows/{number}")
            for number in range(chosen.workers)
        },
        # Ray's own split drops rows that do not divide evenly.
        dataset_config=train.DataConfig(datasets_to_split=[], execution_options=execution),
        scaling_config=train.ScalingConfig(
            num_workers=chosen.workers,
            resources_per_worker={"CPU": chosen.cpus, "memory": chosen.memory_mb * connect.MB},
        ),
        run_config=train.RunConfig(
            name="run",
            storage_path=folder,
            storage_filesystem=system,
            failure_config=train.FailureConfig(max_failures=chosen.retries),
            checkpoint_config=train.CheckpointConfig(num_to_keep=2),
        ),
    )
    try:
        fitted, begun = trainer.fit().return_value
    except train.WorkerGroupError as error:
        failures = list(error.worker_failures.values())
        # What a lost worker's peers say follows from its loss.
        lost = [getattr(failure, "health_check_failure", None) for failure in failures]
        cause = next(filter(None, [*lost, *failures]), error)
        raise StageError(connect.explain(cause)) from error
    except (ray.exceptions.RayError, train.TrainingFailedError) as error:
        raise StageError(connect.explain(error)) from error
    if begun:
        print(f"a worker was lost: training continued after round {begun}")
    return fitted


def work(config: dict[str, Any]) -> tuple[Any, int] | None:
    """Learn from a share of the rows, on a worker.

    The first worker returns the fitted model, and the round of the checkpoint that it began with.
    Workers exchange histograms, so all of them have the same trees.
    """
    from ray import train

    rank = train.get_context().get_world_rank()
    shard = train.get_dataset_shard(str(rank))

    def read() -> Iterator[dict[str, Any]]:
        for batch in shard.iter_batches(batch_size=None, batch_format="pyarrow"):
            rows = pl.DataFrame(batch)
            columns = {"label": OUTCOME, "weight": WEIGHT}
            yield {"data": rows.drop(columns.values(), strict=False)} | {
                name: rows[column].to_numpy()
                for name, column in columns.items()
                if column in rows.columns
            }

    fitted = _library(config["model"]).fit(read=read, **config)
    return None if rank else fitted
