"""Fit XGBoost to a worker's share of the rows."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import xgboost

from rung_ops.training import xgboost_parts

# Ray hides GPUs from workers, and dart would drop trees as from the first round again.
KNOWN = xgboost_parts.KNOWN | {"booster": ("gbtree",), "callbacks": (), "device": ("cpu",)}


def settings_of(model: Any, outcomes: np.ndarray, workers: int) -> dict[str, Any]:
    """Return the parameters of the trees; refuse what workers cannot fit, or not continue."""
    xgboost_parts.refuse(model, "on Ray", KNOWN)
    return xgboost_parts.settings_of(model, outcomes)


def trainer() -> Any:
    """Return the class of Ray that starts the workers."""
    from ray.train.xgboost import XGBoostTrainer

    return XGBoostTrainer


def fit(
    model: Any,
    settings: dict[str, Any],
    read: Callable[[], Iterator[dict[str, Any]]],
    checkpoint_rounds: int,
    threads: int,
) -> tuple[Any, int]:
    """Fit a model on a worker; return it, and the round of the checkpoint that it began with."""
    from ray import train
    from ray.train.xgboost import RayTrainReportCallback

    class Saved(RayTrainReportCallback):
        """Saves the trees in some rounds; Ray's own would wait for a report in all others, too."""

        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> None:
            if (epoch + 1) % checkpoint_rounds == 0:
                super().after_iteration(model, epoch, evals_log)

    checkpoint = train.get_checkpoint()
    known = RayTrainReportCallback.get_model(checkpoint) if checkpoint else None
    begun = known.num_boosted_rounds() if known else 0
    trees = xgboost.train(
        settings | {"n_jobs": threads},
        xgboost_parts.bins(model, list(read()).__iter__, threads),
        model.get_num_boosting_rounds() - begun,
        xgb_model=known,
        callbacks=[Saved(frequency=1, checkpoint_at_end=False)],
    )
    model.load_model(trees.save_raw())
    return model, begun
