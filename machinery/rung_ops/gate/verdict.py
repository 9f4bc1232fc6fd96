"""The verdict on the predictions of two models for the same rows; needs no project.

`poe gate`, a simulation and a notebook get the same verdict from judge_predictions().
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from rung_ops.gate import paired_test
from rung_ops.gate.paired_test import GROUPS, Comparison
from rung_ops.gate.rules import PROBABLY_BETTER, Rules, Threshold, allowed_loss
from rung_ops.model.target import finite_rows
from rung_ops.statistics import jackknife
from rung_ops.statistics.jackknife import Figure, NotComparableError, figure_or_nan
from rung_ops.system.printable import counted, four_digits

NOT_KNOWN: dict[str, int | None] = {"equal": None, "as_seen": None}  # rows that are needed
# True gains whose chance to pass is told: points, or shares of the champion's figure.
GAINS = {0.01: "1 % better", 0.0: "equal", -0.01: "1 % worse", -0.05: "5 % worse"}


@dataclass(frozen=True)
class Verdict:
    """Whether the challenger may replace the champion.

    Attributes:
        reasons: why it may not; empty otherwise.
        figures: all computed figures; None for an undefined one.
        notes: remarks that do not decide.
        challenger, champion: their origins; None without a champion.
        awaits: decisions of people that are missing, such as an approval; until then the
            challenger may run as a shadow.
        rows_needed: with how many test rows a version passes in paired_test.POWER of the tests:
            `equal`, one as good as the champion; `as_seen`, one better by what was seen. None
            without a champion, and where no number is enough.
    """

    promote: bool
    reasons: list[str]
    figures: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    challenger: dict[str, str] = field(default_factory=dict)
    champion: dict[str, str] | None = None
    awaits: list[str] = field(default_factory=list)
    rows_needed: dict[str, int | None] = field(default_factory=NOT_KNOWN.copy)

    def with_reasons(self, reasons: list[str]) -> "Verdict":
        """Return a verdict with further reasons against the challenger."""
        combined = self.reasons + reasons
        return dataclasses.replace(self, promote=not (combined or self.awaits), reasons=combined)

    def awaiting(self, awaits: list[str]) -> "Verdict":
        """Return a verdict that awaits decisions of people."""
        return dataclasses.replace(self, promote=self.promote and not awaits, awaits=awaits)


@dataclass(frozen=True)
class Score:
    """The deciding figure, with its sign changed if lower is better."""

    figure: Figure
    metric: str
    higher_is_better: bool

    @property
    def sign(self) -> int:
        """1, or -1 if lower is better."""
        return 1 if self.higher_is_better else -1

    def __call__(self, truth: np.ndarray, predicted: np.ndarray) -> float:
        """Score predictions; greater is better."""
        return self.sign * float(self.figure(truth, predicted))

    def plain(self, value: float) -> float | None:
        """Return a figure with its own sign; None if it is not finite."""
        return self.sign * value if math.isfinite(value) else None

    def allowed(self, share: float, champion: float) -> Threshold:
        """Return how far below the champion's figure a rule lets another figure be."""
        return allowed_loss(share, champion, self.higher_is_better)

    def both(self, compared: Comparison) -> str:
        """Write the figures of two models."""
        challenger, other = (self.sign * each for each in (compared.challenger, compared.other))
        return f"{self.metric} {four_digits(challenger)} against {four_digits(other)}"


