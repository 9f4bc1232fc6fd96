"""One release in memory: verified, its features imported, its model warm and checked.

Used by the service, and by whatever else has to score with a release: gate, monitor, replay.
"""

import io
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from rung_ops.model import bundle, source_import
from rung_ops.model.bundle import BundleError, ReleaseFiles, open_verified
from rung_ops.model.columns import dtype_of
from rung_ops.model.entity_feature import EntityFeature
from rung_ops.model.predictors import Predictor, RowPredictor, predictor_of, row_predictor
from rung_ops.model.reasons import CannotExplainError, Reasons, reasons_of
from rung_ops.model.row_path import RowFeatures, UntranslatedError, contract_features
from rung_ops.model.rows import RowValues
from rung_ops.model.target import ONE_NUMBER, Kind, finite_rows, kind_in, shape
from rung_ops.project.service_settings import Limits

LOG = logging.getLogger("service")

TRIES = 5  # of one row, of which the fastest counts: the machine may be busy


class RowScorer(NamedTuple):
    """What scores few rows without frames: their features, and the model on values."""

    features: RowFeatures
    predict: RowPredictor


@dataclass(frozen=True)
class Release:
    """A release that scores.

    Attributes:
        manifest: of what, when and how it was made.
        contract: columns with their rules, features, an example.
        schema: names and types of the columns, but for the target.
        features, entity_features: the declarations of its source.
        documents: its `metrics`, its `comparison` with simpler models and its `card`, for people.
        seconds: what one row took in the self-check, and what each further row took.
        reasons: finds the reasons of its predictions; a text where it cannot, saying why.
        row_scorer: scores few rows without frames; None where features or model need them.
    """

    id: str
    files: ReleaseFiles
    manifest: dict[str, Any]
    contract: dict[str, Any]
    schema: dict[str, pl.DataType]
    features: list[pl.Expr]
    predictor: Predictor
    documents: dict[str, Any]
    entity_features: Sequence[EntityFeature] = ()
    kind: Kind = ONE_NUMBER
    seconds: tuple[float, float] = (0.0, 0.0)
    reasons: Reasons | str = "it has none"
    row_scorer: RowScorer | None = None

    def score(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, np.ndarray]:
        """Evaluate features and model.

        Args:
            rows: with the columns and types of `schema`; others are not looked at.

        Returns:
            The features, shape (n_rows, n_features), and the predictions, of the shape that
            rung_ops.model.target says.
        """
        # In sequence: handing one row to a pool of threads costs more than evaluating it.
        features = rows.select_seq(self.features)
        return features, self.predictor(features)

    def score_values(self, rows: RowValues) -> tuple[RowValues, np.ndarray] | None:
        """Do the same for few rows as values; None if it has to be done with a frame."""
        if self.row_scorer is None:
            return None
        features = self.row_scorer.features.compute_rows(rows)
        return features and (features, self.row_scorer.predict(features.rows))


def load(
    folder: Path,
    public_key: bytes,
    limits: Limits | None = None,
    admit: Callable[[dict[str, Any]], None] | None = None,
) -> Release:
    """Verify, import, warm and check a release.

    Args:
        folder: the bundle.
        public_key: PEM text of the key that it must be signed with.
        limits: how slow it may be; the defaults where none are given.
        admit: is given the verified manifest before any code is imported; may raise BundleError.

    Raises:
        BundleError: it must not be used; the message says why.
    """
    manifest, files = open_verified(folder, public_key)
    if manifest["id"] != folder.name:
        raise BundleError(f"{folder.name} is release {manifest['id']} under another name")
    if admit is not None:
        admit(manifest)
    contract = files.json(bundle.CONTRACT)
    try:
        schema = {each["name"]: dtype_of(each["polars"]) for each in contract["columns"]}
        promised = {each["name"]: each["dtype"] for each in contract["features"]}
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(
            f"{folder.name}/{bundle.CONTRACT} is not a valid contract: {error}"
        ) from error
    features = source_import.features_of(files, manifest["package"])
    predictor = predictor_of(files, manifest)
    declared = source_import.entity_features_of(files, manifest["package"])
    scoring = Release(
        id=folder.name,
        files=files,
        manifest=manifest,
        contract=contract,
        schema=schema,
        features=features,
        predictor=predictor,
        documents=_documents(files),
        entity_features=declared,
        kind=kind_in(contract),
    )
    seconds, rows = _check(scoring, promised, limits or Limits())
    try:
        reasons: Reasons | str = reasons_of(files, contract, features, predictor)
    except CannotExplainError as error:
        reasons = str(error)
    scorer = _row_scorer(scoring, rows)
    return replace(scoring, seconds=seconds, reasons=reasons, row_scorer=scorer)


