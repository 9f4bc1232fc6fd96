"""Compare what the model sees today with what it learned from, feature by feature.

Two samples of numbers are compared by the Kolmogorov-Smirnov test, those of categories by tests of
counts. The population stability index is reported, and no alarm rests on it.
"""

import math
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
import polars as pl
from scipy.special import chdtrc, gammaln, kolmogorov

from rung_ops.system.printable import four_digits

POWER = 0.95  # with which the reported shift is found


class Sample:
    """A sample of numbers without NaN in sorted runs, of which some may be empty, but not all.

    Runs that are mapped from files are read where they are looked up.
    """

    def __init__(self, runs: Iterable[np.ndarray]) -> None:
        self.runs = [run for run in runs if len(run)]

    def __len__(self) -> int:
        """Count all values."""
        return sum(map(len, self.runs))

    def counts(self, values: np.ndarray | float, side: Literal["left", "right"]) -> np.ndarray:
        """Count what is below some values (left), or up to them (right)."""
        return np.sum([np.searchsorted(run, values, side) for run in self.runs], axis=0)

    def value(self, place: int) -> float:
        """Find the value at a place of the whole sample in order, from 0.

        The middle of the longest stretch that is left is looked up in all runs, which leaves one side
        of it.
        """
        begins, ends = [0] * len(self.runs), [len(run) for run in self.runs]
        while True:
            longest = max(range(len(self.runs)), key=lambda run: ends[run] - begins[run])
            middle = self.runs[longest][(begins[longest] + ends[longest]) // 2]
            below, up_to = (
                [int(np.searchsorted(run, middle, side)) for run in self.runs] for side in SIDES
            )
            if place < sum(below):
                ends = below
            elif place >= sum(up_to):
                begins = up_to
            else:
                return float(middle)

    def mean(self) -> float:
        """Compute the mean; the long sum makes it the same, however the values are cut into runs."""
        return float(sum(run.sum(dtype=np.longdouble) for run in self.runs) / len(self))


def _sample(values: Sample | np.ndarray) -> Sample:
    return values if isinstance(values, Sample) else Sample([values])


SIDES: tuple[Literal["left"], Literal["right"]] = ("left", "right")


def largest_gap(first: np.ndarray, second: Sample | np.ndarray) -> float:
    """Find the largest vertical distance between two empirical distribution functions.

    Between two values of the first sample its function stays where it is and the other one rises,
    so the largest difference is at one of those values or just before it: the second sample is only
    looked up. Ties need no care: inside a run of equal values the largest difference is at the last
    of them, or just before the first. Both are sorted, without NaN, and not empty.
    """
    second = _sample(second)
    steps = np.arange(len(first) + 1) / len(first)
    before, at = (second.counts(first, side) / len(second) for side in SIDES)
    return float(max((steps[1:] - at).max(), (before - steps[:-1]).max()))


def gap_p_value(gap: float, n_first: int, n_second: int) -> float:
    """Bound the probability of such a gap, or a larger one, where nothing differs.

    Kolmogorov's limit distribution at sqrt(n m / (n + m)) times the gap (Smirnov 1939, Bull. Math.
    Univ. Moscou 2(2); Hodges 1958, Arkiv for Matematik 3(43)). The exact two-sample probability is
    below it for all sizes from 20 to 10,000 where it is below 0.1, by 30 % at most from 100 rows
    on; ties make false alarms rarer, not more frequent.
    """
    scaled = gap * math.sqrt(n_first * n_second / (n_first + n_second))
    return float(kolmogorov(scaled))


def visible_shift(rows: int, reference_rows: int, error: float) -> float:
    """Tell which shift of a normal distribution, in deviations, the test finds with POWER.

    Infinite where no shift is large enough. On the safe side: one half is the most by which the
    gap's square root of n can scatter. `error` is the probability of a false alarm that this one
    test has.
    """
    effective = math.sqrt(rows * reference_rows / (rows + reference_rows))
    needed = math.sqrt(math.log(2 / error) / 2) + NormalDist().inv_cdf(POWER) / 2
    gap = needed / effective
    return 2 * NormalDist().inv_cdf((1 + gap) / 2) if gap < 1 else math.inf


# Below it a count is too small for the chi-square distribution (Cochran 1954, Biometrics 10(4)).
LEAST_EXPECTED = 5


def pool_rare(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    """Put the levels together that are too rare to be tested one by one; tell whether any were.

    What is rare depends on both samples taken together, never on which of the two holds it, so that
    pooling by itself finds no difference. Counts have shape (n_levels,); the pooled are the last
    entry.
    """
    both = first + second
    smaller = min(first.sum(), second.sum())
    rare = both * smaller < LEAST_EXPECTED * both.sum()
    if not rare.any():
        return first, second, False
    pooled = [np.append(counts[~rare], counts[rare].sum()) for counts in (first, second)]
    return pooled[0], pooled[1], True


def counts_p_value(first: np.ndarray, second: np.ndarray) -> float:
    """Bound the probability of counts by level that differ so much, or more, where nothing differs.

    Levels that are frequent enough: Pearson's chi-square and the likelihood ratio G, of which the
    smaller counts. Each alone gives up to three times as many false alarms as it says at one in two
    thousand, where the samples differ in size and a level is expected five times: Pearson's when
    the level is seen too often, G when too seldom. Where both agree the level holds. The levels
    pooled for being rare join in as one more; are they few even then, Fisher's exact test holds
    them against all others, and the two tests share the probability.

    Sources: Pearson 1900; Wilks 1938; Agresti, Categorical Data Analysis, 3rd edition, 3.2 and 3.5.
    """
    first, second, pooled = pool_rare(first, second)
    both = first + second
    least = both.min() * min(first.sum(), second.sum()) / both.sum()
    if not pooled or least >= LEAST_EXPECTED:
        return _chi_square(first, second)
    exact = fisher(int(first[-1]), int(first.sum()), int(second[-1]), int(second.sum()))
    if len(first) <= 2:
        return exact
    return min(1.0, 2 * min(exact, _chi_square(first[:-1], second[:-1])))


def fisher(hits_first: int, n_first: int, hits_second: int, n_second: int) -> float:
    """Test whether two shares of rows with a property differ, exactly: twice the smaller tail.

    Fisher 1935, J. Royal Statistical Society 98(1): given all hits, those of one sample follow the
    hypergeometric distribution.
    """
    hits, rows = hits_first + hits_second, n_first + n_second
    fewest, most = max(0, hits - n_second), min(hits, n_first)
    if fewest == most:
        return 1.0
    possible = np.arange(fewest, most + 1)
    chances = np.exp(
        _log_choose(n_first, possible)
        + _log_choose(n_second, hits - possible)
        - _log_choose(rows, np.array(hits))
    )
    index = hits_first - fewest
    return min(1.0, 2 * min(chances[: index + 1].sum(), chances[index:].sum()))


def _chi_square(first: np.ndarray, second: np.ndarray) -> float:
    if len(first) < 2:
        return 1.0
    both = first + second
    expected = [both * (counts.sum() / both.sum()) for counts in (first, second)]
    pearson = ratio = 0.0
    for counts, fair in zip((first, second), expected, strict=True):
        pearson += float(((counts - fair) ** 2 / fair).sum())
        nonzero = counts > 0
        ratio += 2 * float((counts[nonzero] * np.log(counts[nonzero] / fair[nonzero])).sum())
    return float(chdtrc(len(first) - 1, max(0.0, min(pearson, ratio))))


def _log_choose(total: int, chosen: np.ndarray) -> np.ndarray:
    return np.asarray(gammaln(total + 1) - gammaln(chosen + 1) - gammaln(total - chosen + 1))


BINS = 10
SMOOTHING = 0.5  # of a row in each bin, so that an empty one does not make the index infinite


def quantile_edges(reference: np.ndarray) -> np.ndarray:
    """Cut sorted numbers into at most BINS bins of as many rows; return their upper ends."""
    places = np.arange(1, BINS) * len(reference) // BINS
    return np.unique(reference[np.maximum(places - 1, 0)])


def counts_between(values: Sample | np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Count sorted values between the edges; shape (n_edges + 1,)."""
    return np.diff(np.concatenate([[0], _sample(values).counts(edges, "right"), [len(values)]]))


def psi(reference: np.ndarray, current: np.ndarray) -> float:
    """Compute the population stability index of two samples, by their counts in bins.

    The symmetrised Kullback-Leibler divergence of the shares (Kullback and Leibler 1951; Siddiqi
    2006, Credit Risk Scorecards). The convention reads 0.1 as a change to look at and 0.25 as a
    large one; it knows nothing of the number of rows, so no alarm rests on it: with nothing
    changed the index is (bins - 1) (1 / n + 1 / m) on average (Yurdakul and Naranjo 2020, J. Risk
    Model Validation 14(4)), which is 0.05 at 200 rows.
    """
    shares = [
        (bins + SMOOTHING) / (bins.sum() + SMOOTHING * len(bins)) for bins in (reference, current)
    ]
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


BARS = 16  # of the picture of a distribution of numbers
MAX_LEVELS = 12  # of the picture of a distribution of categories: the most frequent ones
MOVED = 3  # levels that are named


def numbers(reference: np.ndarray, now: Sample) -> dict[str, Any]:
    """Compare two samples of numbers, not empty, the first sorted: from change to bars, as in SCHEMA."""
    then, gap, edges = Sample([reference]), largest_gap(reference, now), quantile_edges(reference)
    inside = now.counts(reference[-1], "right") - now.counts(reference[0], "left")
    bars, shares = _drawn(then, now)
    return {
        "change": gap,
        "p_value": gap_p_value(gap, len(then), len(now)),
        "psi": psi(counts_between(then, edges), counts_between(now, edges)),
        "unseen": float(1 - inside / len(now)),
        **_summary("reference_", then),
        **_summary("", now),
        "bars": bars,
        "reference_shares": shares[0],
        "shares": shares[1],
    }


def categories(then: Counter[str], now: Counter[str]) -> dict[str, Any]:
    """Compare counts of texts as numbers() compares samples, with what moved in place of moments."""
    levels = sorted({*then, *now}, key=lambda level: (-then[level], level))
    counted = [np.array([side[level] for level in levels]) for side in (then, now)]
    pooled = pool_rare(*counted)[:2]
    shares = [counts / counts.sum() for counts in counted]
    gone = np.abs(pooled[0] / pooled[0].sum() - pooled[1] / pooled[1].sum()).sum() / 2
    most = np.argsort(-np.abs(shares[1] - shares[0]), kind="stable")[:MOVED]
    moved = [f"{levels[at]} {shares[0][at]:.1%} to {shares[1][at]:.1%}" for at in most]
    return {
        "change": float(gone),
        "p_value": counts_p_value(*counted),
        "psi": psi(*pooled),
        "unseen": float(shares[1][counted[0] == 0].sum()),
        "moved": "; ".join(moved),
        "bars": levels[:MAX_LEVELS],
        "reference_shares": shares[0][:MAX_LEVELS].tolist(),
        "shares": shares[1][:MAX_LEVELS].tolist(),
    }


def _summary(whose: str, values: Sample) -> dict[str, float]:
    quantiles = {f"{whose}p{p}": values.value(len(values) * p // 100) for p in (5, 50, 95)}
    return {f"{whose}mean": values.mean(), **quantiles}


def _drawn(then: Sample, now: Sample) -> tuple[list[str], list[list[float]]]:
    """Cut the range where nearly all values lie into bars; what is beyond joins the outer ones.

    A bar for each value where there are few.
    """
    values = np.unique(np.concatenate([_lowest(run) for run in (*then.runs, *now.runs)]))
    if len(values) <= BARS:
        names, cuts = [*map(four_digits, values)], values[:-1]
    else:
        low = min(side.value(len(side) // 200) for side in (then, now))
        high = max(side.value(len(side) - 1 - len(side) // 200) for side in (then, now))
        ends = np.linspace(low, high, BARS + 1)
        names = [f"{four_digits(left)} to {four_digits(right)}" for left, right in pairwise(ends)]
        cuts = ends[1:-1]
    counted = [counts_between(side, cuts) / len(side) for side in (then, now)]
    return names, [shares.tolist() for shares in counted]


def _lowest(values: np.ndarray) -> np.ndarray:
    """Return the BARS + 1 lowest distinct values, without a copy of all; `values` are sorted."""
    lowest, place = list[float](), 0
    while place < len(values) and len(lowest) <= BARS:
        lowest.append(values[place])
        place = int(np.searchsorted(values, values[place], side="right"))
    return np.array(lowest)


PREDICTION = "prediction"

_MOMENTS = [f"{side}{name}" for name in ("mean", "p5", "p50", "p95") for side in ("", "reference_")]
SCHEMA: dict[str, Any] = {
    **dict.fromkeys(("feature", "kind"), pl.String),
    **dict.fromkeys(("rows", "reference_rows"), pl.Int64),
    **dict.fromkeys(("change", "p_value", "psi", "unseen"), pl.Float64),
    **dict.fromkeys(("missing", "reference_missing", "missing_p_value"), pl.Float64),
    "moved": pl.String,
    **dict.fromkeys(_MOMENTS, pl.Float64),
    "bars": pl.List(pl.String),
    **dict.fromkeys(("shares", "reference_shares"), pl.List(pl.Float64)),
}


def compare(
    reference: pl.DataFrame,
    window: pl.DataFrame | Iterable[pl.DataFrame],
    scratch: Path | None = None,
) -> pl.DataFrame:
    """Compare every column of the reference with the same column of the window; judge nothing.

    Numbers, dates and moments: the two-sample Kolmogorov-Smirnov test. Texts and truth values:
    tests of counts, with rare levels pooled. Missing values are left out of both and compared on
    their own, with Fisher's exact test.

    Args:
        window: rows, or one block of them at least.
        scratch: a folder for the numbers of blocks, 8 bytes each; without it they stay in memory.

    Returns:
        One row a column, of SCHEMA, null if there is nothing to compare:
        kind: number, category, or why it cannot be compared;
        rows: of the window, with a value;
        change: the largest gap between the distribution functions, or the share of rows in other
            levels;
        moved: the levels whose shares changed most;
        unseen: share of rows with a level that the reference lacks, or a number beyond its range;
        missing: share of rows without a value;
        bars, shares, reference_shares: what to draw.
    """
    height, columns = 0, [_Column(column) for column in reference]
    for block in [window] if isinstance(window, pl.DataFrame) else window:
        height += block.height
        for place, column in enumerate(columns):
            column.add(block, scratch / str(place) if scratch else None)
    return pl.DataFrame([each.compared(height) for each in columns], schema=SCHEMA, orient="row")


class _Column:
    """A column of the reference, and what blocks of the window have in it."""

    def __init__(self, reference: pl.Series) -> None:
        self.reference, self.name, self.kind = reference, reference.name, _kind(reference.dtype)
        self.is_logged = True
        self.rows = 0  # with a value
        self.levels = Counter[str]()
        self.runs: list[np.ndarray] = []
        self.file: Path | None = None  # of the runs, which are not in memory then
        self.lengths: list[int] = []  # of these

    def add(self, block: pl.DataFrame, file: Path | None) -> None:
        """Count the texts of a block, or sort its numbers, at the end of a file if there is to be one."""
        self.is_logged = self.name in block.columns
        if not self.is_logged or self.kind == "neither":
            return
        present = _present(block[self.name], self.kind)
        self.rows += len(present)
        if self.kind == "category":
            self.levels.update(_counted(present))
            return
        ordered = present.sort().to_numpy()
        if file is None:
            self.runs.append(ordered)
            return
        self.file = file
        self.lengths.append(len(ordered))
        with file.open("ab") as end:
            ordered.tofile(end)

    def compared(self, height: int) -> dict[str, Any]:
        """Compare the column of so many rows: a row of SCHEMA."""
        if not self.is_logged or self.kind == "neither":
            missing = str(self.reference.dtype) if self.is_logged else "not in the log"
            return {"feature": self.name, "kind": missing}
        then = _present(self.reference, self.kind)
        lacking = len(self.reference) - len(then), height - self.rows
        row: dict[str, Any] = {
            "feature": self.name,
            "kind": self.kind,
            "rows": self.rows,
            "reference_rows": len(then),
            "missing": lacking[1] / max(1, height),
            "reference_missing": lacking[0] / max(1, len(self.reference)),
        }
        if any(lacking) and height and len(self.reference):
            row["missing_p_value"] = fisher(lacking[1], height, lacking[0], len(self.reference))
        if not len(then) or not self.rows:
            return row
        if self.kind == "category":
            return row | categories(_counted(then), self.levels)
        runs = self.runs
        if self.file is not None:  # mapped once: each mapping holds a descriptor
            whole = np.memmap(self.file, np.float64, mode="r")
            runs = np.split(whole, np.cumsum(self.lengths)[:-1])
        return row | numbers(then.sort().to_numpy(), Sample(runs))


def _counted(texts: pl.Series) -> Counter[str]:
    return Counter(dict(texts.rename("level").value_counts(name="rows").iter_rows()))


def _kind(dtype: pl.DataType) -> str:
    if dtype.is_numeric() or dtype.is_temporal():
        return "number"
    if dtype in (pl.String, pl.Boolean, pl.Categorical, pl.Enum):
        return "category"
    return "neither"


def _present(column: pl.Series, kind: str) -> pl.Series:
    """Take the values that are there, as floats or as text."""
    if kind == "category":
        return column.cast(pl.String).drop_nulls()
    return column.to_physical().cast(pl.Float64, strict=False).drop_nulls().drop_nans()


def changed(error: float, least_change: float) -> pl.Expr:
    """Tell which rows of compare() have changed by enough; `error` is that of each test."""
    return (pl.col("p_value") <= error) & (pl.col("change") >= least_change)
