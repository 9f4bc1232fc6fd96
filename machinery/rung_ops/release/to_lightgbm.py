"""Write a LightGBM model in its own format, with a table that codes the features for it."""

import math
from collections.abc import Iterator
from typing import Any

import polars as pl
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder


class NoLightGBM(Exception):
    """An estimator that is more, or something else, than LightGBM behind coded columns."""


def to_lightgbm(estimator: Any, features: pl.DataFrame) -> tuple[str, dict[str, Any]]:
    """Take an estimator apart.

    Args:
        estimator: fitted on a frame of features.
        features: some rows of them, for their names and types.

    Returns:
        The booster's text, and the encoder: {"columns": [...]}, one entry for each column that
        the booster expects, in order: `feature`, and for a coded one `values` with their `codes`,
        the code of any other value (`unknown`) and of none (`missing`). A code that is null is
        not a number. Where `values` is null the feature is the column.

    Raises:
        NoLightGBM: it cannot be written so.
    """
    named = estimator.steps if isinstance(estimator, Pipeline) else [("model", estimator)]
    steps = [step for _, step in named]
    booster = getattr(steps[-1], "booster_", None)
    if booster is None or type(steps[-1]).__module__.split(".")[0] != "lightgbm":
        raise NoLightGBM(f"the model is a {type(steps[-1]).__name__}, none of LightGBM")
    before = [step for step in steps[:-1] if step not in (None, "passthrough")]
    if not before:
        columns = [_as_it_is(name, features) for name in features.columns]
    elif len(before) == 1 and isinstance(before[0], ColumnTransformer):
        columns = list(_coded(before[0], features))
    else:
        names = ", ".join(type(step).__name__ for step in before)
        raise NoLightGBM(f"before the model stands {names}, which is no ColumnTransformer alone")
    return booster.model_to_string(), {"columns": columns}


def _coded(transformer: ColumnTransformer, features: pl.DataFrame) -> Iterator[dict[str, Any]]:
    for name, part, chosen in transformer.transformers_:
        if isinstance(part, str) and part == "drop":
            continue
        if isinstance(chosen, str):
            chosen = [chosen]
        if not isinstance(chosen, list) or not all(isinstance(each, str | int) for each in chosen):
            raise NoLightGBM(f"the columns of `{name}` are not given as a list of names")
        named = [features.columns[each] if isinstance(each, int) else each for each in chosen]
        if isinstance(part, Pipeline) and len(part.steps) == 1:
            part = part.steps[0][1]
        if isinstance(part, OrdinalEncoder):
            yield from (
                _table(part, place, features.select(named)) for place in range(part.n_features_in_)
            )
        elif _passes(part):
            yield from (_as_it_is(each, features) for each in named)
        else:
            raise NoLightGBM(f"`{name}` is a {type(part).__name__}, which no table can stand for")


def _passes(part: Any) -> bool:
    if isinstance(part, str):
        return part == "passthrough"
    # What a fitted ColumnTransformer makes of "passthrough".
    return type(part).__name__ == "FunctionTransformer" and part.func is None


def _as_it_is(name: str, features: pl.DataFrame) -> dict[str, Any]:
    kind = features.schema[name]
    if not (kind.is_numeric() or kind == pl.Boolean):
        raise NoLightGBM(f"`{name}` is {kind}, which the model could not read as a number")
    return {"feature": name, "values": None}


def _table(encoder: OrdinalEncoder, place: int, features: pl.DataFrame) -> dict[str, Any]:
    """Ask the encoder itself for every code, so that rare values that it pools are pooled."""
    name = features.columns[place]
    learned = encoder.categories_[place].tolist()
    known = [value for value in learned if value is not None and value == value]
    others = [categories[0] for categories in encoder.categories_]

    def code(value: Any) -> float | None:
        row = [*others[:place], value, *others[place + 1 :]]
        try:
            found = encoder.transform(pl.DataFrame([row], schema=features.schema, orient="row"))
        except ValueError:  # handle_unknown="error": the model has no answer either
            return None
        return None if math.isnan(found[0, place]) else float(found[0, place])

    return {
        "feature": name,
        "values": known,
        "codes": [code(value) for value in known],
        "unknown": code(_unlike(known)),
        "missing": code(None),
    }


def _unlike(known: list[Any]) -> Any:
    """Make up a value that is none of these."""
    if all(isinstance(value, str) for value in known):
        return "\ue001"
    return next(number for number in range(len(known) + 1) if number not in known)
