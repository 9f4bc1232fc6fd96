"""The project's search with the interface of Ray Tune.

Ray's own OptunaSearch reports results in the order in which they arrive, so the number of workers
would change the suggested parameters; and it does not keep the result of space().
"""

from typing import Any

import polars as pl
from ray.tune.search import Searcher

from rung_ops.tracking import tune
from rung_ops.tracking.tune import Search, Suggestion


class RoundSearcher(Searcher):
    """Suggests the trials of a round, and reports them to the search when all have ended."""

    def __init__(self, search: Search) -> None:
        super().__init__()
        self.search = search
        self.waiting: list[Suggestion] = []
        self.running: dict[str, Suggestion] = {}
        self.figures: dict[str, float] = {}
        self.wrong: str | None = None

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        """Suggest parameters, or None while trials of the round are running."""
        if self.wrong:
            return str(Searcher.FINISHED)
        if not self.waiting and len(self.figures) == len(self.running):
            self._tell()
            self.waiting = self.search.ask()
            if not self.waiting:
                return str(Searcher.FINISHED)
        if not self.waiting:
            return None
        self.running[trial_id] = self.waiting.pop(0)
        return {"settings": self.running[trial_id].settings}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Keep a figure until the round is over."""
        if error or result is None:
            self.wrong = self.wrong or "a worker was lost more often than `retries` allows"
        elif result.get("wrong"):
            self.wrong = self.wrong or str(result["wrong"])
        else:
            self.figures[trial_id] = result["figure"]

    def _tell(self) -> None:
        for trial_id, suggestion in sorted(
            self.running.items(), key=lambda item: item[1].trial.number
        ):
            self.search.tell(suggestion, self.figures[trial_id])
        self.running, self.figures = {}, {}

    def finish(self) -> None:
        """Tell of the last round, which Ray may end without asking again."""
        if not self.wrong and len(self.figures) == len(self.running):
            self._tell()

    def save(self, checkpoint_path: str) -> None:
        """Keep nothing: an interrupted search starts again."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: save() keeps nothing."""


def evaluate(config: dict[str, Any], rows: pl.DataFrame, metric: str, seed: int) -> dict[str, Any]:
    """Score hyperparameters: `figure`, or `wrong`, the error of the user's code.

    It is not raised, because Ray would retry the trial with the same result.
    """
    try:
        return {"figure": tune.score_of(config["settings"], rows, metric, seed)}
    except Exception as error:  # the user's code may raise anything
        return {"figure": float("nan"), "wrong": f"{type(error).__name__}: {error}"}
