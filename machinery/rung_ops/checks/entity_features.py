"""The promises of ENTITY_FEATURES in features.py."""

from collections import Counter

import polars as pl

from rung_ops import contract
from rung_ops.contract import ContractError
from rung_ops.features import EntityFeature
from rung_ops.features.point_in_time import join, of_forecast
from rung_ops.features.sources import EntityFeatureError

KEYS = (pl.String, pl.Boolean, pl.Date)  # and whole numbers; a float has no exact text


def well_declared() -> None:
    """Entity features have unique names, and are looked up by columns that a caller sends.

    Raises:
        ContractError: one of them is not.
    """
    declared = contract.ENTITY_FEATURES
    if not isinstance(declared, list) or not all(isinstance(e, EntityFeature) for e in declared):
        raise ContractError("features.py: ENTITY_FEATURES must be a list of EntityFeature.")
    columns = {name: kind.type for name, kind in contract.Row.to_schema().dtypes.items()}
    for name, times in Counter(feature.name for feature in declared).items():
        if times > 1:
            raise ContractError(f"features.py: {times} entity features are called `{name}`.")
        if name in columns:
            raise ContractError(
                f"features.py: the entity feature `{name}` has the name of a column of Row."
            )
    for feature in declared:
        for key in feature.entity:
            what = f"features.py: the entity of `{feature.name}` is `{key}`, which"
            if key not in columns or key == contract.TARGET:
                raise ContractError(f"{what} is not a column of Row that a caller sends.")
            if not (columns[key].is_integer() or columns[key] in KEYS):
                raise ContractError(
                    f"{what} is of type {columns[key]}; name an entity by text, whole numbers, "
                    "booleans or dates."
                )
        time = of_forecast(feature).at
        if time is None or not isinstance(columns.get(time), pl.Date | pl.Datetime):
            raise ContractError(
                f"features.py: the entity feature `{feature.name}` needs the time of a row: set TIME "
                "in dataset.py, or `at`, to a column of Row that is a date or a datetime."
            )


def with_entity_features(rows: pl.DataFrame) -> pl.DataFrame:
    """Add the entity features to rows of Row.

    Raises:
        ContractError: one of them cannot be computed.
    """
    try:
        return join(rows)
    except EntityFeatureError as error:
        raise ContractError(str(error)) from error
