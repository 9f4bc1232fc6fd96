"""The promises of FEATURES and ENTITY_FEATURES in features.py, and of forecasts in dataset.py."""

from collections import Counter
from datetime import timedelta

import polars as pl
from polars.testing import assert_frame_equal

from rung_ops import contract
from rung_ops.checks.data import featured_sample, sample
from rung_ops.contract import ContractError, calling, forecast
from rung_ops.features.point_in_time import clock, of_forecast, predicted_at
from rung_ops.training import estimator


def features_read_the_row() -> None:
    """Each feature has a unique name and reads columns of Row, but not the target."""
    columns = {*contract.Row.to_schema().dtypes, *(e.name for e in contract.ENTITY_FEATURES)}
    names = Counter(expression.meta.output_name() for expression in contract.FEATURES)
    for name, times in names.items():
        if times > 1:
            raise ContractError(
                f"features.py: {times} features are called `{name}`; give each its own alias."
            )
    for expression in contract.FEATURES:
        name = expression.meta.output_name()
        read_columns = set(expression.meta.root_names())
        if contract.TARGET in read_columns:
            raise ContractError(
                f"features.py: `{name}` reads the target `{contract.TARGET}`, which is not known "
                "when the model predicts."
            )
        for unknown in sorted(read_columns - columns):
            raise ContractError(
                f"features.py: `{name}` reads `{unknown}`, which is not a column of Row."
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
            raise ContractError(
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
            raise ContractError(
                f"features.py: `{name}` of one row differs from `{name}` of the same row among "
                "others; a feature may read its own row only."
            ) from None


def forecast_is_well_declared() -> None:
    """A forecast of a number says when it is made, and which rows are one series."""
    for sentence in (_times(), _columns()):
        if sentence:
            raise ContractError(f"dataset.py: {sentence}")


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
            raise ContractError(
                f"features.py: the entity feature `{feature.name}` sees events after the forecast is "
                f"made, in {late:,} of {rows.height:,} rows of the sample: leave out `at` and `lead`, or "
                "set them to the time at which it is made."
            )
