"""Search for better parameters on Ray: `uv run poe tune [--trials N]`."""

import logging
import os
import tempfile
from typing import Any

import optuna
import polars as pl

from rung_ops.errors import StageError
from rung_ops.ray import connect
from rung_ops.ray.settings import Settings, settings
from rung_ops.tracking import tune
from rung_ops.tracking.tune import Search

# MLflow records every trial, so Ray need not write files of its own.
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
# This output mode prints nothing with verbose=0.
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
NAMES = "parameters"


def on_ray(search: Search, rows: pl.DataFrame, chosen: Settings) -> None:
    """Score the trials on workers."""
    store = connect.STORE + 2 * rows.estimated_size()
    with connect.connected(chosen, int(store)) as ray:
        try:
            _fit(search, rows, chosen)
        except ray.exceptions.RayError as error:
            raise StageError(connect.explain(error)) from error


def _fit(search: Search, rows: pl.DataFrame, chosen: Settings) -> None:
    from ray import tune as ray_tune

    from rung_ops.ray.searcher import RoundSearcher, evaluate

    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    searcher = RoundSearcher(search)
    work: Any = ray_tune.with_parameters(
        evaluate, rows=rows, metric=search.metric, seed=search.settings["seed"]
    )
    with tempfile.TemporaryDirectory(prefix="rung-tune-") as folder:
        results = ray_tune.Tuner(
            ray_tune.with_resources(
                work, {"cpu": chosen.cpus, "memory": chosen.memory_mb * connect.MB}
            ),
            tune_config=ray_tune.TuneConfig(
                search_alg=searcher,
                num_samples=search.trials,
                max_concurrent_trials=chosen.workers,
                reuse_actors=True,
            ),
            run_config=ray_tune.RunConfig(
                name=NAMES,
                storage_path=folder,
                failure_config=ray_tune.FailureConfig(max_failures=chosen.retries),
                verbose=0,
            ),
        ).fit()
    searcher.finish()
    complete = search.study.get_trials(states=[optuna.trial.TrialState.COMPLETE])
    if searcher.wrong or len(complete) < search.trials:
        errors = [connect.explain(error) for error in results.errors]
        raise StageError(f"A trial failed: {searcher.wrong or ''} {' '.join(errors[:1])}".strip())


def main(arguments: list[str] | None = None) -> int:
    """Search on Ray; return the exit code."""
    chosen = settings()
    run = tune.tune_verb(lambda search, rows: on_ray(search, rows, chosen), chosen.together)
    return run(arguments)
