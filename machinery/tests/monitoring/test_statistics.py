"""The tests of the monitor agree with SciPy's, and bound what they do not compute exactly."""

import numpy as np
import pytest
from scipy import stats

from rung_ops.statistics import drift, jackknife
from rung_ops.statistics.intervals import wilson_interval

SIZES = [(25, 40), (100, 100), (250, 1_000)]


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("decimals", [0, 1, 9])
def test_the_gap_is_that_of_scipy_with_and_without_ties(
    sizes: tuple[int, int], decimals: int
) -> None:
    draws = np.random.default_rng(3)
    for shift in (0.0, 0.5):
        first = np.sort(draws.normal(shift, 1, sizes[0]).round(decimals))
        second = np.sort(draws.normal(0, 1, sizes[1]).round(decimals))

        gap = drift.largest_gap(first, second)

        assert gap == pytest.approx(stats.ks_2samp(first, second).statistic, abs=1e-12)
        assert gap == drift.largest_gap(second, first)


@pytest.mark.parametrize("sizes", SIZES)
def test_the_p_value_is_slightly_above_the_exact_one(sizes: tuple[int, int]) -> None:
    draws = np.random.default_rng(4)
    for shift in (0.3, 0.5, 0.7):
        first, second = draws.normal(shift, 1, sizes[0]), draws.normal(0, 1, sizes[1])
        exact = stats.ks_2samp(first, second, method="exact")

        bound = drift.gap_p_value(float(exact.statistic), *sizes)

        if 1e-6 < exact.pvalue < 0.1:
            assert exact.pvalue <= bound <= 2 * exact.pvalue


@pytest.mark.parametrize("hits", [(0, 7), (3, 4), (9, 1), (12, 12), (12, 30)])
def test_fisher_doubles_the_smaller_tail(hits: tuple[int, int]) -> None:
    table = [[hits[0], 12 - hits[0]], [hits[1], 30 - hits[1]]]
    tails = [stats.fisher_exact(table, each).pvalue for each in ("less", "greater")]

    wanted = min(1.0, 2 * min(tails))

    assert drift.fisher(hits[0], 12, hits[1], 30) == pytest.approx(wanted, rel=1e-9)


def test_frequent_levels_are_tested_by_the_smaller_of_two_statistics() -> None:
    first, second = np.array([60, 30, 110]), np.array([300, 400, 300])
    tables = np.array([first, second])

    pearson = stats.chi2_contingency(tables, correction=False).pvalue
    ratio = stats.chi2_contingency(tables, correction=False, lambda_="log-likelihood").pvalue

    assert drift.counts_p_value(first, second) == pytest.approx(max(pearson, ratio), rel=1e-9)


def test_a_level_that_training_never_saw_is_found_though_it_is_rare_in_all() -> None:
    reference, window = np.array([5_000, 5_000, 0]), np.array([120, 120, 10])

    assert drift.counts_p_value(reference, window) < 1e-12


def test_levels_that_are_all_rare_are_not_an_alarm() -> None:
    everyone_once = np.ones(300, dtype=int)
    ours, theirs = everyone_once.copy(), everyone_once.copy()
    ours[:150], theirs[150:] = 0, 0

    assert drift.counts_p_value(ours, theirs) == 1


def test_the_index_of_equal_shares_is_zero_and_grows_with_the_distance() -> None:
    reference = np.array([500, 500])

    assert drift.psi(reference, reference * 7) == pytest.approx(0, abs=1e-6)
    assert drift.psi(reference, np.array([600, 400])) == pytest.approx(0.1 * np.log(1.5), rel=1e-2)
    assert np.isfinite(drift.psi(reference, np.array([1_000, 0])))


def test_each_bin_holds_a_tenth_of_the_reference_where_values_differ() -> None:
    values = np.sort(np.random.default_rng(5).normal(size=1_000))

    assert drift.counts_between(values, drift.quantile_edges(values)).tolist() == [100] * 10
    assert drift.quantile_edges(np.zeros(50)).tolist() == [0]


def test_the_standard_error_of_a_mean_is_that_of_the_textbook() -> None:
    values = np.random.default_rng(6).normal(size=4_000)

    errors = [
        jackknife.standard_error(
            lambda rows: float(values[rows].mean()), jackknife.dealt(len(values), seed)
        )
        for seed in range(20)
    ]

    assert np.mean(errors) == pytest.approx(values.std() / np.sqrt(4_000), rel=0.1)
    assert jackknife.student_t_quantile(0.05) == pytest.approx(stats.t.ppf(0.975, 19))


def test_a_figure_that_no_part_of_the_rows_changes_has_an_error_of_exactly_zero() -> None:
    error = jackknife.standard_error(lambda rows: 0.1, jackknife.dealt(44, 0))

    assert error == 0  # the mean of twenty times 0.1 is another number


def test_of_what_no_row_has_other_rows_may_have_as_much_as_the_exact_bound_says() -> None:
    exact = [float(stats.beta.ppf(0.95, 1, rows)) for rows in (44, 200, 5_000)]

    bounds = [jackknife.unseen_share(rows) for rows in (44, 200, 5_000)]

    assert bounds == pytest.approx(exact, rel=0.04)
    assert jackknife.unseen_share(2) == 1


def test_a_figure_that_is_not_defined_has_no_standard_error() -> None:
    def undefined(rows: np.ndarray) -> float:
        raise ValueError("one class only")

    assert np.isnan(jackknife.standard_error(undefined, jackknife.dealt(500, 0)))
    assert np.isnan(jackknife.standard_error(lambda rows: 1.0, jackknife.dealt(10, 0)))


@pytest.mark.parametrize(
    ("events", "total", "expected"),
    [
        # Newcombe 1998, Statistics in Medicine 17, table I, method 3.
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
    ],
)
def test_the_bounds_are_the_published_ones(
    events: int, total: int, expected: tuple[float, float]
) -> None:
    assert wilson_interval(events, total, 1.959964) == pytest.approx(expected, abs=5e-5)
