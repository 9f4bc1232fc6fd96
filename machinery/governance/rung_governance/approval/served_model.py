"""The check that a release serves its version's model: the export is made again and compared.

An approval names the estimator's bytes; the holder of the release key could sign another export.
"""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from rung_ops.errors import VersionError
from rung_ops.model import bundle, source_import
from rung_ops.model.bundle import BundleError, ReleaseFiles
from rung_ops.model.predictors import predictor_of
from rung_ops.release import export
from rung_ops.tracking import versions
from rung_ops.training import estimator

AGAIN = "delete it in releases/candidates, and `uv run poe release` writes it again"


def differences(path: str) -> list[str]:
    """Compare the served model of a release with the model of its version, in the registry."""
    manifest, files = bundle.open_verified(Path(path), bundle.public_key())
    try:
        version = versions.find(str(manifest["version"]))
        with tempfile.TemporaryDirectory() as temporary:
            model = versions.estimator_of(version, Path(temporary))
        train, test = versions.rows_of(version)
    except VersionError as error:
        return [str(error)]
    return list(compare(manifest, files, model, pl.concat([test, train.select(test.columns)])))


def compare(
    manifest: Mapping[str, Any], files: ReleaseFiles, model: Any, rows: pl.DataFrame
) -> Iterator[str]:
    """Say how the served model of a release differs from an estimator."""
    expressions = source_import.features_of(files, manifest["package"])
    features = export.sample_rows(rows, export.MAX_ROWS, 0).select(expressions)
    # Trees say what makes a prediction, also where another format answers.
    for kind in {manifest["format"], *(("lightgbm",) if bundle.LIGHTGBM in files else ())}:
        yield from _other_bytes(kind, files, model, features)
    expected = estimator.predict_features(model, features)
    # Not the tolerance of the manifest: it was written by what is checked here.
    tolerance = export.tolerance_of(expected, manifest["task"])
    try:
        predicted = predictor_of(files, dict(manifest))(features)
    except BundleError as error:
        yield str(error)
        return
    if predicted.shape != expected.shape or not (np.abs(predicted - expected) <= tolerance).all():
        yield f"its predictions are not those of the version's model: {AGAIN}"


def _other_bytes(
    kind: str, files: ReleaseFiles, model: Any, features: pl.DataFrame
) -> Iterator[str]:
    """Export the estimator again: its formats for numbers are the same bytes each time."""
    with tempfile.TemporaryDirectory() as temporary:
        try:
            names = export.write_again(kind, Path(temporary), model, features)
        except VersionError as error:
            yield f"{bundle.LIGHTGBM} is not what the version's model is exported to: {error}"
            return
        for name in names:
            again = (Path(temporary) / name).read_bytes()
            if name not in files or files.read(name) != again:
                yield (
                    f"{name} is not what the version's model is exported to here. Another file, or "
                    f"other packages than uv.lock has: {AGAIN}"
                )