def judge_predictions(
    truth: np.ndarray,
    challenger: np.ndarray,
    champion: np.ndarray | None,
    *,
    figure: Figure,
    higher_is_better: bool = True,
    rules: Rules | None = None,
    metric: str = "figure",
    baseline: np.ndarray | None = None,
    baseline_name: str = "the baseline",
    slices: pl.DataFrame | Mapping[str, Sequence[Any] | np.ndarray] | None = None,
    group: np.ndarray | None = None,
    unseen: np.ndarray | None = None,
    seed: int = 1,
) -> Verdict:
    """Judge two arrays of predictions as the gate does.

    Args:
        truth: target values, shape (n_rows,); of classes their numbers.
        challenger: its predictions, shape (n_rows,) or (n_rows, n_columns).
        champion: those of the model that it would replace, of the same shape; None without one.
        figure: computes the deciding figure of target values and predictions.
        higher_is_better: its direction.
        rules: of the gate; by default those that an empty ops/gate.toml stands for.
        metric: name of the figure, for the reasons.
        baseline: predictions that the challenger has to beat, if there are any.
        baseline_name: what the reasons call them.
        slices: values to slice the rows by, by name of the column, each of shape (n_rows,).
        group: the number of each row's group, from 0, shape (n_rows,), where rows of a group are
            alike: see jackknife.time_blocks(). By default the rows are independent.
        unseen: whether the champion did not learn from a row, shape (n_rows,): it is compared on
            these alone. By default it learned from none.
        seed: of the deal of independent rows into groups.

    Returns:
        The verdict. Its figures have the format of reports/gate.json.
    """
    rules = rules or Rules()
    score = Score(figure, metric, higher_is_better)
    figures: dict[str, Any] = {
        "metric": metric,
        "higher_is_better": higher_is_better,
        "rows": len(truth),
        "alpha": rules.alpha,
    }
    named = {"challenger": challenger, "baseline": baseline, "champion": champion}
    predictions = {name: each for name, each in named.items() if each is not None}
    if reasons := list(_incomplete(truth, predictions, rules)):
        return Verdict(False, reasons, figures)
    columns = pl.DataFrame(slices).with_columns(pl.all().cast(pl.String).fill_null("missing"))
    rows = _Rows(truth, predictions, columns, group, seed)
    shared = rows if champion is None or unseen is None else rows.only(unseen)
    notes: list[str] = []
    if left_out := rows.number - shared.number:
        notes = [
            f"the champion learned from {left_out:,} of {counted(rows.number, 'test row')}; the two "
            f"are compared on the other {shared.number:,}"
        ]
    needed = NOT_KNOWN
    try:
        compared = rows.compare(score, rules.alpha)
        figures["challenger"] = score.plain(score(truth, challenger))
        if baseline is not None:
            simple = compared["baseline"]
            figures["baseline"] = _figures(simple, score)
            if not simple.low > 0:
                reasons += [f"not shown to be better than {baseline_name}: {score.both(simple)}"]
        max_drop = None
        if champion is not None and shared.number < rules.min_rows:
            reasons.append(
                f"the champion did not learn from {counted(shared.number, 'test row')}, too few to "
                f"compare the two; {rules.min_rows:,} are needed, "
                f"{rules.min_rows - shared.number:,} more"
            )
            # Where the champion knows the rows, their spread still tells how many others it takes.
            needed = _AgainstChampion(compared["champion"], score, rules).rows_needed
            needed = needed | {"as_seen": None}
            shared = rows.without("champion")
        elif champion is not None:
            gain = (shared.compare(score, rules.alpha) if notes else compared)["champion"]
            against = _AgainstChampion(gain, score, rules)
            figures["champion"], needed = against.figures(), against.rows_needed
            max_drop = score.allowed(rules.slices.max_drop, gain.other)
            reasons += against.reasons()
        scored = list(_slices(shared, score, rules, max_drop))
    except NotComparableError as error:
        return Verdict(False, [str(error)], figures, notes)
    figures["slices"] = [each.as_json(score) for each in scored]
    reasons += _slice_reasons(scored, max_drop, score)
    reasons += _bound_reasons(rows, score, rules)
    notes += _slice_notes(scored, shared.slices.columns, max_drop, score, rules)
    return Verdict(not reasons, reasons, figures, notes, rows_needed=needed)


