"""Choice of the rows to learn from, by rolling origin: is a shorter past better for what comes next?

The newest rows before those that judge a version are cut into blocks, one after another in time. For each
block, a model of each window learns from the rows that were known before it, and predicts it. So the rows
that judge the version never choose its window.

Of the narrower windows that are better than the widest with 95 % probability each, the best is taken, and
otherwise the widest: without a change, more rows are better, and the figures of few rows scatter
(Tashman 2000, International Journal of Forecasting 16(4); the test is the gate's, on the same rows for
both).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import polars as pl

from rung_ops import contract
from rung_ops.command import verb
from rung_ops.contract import forecast
from rung_ops.data import blocks
from rung_ops.errors import StageError
from rung_ops.project import current
from rung_ops.project.paths import params
from rung_ops.statistics import jackknife
from rung_ops.statistics.jackknife import GROUPS, Figure, NotComparableError
from rung_ops.training import estimator, judged_rows
from rung_ops.training.window import Window, fit_arguments, in_use, sampled

# The widest first: the others have to beat it.
WINDOWS = (
    *(Window(), Window(12), Window(6), Window(3, half_life=True)),
    *(Window(3), Window(2), Window(1)),
)
BLOCKS = 3
LEAST = 100  # rows to learn from, and to be judged in all blocks together
DOUBT = 0.05  # probability of taking a narrower window that is no better

# Fits a model to rows with their weights, and predicts other rows.
FitAndPredict = Callable[[pl.DataFrame, np.ndarray | None, pl.DataFrame], np.ndarray]


@dataclass(frozen=True)
class Candidate:
    """A window that was compared."""

    window: Window
    rows: int  # that its model learned from for the newest block
    figure: float  # mean over the blocks; greater is better
    gain: float | None = None  # over the widest window; None for that one
    error: float | None = None  # standard error of the gain


@dataclass(frozen=True)
class Choice:
    """The windows that were compared, the widest first, and the one to use."""

    window: Window
    candidates: tuple[Candidate, ...] = ()  # what was compared; none if there are too few rows
    judged: int = 0  # rows in all blocks together
    begins: str = ""  # first moment of the oldest block, as text


def choose(
    rows: pl.DataFrame, judged: int, predict: FitAndPredict, figure: Figure, seed: int = 0
) -> Choice:
    """Compare windows by rolling origin, the widest first; a model that cannot be fitted leaves one out."""
    rows = rows.sort(pl.lit(forecast.made_at(rows)), maintain_order=True)
    size = min(judged, rows.height // 2) // BLOCKS
    if size * BLOCKS < LEAST:
        return Choice(WINDOWS[0])
    blocks = [rows[rows.height - size * left :][:size] for left in range(BLOCKS, 0, -1)]
    judging = pl.concat(blocks)
    truth = estimator.truth(judging)
    try:
        group = jackknife.groups_in_time(judging, seed, GROUPS)
    except NotComparableError:
        return Choice(WINDOWS[0])

    def mean(chosen: np.ndarray, predicted: np.ndarray) -> float:
        """Average over the blocks, as models of different blocks need not agree on a scale."""
        parts = [chosen[chosen // size == number] for number in range(BLOCKS)]
        return float(np.mean([figure(truth[part], predicted[part]) for part in parts]))

    def difference(chosen: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> float:
        return mean(chosen, ours) - mean(chosen, theirs)

    everything = np.arange(judging.height)
    sure = jackknife.student_t_quantile(2 * DOUBT, int(group.max()) + 1)
    candidates: list[Candidate] = []
    widest = np.empty(0)  # predictions of the widest window
    best: Candidate | None = None
    for window in WINDOWS:
        found = _predicted(rows, blocks, window, predict)
        if found is None or (best and not window.half_life and found[0] == candidates[0].rows):
            continue  # too few rows, or all of them again
        learned, predicted = found
        value = mean(everything, predicted)
        if best is None:
            widest, best = predicted, Candidate(window, learned, value)
            candidates.append(best)
            continue
        gain = partial(difference, ours=predicted, theirs=widest)
        estimate, error = gain(everything), jackknife.standard_error(gain, group)
        candidates.append(Candidate(window, learned, value, estimate, error))
        # NaN, such as from a block with a single class, is no evidence.
        if estimate > sure * error and value > best.figure:
            best = candidates[-1]
    begins = str(forecast.made_at(judging).min())
    return Choice(best.window if best else WINDOWS[0], tuple(candidates), judging.height, begins)


def _predicted(
    rows: pl.DataFrame, blocks: list[pl.DataFrame], window: Window, predict: FitAndPredict
) -> tuple[int, np.ndarray] | None:
    """Predict all blocks with models of a window, if they can be fitted; count the newest one's rows."""
    predictions, learned = [], 0
    for block in blocks:
        moment = forecast.made_at(block).min()
        learn = window.select(rows, moment)  # type: ignore[arg-type]
        learned = learn.height
        if learned < LEAST:
            return None
        try:
            predictions.append(predict(learn, window.weights(learn, moment), block))  # type: ignore[arg-type]
        except (ValueError, StageError):
            return None
    return learned, np.concatenate(predictions)


