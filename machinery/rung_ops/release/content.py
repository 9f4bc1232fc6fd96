"""Write the files of a release, all but the signature."""

import importlib
import importlib.metadata
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl

from rung_ops import contract
from rung_ops.contract import synthetic
from rung_ops.model import bundle, source_import
from rung_ops.model.columns import dtype_of
from rung_ops.model.predictors import row_predictor
from rung_ops.model.row_path import UntranslatedError, contract_features
from rung_ops.model.target import columns, finite_rows, kind_in
from rung_ops.project.paths import params
from rung_ops.release import contract_file, export, export_trial, parity, reasons_file, source_hash
from rung_ops.training import estimator

# Keys of a version's origin, as the manifest records them.
FACTS = (
    *("model", "version", "run_id", "git_commit", "git_author", "git_dirty"),
    *("data_hash", "params_hash"),
)
# Those that versions of an earlier library do not have.
LATER_FACTS = ("git_trainer", "model_hash")
# Packages whose versions may change predictions.
PACKAGES = (
    *("lightgbm", "numpy", "onnx", "onnxmltools", "onnxruntime", "polars", "scikit-learn"),
    *("skl2onnx", "skops"),
)


@dataclass(frozen=True)
class Trained:
    """An estimator with the rows and the code that it was made with.

    Attributes:
        model: the fitted estimator.
        train, test: rows of Row that it was trained on, and held-out rows.
        expressions: FEATURES of the copied source.
        contract: content of contract.json.
        seed: of params.toml.
    """

    model: Any
    train: pl.DataFrame
    test: pl.DataFrame
    expressions: list[pl.Expr]
    contract: dict[str, Any]
    seed: int

    @cached_property
    def held_out(self) -> pl.DataFrame:
        """The held-out rows without the target."""
        return self.test.drop(self.contract["target"])

    @cached_property
    def known(self) -> pl.DataFrame:
        """All rows without the target, the held-out ones first."""
        return pl.concat([self.held_out, self.train.select(self.held_out.columns)])


def fill(
    staged: Path,
    model: Any,
    train: pl.DataFrame,
    test: pl.DataFrame,
    facts: Mapping[str, Any],
    documents: Mapping[str, str],
    source: Path | None = None,
) -> None:
    """Write the files of a release and its manifest; see make.write() for the arguments.

    Raises:
        BundleError: the source cannot be imported.
        NoFormat: the model cannot be written in any format.
        UnservableRow: Row has a column that a request cannot hold.
    """
    package = contract.package()
    _copy_source(staged / bundle.SOURCE / package, source)
    # From here on, use the copied source only: src/ of the project may have changed.
    trained = _trained(staged, package, model, train, test)
    task = trained.contract["task"]
    write_json(staged / bundle.CONTRACT, trained.contract)
    carried = _carried(trained)
    tested, unanswered = export_trial.rows(
        *(model, trained.held_out, train, carried, trained.expressions),
        *(trained.contract["columns"], trained.seed),
    )
    check = _parity_check(model, tested, task)
    chosen, formats = export.export(staged, package, model, check, task)
    write_json(staged / bundle.REASONS, _reasons(trained, tested, chosen, formats))
    by_row = _row_features(trained, chosen)
    _write_predictions(staged / bundle.PARITY, carried, trained)
    _reference(trained).write_parquet(staged / bundle.REFERENCE)
    write_json(staged / bundle.METRICS, _metrics(trained))
    for name, text in documents.items():
        (staged / name).write_text(text, encoding="utf-8")
    manifest = _origin(staged.name, facts, train, trained.contract["time"]) | {
        "package": package,
        "format": chosen.format,
        "row_features": by_row,
        "task": task,
        "parity": check.to_manifest(chosen, formats) | {"unanswered": unanswered},
        "files": bundle.files_of(staged),
    }
    write_json(staged / bundle.MANIFEST, manifest)


def _copy_source(target: Path, source: Path | None) -> None:
    used = Path(importlib.import_module(contract.Row.__module__).__file__ or "").parent
    shutil.copytree(source or used, target, ignore=lambda _, names: source_hash.left_out(names))


def _trained(
    staged: Path, package: str, model: Any, train: pl.DataFrame, test: pl.DataFrame
) -> Trained:
    dataset = source_import.module_of(staged, package, "dataset")
    expressions = source_import.features_of(staged, package)
    task = estimator.task(model)
    described = contract_file.contract(
        *(dataset, train.head(1).select(expressions), train, task, _positive(dataset, task)),
        source_import.entity_features_of(staged, package),
    )
    return Trained(model, train, test, expressions, described, params()["seed"])