@dataclass(frozen=True)
class _Rows:
    """Test rows with what was predicted for them; the rest are arguments of judge_predictions()."""

    truth: np.ndarray
    predictions: dict[str, np.ndarray]
    slices: pl.DataFrame
    group: np.ndarray | None
    seed: int

    @property
    def number(self) -> int:
        return len(self.truth)

    def only(self, chosen: np.ndarray) -> "_Rows":
        predictions = {name: each[chosen] for name, each in self.predictions.items()}
        group = None if self.group is None else self.group[chosen]
        columns = self.slices.filter(pl.Series(chosen)) if self.slices.width else self.slices
        return _Rows(self.truth[chosen], predictions, columns, group, self.seed)

    def slice_of(self, column: str, value: str) -> "_Rows":
        """Take the rows of a slice; none of an unknown column."""
        known = column in self.slices.columns
        is_inside = self.slices[column] == value if known else np.zeros(self.number, bool)
        return self.only(np.asarray(is_inside))

    def figure(self, name: str, score: Score, rules: Rules) -> float:
        """Score the predictions of a model on the rows of a slice; NaN where that is undefined."""
        if name not in self.predictions or self.number < rules.slices.min_rows:
            return math.nan
        return figure_or_nan(score, self.truth, self.predictions[name])

    def without(self, name: str) -> "_Rows":
        rest = {each: predicted for each, predicted in self.predictions.items() if each != name}
        return dataclasses.replace(self, predictions=rest)

    def compare(self, score: Score, alpha: float) -> dict[str, Comparison]:
        others = {name: each for name, each in self.predictions.items() if name != "challenger"}
        challenger = self.predictions["challenger"]
        return paired_test.compare(self.truth, challenger, others, score, alpha, self._groups())

    def _groups(self) -> np.ndarray:
        if self.group is None:
            return jackknife.dealt(self.number, self.seed, min(GROUPS, self.number // 2))
        filled, numbers = np.unique(self.group, return_inverse=True)
        if len(filled) < jackknife.LEAST_BLOCKS:
            raise NotComparableError(
                f"the {self.number:,} rows are of {len(filled)} blocks of time; "
                f"{jackknife.LEAST_BLOCKS} are needed"
            )
        return numbers


def _incomplete(
    truth: np.ndarray, predictions: dict[str, np.ndarray], rules: Rules
) -> Iterator[str]:
    if len(truth) < rules.min_rows:
        yield (
            f"got {len(truth):,} test rows; expected at least {rules.min_rows:,}, `min_rows` in "
            "ops/gate.toml"
        )
    expected = (len(truth), *predictions["challenger"].shape[1:])
    for name, predicted in predictions.items():
        if predicted.shape != expected:
            yield f"predictions of the {name} have shape {predicted.shape}; expected {expected}"
        elif bad := int((~finite_rows(predicted)).sum()):
            yield f"{bad:,} of {len(truth):,} predictions of the {name} are not finite numbers"


def _figures(compared: Comparison, score: Score) -> dict[str, Any]:
    return {
        "figure": score.plain(compared.other),
        "gain": compared.gain,
        "gain_low": compared.low,
        "gain_high": compared.high,
        "standard_error": compared.error,
    }


class _AgainstChampion:
    """The comparison with the champion, by the rules of the gate."""

    def __init__(self, compared: Comparison, score: Score, rules: Rules) -> None:
        self.compared, self.score, self.rules = compared, score, rules
        self.margin = score.allowed(rules.margin, compared.other)
        self.ways = compared.ways(self.margin.amount, rules.enough_probability)
        gains = {"equal": 0.0} | ({"as_seen": compared.gain} if compared.gain > 0 else {})
        needed = {name: compared.rows_needed(self.ways, gain) for name, gain in gains.items()}
        self.rows_needed = NOT_KNOWN | {
            name: None if rows is None else max(rows, rules.min_rows)
            for name, rows in needed.items()
        }

    def figures(self) -> dict[str, Any]:
        """Return what reports/gate.json has of it."""
        compared, allowed = self.compared, self.score.allowed
        amounts = {gain: allowed(abs(gain), compared.other).amount for gain in GAINS}
        return _figures(compared, self.score) | {
            "rows": compared.rows,
            "challenger": self.score.plain(compared.challenger),
            "margin": self.margin.amount,
            "probability_better": compared.probability_better,
            "probability_needed": self.rules.enough_probability,
            "passes": {
                f"{gain:+g}": compared.chance(self.ways, math.copysign(amount, gain))
                for gain, amount in amounts.items()
            },
        }

    def reasons(self) -> Iterator[str]:
        """Say why the challenger may not replace the champion."""
        compared = self.compared
        if compared.passes(self.ways):
            return
        if compared.high < 0:
            yield f"worse than the champion: {self.score.both(compared)}"
            return
        reason = (
            f"not shown to be as good as the champion: {self.score.both(compared)}, so it may be "
            f"{four_digits(-compared.low)} worse; {self.margin} is allowed"
        )
        if self.rules.rule == PROBABLY_BETTER:
            reason += (
                f". Nor is it better with a probability of {self.rules.probability:.0%}, but of "
                f"{compared.probability_better:.0%}"
            )
        more = rows_in_words(self.rows_needed)
        yield f"{reason}. {more}" if more else reason


def rows_in_words(needed: dict[str, int | None]) -> str:
    """Say with how many test rows a version passes; empty where it is not known."""
    if not needed["equal"]:
        return ""
    text = f"An equally good version needs about {_two_digits(needed['equal'])} test rows to pass"
    if needed["as_seen"]:
        text += f", one better by what was seen about {_two_digits(needed['as_seen'])}"
    return f"{text}, in {paired_test.POWER:.0%} of the tests"


def _two_digits(rows: int) -> str:
    """Round an estimate up to two digits."""
    unit = 10 ** max(len(str(rows)) - 2, 0)
    return f"{math.ceil(rows / unit) * unit:,}"


@dataclass(frozen=True)
class Slice:
    """One slice of the test rows: those with this value in this column.

    Attributes:
        challenger, champion: figures, greater is better; NaN if undefined.
        judged: whether it has enough rows, and both classes if the figure needs them.
        gain_low, gain_high: bounds of challenger minus champion; NaN where they need not be known.
    """

    column: str
    value: str
    rows: int
    challenger: float
    champion: float
    judged: bool
    gain_low: float = math.nan
    gain_high: float = math.nan

    def __str__(self) -> str:
        return f"{self.column} {self.value}"

    def as_json(self, score: Score) -> dict[str, Any]:
        """Return it in the format of reports/gate.json."""
        return dataclasses.asdict(self) | {
            "challenger": score.plain(self.challenger),
            "champion": score.plain(self.champion),
            "gain_low": self.gain_low if math.isfinite(self.gain_low) else None,
            "gain_high": self.gain_high if math.isfinite(self.gain_high) else None,
        }

    def change(self, score: Score) -> str:
        """Write what changes from champion to challenger."""
        before, after = (score.sign * each for each in (self.champion, self.challenger))
        return (
            f"{self}: changes from {four_digits(before)} to {four_digits(after)} on "
            f"{counted(self.rows, 'row')}"
        )


def _slices(rows: _Rows, score: Score, rules: Rules, max_drop: Threshold | None) -> Iterator[Slice]:
    """Score every slice, the largest of a column first.

    The bounds of a gain cost a hundred figures, so they are only found where the figures are
    farther apart than `max_drop`: nowhere else can they refuse. That slices are many is allowed for
    by Bonferroni: each has its part of `alpha`.
    """
    scored = []
    for column in rows.slices.get_columns():
        counts = column.value_counts().sort("count", column.name, descending=[True, False])
        for value in counts[column.name]:
            if rules.slices.judges(column.name, value):
                inside = rows.slice_of(column.name, value)
                ours, theirs = (inside.figure(n, score, rules) for n in ("challenger", "champion"))
                judged = math.isfinite(ours) or math.isfinite(theirs)
                scored.append(Slice(column.name, value, inside.number, ours, theirs, judged))
    compared = sum(math.isfinite(each.challenger - each.champion) for each in scored)
    for each in scored:
        if max_drop and each.champion - each.challenger > max_drop.amount:
            with suppress(NotComparableError):
                inside = rows.slice_of(each.column, each.value)
                gain = inside.compare(score, rules.slices.alpha / compared)["champion"]
                each = dataclasses.replace(each, gain_low=gain.low, gain_high=gain.high)
        yield each


def _slice_reasons(slices: list[Slice], max_drop: Threshold | None, score: Score) -> Iterator[str]:
    for each in slices:
        if each.judged and not math.isfinite(each.challenger):
            yield f"{each}: the challenger has no figure on its {counted(each.rows, 'row')}"
        elif max_drop and each.gain_high < -max_drop.amount:
            yield (
                f"{each.change(score)}, which is at least {four_digits(-each.gain_high)} worse; "
                f"{max_drop} is allowed"
            )


def _bound_reasons(rows: _Rows, score: Score, rules: Rules) -> Iterator[str]:
    for bound in rules.slices.bounds:
        name = f"{bound.column} {bound.value}"
        inside = rows.slice_of(bound.column, bound.value)
        figure = inside.figure("challenger", score, rules)
        if not math.isfinite(figure):
            yield f"{name}: has a bound, but too few rows to judge ({inside.number:,})"
        elif figure < score.sign * bound.bound:
            yield (
                f"{name}: {four_digits(score.sign * figure)} misses its bound of "
                f"{four_digits(bound.bound)}"
            )


def _slice_notes(
    slices: list[Slice], columns: list[str], max_drop: Threshold | None, score: Score, rules: Rules
) -> Iterator[str]:
    for each in slices:
        if max_drop and each.champion - each.challenger > max_drop.amount:
            if not each.gain_high < -max_drop.amount:
                yield f"{each.change(score)}, which may be chance and does not refuse"
    for column in columns:
        of_column = [each for each in slices if each.column == column]
        if column not in rules.slices.ignore and not any(each.judged for each in of_column):
            largest = max((each.rows for each in of_column), default=0)
            yield (
                f"no slice of `{column}` can be judged: the largest has {counted(largest, 'row')}; "
                f"{rules.slices.min_rows} are needed"
            )


def name_of(facts: dict[str, str]) -> str:
    """Return the id of the release, or else the number of the version."""
    return facts.get("release") or f"version {facts.get('version', '?')}"
