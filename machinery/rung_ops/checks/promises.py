"""The promises of src/ and params.toml, each a function that names what is broken.

Those of raw files, features and the model stand in modules of their own beside this one.
"""

import tomllib
from collections.abc import Callable
from functools import cache
from typing import Any

import pandera.polars as pa
import polars as pl

from rung_ops import contract
from rung_ops.checks.data import raw_files_keep_row, target_may_be_missing
from rung_ops.checks.entity_features import well_declared
from rung_ops.checks.features import (
    entity_features_can_be_computed,
    features_can_be_evaluated,
    features_read_the_row,
    features_read_their_own_row_only,
)
from rung_ops.checks.forecasts import (
    entity_features_know_no_more_than_the_forecast,
    forecast_is_well_declared,
)
from rung_ops.checks.model import a_saved_model_answers_the_same, score_gives_the_metric
from rung_ops.checks.times import times_are_not_moved
from rung_ops.contract import ContractError
from rung_ops.errors import StageError
from rung_ops.model.reasons import adverse_in
from rung_ops.project import hooks
from rung_ops.project.paths import params
from rung_ops.training import estimator
from rung_ops.training.slices import NO_COLUMN


def importable() -> None:
    """The modules of src/ can be imported, and have the names that the machinery uses."""
    for name in contract.NAMES:
        getattr(contract, name)


def well_typed() -> None:
    """Row, TARGET, TIME, FEATURES, TRUSTED and the functions are of the right kind."""
    row, target, time = contract.Row, contract.TARGET, contract.TIME
    if not (isinstance(row, type) and issubclass(row, pa.DataFrameModel)):
        raise ContractError("dataset.py: Row must be a class of pandera.polars.DataFrameModel.")
    columns = row.to_schema().dtypes
    if target not in columns:
        raise ContractError(
            f"dataset.py: TARGET is {target!r}, which is not a column of Row. "
            f"There are: {', '.join(columns)}."
        )
    estimator.kind()
    if time is not None and time not in columns:
        raise ContractError(
            f"dataset.py: TIME is {time!r}, which is not a column of Row. "
            "Name a column, or set it to None."
        )
    if time is not None and columns[time].type not in (pl.Date, pl.Datetime):
        raise ContractError(
            f"dataset.py: TIME is `{time}`, which is neither a date nor a datetime."
        )
    features = contract.FEATURES
    if not isinstance(features, list) or not all(isinstance(e, pl.Expr) for e in features):
        raise ContractError("features.py: FEATURES must be a list of Polars expressions.")
    if not features:
        raise ContractError("features.py: FEATURES is empty; it needs one expression or more.")
    trusted = contract.TRUSTED
    if not isinstance(trusted, list) or not all(isinstance(name, str) for name in trusted):
        raise ContractError("model.py: TRUSTED must be a list of names of types, as text.")
    for name in ("load", "build", "score"):
        if not callable(getattr(contract, name)):
            raise ContractError(f"{contract.NAMES[name][0]}.py: `{name}` must be a function.")


def parameters_fit() -> None:
    """params.toml can be read, and its values fit src/."""
    try:
        settings = params()
    except FileNotFoundError:
        raise ContractError("params.toml is missing: restore it from git.") from None
    except tomllib.TOMLDecodeError as error:
        raise ContractError(f"params.toml is not valid TOML: {error}.") from None
    share = _parameter(settings, "split", "test_share")
    if not isinstance(share, float) or not 0 < share < 1:
        raise ContractError(
            f"params.toml: [split] test_share is {share!r}; it must be between 0 and 1."
        )
    if "seed" not in settings:
        raise ContractError("params.toml: seed is missing; add it, such as `seed = 7`.")
    if not isinstance(settings.get("model"), dict):
        raise ContractError("params.toml: the table [model] is missing; build() gets its values.")
    _parameter(settings, "score", "metric")
    _parameter(settings, "score", "higher_is_better")
    adverse_in(settings, estimator.classes())
    known = {*contract.Row.to_schema().dtypes, *(e.meta.output_name() for e in contract.FEATURES)}
    for column in settings.get("report", {}).get("slices", []):
        if column not in known:
            raise ContractError(NO_COLUMN.format(column))


def _parameter(settings: dict[str, Any], table: str, name: str) -> Any:
    try:
        return settings[table][name]
    except (KeyError, TypeError):
        raise ContractError(f"params.toml: `{name}` is missing under [{table}]; add it.") from None


def hooks_can_be_called() -> None:
    """Each hook of `[tool.rung.hooks]` can be imported and takes the arguments it will get."""
    hooks.check_all()


# Each with those that must hold before it can be checked.
PROMISES: dict[Callable[[], None], tuple[Callable[[], None], ...]] = {
    importable: (),
    well_typed: (importable,),
    forecast_is_well_declared: (well_typed,),
    well_declared: (forecast_is_well_declared,),
    features_read_the_row: (well_declared,),
    parameters_fit: (well_typed,),
    raw_files_keep_row: (forecast_is_well_declared,),
    target_may_be_missing: (raw_files_keep_row,),
    times_are_not_moved: (raw_files_keep_row,),
    entity_features_can_be_computed: (well_declared, raw_files_keep_row),
    entity_features_know_no_more_than_the_forecast: (well_declared, raw_files_keep_row),
    features_can_be_evaluated: (features_read_the_row, entity_features_can_be_computed),
    features_read_their_own_row_only: (features_can_be_evaluated,),
    a_saved_model_answers_the_same: (features_can_be_evaluated, parameters_fit),
    score_gives_the_metric: (raw_files_keep_row, parameters_fit),
    hooks_can_be_called: (),
}


@cache
def broken(promise: Callable[[], None]) -> str | None:
    """Check a promise once; return the sentence that says what is broken, or None."""
    try:
        promise()
    except StageError as error:
        return str(error)
    return None


def cannot_be_checked(promise: Callable[[], None]) -> bool:
    """Tell whether a promise rests on one that does not hold."""
    return any(cannot_be_checked(before) or broken(before) for before in PROMISES[promise])