def _parity_check(model: Any, tested: pl.DataFrame, task: str) -> parity.ParityCheck:
    """Predict the rows by which formats are compared; each prediction has to be finite."""
    expected = estimator.predict_features(model, tested)
    if not np.isfinite(expected).all():
        bad = int((~finite_rows(expected)).sum())
        raise export.NoFormat(
            f"The model has no finite prediction for {bad:,} of {len(expected):,} rows."
        )
    return parity.ParityCheck(tested, expected, parity.tolerance_of(expected, task))


def _reasons(
    trained: Trained,
    tested: pl.DataFrame,
    chosen: parity.FormatResult,
    formats: list[parity.FormatResult],
) -> dict[str, Any]:
    trees = next((each.predict for each in formats if each.ok and each.format == "lightgbm"), None)
    return reasons_file.describe(
        *(trained.contract, trained.expressions, trained.train, tested),
        *(chosen.predict, trees, params().get("reasons", {})),
    )


def _reference(trained: Trained) -> pl.DataFrame:
    """Sample features and predictions of training for the monitor, each column shuffled."""
    features = trained.train.select(trained.expressions)
    sampled = export_trial.sample(features, export_trial.REFERENCE_ROWS, trained.seed)
    # The monitor compares each column for itself, so none of them need stay beside another.
    predicted = estimator.predict_features(trained.model, sampled)
    answers = columns(predicted, kind_in(trained.contract))[0]
    return synthetic.shuffled(sampled.with_columns(answers), trained.seed)


def _metrics(trained: Trained) -> Any:
    predicted = estimator.predict_features(trained.model, trained.test.select(trained.expressions))
    return contract.score(estimator.truth(trained.test), predicted)


def _origin(
    release: str, facts: Mapping[str, Any], train: pl.DataFrame, time: str | None
) -> dict[str, Any]:
    """Return what the manifest says of a release's origin."""
    last = train[time].max() if time else None
    return {
        "schema": bundle.SCHEMA,
        "id": release,
        **{name: facts[name] for name in FACTS},
        **{name: facts[name] for name in LATER_FACTS if facts.get(name)},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "trained_until": last.isoformat() if last is not None else None,  # type: ignore[union-attr]
        "training_rows": train.height,
        "packages": dict(_versions()),
    }


def _carried(trained: Trained) -> pl.DataFrame:
    """Draw the rows that the bundle carries: no person's, and the model predicts them.

    Raises:
        NoFormat: it predicts none of them.
    """
    columns = trained.contract["columns"]
    known = trained.known.select([column["name"] for column in columns])
    drawn = synthetic.rows(known, columns, export_trial.PARITY_ROWS, trained.seed)
    answers = export_trial.answered(trained.model, drawn, trained.expressions, columns)
    if not answers.height:
        raise export.NoFormat(
            "The model has no finite prediction for any row whose columns are drawn each for itself, "
            "and a release carries such rows to be checked by."
        )
    return answers


def _row_features(trained: Trained, chosen: parity.FormatResult) -> dict[str, Any]:
    """Say whether the service may compute features of few rows without polars; else why not."""
    columns = trained.contract["columns"]
    schema = {each["name"]: dtype_of(each["polars"]) for each in columns}
    rows = export_trial.sample(trained.known, export_trial.REFERENCE_ROWS, trained.seed)
    try:
        features = contract_features(trained.expressions, trained.contract, schema, rows)
    except UntranslatedError as error:
        return {"used": False, "reason": str(error)}
    if row_predictor(chosen.predict, features.schema) is None:
        return {"used": False, "reason": f"a model in {chosen.format} takes frames"}
    return {"used": True, "reason": None}


def _positive(dataset: ModuleType, task: str) -> str | None:
    if task != "classification":
        return None
    return str(params().get("report", {}).get("positive", dataset.TARGET))


def _write_predictions(path: Path, rows: pl.DataFrame, trained: Trained) -> None:
    predictions = estimator.predict_features(trained.model, rows.select(trained.expressions))
    # Where there are several numbers, the column holds arrays: in the order of the contract.
    rows.with_columns(prediction=predictions.astype(np.float64)).write_parquet(path)


def _versions() -> Any:
    for name in PACKAGES:
        try:
            yield name, importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue


def write_json(path: Path, content: Any) -> None:
    """Write indented JSON; NaN is refused."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
