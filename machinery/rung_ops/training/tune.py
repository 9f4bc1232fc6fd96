"""Search for better parameters: `uv run poe tune [--trials N]`."""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mlflow
import numpy as np
import optuna
import polars as pl
from mlflow.entities import Metric, Param, RunTag
from sklearn.model_selection import KFold, StratifiedKFold, TimeSeriesSplit

from rung_ops import contract
from rung_ops.project.errors import StageError
from rung_ops.project.paths import REPORTS, TRAIN, params, shown
from rung_ops.tracking import registry, server_check, store_address
from rung_ops.training import estimator

TUNING = REPORTS / "tuning.json"
FOLDS = 3
CHOSEN = "chosen"


class TuningError(StageError):
    """The search cannot go on; the message says why and what to do."""


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
    elif estimator.is_classification(model):
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


@dataclass(frozen=True)
class Asked:
    """Parameters to be judged.

    Attributes:
        trial: of the study.
        settings: handed to build(), without the seed.
    """

    trial: optuna.Trial
    settings: dict[str, Any]


class Search:
    """Which parameters are tried, and what came of them: each trial a run of its own in the store.

    It asks in rounds. What is asked depends on the seed and on the rounds before, not on who judges
    nor on who is first, so that many may judge at the same time and find what one would.
    """

    def __init__(self, trials: int, together: int) -> None:
        """Begin a search for so many trials, in rounds of `together`."""
        self.settings = params()
        self.metric = self.settings["score"]["metric"]
        self.trials, self.together = trials, together
        self.study = optuna.create_study(
            direction="maximize" if self.settings["score"]["higher_is_better"] else "minimize",
            sampler=optuna.samplers.TPESampler(seed=self.settings["seed"]),
        )
        self.store = registry.recorder()

    def ask(self) -> list[Asked]:
        """Say what to judge next; empty at the end. Tell of the last ones first."""
        left = self.trials - len(self.study.trials)
        trials = [self.study.ask() for _ in range(min(self.together, left))]
        model = self.settings["model"]
        return [Asked(trial, model | contract.space(trial)) for trial in trials]  # type: ignore[misc]

    def tell(self, asked: Asked, figure: float) -> None:
        """Take a figure in, and log it below the run that is active."""
        trial, parent = asked.trial, mlflow.active_run()
        assert parent is not None
        tags = registry.marks() | {"mlflow.parentRunId": parent.info.run_id}
        run = self.store.create_run(parent.info.experiment_id, tags=tags).info.run_id
        self.store.log_batch(
            run,
            metrics=[Metric(self.metric, figure, timestamp=0, step=0)],
            params=[Param(name, str(value)) for name, value in asked.settings.items()],
            tags=[RunTag("mlflow.runName", f"trial {trial.number + 1}")],
        )
        self.store.set_terminated(run)
        trial.set_user_attr(CHOSEN, asked.settings)
        self.study.tell(trial, figure)
        number = trial.number + 1
        print(f"trial {number} of {self.trials}: {self.metric} {figure:.4f}", flush=True)


def one_by_one(search: Search, rows: pl.DataFrame) -> None:
    """Judge every trial here, one after the other."""
    while asked := search.ask():
        for one in asked:
            figure = score_of(one.settings, rows, search.metric, search.settings["seed"])
            search.tell(one, figure)


def _searched(
    search: Search, rows: pl.DataFrame, judge: Callable[[Search, pl.DataFrame], None]
) -> optuna.Study:
    # Where something is raised the run ends as FAILED.
    with mlflow.start_run(run_name="tune", tags=registry.marks()):
        judge(search, rows)
        mlflow.log_metric(search.metric, search.study.best_value)
    return search.study


def main(
    arguments: list[str] | None = None,
    judge: Callable[[Search, pl.DataFrame], None] = one_by_one,
    together: int = 1,
) -> int:
    """Search, and print what to paste into params.toml; return the exit code.

    Args:
        arguments: of the command line.
        judge: asks the search until nothing is left, and tells it the figures. Raises TuningError
            where it cannot go on.
        together: how many trials are asked for at a time, unless the command line says it.
    """
    parser = argparse.ArgumentParser(prog="poe tune", description=__doc__.splitlines()[0])
    default = params().get("tune", {}).get("trials", 20)
    parser.add_argument("--trials", type=int, default=default, help="how many to try (%(default)s)")
    parser.add_argument(
        "--together",
        type=int,
        default=together,
        help="how many to ask for before looking at what came of them (%(default)s)",
    )
    options = parser.parse_args(arguments)
    trials, together = options.trials, options.together
    if contract.space is None:
        print("model.py has no space(trial): write one to say what to search.", file=sys.stderr)
        return 1
    for option, number in (("--trials", trials), ("--together", together)):
        if number < 1:
            print(f"{option} is {number}; give 1 or more.", file=sys.stderr)
            return 1
    if not TRAIN.exists():
        print("There are no training rows yet: `uv run poe train` makes them.", file=sys.stderr)
        return 1
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rows, settings = pl.read_parquet(TRAIN), params()
    metric = settings["score"]["metric"]
    today = score_of(settings["model"], rows, metric, settings["seed"])
    print(f"as params.toml is: {metric} {today:.4f}", flush=True)
    try:
        with server_check.kept_up(store_address.tracking_uri, "Tune again when it is back."):
            study = _searched(Search(trials, together), rows, judge)
    except TuningError as error:
        print(error, file=sys.stderr)
        return 1
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
