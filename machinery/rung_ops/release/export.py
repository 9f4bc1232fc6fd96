"""The model of a release, in the fastest format whose predictions equal the estimator's.

Rows to compare on are held-out rows, training rows, and rows at the edges of the contract; formats that
predict the same are measured, and one is selected. LightGBM's own format has a table beside it that encodes
features; `to_onnx` writes ONNX.
"""

import json
import math
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from itertools import chain, islice
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder
from skops.io import dump

from rung_ops.contract.synthetic import unknown_texts
from rung_ops.errors import StageError, VersionError
from rung_ops.model import bundle, predictors, source_import
from rung_ops.model.bundle import BundleError
from rung_ops.model.predictors import Predictor, load_estimator, predictor_of
from rung_ops.model.target import MULTICLASS, QUANTILE, finite_rows
from rung_ops.project import active_addons, current
from rung_ops.quantiles import PerQuantile
from rung_ops.training import estimator

# Largest difference of a probability; for regression, in standard deviations of the predictions.
# Rounding to 32 bits alone stays below 3e-7; taking another branch of a tree does not.
TOLERANCE = 1e-5


def tolerance_of(expected: np.ndarray, task: str | None) -> float:
    """Return how far a format's predictions may be from the estimator's, in units of `expected`.

    Where predictions have a unit, their spread is the scale.
    """
    in_units = task in ("regression", QUANTILE)
    return TOLERANCE * (float(np.std(expected)) or 1.0 if in_units else 1.0)


def _nothing(features: pl.DataFrame) -> np.ndarray:
    return np.full(features.height, np.nan)


@dataclass
class FormatResult:
    """The result of trying onnx, lightgbm, skops or custom, as the manifest records it.

    Attributes:
        ok: whether its predictions equal the estimator's.
        reason: why it is not used.
        max_difference: largest difference to the estimator's predictions; None if it did not run.
        microseconds_one_row, microseconds_64_rows: the fastest of several runs.
    """

    format: str
    ok: bool = False
    reason: str | None = None
    max_difference: float | None = None
    microseconds_one_row: float | None = None
    microseconds_64_rows: float | None = None
    predict: Predictor = field(default=_nothing, repr=False)

    def to_manifest(self) -> dict[str, Any]:
        """Return the entry of the manifest."""
        return {name: value for name, value in vars(self).items() if name != "predict"}


@dataclass(frozen=True)
class ParityCheck:
    """Rows on which a format has to predict what the estimator predicts.

    Attributes:
        features: of the rows, shape (n_rows, n_features).
        expected: the estimator's predictions, shape (n_rows,) or (n_rows, n_classes).
        tolerance: the largest accepted difference, in units of `expected`.
    """

    features: pl.DataFrame
    expected: np.ndarray
    tolerance: float

    def compare(self, predictions: np.ndarray, result: FormatResult) -> None:
        """Set the difference of a format's predictions, and whether it is ok or why not."""
        if predictions.shape != self.expected.shape:
            result.reason = (
                f"got predictions of shape {predictions.shape}; expected {self.expected.shape}"
            )
            return
        difference = np.abs(predictions - self.expected)
        if np.isfinite(difference).any():
            result.max_difference = float(np.nanmax(difference[np.isfinite(difference)]))
        same = difference <= self.tolerance  # NaN is different
        off = int((~same.reshape(len(same), -1).all(axis=1)).sum())
        result.ok = off == 0
        if off:
            result.reason = (
                f"{off:,} of {len(self.expected):,} rows differ by more than {self.tolerance:.3g}, "
                f"at most by {result.max_difference}"
            )


REFERENCE_ROWS = 10_000  # training rows that the monitor compares with
PARITY_ROWS = 1_000  # drawn rows whose predictions the service checks when it loads a release

MAX_ROWS = 50_000
ROWS_PER_EDGE = 3


def trial_rows(
    model: Any,
    held_out: pl.DataFrame,
    train: pl.DataFrame,
    carried: pl.DataFrame,
    expressions: list[pl.Expr],
    columns: list[dict[str, Any]],
    seed: int,
) -> tuple[pl.DataFrame, list[str]]:
    """Compute features of held-out rows, of training rows, and of rows at the contract's edges.

    Training rows are included because a tree splits at their values: that is where rounding to 32
    bits takes the other branch. So are those that the bundle carries, which the service compares.

    Returns:
        The features, and the edge cases for which the model itself has no prediction.
    """
    chosen = sample_rows(held_out, MAX_ROWS, seed)
    if chosen.height < MAX_ROWS:
        trained = sample_rows(train.select(chosen.columns), MAX_ROWS - chosen.height, seed)
        chosen = pl.concat([chosen, trained])
    predicted, unanswered = _predicted_edges(
        model, list(edge_cases(held_out, columns)), expressions
    )
    joined = [chosen.select(expressions), carried.select(expressions), *predicted]
    return pl.concat(joined), unanswered


