"""Tests that src/ and params.toml keep what they promise; collected by tests/test_contract.py.

A promise that does not hold is named in one sentence; those that rest on it are skipped, and tests of
other modules are not run: they would fail for the same reason, with a traceback each.
"""

import warnings
from collections.abc import Callable, Iterator

import pytest

from rung_ops.project import current
from rung_ops.system import processes

with processes.importing():
    # First: it looks for each of a thousand functions in all modules that are loaded.
    import skops.io  # noqa: F401

    from rung_ops.checks import data, promises
    from rung_ops.data import incoming


def _test(promise: Callable[[], None]) -> Callable[[], None]:
    def test() -> None:
        if promises.cannot_be_checked(promise):
            pytest.skip("another promise, which this one rests on, does not hold")
        if sentence := promises.broken(promise):
            pytest.fail(sentence, pytrace=False)

    return test


@pytest.fixture(scope="module", autouse=True)
def the_contract_comes_first(request: pytest.FixtureRequest) -> Iterator[None]:
    """End the run after these tests if one of them failed."""
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed > failed:
        request.session.shouldfail = (
            "fix this first; the tests after tests/test_contract.py did not run"
        )


test_src_can_be_imported = _test(promises.importable)
test_names_of_src_are_of_the_right_kind = _test(promises.well_typed)
test_a_forecast_is_well_declared = _test(promises.forecast_is_well_declared)
test_features_read_columns_of_row = _test(promises.features_read_the_row)
test_entity_features_are_well_declared = _test(data.well_declared)
test_params_fit_src = _test(promises.parameters_fit)
test_raw_files_keep_the_rules_of_row = _test(data.raw_files_keep_row)


def test_raw_files_are_versioned_by_dvc_and_not_by_git() -> None:
    """Rows in git stay in its history; where DVC is, it versions them."""
    if (current().repository / ".dvc").is_dir():
        for path in incoming.tracked_raw_files():
            warnings.warn(incoming.tracked(path), stacklevel=1)


test_load_reads_a_file_without_the_target = _test(data.target_may_be_missing)
test_load_does_not_move_times = _test(data.times_are_not_moved)
test_entity_features_can_be_computed = _test(promises.entity_features_can_be_computed)
test_entity_features_know_no_more_than_the_forecast = _test(
    promises.entity_features_know_no_more_than_the_forecast
)
test_features_can_be_evaluated = _test(promises.features_can_be_evaluated)
test_each_feature_reads_its_own_row_only = _test(promises.features_read_their_own_row_only)
test_a_saved_model_answers_the_same = _test(promises.a_saved_model_answers_the_same)
test_score_returns_the_metric_of_params = _test(promises.score_gives_the_metric)
test_hooks_can_be_called = _test(promises.hooks_can_be_called)