def of_project(rows: pl.DataFrame, judged: int) -> Choice:
    """Compare windows with build(), FEATURES and score() of the project and its params.toml."""
    settings = params()
    seed = settings["seed"]
    parameters = settings["model"] | {"seed": seed}
    metric, sign = settings["score"]["metric"], 1 if settings["score"]["higher_is_better"] else -1

    def predict(learn: pl.DataFrame, weights: np.ndarray | None, judge: pl.DataFrame) -> np.ndarray:
        model = contract.build(parameters)
        arguments = fit_arguments(model, weights)
        model.fit(estimator.features(learn), estimator.truth(learn), **arguments)
        return estimator.predict(model, judge)

    def figure(truth: np.ndarray, predicted: np.ndarray) -> float:
        return sign * float(contract.score(truth, predicted)[metric])

    return choose(rows, judged, predict, partial(jackknife.figure_or_nan, figure), seed=seed)


def before_test() -> Choice | None:
    """Compare windows of the rows before those of the test, which judge the version."""
    if not current().rows.is_file() or not current().test.is_file():
        raise StageError("There are no rows to compare windows on: `uv run poe train` splits them.")
    judging, stored = judged_rows.read(current().test, slices=False), blocks.scan(current().rows)
    rows = judged_rows.read(current().rows, slices=False)
    if not forecast.has_time(rows):
        return None
    rows = in_use(rows.with_row_index(blocks.NUMBER))
    rows = rows.filter(forecast.known_in_time(rows, judging))
    compared = sampled(rows, None if blocks.is_one(stored) else blocks.block_rows(stored))
    if compared.height < rows.height:
        print(f"window: compared on a sample of {compared.height:,} of {rows.height:,} rows")
    judged = judging.height * compared.height // max(rows.height, 1)
    return of_project(blocks.pick(stored, compared[blocks.NUMBER]), judged)


def lines(choice: Choice) -> list[str]:
    """Describe a choice, a line for each window."""
    if not choice.candidates:
        return [f"Too few rows to compare windows: {choice.window} is used."]
    score = params()["score"]
    sign = 1 if score["higher_is_better"] else -1
    table = [
        f"{score['metric']} on the newest {choice.judged:,} rows before the test, from {choice.begins} "
        f"on, in {BLOCKS} blocks",
        "",
        f"{'window':20}{'learned from':>14}{score['metric']:>12}{'gain':>10}{'error':>10}",
    ]
    for candidate in choice.candidates:
        line = f"{candidate.window!s:20}{candidate.rows:>14,}{sign * candidate.figure:>12.4f}"
        if candidate.gain is not None and candidate.error is not None:
            line += f"{candidate.gain:>+10.4f}{candidate.error:>10.4f}"
        table.append(line)
    if choice.window == choice.candidates[0].window:
        why = "no narrower window is better with 95 % probability"
    else:
        why = "the best of those that are better than the widest with 95 % probability"
    return [*table, "", f'window = "{choice.window}": {why}.']


@verb("rung-ops window")
def main() -> int:
    """Compare windows of training rows by rolling origin, and print the line for params.toml.

    The rows that judge the version, those of the test, are left out.
    """
    choice = before_test()
    if choice is None:
        print("dataset.py has no TIME that is a date or a time, so there is one window: all rows.")
        return 0
    print(*lines(choice), sep="\n")
    return 0
