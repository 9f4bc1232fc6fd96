"""Fit LightGBM to a worker's share of the rows."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import numpy as np
import polars as pl
from lightgbm import Booster, LGBMClassifier

from rung_ops.errors import StageError

# LightGBM's other names of n_estimators, which would overrule it.
ROUNDS = (
    "max_iter n_iter nrounds num_boost_round num_iteration num_iterations num_round num_rounds "
    "num_tree num_trees"
).split()
ALONE = {"num_machines": 1, "machines": "", "local_listen_port": 12400, "pre_partition": False}


def settings_of(model: Any, outcomes: np.ndarray, workers: int) -> dict[str, Any]:
    """Return the parameters that differ on a worker; refuse what workers cannot fit, or continue."""
    values = model.get_params()
    if names := [name for name in ROUNDS if name in values]:
        raise StageError(f"[model] in params.toml: write `n_estimators` in place of {names[0]}.")
    kinds = {values.get(name, "gbdt") for name in ("boosting_type", "boosting", "boost")}
    if kinds != {"gbdt"}:
        raise StageError(
            f"{type(model).__name__} cannot be fitted on Ray with boosting "
            f"{', '.join(sorted(kinds - {'gbdt'}))}: only gbdt continues from a checkpoint."
        )
    if isinstance(model, LGBMClassifier):
        learned = len(np.unique(outcomes))
        if any(len(np.unique(outcomes[first::workers])) < learned for first in range(workers)):
            raise StageError(
                f"There are too few rows for {workers} workers: each needs rows of every class. "
                "Lower `workers` of fit_on_ray() in pipeline/train.py."
            )
    return {name: values[name] for name in ("n_estimators", "n_jobs")}


def trainer() -> Any:
    """Return the class of Ray that starts the workers."""
    from ray.train.lightgbm import LightGBMTrainer

    return LightGBMTrainer


def fit(
    model: Any,
    settings: dict[str, Any],
    read: Callable[[], Iterator[dict[str, Any]]],
    checkpoint_rounds: int,
    threads: int,
) -> tuple[Any, int]:
    """Fit a model on a worker; return it, and the round of the checkpoint that it began with."""
    from ray import train
    from ray.train.lightgbm import RayTrainReportCallback, get_network_params

    blocks = list(read())
    rows = pl.concat([block["data"] for block in blocks])
    columns = {
        name: np.concatenate([block[name] for block in blocks])
        for name in ("label", "weight")
        if name in blocks[0]
    }
    known, begun = None, 0
    if checkpoint := train.get_checkpoint():
        known = RayTrainReportCallback.get_model(checkpoint)
        # The last round is always made here, as it makes the fitted model.
        begun = min(known.current_iteration(), settings["n_estimators"] - 1)
        known = Booster(model_str=known.model_to_string(num_iteration=begun))
    model.set_params(
        n_estimators=settings["n_estimators"] - begun,
        n_jobs=threads,
        tree_learner="data",
        pre_partition=True,
        **get_network_params(),
    )
    report = RayTrainReportCallback(frequency=1)

    def saved(state: Any) -> None:
        # A report waits until Ray has read the one before, which it does every other second.
        if (state.iteration + 1) % checkpoint_rounds == 0:
            report(state)

    model.fit(
        rows,
        columns["label"],
        sample_weight=columns.get("weight"),
        init_model=known,
        callbacks=[saved],
    )
    model.set_params(**settings, tree_learner="serial", **ALONE)
    # A copy of LightGBM's is its trees alone, without the checkpoint that it began with.
    return deepcopy(model), begun
