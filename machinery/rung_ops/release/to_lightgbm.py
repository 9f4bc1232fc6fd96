"""Convert a LightGBM estimator to LightGBM's own format, with a table that encodes features."""

import math
import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

import polars as pl
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

from rung_ops.quantiles import PerQuantile
from rung_ops.release import ReleaseError

END = "end of trees\n"  # in LightGBM's text; what follows is not read


class NotLightGBMError(ReleaseError):
    """The estimator is not LightGBM after an optional column encoder; the message says why."""


def to_lightgbm(estimator: Any, features: pl.DataFrame) -> tuple[str, dict[str, Any]]:
    """Split an estimator into a booster and an encoder of its features; some rows of them say their types.

    Returns:
        The booster's text, and the encoder: {"columns": [...]}, one entry for each column that
        the booster expects, in order: `feature`, and for an encoded one `values` with their
        `codes`, the code of any other value (`unknown`) and of a null (`missing`). A null code
        stands for NaN. If `values` is null, the column is the feature itself.

    Raises:
        NotLightGBMError: it cannot be converted.
    """
    named = estimator.steps if isinstance(estimator, Pipeline) else [("model", estimator)]
    steps = [step for _, step in named]
    last = steps[-1]
    models = last.estimators_ if isinstance(last, PerQuantile) else [last]
    for model in models:
        if type(model).__module__.split(".")[0] != "lightgbm" or not hasattr(model, "booster_"):
            raise NotLightGBMError(f"the model is {type(model).__name__}, not a LightGBM estimator")
    before = [step for step in steps[:-1] if step not in (None, "passthrough")]
    if not before:
        columns = [_unchanged(name, features) for name in features.columns]
    elif len(before) == 1 and isinstance(before[0], ColumnTransformer):
        columns = list(_encoded(before[0], features))
    else:
        names = ", ".join(type(step).__name__ for step in before)
        raise NotLightGBMError(
            f"the steps before the model are {names}; expected one ColumnTransformer"
        )
    return _joined([model.booster_.model_to_string() for model in models]), {"columns": columns}


def _joined(texts: list[str]) -> str:
    """Make one model of several of one number: its trees take turns, as those of classes do."""
    if len(texts) == 1:
        return texts[0]
    parts = [re.split(r"^Tree=\d+\n", text.partition(END)[0], flags=re.M) for text in texts]
    if len({len(part) for part in parts}) > 1:
        raise NotLightGBMError("its quantiles have different numbers of trees")
    (head, *_), *in_turn = zip(*parts, strict=True)
    counted = rf"\1={len(texts)}"
    head = re.sub(r"^(num_class|num_tree_per_iteration)=1$", counted, head, flags=re.M)
    head = re.sub(r"^(objective|tree_sizes)=.*\n", "", head, flags=re.M)
    trees = enumerate(chain.from_iterable(in_turn))
    return "".join([head, *(f"Tree={at}\n{tree}" for at, tree in trees), END])


def _encoded(transformer: ColumnTransformer, features: pl.DataFrame) -> Iterator[dict[str, Any]]:
    for name, part, chosen in transformer.transformers_:
        if isinstance(part, str) and part == "drop":
            continue
        if isinstance(chosen, str):
            chosen = [chosen]
        if not isinstance(chosen, list) or not all(isinstance(each, str | int) for each in chosen):
            raise NotLightGBMError(f"the columns of `{name}` are not a list of names")
        named = [features.columns[each] if isinstance(each, int) else each for each in chosen]
        if isinstance(part, Pipeline) and len(part.steps) == 1:
            part = part.steps[0][1]
        if isinstance(part, OrdinalEncoder):
            yield from (
                _table(part, index, features.select(named)) for index in range(part.n_features_in_)
            )
        elif _is_passthrough(part):
            yield from (_unchanged(each, features) for each in named)
        else:
            raise NotLightGBMError(f"`{name}` is {type(part).__name__}, not an OrdinalEncoder")


def _is_passthrough(part: Any) -> bool:
    if isinstance(part, str):
        return part == "passthrough"
    # A fitted ColumnTransformer replaces "passthrough" by this.
    return type(part).__name__ == "FunctionTransformer" and part.func is None


def _unchanged(name: str, features: pl.DataFrame) -> dict[str, Any]:
    kind = features.schema[name]
    if not (kind.is_numeric() or kind == pl.Boolean):
        raise NotLightGBMError(f"`{name}` is {kind}; the model expects a number")
    return {"feature": name, "values": None}


def _table(encoder: OrdinalEncoder, index: int, features: pl.DataFrame) -> dict[str, Any]:
    """Build the table with the encoder's own transform, which also pools infrequent values."""
    name = features.columns[index]
    categories = encoder.categories_[index].tolist()
    known = [value for value in categories if value is not None and value == value]
    others = [categories[0] for categories in encoder.categories_]

    def code(value: Any) -> float | None:
        row = [*others[:index], value, *others[index + 1 :]]
        try:
            codes = encoder.transform(pl.DataFrame([row], schema=features.schema, orient="row"))
        except ValueError:  # handle_unknown="error": the model has no prediction either
            return None
        return None if math.isnan(codes[0, index]) else float(codes[0, index])

    return {
        "feature": name,
        "values": known,
        "codes": [code(value) for value in known],
        "unknown": code(_unlike(known)),
        "missing": code(None),
    }


def _unlike(known: list[Any]) -> Any:
    if all(isinstance(value, str) for value in known):
        return "\ue001"
    return next(number for number in range(len(known) + 1) if number not in known)
