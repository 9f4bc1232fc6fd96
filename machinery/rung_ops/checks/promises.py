"""The promises of src/ and params.toml, each a function that names what is broken."""

import difflib
import tempfile
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandera.polars as pa
import polars as pl
from polars.testing import assert_frame_equal

from rung_ops import contract
from rung_ops.checks.data import (
    featured_sample,
    raw_files_keep_row,
    sample,
    target_may_be_missing,
    times_are_not_moved,
    well_declared,
)
from rung_ops.contract import calling, forecast
from rung_ops.errors import StageError
from rung_ops.features.point_in_time import clock, of_forecast, predicted_at
from rung_ops.model.reasons import adverse_in
from rung_ops.model.target import finite_rows, shape
from rung_ops.project import hooks
from rung_ops.project.paths import params
from rung_ops.training import baseline, estimator, window
from rung_ops.training.judged_rows import NO_COLUMN


def features_read_the_row() -> None:
    """Each feature has a unique name and reads columns of Row, but not the target."""
    columns = {*contract.Row.to_schema().dtypes, *(e.name for e in contract.ENTITY_FEATURES)}
    names = Counter(expression.meta.output_name() for expression in contract.FEATURES)
    for name, times in names.items():
        if times > 1:
            raise StageError(
                f"features.py: {times} features are called `{name}`; give each its own alias."
            )
    for expression in contract.FEATURES:
        name = expression.meta.output_name()
        read_columns = set(expression.meta.root_names())
        if contract.TARGET in read_columns:
            raise StageError(
                f"features.py: `{name}` reads the target `{contract.TARGET}`, which is not known "
                "when the model predicts."
            )
        for unknown in sorted(read_columns - columns):
            readable = sorted(columns - {contract.TARGET})
            near = difflib.get_close_matches(unknown, readable, 1)
            advice = f"Did you mean `{near[0]}`?" if near else f"There are: {', '.join(readable)}."
            raise StageError(
                f"features.py: `{name}` reads `{unknown}`, which is not a column of Row. {advice}"
            )


def entity_features_can_be_computed() -> None:
    """ENTITY_FEATURES can be computed for real rows, from events that can be read."""
    featured_sample()


def features_can_be_evaluated() -> None:
    """FEATURES can be evaluated on real rows, and give one row each."""
    for expression in contract.FEATURES:
        name = expression.meta.output_name()
        with calling(f"features.py: evaluating `{name}`"):
            values = featured_sample().select(expression)
        if values.height != sample().height:
            raise StageError(
                f"features.py: `{name}` gives {values.height} values for {sample().height} rows; "
                "it must give one for each."
            )


def features_read_their_own_row_only() -> None:
    """FEATURES of one row equal those of the same row among others: a service sees one at a time.

    An average over a column would be another number there.
    """
    rows = featured_sample().head(50)
    together = rows.select(contract.FEATURES)
    alone = pl.concat([rows[i : i + 1].select(contract.FEATURES) for i in range(rows.height)])
    for name in together.columns:
        try:
            assert_frame_equal(together.select(name), alone.select(name))
        except AssertionError:
            raise StageError(
                f"features.py: `{name}` of one row differs from `{name}` of the same row among "
                "others; a feature may read its own row only."
            ) from None


def forecast_is_well_declared() -> None:
    """A forecast of a number says when it is made, and which rows are one series."""
    for sentence in (_times(), _columns()):
        if sentence:
            raise StageError(f"dataset.py: {sentence}")


def _times() -> str | None:
    horizon, origin, season = contract.HORIZON, contract.ORIGIN, contract.SEASON
    if horizon is not None and origin is not None:
        return (
            "there are HORIZON and ORIGIN; keep one: all rows have that horizon, or each its own."
        )
    if horizon is None and origin is None:
        if season is None:
            return None
        return "SEASON belongs to a forecast: add HORIZON or ORIGIN, or remove it."
    for name, span in (("HORIZON", horizon), ("SEASON", season)):
        if span is not None and not (isinstance(span, timedelta) and span > timedelta()):
            return f"{name} is {span!r}; it must be a positive time, such as `timedelta(days=1)`."
    if contract.TIME is None:
        return "a forecast needs TIME, the column with the time that is predicted."
    return None


def _columns() -> str | None:
    if forecast.declared() is None:
        return None
    schema, origin, time = contract.Row.to_schema(), contract.ORIGIN, contract.TIME
    columns = schema.columns
    if origin is not None and (origin not in columns or origin == time):
        return f"ORIGIN is {origin!r}; it must be a column of Row other than TIME."
    if origin is not None and columns[origin].dtype.type != columns[time].dtype.type:
        return f"ORIGIN `{origin}` must be of the type of TIME `{time}`, {columns[time].dtype}."
    for name in filter(None, (time, origin)):
        if columns[name].nullable:
            return f"a forecast needs each `{name}`: it may not be nullable."
    target = columns[contract.TARGET].dtype.type
    if estimator.classes() or target == pl.Boolean:
        return f"the target `{contract.TARGET}` is not a number: remove HORIZON, ORIGIN and SEASON."
    needed = [name for name in (time, origin) if name]
    if not set(needed) <= set(schema.unique or []):
        return (
            f"Config.unique of Row must name {' and '.join(f'`{name}`' for name in needed)}, and "
            "the columns that tell one series from another, if there are several."
        )
    return None


