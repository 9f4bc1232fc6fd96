"""Write the model of a release in the first form that answers as the estimator does."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
from skops.io import dump

from rung_ops import custom_model
from rung_ops.project.paths import REPOSITORY
from rung_ops.release import bundle, estimators, source_import, speed
from rung_ops.release.bundle import BadBundle
from rung_ops.release.to_lightgbm import NoLightGBM, to_lightgbm
from rung_ops.release.to_onnx import to_onnx
from rung_ops.serving.predictors import Predictor, predictor_of

# Of a probability; of a regression, in terms of the spread of its predictions. An export that
# only rounds to 32 bits stays below 3e-7; one that takes another branch of a tree does not.
TOLERANCE = 1e-5
_OWN = (BadBundle, NoLightGBM)  # speak for themselves


class NoFormat(Exception):
    """No format answers as the estimator does; the message says what each did."""


def _nothing(features: pl.DataFrame) -> np.ndarray:
    return np.full(features.height, np.nan)


@dataclass
class Tried:
    """What became of one format, as the manifest tells it.

    Attributes:
        format: onnx, lightgbm, skops or custom.
        ok: whether it may be used.
        reason: why it is not used.
        max_difference: the largest difference to the estimator; None where nothing could be run.
        microseconds_one_row, microseconds_64_rows: the fastest of several runs.
    """

    format: str
    ok: bool = False
    reason: str | None = None
    max_difference: float | None = None
    microseconds_one_row: float | None = None
    microseconds_64_rows: float | None = None
    predict: Predictor = field(default=_nothing, repr=False)

    def told(self) -> dict[str, Any]:
        """Give what the manifest holds."""
        return {name: value for name, value in vars(self).items() if name != "predict"}


def export(
    staged: Path,
    package: str,
    estimator: Any,
    features: pl.DataFrame,
    expected: np.ndarray,
    tolerance: float,
) -> tuple[Tried, list[Tried]]:
    """Write the model of a release.

    Args:
        staged: the release's folder, with its source.
        package: the name of the user's package.
        estimator: the fitted estimator.
        features: what to compare the answers on.
        expected: the estimator's answers, shape (n_rows,).
        tolerance: the largest difference that is borne, in units of `expected`.

    Returns:
        The format that was chosen, and all that were tried.

    Raises:
        NoFormat: none can be used.
        CustomModelRefusedError: model.py has save() and load(), and the change control plan does
            not allow that.
    """
    module = source_import.module_of(staged, package, "model")
    if custom_model.is_custom(module):
        custom_model.refuse_unless_planned(REPOSITORY)
        attempts: list[tuple[str, Callable[[Path], None]]] = [
            ("custom", lambda place: _write_custom(place, module, estimator))
        ]
    else:
        attempts = [
            ("onnx", lambda place: _write_onnx(place, estimator, features)),
            ("lightgbm", lambda place: _write_lightgbm(place, estimator, features)),
        ]
    tried = [
        _try(kind, attempt, staged, package, features, expected, tolerance)
        for kind, attempt in attempts
    ]
    if not any(each.ok for each in tried) and not custom_model.is_custom(module):
        attempt = ("skops", lambda place: _write_skops(place, package, estimator))
        tried.append(_try(*attempt, staged, package, features, expected, tolerance))
    usable = [each for each in tried if each.ok]
    if not usable:
        told = "; ".join(f"{each.format}: {each.reason}" for each in tried)
        raise NoFormat(f"The model cannot be released in any format. {told}")
    chosen = _fastest(usable, features)
    _put(_place(staged, chosen.format), staged)
    for each in tried:
        shutil.rmtree(_place(staged, each.format), ignore_errors=True)
    return chosen, tried


def _try(
    kind: str,
    write: Callable[[Path], None],
    staged: Path,
    package: str,
    features: pl.DataFrame,
    expected: np.ndarray,
    tolerance: float,
) -> Tried:
    """Write one format beside the release and hold its answers against the estimator's."""
    place = _place(staged, kind)
    place.mkdir()
    # What a predictor may read besides the model.
    shutil.copytree(staged / bundle.SOURCE, place / bundle.SOURCE)
    tried = Tried(kind)
    try:
        write(place)
        tried.predict = predictor_of(place, {"format": kind, "package": package})
        found = tried.predict(features)
    except Exception as error:  # converters and runtimes raise what they like
        text = str(error).strip().splitlines()
        raised = "" if isinstance(error, _OWN) else f"{type(error).__name__}: "
        tried.reason = f"{raised}{text[0] if text else ''}"[:300]
        return tried
    if found.shape != expected.shape:
        tried.reason = f"answers in shape {found.shape} instead of {expected.shape}"
        return tried
    difference = np.abs(found - expected)
    if np.isfinite(difference).any():
        tried.max_difference = float(np.nanmax(difference[np.isfinite(difference)]))
    off = int((~(difference <= tolerance)).sum())  # no number is never close
    tried.ok = off == 0
    if off:
        tried.reason = (
            f"{off:,} of {len(expected):,} rows differ by more than {tolerance:.3g}, "
            f"at most by {tried.max_difference}"
        )
    return tried


def _fastest(usable: list[Tried], features: pl.DataFrame) -> Tried:
    """Measure the formats that can be used and take one; the others say why they were not."""
    measured = speed.measure({each.format: each.predict for each in usable}, features)
    for each in usable:
        each.microseconds_one_row, each.microseconds_64_rows = measured[each.format]
    taken = speed.faster({each.format: measured[each.format] for each in usable})
    for each in usable:
        if each.format != taken:
            each.reason = f"answers the same, but {taken} is faster or simpler"
    return next(each for each in usable if each.format == taken)


def _write_onnx(place: Path, estimator: Any, features: pl.DataFrame) -> None:
    (place / bundle.ONNX).write_bytes(to_onnx(estimator, features))


def _write_lightgbm(place: Path, estimator: Any, features: pl.DataFrame) -> None:
    booster, encoder = to_lightgbm(estimator, features)
    (place / bundle.LIGHTGBM).write_text(booster, encoding="utf-8")
    text = json.dumps(encoder, indent=2, ensure_ascii=False, allow_nan=False)
    (place / bundle.ENCODER).write_text(text + "\n", encoding="utf-8")


def _write_skops(place: Path, package: str, estimator: Any) -> None:
    dump(estimator, place / bundle.SKOPS)
    estimators.load(place, package)  # refuses what TRUSTED does not list


def _write_custom(place: Path, module: ModuleType, estimator: Any) -> None:
    module.save(estimator, place / bundle.CUSTOM)
    if not (place / bundle.CUSTOM).exists():
        raise BadBundle("save() in model.py wrote nothing at the path that it was given")


def _place(staged: Path, kind: str) -> Path:
    return staged.parent / f"{staged.name}-{kind}"


def _put(place: Path, staged: Path) -> None:
    for path in place.iterdir():
        if path.name != bundle.SOURCE:
            path.rename(staged / path.name)
