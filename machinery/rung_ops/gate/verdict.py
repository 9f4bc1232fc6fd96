"""Judge a challenger's predictions: against a constant, the champion, and in every slice."""

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from rung_ops import contract
from rung_ops.gate import paired_test
from rung_ops.gate import slices as gate_slices
from rung_ops.gate.paired_test import Comparison
from rung_ops.gate.rules import Rules
from rung_ops.gate.slices import Slice
from rung_ops.project.paths import params
from rung_ops.training import estimator


@dataclass(frozen=True)
class Champion:
    """The model that answers now.

    Attributes:
        facts: what it is, by name.
        predictions: of the test rows, shape (n_rows,).
        slices: of its own evaluation, as reports/slices.json has them.
    """

    facts: dict[str, str]
    predictions: np.ndarray
    slices: list[dict[str, Any]]


@dataclass(frozen=True)
class Verdict:
    """Whether the challenger may replace the champion.

    Attributes:
        promote: it may.
        reasons: why not; empty when it may.
        figures: what was computed; None stands for a figure that is not defined.
        notes: what a reader should know beside it.
        challenger: what was judged, by name.
        champion: what it was held against; None where there is no champion.
        awaits: what only people can give, as an approval; meanwhile it may be tried where it
            answers nobody.
    """

    promote: bool
    reasons: list[str]
    figures: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    challenger: dict[str, str] = field(default_factory=dict)
    champion: dict[str, str] | None = None
    awaits: list[str] = field(default_factory=list)

    def against(self, reasons: list[str]) -> "Verdict":
        """Add reasons that speak against the challenger."""
        everything = self.reasons + reasons
        return dataclasses.replace(
            self, promote=not (everything or self.awaits), reasons=everything
        )

    def awaiting(self, awaits: list[str]) -> "Verdict":
        """Name what people have to give before the challenger may answer."""
        return dataclasses.replace(self, promote=self.promote and not awaits, awaits=awaits)


class Score:
    """The figure that decides, turned so that greater is better."""

    def __init__(self) -> None:
        """Read [score] in params.toml."""
        settings = params()
        self.metric: str = settings["score"]["metric"]
        self.sign = 1 if settings["score"]["higher_is_better"] else -1
        self.seed: int = settings["seed"]

    def __call__(self, truth: np.ndarray, predicted: np.ndarray) -> float:
        """Score predictions."""
        return self.sign * float(contract.score(truth, predicted)[self.metric])

    def plain(self, value: float) -> float | None:
        """Turn a figure back to what score() gave; None where there is none."""
        return self.sign * value if math.isfinite(value) else None

    def unit(self, champion: float) -> float:
        """Tell what margins are multiples of: one, or the champion's figure if that is an error."""
        return 1.0 if self.sign > 0 else abs(champion)


def judge(
    rows: pl.DataFrame,
    challenger: np.ndarray,
    champion: Champion | None,
    constant: np.ndarray,
    rules: Rules,
) -> Verdict:
    """Judge predictions of the same rows.

    Args:
        rows: test rows with their target, shape (n_rows, n_columns).
        challenger: its predictions, shape (n_rows,).
        champion: with its predictions, if there is one.
        constant: predictions of the rule that ignores every feature, shape (n_rows,).
        rules: what the challenger must show.
    """
    predictions = {"challenger": challenger, "constant": constant}
    if champion:
        predictions["champion"] = champion.predictions
    reasons = list(_incomplete(rows, predictions, rules))
    score = Score()
    figures: dict[str, Any] = {
        "metric": score.metric,
        "higher_is_better": score.sign > 0,
        "rows": rows.height,
        "alpha": rules.alpha,
    }
    if not reasons:
        try:
            reasons = _compared(rows, predictions, champion, rules, score, figures)
        except KeyError as error:
            reasons = [f"score() in model.py, or the test rows, have no {error}"]
        except (paired_test.NotComparable, pl.exceptions.PolarsError) as error:
            reasons = [str(error)]
    return Verdict(not reasons, reasons, figures, champion=champion.facts if champion else None)


