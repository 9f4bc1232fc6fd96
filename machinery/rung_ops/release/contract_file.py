"""The contract.json of a release: columns with their rules, features and an example row."""

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import pandera.polars as pa
import polars as pl

from rung_ops.contract import row_checks, synthetic
from rung_ops.contract.forecast import declared as declared_forecast
from rung_ops.contract.row_checks import plain
from rung_ops.errors import VersionError
from rung_ops.features.point_in_time import of_forecast
from rung_ops.model.bundle import BundleError
from rung_ops.model.columns import family_of, text_of
from rung_ops.model.entity_feature import EntityFeature, View, views_of
from rung_ops.model.target import kind_of


def contract(
    dataset: ModuleType,
    features: pl.DataFrame,
    rows: pl.DataFrame,
    task: str,
    positive: str | None,
    declared: Sequence[EntityFeature] = (),
) -> dict[str, Any]:
    """Build the contract of a release.

    Args:
        dataset: the user's module, with Row, TARGET and TIME.
        features: the features of some rows, for their names and types.
        rows: rows of Row, for the example and for how often a column is missing.
        task: classification, regression, multiclass or quantile.
        positive: name of the positive class; None for the other tasks.
        declared: ENTITY_FEATURES; each becomes a column that a caller may leave out.
    """
    schema = dataset.Row.to_schema()
    quantiles = getattr(dataset, "QUANTILES", ())
    kind = kind_of(dataset.TARGET, schema.columns[dataset.TARGET], quantiles)
    columns = [
        _column(name, column) | _missing_share(rows[name], column)
        for name, column in schema.columns.items()
        if name != dataset.TARGET
    ]
    views = views_of(declared)
    looked_up = [_entity_column(feature) for view in views for feature in view.features]
    made = declared_forecast(dataset)
    described = {
        "target": dataset.TARGET,
        "time": dataset.TIME,
        "key": [name for name in schema.unique or [] if name != dataset.TARGET],
        "task": task,
        "positive": positive,
        # Each only where there are some, so that other releases stay as they are.
        **{name: list(values) for name, values in kind._asdict().items() if values},
        "columns": columns + looked_up,
        "features": [{"name": name, "dtype": str(kind)} for name, kind in features.schema.items()],
        **({"forecast": str(made)} if made else {}),
        **({"origin": made.origin} if made and made.origin else {}),
        "example": {column["name"]: _typical(rows[column["name"]], column) for column in columns},
    }
    entity_features = [_view(view, rows, made is not None) for view in views]
    return described | ({"entity_features": entity_features} if views else {})


def _view(view: View, rows: pl.DataFrame, forecasts: bool) -> dict[str, Any]:
    return {
        "id": view.id,
        "entity": list(view.entity),
        "cadence_seconds": view.features[0].cadence.total_seconds(),
        **({"zone": view.features[0].zone} if forecasts else {}),
        "features": [
            _looked_up(feature, rows[feature.name], forecasts) for feature in view.features
        ],
    }


def _looked_up(feature: EntityFeature, values: pl.Series, forecasts: bool) -> dict[str, Any]:
    # The monitor may expect the default so often; one computed as the default counts, too.
    absent = values.is_null() if feature.default is None else values == feature.default
    oldest = feature.max_age
    described = {
        "name": feature.name,
        "max_age_seconds": None if oldest is None else oldest.total_seconds(),
        "default_share": absent.mean(),  # None without rows
    }
    if not forecasts:
        return described
    # Which time a row needs the feature of, so that the service can compare it with the store.
    made = of_forecast(feature)
    lead = made.lead.total_seconds() if made.lead else 0.0
    return described | {"at": made.at, "lead_seconds": lead}


def _missing_share(values: pl.Series, column: pa.Column) -> dict[str, float]:
    """Say how often the monitor may expect a column that may be missing to be so."""
    if not column.nullable or values.is_empty():
        return {}
    return {"default_share": values.null_count() / len(values)}


def _entity_column(feature: EntityFeature) -> dict[str, Any]:
    looked_up = f"Looked up by {', '.join(feature.entity)} where it is left out."
    described = pa.Column(
        pl.Float64,
        nullable=True,
        description=" ".join(filter(None, [feature.description, looked_up])),
        metadata={"unit": feature.unit, "default": feature.default},
    )
    return _column(feature.name, described)


def _column(name: str, column: pa.Column) -> dict[str, Any]:
    dtype = column.dtype.type
    try:
        family, polars = family_of(dtype), text_of(dtype)
    except ValueError as error:
        raise VersionError(
            f"dataset.py: column `{name}`: {error}. Change it to a number, text, boolean, date or "
            "datetime."
        ) from error
    described = column.metadata or {}
    default = described.get("default", column.default)
    rules, unchecked = row_checks.rules(column)
    return {
        "name": name,
        "dtype": family,
        "polars": polars,
        "required": not column.nullable and default is None,
        "default": plain(default),
        **dict.fromkeys(("ge", "gt", "le", "lt", "isin", "pattern", "min_length", "max_length")),
        "unit": described.get("unit"),
        "description": column.description,
        # Rules that only Python can check: the pipeline applies them, the service does not.
        "unchecked": unchecked,
    } | rules


def _typical(values: pl.Series, column: dict[str, Any]) -> Any:
    """Return the most frequent value, or the median of numbers and times.

    Values are chosen column by column, so that the public example is not a real row. A text that
    few rows share, such as the number of a case, is not taken from the data.
    """
    values = values.drop_nulls().sort()
    if values.is_empty():
        return None
    if values.dtype in (pl.String, pl.Boolean):
        return plain(synthetic.most_frequent(values, column))
    return plain(values[len(values) // 2])


def views(declared: Sequence[EntityFeature]) -> list[dict[str, Any]]:
    """Name the values that the store needs for entity features, as far as a contract does."""
    return [
        {"id": view.id, "features": [{"name": name} for name in view.names]}
        for view in views_of(declared)
    ]


def refuse_without_values(name: str, contract: Mapping[str, Any]) -> None:
    """Refuse a release that the service could not look anything up for.

    Raises:
        BundleError: the store lacks values of the contract's entity features, as they are declared.
    """
    if not (views := contract.get("entity_features")):
        return
    # Imported here, with SQLite, as most releases have no entity features.
    from rung_ops.features import store, stores

    try:
        store.refuse_unless_filled(views, stores.project_store())
    except store.FeatureStoreError as error:
        raise BundleError(f"{name}: {error}.") from error
