"""Tests of counts: do two samples share out over the same categories in the same way?"""

import math

import numpy as np

# Below it a count is too small for the chi-square distribution (Cochran 1954, Biometrics 10(4)).
LEAST_EXPECTED = 5


def pool_rare(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    """Put the levels together that are too rare to be tested one by one.

    What is rare depends on both samples taken together, never on which of the two holds it, so
    that pooling by itself finds no difference.

    Args:
        first: how often each level was seen, shape (n_levels,).
        second: the same of the other sample, 0 for a level that it lacks.

    Returns:
        Both with the rare levels as their last entry, and whether there is such an entry.
    """
    both = first + second
    smaller = min(first.sum(), second.sum())
    rare = both * smaller < LEAST_EXPECTED * both.sum()
    if not rare.any():
        return first, second, False
    pooled = [np.append(counts[~rare], counts[rare].sum()) for counts in (first, second)]
    return pooled[0], pooled[1], True


def p_value(first: np.ndarray, second: np.ndarray) -> float:
    """Bound the probability of counts that differ so much, or more, where nothing differs.

    Levels that are frequent enough: Pearson's chi-square and the likelihood ratio G, of which the
    smaller counts. Each alone gives up to three times as many false alarms as it says at one in two
    thousand, where the samples differ in size and a level is expected five times: Pearson's when
    the level is seen too often, G when too seldom. Where both agree the level holds. The levels
    pooled for being rare join in as one more; are they few even then, Fisher's exact test holds
    them against all others, and the two tests share the probability.

    Sources: Pearson 1900; Wilks 1938; Agresti, Categorical Data Analysis, 3rd edition, 3.2 and 3.5.

    Args:
        first: counts by level, shape (n_levels,).
        second: the same of the other sample.
    """
    first, second, pooled = pool_rare(first, second)
    if not pooled or _least_expected(first, second) >= LEAST_EXPECTED:
        return _chi_square(first, second)
    exact = fisher(int(first[-1]), int(first.sum()), int(second[-1]), int(second.sum()))
    if len(first) <= 2:
        return exact
    return min(1.0, 2 * min(exact, _chi_square(first[:-1], second[:-1])))


def fisher(hits_first: int, n_first: int, hits_second: int, n_second: int) -> float:
    """Test whether two shares differ, exactly: twice the smaller tail.

    Fisher 1935, J. Royal Statistical Society 98(1): given all hits, those of one sample follow the
    hypergeometric distribution.

    Args:
        hits_first: rows with the property.
        n_first: rows in all.
        hits_second: the same of the other sample.
        n_second: rows in all of the other sample.
    """
    hits, rows = hits_first + hits_second, n_first + n_second
    fewest, most = max(0, hits - n_second), min(hits, n_first)
    if fewest == most:
        return 1.0
    factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, rows + 1)))])
    possible = np.arange(fewest, most + 1)
    chances = np.exp(
        _log_choose(factorial, n_first, possible)
        + _log_choose(factorial, n_second, hits - possible)
        - _log_choose(factorial, rows, np.array(hits))
    )
    index = hits_first - fewest
    return min(1.0, 2 * min(chances[: index + 1].sum(), chances[index:].sum()))


def chi_square_tail(value: float, freedom: int) -> float:
    """Find the probability that chi-square with whole degrees of freedom exceeds a value.

    The finite sums of Abramowitz and Stegun, 26.4.4 and 26.4.5.
    """
    if value <= 0:
        return 1.0
    half = value / 2
    start = 0.5 if freedom % 2 else 0.0
    # The sum of half ** k / gamma(k + 1) for k below freedom / 2; in logs, as both grow large.
    steps = np.arange(start, freedom / 2)
    terms = (math.exp(k * math.log(half) - half - math.lgamma(k + 1)) for k in steps)
    tail = math.erfc(math.sqrt(half)) if freedom % 2 else 0.0
    return min(1.0, tail + sum(terms))


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
    return chi_square_tail(min(pearson, ratio), len(first) - 1)


def _least_expected(first: np.ndarray, second: np.ndarray) -> float:
    both = first + second
    return float(both.min() * min(first.sum(), second.sum()) / both.sum())


def _log_choose(factorial: np.ndarray, total: int, chosen: np.ndarray) -> np.ndarray:
    logarithms: np.ndarray = factorial[total] - factorial[chosen] - factorial[total - chosen]
    return logarithms
