"""The promises of src/ and params.toml, each a function that names what is broken."""

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandera.polars as pa
import polars as pl

from rung_ops import contract
from rung_ops.checks.data import (
    featured_sample,
    raw_files_keep_row,
    sample,
    target_may_be_missing,
    times_are_not_moved,
    well_declared,
)
from rung_ops.checks.features import (
    entity_features_can_be_computed,
    entity_features_know_no_more_than_the_forecast,
    features_can_be_evaluated,
    features_read_the_row,
    features_read_their_own_row_only,
    forecast_is_well_declared,
)
from rung_ops.contract import ContractError, calling
from rung_ops.errors import StageError
from rung_ops.model.reasons import adverse_in
from rung_ops.model.target import finite_rows, shape
from rung_ops.project import hooks
from rung_ops.project.paths import params
from rung_ops.training import estimator, score_check, window
from rung_ops.training.judged_rows import NO_COLUMN

ROUNDING = 1e-4  # of probabilities that add up to 1: some models compute in 32 bits


def a_saved_model_answers_the_same() -> None:
    """A model that build() makes can be fitted, saved, loaded, and predicts finite numbers."""
    rows, settings = featured_sample(), params()
    with calling("build()"):
        model = contract.build(settings["model"] | {"seed": settings["seed"]})
    if not hasattr(model, "fit"):
        raise ContractError(
            f"model.py: build() returns {type(model).__name__}; it must return a model with fit() "
            "and predict()."
        )
    with calling("fit() of the model that build() makes"):
        fitted = model.fit(estimator.features(rows), estimator.truth(rows))
    if fitted is None:
        raise ContractError(
            "model.py: fit() returns nothing; it must return the fitted model, as `return self` does."
        )
    expected = _predicted(fitted, rows)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.skops"
        try:
            with calling("saving and loading the model"):
                estimator.save(fitted, path)
                loaded = estimator.load(path)
        except StageError as error:
            if isinstance(error, ContractError):
                raise
            raise ContractError(f"model.py: {error}") from error
        again = _predicted(loaded, rows)
    if not np.array_equal(expected, again):
        raise ContractError("model.py: a saved and loaded model predicts other values than before.")


def _predicted(model: Any, rows: pl.DataFrame) -> np.ndarray:
    with calling("predicting with the model that build() makes"):
        predicted = estimator.predict(model, rows)
    kind = estimator.kind()
    if predicted.shape != shape(rows.height, kind):
        each = "one number"
        if kind.width:
            each = f"{kind.width} {'probabilities' if kind.classes else 'quantiles'}"
        raise ContractError(
            f"model.py: the model predicts an array of shape {predicted.shape} for {rows.height} "
            f"rows; it must give {each} for each."
        )
    if not finite_rows(predicted).all():
        raise ContractError("model.py: the model predicts values that are not finite numbers.")
    if kind.classes and (predicted.min() < 0 or np.abs(predicted.sum(axis=1) - 1).max() > ROUNDING):
        raise ContractError(
            "model.py: the model predicts probabilities of classes that do not add up to 1."
        )
    return predicted


def score_gives_the_metric() -> None:
    """score() returns figures by name, among them `[score] metric`, better as `higher_is_better` says."""
    score_check.refuse_wrong_score(sample())


def importable() -> None:
    """The modules of src/ can be imported, and have the names that the library uses."""
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
    for expression in features:
        # It may also read the target, as Polars knows the columns only with the rows.
        if expression.meta.has_multiple_outputs():
            raise ContractError(
                f"features.py: `{expression}` stands for columns that it does not name; write an "
                "expression for each feature, with the names of the columns that it reads."
            )
    trusted = contract.TRUSTED
    if not isinstance(trusted, list) or not all(isinstance(name, str) for name in trusted):
        raise ContractError("model.py: TRUSTED must be a list of names of types, as text.")
    for name in ("load", "build", "score"):
        if not callable(getattr(contract, name)):
            raise ContractError(f"{contract.NAMES[name][0]}.py: `{name}` must be a function.")


def parameters_fit() -> None:
    """params.toml can be read, and its values fit src/."""
    settings = params()
    if "test_share" not in settings.get("split", {}):
        raise ContractError("params.toml: `test_share` is missing under [split]; add it.")
    window.settings()
    if not isinstance(settings.get("model"), dict):
        raise ContractError("params.toml: the table [model] is missing; build() gets its values.")
    adverse_in(settings, estimator.classes())
    known = {*contract.Row.to_schema().dtypes, *(e.meta.output_name() for e in contract.FEATURES)}
    for column in settings.get("report", {}).get("slices", []):
        if column not in known:
            raise ContractError(NO_COLUMN.format(column))


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


def refuse_broken() -> None:
    """Name the first promise that is broken, in the place of an error that it may have caused."""
    sentences = (broken(each) for each in PROMISES if not cannot_be_checked(each))
    if sentence := next(filter(None, sentences), None):
        raise ContractError(sentence)


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