def _incomplete(
    rows: pl.DataFrame, predictions: dict[str, np.ndarray], rules: Rules
) -> Iterator[str]:
    if contract.TARGET not in rows.columns:
        yield f"the test rows lack the target `{contract.TARGET}`"
    elif unknown := rows[contract.TARGET].is_null().sum() + _nans(rows[contract.TARGET]):
        yield f"{unknown:,} of {rows.height:,} test rows have no `{contract.TARGET}`"
    if rows.height < rules.min_rows:
        yield f"{rows.height:,} test rows; {rules.min_rows:,} are needed"
    for name, predicted in predictions.items():
        if predicted.shape != (rows.height,):
            yield f"the {name} gave {predicted.shape} predictions for {rows.height:,} rows"
        elif bad := int((~np.isfinite(predicted.astype(float))).sum()):
            yield f"{bad:,} of {rows.height:,} predictions of the {name} are no number"


def _nans(column: pl.Series) -> int:
    return int(column.is_nan().sum()) if column.dtype.is_float() else 0


def _compared(
    rows: pl.DataFrame,
    predictions: dict[str, np.ndarray],
    champion: Champion | None,
    rules: Rules,
    score: Score,
    figures: dict[str, Any],
) -> list[str]:
    """Fill in the figures, and say what speaks against the challenger."""
    truth, ours = estimator.truth(rows), predictions["challenger"]
    others = {name: each for name, each in predictions.items() if name != "challenger"}
    held = paired_test.compare(truth, ours, others, score, rules.alpha, score.seed)
    figures |= {"challenger": score.plain(held["constant"].ours)}
    figures |= {name: _told(each, score) for name, each in held.items()}
    figures["scores"] = {name: _scores(truth, each) for name, each in predictions.items()}
    reasons = list(_worthless(held["constant"], score))
    if "champion" in held:
        unit = score.unit(held["champion"].theirs)
        margin, max_drop = rules.margin * unit, rules.max_drop * unit
        rules = dataclasses.replace(rules, margin=margin, max_drop=max_drop)
        figures["champion"]["margin"] = margin
        reasons += _worse(held["champion"], margin, score, rows.height)
    slices = gate_slices.score(rows, truth, ours, others.get("champion"), score, rules)
    figures["slices"] = [_slice(each, score) for each in slices]
    named = params().get("report", {}).get("slices", [])
    before = champion.slices if champion else []
    known = [each for each in before if each.get(score.metric) is not None]
    return reasons + list(gate_slices.objections(slices, named, known, rules, score.sign))


def _worthless(held: Comparison, score: Score) -> Iterator[str]:
    if not held.low > 0:
        yield f"not shown to be better than a constant: {_beside(held, score)}"


def _worse(held: Comparison, margin: float, score: Score, rows: int) -> Iterator[str]:
    if held.not_worse(margin):
        return
    if held.high < 0:
        yield f"worse than the champion: {_beside(held, score)}"
        return
    reason = (
        f"not shown to be as good as the champion: {_beside(held, score)}, so it may be "
        f"{-held.low:.4g} worse, and {margin:.4g} is allowed"
    )
    needed = math.ceil(rows * (held.deviations * held.error / margin) ** 2)
    if needed > rows:
        reason += f". Even of an equal one, only about {needed:,} test rows would show it"
    yield reason


def _beside(held: Comparison, score: Score) -> str:
    return f"{score.metric} {score.plain(held.ours):.4g} against {score.plain(held.theirs):.4g}"


def _told(held: Comparison, score: Score) -> dict[str, float | None]:
    return {
        "figure": score.plain(held.theirs),
        "gain": held.gain,
        "gain_low": held.low,
        "gain_high": held.high,
        "standard_error": held.error,
    }


def _scores(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float | None]:
    """Take every figure of score() in model.py, beside the one that decides."""
    found = {name: float(value) for name, value in contract.score(truth, predicted).items()}
    return {name: value if math.isfinite(value) else None for name, value in found.items()}


def _slice(each: Slice, score: Score) -> dict[str, Any]:
    return dataclasses.asdict(each) | {
        "challenger": score.plain(each.challenger),
        "champion": score.plain(each.champion),
    }