def predictable_rows(
    model: Any, drawn: pl.DataFrame, expressions: list[pl.Expr], columns: list[dict[str, Any]]
) -> pl.DataFrame:
    """Return drawn rows, and some with each edge of the contract, that the model can predict."""
    edges = (some for _, some in edge_cases(drawn, columns))
    return pl.concat([_finite(model, some, expressions) for some in (drawn, *edges)])


def _finite(model: Any, some: pl.DataFrame, expressions: list[pl.Expr]) -> pl.DataFrame:
    try:
        finite = finite_rows(estimator.predict_features(model, some.select(expressions)))
    except source_import.FAULTS:
        return some.clear()
    return some.filter(pl.Series(finite))


def _predicted_edges(
    model: Any, cases: list[tuple[str, pl.DataFrame]], expressions: list[pl.Expr]
) -> tuple[list[pl.DataFrame], list[str]]:
    if not cases:
        return [], []
    joined = _features_or_fault(model, pl.concat([some for _, some in cases]), expressions)
    if isinstance(joined, pl.DataFrame):
        return [joined], []
    results = {case: _features_or_fault(model, some, expressions) for case, some in cases}
    return (
        [result for result in results.values() if isinstance(result, pl.DataFrame)],
        [f"{case}: {result}" for case, result in results.items() if isinstance(result, str)],
    )


def _features_or_fault(
    model: Any, some: pl.DataFrame, expressions: list[pl.Expr]
) -> pl.DataFrame | str:
    """Return the features of rows if the model can predict them, otherwise why it cannot."""
    try:
        features = some.select(expressions)
        finite = np.isfinite(estimator.predict_features(model, features)).all()
    except source_import.FAULTS as error:
        return type(error).__name__
    return features if finite else "not a finite number"


