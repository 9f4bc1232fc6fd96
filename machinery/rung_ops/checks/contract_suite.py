"""Tests that src/ and params.toml keep what they promise; collected by tests/test_contract.py.

A promise that does not hold is named in one sentence; those that rest on it are skipped, and tests of
other modules are not run: they would fail for the same reason, with a traceback each.
"""

import warnings
from collections.abc import Callable, Iterator

import pytest

from rung_ops.checks import data, features, promises
from rung_ops.data import incoming
from rung_ops.project import current


def _check(promise: Callable[[], None]) -> None:
    if promises.cannot_be_checked(promise):
        pytest.skip("another promise, which this one rests on, does not hold")
    if sentence := promises.broken(promise):
        pytest.fail(sentence, pytrace=False)


@pytest.fixture(scope="module", autouse=True)
def the_contract_comes_first(request: pytest.FixtureRequest) -> Iterator[None]:
    """End the run after these tests if one of them failed."""
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed > failed:
        request.session.shouldfail = (
            "fix this first; the tests after tests/test_contract.py did not run"
        )


def test_src_can_be_imported() -> None:
    """The modules of src/ have the names that the machinery uses."""
    _check(promises.importable)


def test_names_of_src_are_of_the_right_kind() -> None:
    """Row, TARGET, TIME, FEATURES and TRUSTED fit each other."""
    _check(promises.well_typed)


def test_a_forecast_is_well_declared() -> None:
    """HORIZON, ORIGIN and SEASON fit Row, where there are some."""
    _check(features.forecast_is_well_declared)


def test_features_read_columns_of_row() -> None:
    """No feature reads the target, or a column that is not there."""
    _check(features.features_read_the_row)


def test_entity_features_are_well_declared() -> None:
    """ENTITY_FEATURES have unique names, and keys that a caller sends."""
    _check(data.well_declared)


def test_params_fit_src() -> None:
    """params.toml has the values that stages read."""
    _check(promises.parameters_fit)


def test_raw_files_keep_the_rules_of_row() -> None:
    """load() reads every raw file."""
    _check(data.raw_files_keep_row)


def test_raw_files_are_versioned_by_dvc_and_not_by_git() -> None:
    """Rows in git stay in its history; where DVC is, it versions them."""
    if (current().repository / ".dvc").is_dir():
        for path in incoming.tracked_raw_files():
            warnings.warn(incoming.tracked(path), stacklevel=1)


def test_load_reads_a_file_without_the_target() -> None:
    """`poe predict` reads its input with load(), and rows to predict have no target yet."""
    _check(data.target_may_be_missing)


def test_load_does_not_move_times() -> None:
    """A service refuses an offset where Row has none; what load() reads may not differ."""
    _check(data.times_are_not_moved)


def test_entity_features_can_be_computed() -> None:
    """The events of ENTITY_FEATURES can be read and aggregated."""
    _check(features.entity_features_can_be_computed)


def test_entity_features_know_no_more_than_the_forecast() -> None:
    """No entity feature sees what was not known when the forecast is made."""
    _check(features.entity_features_know_no_more_than_the_forecast)


def test_features_can_be_evaluated() -> None:
    """FEATURES can be evaluated on real rows."""
    _check(features.features_can_be_evaluated)


def test_each_feature_reads_its_own_row_only() -> None:
    """A service sees one row at a time."""
    _check(features.features_read_their_own_row_only)


def test_a_saved_model_answers_the_same() -> None:
    """A model can be fitted, saved and loaded."""
    _check(promises.a_saved_model_answers_the_same)


def test_score_returns_the_metric_of_params() -> None:
    """score() returns the figure that `[score] metric` in params.toml names."""
    _check(promises.score_gives_the_metric)


def test_hooks_can_be_called() -> None:
    """Each hook can be imported and takes its arguments."""
    _check(promises.hooks_can_be_called)
