"""What the monitor needs to know of a release."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from rung_ops.release import bundle, source_import, verify
from rung_ops.release.bundle import BadBundle

Score = Callable[[np.ndarray, np.ndarray], dict[str, float]]


@dataclass(frozen=True)
class Released:
    """A release without its model, which is not loaded.

    Attributes:
        folder: the bundle.
        manifest, contract: as the bundle has them.
        reference: features of training rows, and `prediction`.
        metrics: the figures of score() on the test rows.
        slices: the same for each slice, with its `column` and `value`.
    """

    folder: Path
    manifest: dict[str, Any]
    contract: dict[str, Any]
    reference: pl.DataFrame
    metrics: dict[str, float]
    slices: list[dict[str, Any]]

    @property
    def id(self) -> str:
        """Its name."""
        return str(self.manifest["id"])

    def score(self) -> Score:
        """Import score() as it was when the release was made.

        Raises:
            BadBundle: its source cannot be imported.
        """
        score: Score = source_import.module_of(self.folder, self.manifest["package"], "model").score
        return score


def load(folder: Path, public_key: bytes) -> Released:
    """Verify a release and read what it says of itself.

    Args:
        folder: the bundle.
        public_key: PEM text of the key that it must be signed with.

    Raises:
        BadBundle: it must not be used; the message says why.
    """
    manifest = verify.verify(folder, public_key)
    path = folder / bundle.CONTRACT
    try:
        reference = pl.read_parquet(io.BytesIO((folder / bundle.REFERENCE).read_bytes()))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise BadBundle(f"{folder.name}/{bundle.REFERENCE} cannot be read: {error}") from error
    return Released(
        folder,
        manifest,
        bundle.parse_json(path, bundle.read_small(path)),
        reference,
        _json(folder / bundle.METRICS, {}),
        _json(folder / bundle.SLICES, []),
    )


def _json(path: Path, otherwise: Any) -> Any:
    """Read a document that a release may lack."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return otherwise
    except ValueError as error:
        raise BadBundle(f"{path.parent.name}/{path.name} is not JSON: {error}") from error