def edge_cases(
    held_out: pl.DataFrame, columns: list[dict[str, Any]]
) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield rows at the edges of the contract, which the data may lack, with a description of each edge."""
    some = held_out.head(ROWS_PER_EDGE)
    for column in columns:
        name = column["name"]
        for value in _edges_of(column, held_out[name]):
            changed = pl.lit(value).cast(held_out.schema[name]).alias(name)
            case = "empty" if value is None else repr(value)
            yield f"`{name}` {case}", some.with_columns(changed)


def _edges_of(column: dict[str, Any], values: pl.Series) -> Iterator[Any]:
    if not column["required"] and column["default"] is None:
        yield None
    written = [column[name] for name in ("default", "ge", "le") if column[name] is not None]
    yield from (_value(column, each) for each in [*written, *(column["isin"] or [])])
    if column["dtype"] == "bool":
        yield from (True, False)
    if column["dtype"] == "str" and not column["isin"]:
        yield from islice(unknown_texts(column, values), 1)


def _value(column: dict[str, Any], written: Any) -> Any:
    if column["dtype"] == "datetime":
        return datetime.fromisoformat(written)
    return date.fromisoformat(written) if column["dtype"] == "date" else written


def sample_rows(rows: pl.DataFrame, limit: int, seed: int) -> pl.DataFrame:
    """Sample at most `limit` rows without replacement, keeping their order."""
    if rows.height <= limit:
        return rows
    chosen = np.random.default_rng(seed).choice(rows.height, limit, replace=False)
    return rows[np.sort(chosen)]


BATCH = 64
ROUNDS = 30
# A later format must take less than this share of the time: LightGBM's own format adds LightGBM to
# the image of the service.
MAX_RATIO = 0.9

Times = tuple[float, float]  # microseconds for one row and for 64 rows


def measure_speed(
    predictors: Mapping[str, Callable[[pl.DataFrame], np.ndarray]], features: pl.DataFrame
) -> dict[str, Times]:
    """Measure the microseconds for one row and for a batch by format, the fastest of several runs.

    The formats take turns, so that other load on the machine affects all of them.
    """
    batch = features.sample(BATCH, with_replacement=features.height < BATCH, seed=0)
    fastest = {name: [np.inf, np.inf] for name in predictors}
    for _ in range(ROUNDS):
        for name, predict in predictors.items():
            for index, rows in enumerate((batch[:1], batch)):
                start = time.perf_counter()
                predict(rows)
                elapsed = 1e6 * (time.perf_counter() - start)
                fastest[name][index] = min(fastest[name][index], elapsed)
    return {name: (round(one, 1), round(many, 1)) for name, (one, many) in fastest.items()}


def select_fastest(measured: Mapping[str, Times]) -> str:
    """Return the first format, unless a later one is clearly faster for one row and a batch."""
    names = list(measured)
    selected = names[0]
    for name in names[1:]:
        ratio = np.sqrt(np.prod(np.array(measured[name]) / np.array(measured[selected])))
        if ratio < MAX_RATIO:
            selected = name
    return selected


_EXPLAINED = (BundleError, VersionError)  # their messages need no type name


def export(
    staged: Path, package: str, estimator: Any, check: ParityCheck, task: str | None = None
) -> tuple[FormatResult, list[FormatResult]]:
    """Write the model of a release into its folder, in the format that is selected of all that were tried.

    Raises:
        VersionError: none can be used, or model.py has save() and load(), and an add-on refuses that.
    """
    module = source_import.module_of(staged, package, "model")
    described = {"package": package, "task": task}
    tried = [
        _try(kind, attempt, staged, described, check)
        for kind, attempt in _attempts(module, estimator, check.features)
    ]
    first = tried[0]
    if first.format == "onnx" and not first.ok:
        first.reason = f"{first.reason}. {_blame(estimator, check.features)}"
    if not any(each.ok for each in tried) and not predictors.is_custom(module):
        attempt = ("skops", lambda folder: _write_skops(folder, package, estimator))
        tried.append(_try(*attempt, staged, described, check))
    usable = [each for each in tried if each.ok]
    if not usable:
        reasons = "; ".join(f"{each.format}: {each.reason}" for each in tried)
        raise VersionError(f"The model cannot be released in any format. {reasons}")
    selected = _fastest(usable, check.features, task)
    for each in tried:
        folder = _trial_folder(staged, each.format)
        # Trees stay where another format answers: they say what each feature adds.
        if each is selected or (each.ok and each.format == "lightgbm"):
            for path in folder.iterdir():
                if path.name != bundle.SOURCE:
                    path.rename(staged / path.name)
        shutil.rmtree(folder, ignore_errors=True)
    return selected, tried


def refuse_custom_model(root: Path) -> None:
    """Refuse a model in a format of the project's own where an add-on does not allow it."""
    try:
        for _, refuse in active_addons.targets("model_format"):
            refuse(root)
    except StageError as error:
        raise VersionError(str(error)) from error


def _attempts(
    module: ModuleType, estimator: Any, features: pl.DataFrame
) -> list[tuple[str, Callable[[Path], object]]]:
    """Return the formats to try first, each with what writes it into a folder."""
    if predictors.is_custom(module):
        refuse_custom_model(current().repository)
        return [("custom", lambda folder: _write_custom(folder, module, estimator))]
    return [
        (kind, partial(write_again, kind, estimator=estimator, features=features))
        for kind in ("onnx", "lightgbm")
    ]


def _try(
    kind: str,
    write: Callable[[Path], object],
    staged: Path,
    described: dict[str, Any],
    check: ParityCheck,
) -> FormatResult:
    """Write one format beside the release and compare its predictions with the estimator's."""
    folder = _trial_folder(staged, kind)
    folder.mkdir()
    # A predictor may import the source besides the model.
    shutil.copytree(staged / bundle.SOURCE, folder / bundle.SOURCE)
    result = FormatResult(kind)
    try:
        write(folder)
        result.predict = predictor_of(folder, described | {"format": kind})
        predictions = result.predict(check.features)
    except Exception as error:  # converters and runtimes may raise anything
        text = str(error).strip().splitlines()
        raised = "" if isinstance(error, _EXPLAINED) else f"{type(error).__name__}: "
        result.reason = f"{raised}{text[0] if text else ''}"[:300]
        return result
    check.compare(predictions, result)
    return result


def _blame(estimator: Any, features: pl.DataFrame) -> str:
    from rung_ops.release.to_onnx import blame_step

    try:
        return blame_step(estimator, features)
    except Exception as error:  # steps may be custom code, and this only explains
        return f"Its steps could not be compared ({type(error).__name__})"


