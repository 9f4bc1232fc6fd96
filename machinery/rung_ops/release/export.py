"""Write the model of a release in the fastest format whose predictions equal the estimator's."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
from skops.io import dump

from rung_ops.model import bundle, predictors, source_import
from rung_ops.model.bundle import BundleError
from rung_ops.model.predictors import load_estimator, predictor_of, refuse_custom_model
from rung_ops.model.target import MULTICLASS, QUANTILE
from rung_ops.project import current
from rung_ops.release import onnx_reason, speed
from rung_ops.release.parity import FormatResult, ParityCheck
from rung_ops.release.to_lightgbm import NoLightGBM, to_lightgbm
from rung_ops.release.to_onnx import to_onnx

_EXPLAINED = (BundleError, NoLightGBM)  # their messages need no type name


class NoFormat(Exception):
    """No format gives the predictions of the estimator; the message says why, for each format."""


def export(
    staged: Path, package: str, estimator: Any, check: ParityCheck, task: str | None = None
) -> tuple[FormatResult, list[FormatResult]]:
    """Write the model of a release.

    Args:
        staged: the release's folder, with its source.
        package: the name of the user's package.
        estimator: the fitted estimator.
        check: what a format is compared with.
        task: of the release.

    Returns:
        The selected format, and all that were tried.

    Raises:
        NoFormat: none can be used.
        CustomModelRefusedError: model.py has save() and load(), and the change control plan does
            not allow that.
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
    selected = _fastest(_usable(tried), check.features, task)
    _keep(staged, selected, tried)
    return selected, tried


def _usable(tried: list[FormatResult]) -> list[FormatResult]:
    usable = [each for each in tried if each.ok]
    if not usable:
        reasons = "; ".join(f"{each.format}: {each.reason}" for each in tried)
        raise NoFormat(f"The model cannot be released in any format. {reasons}")
    return usable


def _keep(staged: Path, selected: FormatResult, tried: list[FormatResult]) -> None:
    """Move the selected model into the release, and remove the others."""
    for each in tried:
        # Trees stay where another format answers: they say what each feature adds.
        if each is selected or (each.ok and each.format == "lightgbm"):
            _move_model(_trial_folder(staged, each.format), staged)
        shutil.rmtree(_trial_folder(staged, each.format), ignore_errors=True)


def _attempts(
    module: ModuleType, estimator: Any, features: pl.DataFrame
) -> list[tuple[str, Callable[[Path], None]]]:
    """Return the formats to try first, each with what writes it into a folder."""
    if predictors.is_custom(module):
        refuse_custom_model(current().repository)
        return [("custom", lambda folder: _write_custom(folder, module, estimator))]
    return [
        ("onnx", lambda folder: _write_onnx(folder, estimator, features)),
        ("lightgbm", lambda folder: _write_lightgbm(folder, estimator, features)),
    ]


def _try(
    kind: str,
    write: Callable[[Path], None],
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
    try:
        return onnx_reason.blame(estimator, features)
    except Exception as error:  # steps may be custom code, and this only explains
        return f"Its steps could not be compared ({type(error).__name__})"


def _fastest(usable: list[FormatResult], features: pl.DataFrame, task: str | None) -> FormatResult:
    """Measure the usable formats and select one; set the reason of the others."""
    measured = speed.measure({each.format: each.predict for each in usable}, features)
    for each in usable:
        each.microseconds_one_row, each.microseconds_64_rows = measured[each.format]
    # Several numbers were first served by ONNX alone: an image without LightGBM goes on serving them.
    rivals = usable[:1] if task in (MULTICLASS, QUANTILE) else usable
    selected = speed.select({each.format: measured[each.format] for each in rivals})
    for each in usable:
        if each.format != selected:
            each.reason = f"same predictions, but {selected} is faster or simpler"
    return next(each for each in usable if each.format == selected)


def _write_onnx(folder: Path, estimator: Any, features: pl.DataFrame) -> None:
    (folder / bundle.ONNX).write_bytes(to_onnx(estimator, features))


def _write_lightgbm(folder: Path, estimator: Any, features: pl.DataFrame) -> None:
    booster, encoder = to_lightgbm(estimator, features)
    (folder / bundle.LIGHTGBM).write_text(booster, encoding="utf-8")
    text = json.dumps(encoder, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / bundle.ENCODER).write_text(text + "\n", encoding="utf-8")


def write_again(kind: str, folder: Path, estimator: Any, features: pl.DataFrame) -> list[str]:
    """Write a model in a format that gives the same bytes each time; return the names of its files.

    Args:
        kind: the format; one whose bytes differ each time (skops, custom) writes nothing.
        folder: where to.
        estimator: the fitted estimator.
        features: some rows of features, for their names and types.
    """
    if kind == "onnx":
        _write_onnx(folder, estimator, features)
    elif kind == "lightgbm":
        _write_lightgbm(folder, estimator, features)
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


def _move_model(folder: Path, staged: Path) -> None:
    for path in folder.iterdir():
        if path.name != bundle.SOURCE:
            path.rename(staged / path.name)
