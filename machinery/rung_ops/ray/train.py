"""Fit a model on several workers of Ray, each of which learns from a share of the rows."""

import contextlib
import os
import secrets
import tempfile
from collections.abc import Iterator
from copy import deepcopy
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
from rung_ops.training.estimator import truth
from rung_ops.training.parts import Parts
from rung_ops.training.window import weight_arguments

OUTCOME, WEIGHT = "outcome of the row", "weight of the row"  # no names of columns in Row
# LightGBM's other names of n_estimators, which would overrule it.
ROUNDS = (
    "max_iter n_iter nrounds num_boost_round num_iteration num_iterations num_round num_rounds "
    "num_tree num_trees"
).split()
ALONE = {"num_machines": 1, "machines": "", "local_listen_port": 12400, "pre_partition": False}

os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")


def fit_on_ray(model: Any, parts: Parts, workers: int, checkpoint_rounds: int = 20) -> Any:
    """Fit LightGBM's LGBMClassifier or LGBMRegressor on several workers of Ray at the same time.

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
    _refuse(model, outcomes, workers)
    # Rows pass through Ray's store on their way to a worker.
    store = connect.STORE + 2 * blocks.block_bytes()
    with _storage(chosen) as (system, folder), connect.connected(chosen, store) as ray:
        _check_room(ray, chosen)
        weights = weight_arguments(model, parts.rows).get("sample_weight")
        _write(parts, outcomes, weights, workers, system, folder)
        return _trained(model, chosen, checkpoint_rounds, system, folder)


def _refuse(model: Any, outcomes: np.ndarray, workers: int) -> None:
    """Refuse what several workers cannot fit, or not continue from a checkpoint."""
    try:
        from lightgbm import LGBMClassifier, LGBMRegressor
    except ImportError as error:
        raise StageError("fit_on_ray() needs LightGBM: `uv add lightgbm`.") from error

    name = type(model).__name__
    if not isinstance(model, LGBMClassifier | LGBMRegressor):
        raise StageError(
            f"{name} cannot be fitted on Ray: build() in model.py must return LightGBM's "
            "LGBMClassifier or LGBMRegressor. Preprocessing that is fitted to all rows, such as "
            "steps of a Pipeline, is not distributed: write it as expressions in FEATURES."
        )
    values = model.get_params()
    if names := [name for name in ROUNDS if name in values]:
        raise StageError(f"[model] in params.toml: write `n_estimators` in place of {names[0]}.")
    kinds = {values.get(name, "gbdt") for name in ("boosting_type", "boosting", "boost")}
    if kinds != {"gbdt"}:
        raise StageError(
            f"{name} cannot be fitted on Ray with boosting {', '.join(sorted(kinds - {'gbdt'}))}: "
            "only gbdt continues from a checkpoint."
        )
    learned = np.unique(outcomes) if isinstance(model, LGBMClassifier) else None
    for number in range(workers):
        share = outcomes[number::workers]
        if not len(share) or (learned is not None and len(np.unique(share)) < len(learned)):
            raise StageError(
                f"There are too few rows for {workers} workers: each needs rows of every class. "
                "Lower `workers` of fit_on_ray() in pipeline/train.py."
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
        root = chosen.storage or ended.enter_context(
            tempfile.TemporaryDirectory(prefix=".", dir=current().train.parent)
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
    model: Any, chosen: Settings, checkpoint_rounds: int, system: fs.FileSystem, folder: str
) -> Any:
    import ray
    from ray import train
    from ray.train.lightgbm import LightGBMTrainer

    execution = ray.data.ExecutionOptions(preserve_order=True)
    trainer = LightGBMTrainer(
        work,
        train_loop_config={"model": model, "rounds": checkpoint_rounds, "cpus": chosen.cpus},
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
        cause = next(iter(error.worker_failures.values()), error)
        raise StageError(connect.explain(cause)) from error
    except (ray.exceptions.RayError, train.TrainingFailedError) as error:
        raise StageError(connect.explain(error)) from error
    if begun:
        print(f"a worker was lost: training continued after round {begun}")
    return fitted


def work(config: dict[str, Any]) -> tuple[Any, int] | None:
    """Learn from a share of the rows, on a worker.

    The first worker returns the fitted model, and the round of the checkpoint that it began with.
    LightGBM's workers exchange histograms, so all of them have the same trees.
    """
    from lightgbm import Booster
    from ray import train
    from ray.train.lightgbm import RayTrainReportCallback, get_network_params

    rank = train.get_context().get_world_rank()
    read = train.get_dataset_shard(str(rank)).iter_batches(batch_size=None, batch_format="pyarrow")
    rows = pl.concat([pl.DataFrame(batch) for batch in read])
    outcomes = rows[OUTCOME].to_numpy()
    weights = rows[WEIGHT].to_numpy() if WEIGHT in rows.columns else None
    rows = rows.drop(OUTCOME, WEIGHT, strict=False)

    model, known, begun = config["model"], None, 0
    settings = {name: model.get_params()[name] for name in ("n_estimators", "n_jobs")}
    if checkpoint := train.get_checkpoint():
        known = RayTrainReportCallback.get_model(checkpoint)
        # The last round is always made here, as it makes the fitted model.
        begun = min(known.current_iteration(), settings["n_estimators"] - 1)
        known = Booster(model_str=known.model_to_string(num_iteration=begun))
    model.set_params(
        n_estimators=settings["n_estimators"] - begun,
        n_jobs=max(1, int(config["cpus"])),
        tree_learner="data",
        pre_partition=True,
        **get_network_params(),
    )
    report = RayTrainReportCallback(frequency=1)

    def saved(state: Any) -> None:
        # A report waits until Ray has read the one before, which it does every other second.
        if (state.iteration + 1) % config["rounds"] == 0:
            report(state)

    model.fit(rows, outcomes, sample_weight=weights, init_model=known, callbacks=[saved])
    model.set_params(**settings, tree_learner="serial", **ALONE)
    # A copy of LightGBM's is its trees alone, without the checkpoint that it began with.
    return None if rank else (deepcopy(model), begun)