def _fastest(usable: list[FormatResult], features: pl.DataFrame, task: str | None) -> FormatResult:
    """Measure the usable formats and select one; set the reason of the others."""
    measured = measure_speed({each.format: each.predict for each in usable}, features)
    for each in usable:
        each.microseconds_one_row, each.microseconds_64_rows = measured[each.format]
    # Several numbers were first served by ONNX alone: an image without LightGBM goes on serving them.
    rivals = usable[:1] if task in (MULTICLASS, QUANTILE) else usable
    selected = select_fastest({each.format: measured[each.format] for each in rivals})
    for each in usable:
        if each.format != selected:
            each.reason = f"same predictions, but {selected} is faster or simpler"
    return next(each for each in usable if each.format == selected)


def write_json(path: Path, content: Any) -> None:
    """Write indented JSON; NaN is refused."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def write_again(kind: str, folder: Path, estimator: Any, features: pl.DataFrame) -> list[str]:
    """Write a model in a format that gives the same bytes each time; return the names of its files.

    A format whose bytes differ each time (skops, custom) writes nothing.
    """
    if kind == "onnx":
        from rung_ops.release.to_onnx import (
            to_onnx,
        )  # skl2onnx: the gate, for example, does without

        (folder / bundle.ONNX).write_bytes(to_onnx(estimator, features))
    elif kind == "lightgbm":
        booster, encoder = to_lightgbm(estimator, features)
        (folder / bundle.LIGHTGBM).write_text(booster, encoding="utf-8")
        write_json(folder / bundle.ENCODER, encoder)
    return sorted(path.name for path in folder.iterdir())


def _write_skops(folder: Path, package: str, estimator: Any) -> None:
    dump(estimator, folder / bundle.SKOPS)
    load_estimator(folder, package)  # refuses types that TRUSTED does not list


def _write_custom(folder: Path, module: ModuleType, estimator: Any) -> None:
    module.save(estimator, folder / bundle.CUSTOM)
    if not (folder / bundle.CUSTOM).exists():
        raise BundleError("save() in model.py did not write to the path that it got")


def _trial_folder(staged: Path, kind: str) -> Path:
    return staged.parent / f"{staged.name}-{kind}"


END = "end of trees\n"  # in LightGBM's text; what follows is not read


def to_lightgbm(fitted: Any, features: pl.DataFrame) -> tuple[str, dict[str, Any]]:
    """Split an estimator into a booster and an encoder of its features; some rows of them say their types.

    Returns:
        The booster's text, and the encoder: {"columns": [...]}, one entry for each column that
        the booster expects, in order: `feature`, and for an encoded one `values` with their
        `codes`, the code of any other value (`unknown`) and of a null (`missing`). A null code
        stands for NaN. If `values` is null, the column is the feature itself.

    Raises:
        VersionError: it cannot be converted.
    """
    named = fitted.steps if isinstance(fitted, Pipeline) else [("model", fitted)]
    steps = [step for _, step in named]
    last = steps[-1]
    models = last.estimators_ if isinstance(last, PerQuantile) else [last]
    for model in models:
        if type(model).__module__.split(".")[0] != "lightgbm" or not hasattr(model, "booster_"):
            raise VersionError(f"the model is {type(model).__name__}, not a LightGBM estimator")
    before = [step for step in steps[:-1] if step not in (None, "passthrough")]
    if not before:
        columns = [_unchanged(name, features) for name in features.columns]
    elif len(before) == 1 and isinstance(before[0], ColumnTransformer):
        columns = list(_encoded(before[0], features))
    else:
        names = ", ".join(type(step).__name__ for step in before)
        raise VersionError(
            f"the steps before the model are {names}; expected one ColumnTransformer"
        )
    return _joined([model.booster_.model_to_string() for model in models]), {"columns": columns}


def _joined(texts: list[str]) -> str:
    """Make one model of several of one number: its trees take turns, as those of classes do."""
    if len(texts) == 1:
        return texts[0]
    parts = [re.split(r"^Tree=\d+\n", text.partition(END)[0], flags=re.M) for text in texts]
    if len({len(part) for part in parts}) > 1:
        raise VersionError("its quantiles have different numbers of trees")
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
            raise VersionError(f"the columns of `{name}` are not a list of names")
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
            raise VersionError(f"`{name}` is {type(part).__name__}, not an OrdinalEncoder")


def _is_passthrough(part: Any) -> bool:
    if isinstance(part, str):
        return part == "passthrough"
    # A fitted ColumnTransformer replaces "passthrough" by this.
    return type(part).__name__ == "FunctionTransformer" and part.func is None


def _unchanged(name: str, features: pl.DataFrame) -> dict[str, Any]:
    kind = features.schema[name]
    if not (kind.is_numeric() or kind == pl.Boolean):
        raise VersionError(f"`{name}` is {kind}; the model expects a number")
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
