"""Stage: record the run in MLflow and register its model as the challenger."""

import hashlib
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import polars as pl
from mlflow.data.polars_dataset import PolarsDataset, from_polars
from mlflow.entities import Metric, Param
from mlflow.models import ModelSignature, infer_signature
from mlflow.models.model import ModelInfo

from rung_ops import contract
from rung_ops.command import verb
from rung_ops.contract import synthetic
from rung_ops.data import blocks
from rung_ops.data.incoming import versioned
from rung_ops.errors import StageError
from rung_ops.model import bundle, predictors
from rung_ops.model.predictors import trusted_types
from rung_ops.project import current
from rung_ops.project.paths import params, shown
from rung_ops.tracking import last_run, registry, store_address, versions
from rung_ops.tracking.last_run import origin
from rung_ops.training import estimator, evaluation_page, refit

EXAMPLE_ROWS = 5
SHUFFLED_ROWS = 1_000  # whose values the rows of the example take
# Types that MLflow's schemas lack, with the closest that they have. Of some it warns; with one of the
# others a run has no schema at all.
CLOSEST: dict[Any, Any] = {
    **{kind: pl.String for kind in (pl.Categorical, pl.Enum, pl.Time, pl.Null)},
    **{kind: pl.Int32 for kind in (pl.UInt8, pl.UInt16)},
    **{kind: pl.Int64 for kind in (pl.UInt32, pl.Duration)},
    **{kind: pl.Float64 for kind in (pl.UInt64, pl.Int128, pl.Decimal)},
    pl.Date: pl.Datetime,
}
RETRY = (
    "The model and its reports are kept: `uv run poe pipeline` records the run when the server is "
    "back."
)


def requirements() -> list[str]:
    """Pin the dependencies of the project at their installed versions."""
    project = tomllib.loads((current().repository / "pyproject.toml").read_text(encoding="utf-8"))[
        "project"
    ]
    names = [re.split(r"[^\w.-]", text, maxsplit=1)[0] for text in project["dependencies"]]
    return [f"{name}=={importlib.metadata.version(name)}" for name in names]


def flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested tables: {"model": {"depth": 3}} becomes {"model.depth": 3}."""
    values: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{prefix}{key}"
        values |= flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return values


def parameters(settings: dict[str, Any]) -> dict[str, str]:
    """Write the content of params.toml as a run records it, by `table.name`."""
    return {name: str(value)[:6000] for name, value in flat(settings).items()}


def record(tags: dict[str, str]) -> dict[str, str]:
    """Record a run and register its model; return run_id, model and version."""
    store = registry.recorder()
    tags |= registry.run_tags() | {versions.MODEL_FILE: bundle.digest(current().model_file)}
    tags |= {"source_hash": bundle.source_hash_of_folder(current().root, contract.package())}
    if current().predictions.exists():
        predicted = pl.read_parquet(current().predictions, columns=["predicted"])[
            "predicted"
        ].to_numpy()
        tags["predictions_hash"] = hashlib.sha256(predicted.tobytes()).hexdigest()
    served = refit.served_model()
    if served != current().model_file:
        tags[versions.REFIT] = bundle.digest(served)
    if sentence := refit.recorded(current().reports):
        tags[versions.ROWS] = sentence
    rows = blocks.scan(current().rows)
    digest = tags["data_hash"][:8]  # MLflow shows a short one; the full hash is a tag
    # Each column in a separate random order: the store keeps no row of a person.
    shuffled = synthetic.shuffled(estimator.features(rows.head(SHUFFLED_ROWS).collect()), seed=0)
    features = shuffled.head(EXAMPLE_ROWS)
    model = estimator.load(current().model_file)
    some = features.to_pandas()
    warnings.filterwarnings("ignore", "Hint: Inferred schema contains integer column")
    signature = infer_signature(some, _predicted(model, features))
    with mlflow.start_run(tags=tags) as run:
        mlflow.log_input(dataset(rows, digest), "training")
        # One call, because each call is a transaction of the store.
        store.log_batch(
            run.info.run_id,
            metrics=[Metric(*each, timestamp=0, step=0) for each in _figures().items()],
            params=[Param(*each) for each in parameters(params()).items()],
        )
        logged = _log_model(model, signature, some)
        for folder, paths in _artifacts(served).items():
            for path in filter(Path.exists, paths):
                mlflow.log_artifact(str(path), folder)
    version = mlflow.register_model(logged.model_uri, registry.model_name(), tags=tags)
    if digest := versions.model_digest(version):
        store.set_tag(run.info.run_id, versions.MODEL_HASH, digest)
        store.set_model_version_tag(version.name, version.version, versions.MODEL_HASH, digest)
    if evaluation_page.kept().exists():
        page = _with_origin(evaluation_page.kept().read_text(encoding="utf-8"), tags)
        store.log_text(run.info.run_id, page, versions.REPORT)
    store.set_registered_model_alias(version.name, registry.CHALLENGER, version.version)
    return {"run_id": run.info.run_id, "model": version.name, "version": str(version.version)}


def _with_origin(page: str, tags: dict[str, str]) -> str:
    """Put into a report what came after it: date, commit and hash of the data.

    The number of the version and its run are others on a server that `poe track-sync` copies it to.
    """
    is_dirty = tags["git_dirty"] == "true"
    words = evaluation_page.origin_in_words(
        "Recorded", tags["git_commit"], is_dirty, tags["data_hash"]
    )
    return evaluation_page.stamped(page, words)


def dataset(rows: pl.LazyFrame, digest: str) -> PolarsDataset:
    """Describe rows to MLflow, which keeps their number and their schema."""
    # A null where there is one in the column, as that makes it optional.
    typical = rows.select(
        pl.when(pl.col(name).has_nulls()).then(None).otherwise(pl.col(name).first()).alias(name)
        for name in rows.collect_schema()
    )
    known = typical.collect(engine="streaming").cast(CLOSEST, strict=False)
    name = shown(current().rows)
    described = from_polars(known, targets=contract.TARGET, name=name, digest=digest)
    return _Counted(described, blocks.height(rows))


class _Counted(PolarsDataset):
    """A dataset of so many rows, of which one is in memory."""

    def __init__(self, described: PolarsDataset, rows: int) -> None:
        super().__init__(
            *(described.df, described.source, described.targets, described.name, described.digest)
        )
        self._rows = rows

    @property
    def profile(self) -> PolarsDataset.PolarsDatasetProfile:
        """Return the number of rows and of values."""
        return {"num_rows": self._rows, "num_elements": self._rows * self.df.width}


def _predicted(model: Any, features: pl.DataFrame) -> Any:
    if predictors.is_custom(contract.model):
        return estimator.predict_features(model, features)
    return model.predict(features)


def _log_model(model: Any, signature: ModelSignature, some: pd.DataFrame) -> ModelInfo:
    if predictors.is_custom(contract.model):
        # Logs the file; MLflow loads it with `_load_pyfunc` of loader_module.
        return mlflow.pyfunc.log_model(
            name="model",
            loader_module="rung_ops.tracking.custom_flavor",
            data_path=str(current().model_file),
            pip_requirements=requirements(),
            signature=signature,
        )
    return mlflow.sklearn.log_model(
        model,
        name="model",
        serialization_format="skops",
        skops_trusted_types=trusted_types(contract.TRUSTED),
        pip_requirements=requirements(),
        signature=signature,
        input_example=some,
    )


def _artifacts(served: Path) -> dict[str, list[Path]]:
    return {
        "reports": [
            current().metrics,
            current().reports / "comparison.json",
            current().reports / "slices.json",
            current().reports / refit.ROWS,
        ],
        versions.REFIT_FOLDER: [served] if served != current().model_file else [],
        # DVC restores the data from these, even if they were never committed.
        "data": [current().root / "dvc.lock", *versioned()],
        # The code that the model was made with: src/ may change later.
        **_code(),
    }


def _code() -> dict[str, list[Path]]:
    paths: dict[str, list[Path]] = {}
    source = current().root / "src"
    for path in sorted(source.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            folder = "/".join([versions.CODE, *path.parent.relative_to(source).parts])
            paths.setdefault(folder, []).append(path)
    return paths


def _figures() -> dict[str, float]:
    figures = json.loads(current().metrics.read_text(encoding="utf-8"))
    comparison = current().reports / "comparison.json"
    if comparison.exists():
        compared = flat({"comparison": json.loads(comparison.read_text(encoding="utf-8"))})
        figures |= {
            name: value for name, value in compared.items() if isinstance(value, int | float)
        }
    return {name: float(value) for name, value in figures.items()}


@verb("rung-ops track")
def main() -> int:
    """Record the run in MLflow and register its model as the challenger."""
    tags = origin()
    if changed := last_run.changes_since_training():
        raise StageError(
            f"Nothing was recorded: since the model was trained, {', '.join(changed)} changed. "
            "`uv run poe pipeline` trains one from what is here."
        )
    try:
        with registry.server_errors(store_address.tracking_uri, RETRY):
            recorded = record(tags)
    except registry.ServerDownError as down:
        registry.record_locally(down)
        # In a new process: this one still has an active run that could not be ended.
        return subprocess.run(
            [sys.executable, "-m", "rung_ops", "track"], cwd=current().root, check=False
        ).returncode
    last_run.write(**recorded)
    print(f"{recorded['model']} version {recorded['version']} is {registry.CHALLENGER}")
    if tags["git_dirty"] == "true":
        print(
            "Some files are not committed, so the commit alone does not reproduce this version. "
            "Commit, then run `uv run dvc repro --force --single-item track` to register it again."
        )
    return 0