def entity_features_know_no_more_than_the_forecast() -> None:
    """No entity feature is computed as of a time after the forecast is made."""
    if forecast.declared() is None:
        return
    rows = sample()
    made = forecast.made_at(rows)
    for feature in map(of_forecast, contract.ENTITY_FEATURES):
        at = str(feature.at)
        seen = rows.select(predicted_at(feature, at, rows.schema[at])).to_series()
        made_then = rows.select(clock(pl.lit(made), made.dtype)).to_series()
        if late := int((seen > made_then).sum()):
            raise StageError(
                f"features.py: the entity feature `{feature.name}` sees events after the forecast is "
                f"made, in {late:,} of {rows.height:,} rows of the sample: leave out `at` and `lead`, or "
                "set them to the time at which it is made."
            )


ROUNDING = 1e-4  # of probabilities that add up to 1: some models compute in 32 bits


def a_saved_model_answers_the_same() -> None:
    """A model that build() makes can be fitted, saved, loaded, and predicts finite numbers."""
    rows, settings = featured_sample(), params()
    with calling("build()"):
        model = contract.build(settings["model"] | {"seed": settings["seed"]})
    if not hasattr(model, "fit"):
        raise StageError(
            f"model.py: build() returns {type(model).__name__}; it must return a model with fit() "
            "and predict()."
        )
    with calling("fit() of the model that build() makes"):
        fitted = model.fit(estimator.features(rows), estimator.truth(rows))
    if fitted is None:
        raise StageError(
            "model.py: fit() returns nothing; it must return the fitted model, as `return self` does."
        )
    expected = _predicted(fitted, rows)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.skops"
        with calling("saving and loading the model"):
            try:
                estimator.save(fitted, path)
                loaded = estimator.load(path)
            except StageError as error:
                raise StageError(f"model.py: {error}") from error
        again = _predicted(loaded, rows)
    if not np.array_equal(expected, again):
        raise StageError("model.py: a saved and loaded model predicts other values than before.")


def _predicted(model: Any, rows: pl.DataFrame) -> np.ndarray:
    with calling("predicting with the model that build() makes"):
        predicted = estimator.predict(model, rows)
    kind = estimator.kind()
    if predicted.shape != shape(rows.height, kind):
        each = "one number"
        if kind.width:
            each = f"{kind.width} {'probabilities' if kind.classes else 'quantiles'}"
        raise StageError(
            f"model.py: the model predicts an array of shape {predicted.shape} for {rows.height} "
            f"rows; it must give {each} for each."
        )
    if not finite_rows(predicted).all():
        raise StageError("model.py: the model predicts values that are not finite numbers.")
    if kind.classes and (predicted.min() < 0 or np.abs(predicted.sum(axis=1) - 1).max() > ROUNDING):
        raise StageError(
            "model.py: the model predicts probabilities of classes that do not add up to 1."
        )
    return predicted


def score_gives_the_metric() -> None:
    """score() returns figures by name, among them `[score] metric`, better as `higher_is_better` says."""
    baseline.refuse_wrong_score(sample())


def importable() -> None:
    """The modules of src/ can be imported, and have the names that the library uses."""
    for name in contract.NAMES:
        getattr(contract, name)


def well_typed() -> None:
    """Row, TARGET, TIME, FEATURES, TRUSTED and the functions are of the right kind."""
    row, target, time = contract.Row, contract.TARGET, contract.TIME
    if not (isinstance(row, type) and issubclass(row, pa.DataFrameModel)):
        raise StageError("dataset.py: Row must be a class of pandera.polars.DataFrameModel.")
    columns = row.to_schema().dtypes
    if target not in columns:
        raise StageError(
            f"dataset.py: TARGET is {target!r}, which is not a column of Row. "
            f"There are: {', '.join(columns)}."
        )
    estimator.kind()
    if time is not None and time not in columns:
        raise StageError(
            f"dataset.py: TIME is {time!r}, which is not a column of Row. "
            f"There are: {', '.join(columns)}. Name one, or set it to None."
        )
    if time is not None and columns[time].type not in (pl.Date, pl.Datetime):
        raise StageError(f"dataset.py: TIME is `{time}`, which is neither a date nor a datetime.")
    features = contract.FEATURES
    if not isinstance(features, list) or not all(isinstance(e, pl.Expr) for e in features):
        raise StageError("features.py: FEATURES must be a list of Polars expressions.")
    if not features:
        raise StageError("features.py: FEATURES is empty; it needs one expression or more.")
    for expression in features:
        # It may also read the target, as Polars knows the columns only with the rows.
        if expression.meta.has_multiple_outputs():
            raise StageError(
                f"features.py: `{expression}` stands for columns that it does not name; write an "
                "expression for each feature, with the names of the columns that it reads."
            )
    trusted = contract.TRUSTED
    if not isinstance(trusted, list) or not all(isinstance(name, str) for name in trusted):
        raise StageError("model.py: TRUSTED must be a list of names of types, as text.")
    for name in ("load", "build", "score"):
        if not callable(getattr(contract, name)):
            raise StageError(f"{contract.NAMES[name][0]}.py: `{name}` must be a function.")


def parameters_fit() -> None:
    """params.toml can be read, and its values fit src/."""
    settings = params()
    if "test_share" not in settings.get("split", {}):
        raise StageError("params.toml: `test_share` is missing under [split]; add it.")
    window.settings()
    if not isinstance(settings.get("model"), dict):
        raise StageError("params.toml: the table [model] is missing; build() gets its values.")
    adverse_in(settings, estimator.classes())
    known = {*contract.Row.to_schema().dtypes, *(e.meta.output_name() for e in contract.FEATURES)}
    for column in settings.get("report", {}).get("slices", []):
        if column not in known:
            raise StageError(NO_COLUMN.format(column))


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
        raise StageError(sentence)


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
