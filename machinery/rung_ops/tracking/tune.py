"""Search for better hyperparameters: `uv run poe tune [--trials N]`."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import mlflow
import numpy as np
import optuna
import polars as pl
from mlflow.entities import Metric, Param, RunTag
from sklearn.model_selection import KFold, StratifiedKFold, TimeSeriesSplit

from rung_ops import contract
from rung_ops.command import Verb, verb
from rung_ops.contract import forecast
from rung_ops.errors import StageError
from rung_ops.project import current
from rung_ops.project.paths import parameters, params, shown
from rung_ops.tracking import registry, store_address
from rung_ops.training import estimator, rolling_origin, window


def tuning_file() -> Path:
    """Return the path of the figures of the search."""
    return current().reports / "tuning.json"


FOLDS = 3
SETTINGS = "settings"  # user attribute of a trial


def score_of(settings: dict[str, Any], rows: pl.DataFrame, metric: str, seed: int) -> float:
    """Return the mean figure of score() over FOLDS folds; rows with a time are split by time.

    Args:
        settings: of build(), without the seed.
        rows: training rows, shape (n_rows, n_columns).
        metric: the figure.
        seed: of the model and the folds.
    """
    model = contract.build(settings | {"seed": seed})
    if contract.TIME is not None:
        rows = rows.sort(pl.lit(forecast.made_at(rows)), maintain_order=True)
        folds = TimeSeriesSplit(FOLDS)
    elif estimator.is_classification(model):
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    else:
        folds = KFold(FOLDS, shuffle=True, random_state=seed)
    actual = estimator.truth(rows)
    figures = []
    for learn, judge in folds.split(np.zeros((len(actual), 1)), actual):
        # Of a forecast, leave out the rows whose outcome was not known when the first is predicted.
        if forecast.declared() is not None:
            learn = learn[forecast.known_in_time(rows[learn], rows[judge]).to_numpy()]
        unfitted = contract.build(settings | {"seed": seed})
        weights = window.weight_arguments(unfitted, rows[learn])
        fitted = unfitted.fit(estimator.features(rows[learn]), actual[learn], **weights)
        predicted = estimator.predict(fitted, rows[judge])
        figures.append(contract.score(actual[judge], predicted)[metric])
    return float(np.mean(figures))


@dataclass(frozen=True)
class Suggestion:
    """Hyperparameters of a trial of the study to score: settings of build(), without the seed."""

    trial: optuna.Trial
    settings: dict[str, Any]


class Search:
    """A study of Optuna whose trials are recorded in MLflow as child runs.

    It suggests trials in rounds. The suggestions depend only on the seed and on earlier rounds, not
    on which worker scores a trial first, so parallel and sequential searches give the same result.
    """

    def __init__(self, trials: int, together: int) -> None:
        """Take the number of trials, and how many make a round."""
        self.settings = params()
        self.metric = self.settings["score"]["metric"]
        self.trials, self.together = trials, together
        self.study = optuna.create_study(
            direction="maximize" if self.settings["score"]["higher_is_better"] else "minimize",
            sampler=optuna.samplers.TPESampler(seed=self.settings["seed"]),
        )
        self.store = registry.recorder()

    def ask(self) -> list[Suggestion]:
        """Return the next round, empty at the end; tell() all results of the last round first."""
        left = self.trials - len(self.study.trials)
        trials = [self.study.ask() for _ in range(min(self.together, left))]
        model = self.settings["model"]
        return [Suggestion(trial, model | contract.space(trial)) for trial in trials]  # type: ignore[misc]

    def tell(self, suggestion: Suggestion, figure: float) -> None:
        """Add the figure of a suggestion, and log it as a child of the active run."""
        trial, parent = suggestion.trial, mlflow.active_run()
        assert parent is not None
        tags = registry.run_tags() | {"mlflow.parentRunId": parent.info.run_id}
        run = self.store.create_run(parent.info.experiment_id, tags=tags).info.run_id
        self.store.log_batch(
            run,
            metrics=[Metric(self.metric, figure, timestamp=0, step=0)],
            params=[Param(name, str(value)) for name, value in suggestion.settings.items()],
            tags=[RunTag("mlflow.runName", f"trial {trial.number + 1}")],
        )
        self.store.set_terminated(run)
        trial.set_user_attr(SETTINGS, suggestion.settings)
        self.study.tell(trial, figure)
        number = trial.number + 1
        print(f"trial {number} of {self.trials}: {self.metric} {figure:.4f}", flush=True)


def sequential(search: Search, rows: pl.DataFrame) -> None:
    """Score all trials in this process, one after the other."""
    while suggestions := search.ask():
        for suggestion in suggestions:
            figure = score_of(suggestion.settings, rows, search.metric, search.settings["seed"])
            search.tell(suggestion, figure)


def tune_verb(run_trials: Callable[[Search, pl.DataFrame], None], together: int) -> Verb:
    """Make the verb `poe tune`, of what scores all trials of a search, and its default of --together."""

    @verb("poe tune")
    @click.option(
        "--trials",
        type=int,
        default=lambda: parameters().tune.trials,
        show_default="of params.toml, or 20",
        help="number of trials",
    )
    @click.option(
        "--together",
        type=int,
        default=together,
        show_default=True,
        help="trials in a round: suggested before the results of the round are known",
    )
    def run(trials: int, together: int) -> int:
        """Search for better hyperparameters, and print the [model] table for params.toml."""
        if refused := _refusal(trials, together):
            raise StageError(refused)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        rows, settings = pl.read_parquet(current().train), params()
        metric = settings["score"]["metric"]
        score_now = score_of(settings["model"], rows, metric, settings["seed"])
        print(f"params.toml now: {metric} {score_now:.4f}", flush=True)
        with registry.server_errors(store_address.tracking_uri, "Tune again when it is back."):
            search = Search(trials, together)
            # After an exception, the run ends as FAILED.
            with mlflow.start_run(run_name="tune", tags=registry.run_tags()):
                run_trials(search, rows)
                mlflow.log_metric(metric, search.study.best_value)
        _report(search.study, trials, score_now, settings["score"]["higher_is_better"])
        if choice := rolling_origin.before_test():
            print("\nWindows, with the [model] of params.toml:\n", flush=True)
            print(*rolling_origin.lines(choice), sep="\n")
        return 0

    return run


main = tune_verb(sequential, together=1)


def _refusal(trials: int, together: int) -> str:
    """Say why there is nothing to search, or no way to; empty if there is."""
    if contract.space is None:
        return (
            "model.py has no space(trial), which says what values to try. For example:\n\n"
            "def space(trial):\n"
            '    return {"max_depth": trial.suggest_int("max_depth", 2, 12)}  # of [model] in params.toml'
        )
    for option, number in (("--trials", trials), ("--together", together)):
        if number < 1:
            return f"{option}: got {number}; expected 1 or more."
    if not current().train.exists():
        return "There are no training rows yet: `uv run poe train` creates them."
    return ""


def _report(study: optuna.Study, trials: int, score_now: float, higher_is_better: bool) -> None:
    """Write what was found to a file, and print it as the [model] table."""
    best = study.best_trial.user_attrs[SETTINGS]
    result = {"trials": trials, "today": score_now, "best": study.best_value, "model": best}
    result["at"] = datetime.now(UTC).isoformat(timespec="seconds")
    result["tried"] = [
        {"trial": each.number + 1, "figure": each.value, "model": each.user_attrs[SETTINGS]}
        for each in study.trials
        if each.value is not None  # of a trial whose figure is NaN
    ]
    tuning_file().parent.mkdir(parents=True, exist_ok=True)
    tuning_file().write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(
        f"\nBest: {study.best_value:.4f} ({shown(tuning_file())}). To use it, put into params.toml:\n"
    )
    print("[model]")
    for name, value in best.items():
        if value is not None:  # TOML has no null: omit the line
            print(f"{name} = {json.dumps(value)}")
    if (study.best_value - score_now) * (1 if higher_is_better else -1) <= 0:
        print("\nIt is not better than the score_now parameters.")
