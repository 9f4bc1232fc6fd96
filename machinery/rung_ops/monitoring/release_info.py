"""What the monitor needs to know of a release."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from rung_ops.model import bundle, source_import
from rung_ops.model.bundle import BundleError, ReleaseFiles

Score = Callable[[np.ndarray, np.ndarray], dict[str, float]]


@dataclass(frozen=True)
class Released:
    """A release without its model, which is not loaded."""

    files: Path | ReleaseFiles  # of the bundle; a folder where they are not verified
    manifest: dict[str, Any]
    contract: dict[str, Any]
    reference: pl.DataFrame  # features of training rows, and `prediction`
    metrics: dict[str, float]  # the figures of score() on the test rows
    slices: list[dict[str, Any]]  # the same for each slice, with its `column` and `value`

    @property
    def id(self) -> str:
        """Its name."""
        return str(self.manifest["id"])

    def score(self) -> Score:
        """Import score() as it was when the release was made."""
        score: Score = source_import.module_of(self.files, self.manifest["package"], "model").score
        return score


def load(folder: Path, public_key: bytes) -> Released:
    """Verify a release with a public key, in PEM, and read what it says of itself."""
    manifest, files = bundle.open_verified(folder, public_key)
    try:
        reference = pl.read_parquet(io.BytesIO(files.read(bundle.REFERENCE)))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise BundleError(f"{folder.name}/{bundle.REFERENCE} cannot be read: {error}") from error
    return Released(
        files,
        manifest,
        files.json(bundle.CONTRACT),
        reference,
        _json(files, bundle.METRICS, {}),
        _json(files, bundle.SLICES, []),
    )


def _json(files: ReleaseFiles, path: str, otherwise: Any) -> Any:
    """Read a document that a release may lack."""
    if path not in files:
        return otherwise
    try:
        return json.loads(files.read(path, bundle.MAX_JSON_BYTES))
    except ValueError as error:
        raise BundleError(f"{files.name}/{path} is not JSON: {error}") from error