def _row_scorer(release: Release, rows: pl.DataFrame) -> RowScorer | None:
    """Prepare scoring without frames, where that was found right when the release was made.

    It is compared again, as polars may be of another version here.
    """
    if not release.manifest.get("row_features", {}).get("used"):
        return None
    try:
        features = contract_features(release.features, release.contract, release.schema, rows)
    except UntranslatedError as error:
        LOG.warning("%s: polars computes the features of each request: %s", release.id, error)
        return None
    predict = row_predictor(release.predictor, features.schema)
    return None if predict is None else RowScorer(features, predict)


def _documents(files: ReleaseFiles) -> dict[str, Any]:
    """Read what people want to know; None for what a release does without."""
    named = {"metrics": bundle.METRICS, "comparison": bundle.COMPARISON}
    documents = {name: files.json(path) if path in files else None for name, path in named.items()}
    card = files.read(bundle.CARD, bundle.MAX_JSON_BYTES) if bundle.CARD in files else None
    return documents | {"card": card.decode(errors="replace") if card is not None else None}


def _check(
    release: Release, promised: dict[str, str], limits: Limits
) -> tuple[tuple[float, float], pl.DataFrame]:
    """Hold a release against the rows that it carries; return what they took, and the rows."""
    name = release.id
    try:
        rows = pl.read_parquet(io.BytesIO(release.files.read(bundle.PARITY)))
        expected = rows["prediction"].to_numpy()
        rows = rows.select(pl.col(name).cast(kind) for name, kind in release.schema.items())
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).strip().splitlines()[0]
        raise BundleError(f"{name}/{bundle.PARITY} is not a table of its rows: {reason}") from error
    if not rows.height:
        raise BundleError(f"{name}/{bundle.PARITY} holds no rows")
    try:
        _, first = release.score(rows[:1])
        one = min(_seconds(release, rows[:1]) for _ in range(TRIES))
        start = time.perf_counter()
        features, predicted = release.score(rows)
        all_rows = time.perf_counter() - start
    except source_import.FAULTS as error:
        raise BundleError(f"{name} cannot score ({type(error).__name__}: {error})") from error
    computed = {column: str(kind) for column, kind in features.schema.items()}
    if computed != promised:
        raise BundleError(f"{name}: its features are {computed}, and the contract says {promised}")
    shapes = shape(1, release.kind), shape(rows.height, release.kind)
    if (first.shape, predicted.shape) != shapes or expected.shape != predicted.shape:
        raise BundleError(
            f"{name}: {rows.height} rows gave predictions of shape {predicted.shape}, "
            f"one row of shape {first.shape}"
        )
    if not np.isfinite(predicted).all():
        bad = (~finite_rows(predicted)).sum()
        raise BundleError(f"{name}: {bad} predictions are not numbers")
    tolerance = float(release.manifest["parity"].get("tolerance") or 0.0)
    difference = float(np.abs(predicted - expected).max())
    if not difference <= tolerance:
        raise BundleError(
            f"{name}: its predictions differ by {difference:.3g} from those of training, and "
            f"{tolerance:.3g} is tolerated. Was the service built with other versions of polars "
            "or onnxruntime?"
        )
    if one * 1000 > limits.max_row_ms:
        raise BundleError(
            f"{name} takes {one * 1000:.1f} ms for one row, and max_row_ms under [service] in "
            f"service.toml is {limits.max_row_ms:g}"
        )
    return (one, max(all_rows - one, 0.0) / max(rows.height - 1, 1)), rows


def _seconds(release: Release, rows: pl.DataFrame) -> float:
    start = time.perf_counter()
    release.score(rows)
    return time.perf_counter() - start
