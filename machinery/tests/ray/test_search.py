"""The search finds the same, whoever judges and in whatever order the figures come."""

import random
from pathlib import Path
from typing import Any

import mlflow
import optuna
import polars as pl
import pytest

pytest.importorskip("ray", reason="needs Ray: the extra `ray` of rung-ops")

from rung_ops import contract
from rung_ops.ray.searcher import RoundSearcher, evaluate
from rung_ops.tracking import registry, tune
from rung_ops.tracking.tune import Search, sequential

TRIALS, TOGETHER = 14, 4  # more than the ten that are drawn without a look at what came of others


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty store, and parameters of which there are figures at once."""
    if contract.space is None:
        pytest.skip("model.py has no space(trial)")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setattr(tune, "score_of", figure_of)
    registry.recorder()  # MLflow records in the store of the last one, which may be another test's


def figure_of(settings: dict[str, Any], *_: Any) -> float:
    """Draw a figure that depends on nothing but the parameters."""
    return random.Random(repr(sorted(settings.items()))).random()


def tried(search: Search) -> list[tuple[Any, Any]]:
    return [(trial.params, trial.value) for trial in search.study.trials]


def test_workers_that_end_in_any_order_find_what_one_finds() -> None:
    alone, with_many = Search(TRIALS, TOGETHER), Search(TRIALS, TOGETHER)
    with mlflow.start_run():
        sequential(alone, pl.DataFrame())

    searcher, order = RoundSearcher(with_many), random.Random(3)
    with mlflow.start_run():
        running: dict[str, Any] = {}
        given = 0
        while True:
            config = searcher.suggest(str(given))
            if config == RoundSearcher.FINISHED:
                break
            if isinstance(config, dict):
                running[str(given)] = config
                given += 1
                continue
            ended = order.choice(sorted(running))
            searcher.on_trial_complete(ended, {"figure": figure_of(running.pop(ended)["settings"])})

    assert len(tried(with_many)) == TRIALS
    assert tried(with_many) == tried(alone)


def test_rounds_of_another_size_look_at_results_at_other_times() -> None:
    searches = [Search(TRIALS, together) for together in (1, TOGETHER)]
    for search in searches:
        with mlflow.start_run():
            sequential(search, pl.DataFrame())

    first, other = map(tried, searches)
    assert first[:10] == other[:10]
    assert first[10:] != other[10:]


def test_what_the_users_code_says_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    def raise_it(*_: Any) -> float:
        raise ZeroDivisionError("of the user")

    monkeypatch.setattr(tune, "score_of", raise_it)
    searcher = RoundSearcher(Search(2, 2))
    config = searcher.suggest("a")
    assert isinstance(config, dict)

    searcher.on_trial_complete("a", evaluate(config, pl.DataFrame(), "auc", 1))

    assert searcher.wrong == "ZeroDivisionError: of the user"
    assert searcher.suggest("b") == RoundSearcher.FINISHED
