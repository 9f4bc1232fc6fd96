"""Search for better parameters: `uv run poe tune [--trials N]`.

Rung keeps this file; change it through src/ and params.toml.
"""

import argparse
import json
import sys
from typing import Any

import mlflow
import numpy as np
import optuna
import polars as pl
from mlflow.entities import Metric, Param, RunTag
from sklearn.base import is_classifier
from sklearn.model_selection import KFold, StratifiedKFold, TimeSeriesSplit

from ops import contract, estimator, reach, registry
from ops.settings import REPORTS, TRAIN, params, shown

TUNING = REPORTS / "tuning.json"
FOLDS = 3
CHOSEN = "chosen"


def score_of(settings: dict[str, Any], rows: pl.DataFrame, metric: str, seed: int) -> float:
    """Score parameters by cross-validation; by time, later rows judge, where rows have a time.

    Args:
        settings: handed to build().
        rows: training rows; the test rows stay unseen.
        metric: which figure of score().
        seed: of the model and the folds.

    Returns:
        The mean of the figure over FOLDS.
    """
    model = contract.build(settings | {"seed": seed})
    if contract.TIME is not None:
        rows, folds = rows.sort(contract.TIME, maintain_order=True), TimeSeriesSplit(FOLDS)
    elif is_classifier(model):
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    else:
        folds = KFold(FOLDS, shuffle=True, random_state=seed)
    actual = estimator.truth(rows)
    figures = []
    for learn, judge in folds.split(np.zeros((len(actual), 1)), actual):
        fitted = contract.build(settings | {"seed": seed})
        fitted.fit(estimator.features(rows[learn]), actual[learn])
        predicted = estimator.predict(fitted, rows[judge])
        figures.append(contract.score(actual[judge], predicted)[metric])
    return float(np.mean(figures))


def search(rows: pl.DataFrame, trials: int) -> optuna.Study:
    """Run the search, each trial a run of its own under one parent in the store."""
    settings = params()
    metric, seed = settings["score"]["metric"], settings["seed"]
    store = registry.recorder()
    study = optuna.create_study(
        direction="maximize" if settings["score"]["higher_is_better"] else "minimize",
        sampler=optuna.samplers.TPESampler(seed=seed),
    )
    with mlflow.start_run(run_name="tune", tags=registry.marks()) as parent:

        def judge(trial: optuna.Trial) -> float:
            chosen = settings["model"] | contract.space(trial)  # type: ignore[misc]
            figure = score_of(chosen, rows, metric, seed)
            tags = registry.marks() | {"mlflow.parentRunId": parent.info.run_id}
            run = store.create_run(parent.info.experiment_id, tags=tags).info.run_id
            store.log_batch(
                run,
                metrics=[Metric(metric, figure, timestamp=0, step=0)],
                params=[Param(name, str(value)) for name, value in chosen.items()],
                tags=[RunTag("mlflow.runName", f"trial {trial.number + 1}")],
            )
            store.set_terminated(run)
            trial.set_user_attr(CHOSEN, chosen)
            print(f"trial {trial.number + 1} of {trials}: {metric} {figure:.4f}", flush=True)
            return figure

        study.optimize(judge, n_trials=trials)
        mlflow.log_metric(metric, study.best_value)
    return study


def main(arguments: list[str] | None = None) -> int:
    """Search, and print what to paste into params.toml; return the exit code."""
    parser = argparse.ArgumentParser(prog="poe tune", description=__doc__.splitlines()[0])
    default = params().get("tune", {}).get("trials", 20)
    parser.add_argument("--trials", type=int, default=default, help="how many to try (%(default)s)")
    trials = parser.parse_args(arguments).trials
    if contract.space is None:
        print("model.py has no space(trial): write one to say what to search.", file=sys.stderr)
        return 1
    if trials < 1:
        print(f"--trials is {trials}; give 1 or more.", file=sys.stderr)
        return 1
    if not TRAIN.exists():
        print("There are no training rows yet: `uv run poe train` makes them.", file=sys.stderr)
        return 1
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rows, settings = pl.read_parquet(TRAIN), params()
    metric = settings["score"]["metric"]
    today = score_of(settings["model"], rows, metric, settings["seed"])
    print(f"as params.toml is: {metric} {today:.4f}", flush=True)
    with reach.kept_up(registry.tracking_uri, "Tune again when it is back."):
        study = search(rows, trials)
    best = study.best_trial.user_attrs[CHOSEN]
    found = {"trials": trials, "today": today, "best": study.best_value, "model": best}
    TUNING.parent.mkdir(parents=True, exist_ok=True)
    TUNING.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(f"\nThe best, {study.best_value:.4f} ({shown(TUNING)}); to take it, in params.toml:\n")
    print("[model]")
    for name, value in best.items():
        if value is not None:  # TOML has no word for it: leave the line out
            print(f"{name} = {json.dumps(value)}")
    if (study.best_value - today) * (1 if settings["score"]["higher_is_better"] else -1) <= 0:
        print("\nIt is no better than what stands there now.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
