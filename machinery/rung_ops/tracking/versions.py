"""Registered versions: where one comes from, what it was made from, and how it scores rows.

The features of a version may differ from those in src/ now. So each version is scored in its own process,
which imports src/ as its run recorded it. Where something of a version is not there, or is another one here,
a VersionError says so.
"""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import polars as pl
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from rung_ops import contract
from rung_ops.data import blocks
from rung_ops.errors import UnreadableFileError, VersionError
from rung_ops.features.point_in_time import join
from rung_ops.features.sources import Events
from rung_ops.model import bundle
from rung_ops.model.bundle import FACTS, LATER_FACTS
from rung_ops.project import current, keyless
from rung_ops.project.paths import params, shown
from rung_ops.system import git
from rung_ops.tracking import last_run, registry
from rung_ops.training import estimator, model_card

# Tags of a run and of its version: of the model in the registry, which MLflow rewrites, and of
# the file in model/ that it was read from.
MODEL_HASH = "model_hash"
MODEL_FILE = "model_file"
# The model with the same settings that was fitted again to all rows: its hash, a tag, and the folder
# of the run's artifacts that it is in.
REFIT = "refit_hash"
REFIT_FOLDER = "refit"


def fetch_model(version: ModelVersion, folder: Path) -> Path:
    """Download a version's model, unless the folder has it; return its file or folder."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    target = folder / "model"
    if not target.exists():
        try:
            mlflow.artifacts.download_artifacts(
                f"models:/{version.name}/{version.version}", dst_path=str(target)
            )
        except (MlflowException, OSError) as error:
            raise VersionError(
                f"The model of version {version.version} could not be downloaded: {error}"
            ) from error
    paths = sorted(target.rglob("*.skops"))
    if len(paths) != 1:
        raise VersionError(f"Version {version.version} has {len(paths)} skops files; expected one.")
    return paths[0]


def fetch_refitted(version: ModelVersion, folder: Path) -> Path | None:
    """Download the model that was fitted again to all rows; None if the version has none."""
    if not (hash_ := version.tags.get(REFIT)):
        return None
    target = folder / REFIT_FOLDER
    try:
        mlflow.artifacts.download_artifacts(
            run_id=version.run_id, artifact_path=REFIT_FOLDER, dst_path=str(folder)
        )
        (file,) = target.iterdir()
        if bundle.digest(file) == hash_:
            return file
        reason = "it is not the one that was recorded"
    except (MlflowException, OSError, ValueError) as error:
        reason = str(error)
    raise VersionError(
        f"The refitted model of version {version.version} could not be downloaded: {reason}. "
        "`uv run poe pipeline` registers a version with it."
    )


def model_digest(version: ModelVersion, folder: Path | None = None) -> str:
    """Hash the model that fetch_model() downloads: SHA-256; empty if the registry does not have it."""
    with tempfile.TemporaryDirectory() as temporary:
        try:
            path = fetch_model(version, folder or Path(temporary))
        except VersionError:
            return ""
        if path.is_file():
            return bundle.digest(path)
        files = [each.relative_to(path) for each in path.rglob("*") if each.is_file()]
        # Windows orders paths without regard to case, and writes them with other separators.
        files.sort(key=lambda each: each.parts)
        named = "".join(f"{bundle.digest(path / each)} {each.as_posix()}\n" for each in files)
        return hashlib.sha256(named.encode()).hexdigest()


CODE = "code"  # artifact of a run: its copy of src/
REPORT = "reports/report.html"  # artifact of a run: the report with its version and commit
ROWS = "rows"  # tag of a version: the months that it was trained and judged on, in a sentence
KIND = "kind.txt"  # beside the predictions: what they are
ORIGIN = (
    *("version", "run_id", "git_commit", "git_author", "git_dirty"),
    *("data_hash", "params_hash", "source_hash", "predictions_hash"),
)
# What makes a version another one, and what it is called; those of an earlier library lack some.
# The model counts by its predictions of the test rows: skops writes other bytes at each save.
IDENTITY = {
    "source_hash": "source",
    "params_hash": "parameters",
    "data_hash": "data",
    "predictions_hash": "the model's predictions",
}
# Parameters that decide which rows train and judge, and what a version that lacks one was made with.
SPLIT = {
    "seed": None,
    "split.test_share": None,
    "split.test_rows": None,
    "split.begins": None,
    "split.window": "all",
}


def origin_of(version: ModelVersion) -> dict[str, str]:
    """Return the origin of a version: number, run, commit, data and parameters."""
    known = version.tags | {"version": str(version.version), "run_id": str(version.run_id)}
    return {name: known.get(name, "") for name in ORIGIN}


def origin_in(manifest: dict[str, Any]) -> dict[str, str]:
    """Return the origin of a release as origin_of() returns that of its version."""
    known = manifest | {"source_hash": bundle.source_hash(manifest["files"])}
    return {name: str(known.get(name, "")) for name in ORIGIN}


def changes(facts: Mapping[str, str], others: Mapping[str, str]) -> str:
    """Say in which of IDENTITY two versions differ; what the facts of one lack is not compared."""
    known = [name for name in IDENTITY if facts.get(name) and others.get(name)]
    changed = [IDENTITY[name] for name in known if facts[name] != others[name]]
    same = [IDENTITY[name] for name in known if facts[name] == others[name]]
    unknown = [IDENTITY[name] for name in IDENTITY if name not in known]
    parts = {"changed": changed, "the same": same, "not recorded": unknown}
    return "; ".join(f"{words}: {', '.join(names)}" for words, names in parts.items() if names)


def other_split(version: ModelVersion) -> Iterator[tuple[str, str, str]]:
    """Yield the parameters that give another split here: name, of the version, of params.toml."""
    made = registry.client().get_run(str(version.run_id)).data.params
    settings = params()
    table = settings["split"]
    for name, otherwise in SPLIT.items():
        here = settings["seed"] if name == "seed" else table.get(name.removeprefix("split."))
        one, other = made.get(name, str(otherwise)), str(otherwise if here is None else here)
        if one != other:
            yield name, one, other


def predictions(version: ModelVersion, rows: Path) -> np.ndarray:
    """Score a Parquet file of rows, as estimator.predict() does.

    Raises:
        VersionError: the model or its code is missing, or the code cannot score the rows.
    """
    name = f"version {version.version}"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model = fetch_model(version, folder)
        code = fetch_artifact(folder / "run", run_id=version.run_id, artifact_path=CODE)
        if code is None:
            raise VersionError(
                f"{name}: its run has no artifact `{CODE}`, so its features are unknown. "
                "`uv run poe pipeline` records new versions with it."
            )
        if _same(code, current().root / "src"):  # saves starting a process
            return estimator.predict(estimator.load(model), blocks.scan(rows))
        output = folder / "predictions.npy"
        arguments = map(str, (code, model, rows, output))
        done = subprocess.run(
            [sys.executable, "-m", "rung_ops.tracking.versions", *arguments],
            cwd=current().root,
            env=keyless.environment() | {"PYTHONPATH": str(code)},
            check=False,
            capture_output=True,
            text=True,
            encoding="utf-8",
        )
        if done.returncode:
            reason = (done.stderr.strip() or "no message").splitlines()[-1]
            raise VersionError(f"{name} cannot score these rows: {reason}")
        predicted = (folder / KIND).read_text(encoding="utf-8")
        if predicted != (expected := str(estimator.kind())):
            raise VersionError(
                f"{name} predicts {predicted}, and dataset.py says {expected}: they cannot be "
                "compared"
            )
        return np.asarray(np.load(output, allow_pickle=False))


def slices(version: ModelVersion) -> list[dict[str, Any]]:
    """Read the slices of a version's own evaluation; empty if none were recorded."""
    with tempfile.TemporaryDirectory() as folder:
        file = fetch_artifact(
            Path(folder), run_id=version.run_id, artifact_path="reports/slices.json"
        )
        return list(json.loads(file.read_text(encoding="utf-8"))) if file else []


def fetch_artifact(folder: Path, **artifact: Any) -> Path | None:
    """Download what the arguments of MLflow's download_artifacts() name; None if that fails."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    folder.mkdir(exist_ok=True)
    try:
        return Path(mlflow.artifacts.download_artifacts(**artifact, dst_path=str(folder)))
    except (MlflowException, OSError):
        return None


def _same(one: Path, other: Path) -> bool:
    texts = [
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.py")}
        for folder in (one, other)
    ]
    return texts[0] == texts[1]


def _score(code: Path, model: Path, rows: Path, output: Path) -> None:
    source = Path(str(sys.modules[contract.Row.__module__].__file__))
    if not source.is_relative_to(code):
        raise VersionError(f"its package has another name; expected {contract.package()}")
    (output.parent / KIND).write_text(str(estimator.kind()), encoding="utf-8")
    # Its entity features may be declared in another way than those that the rows have.
    fitted, events = estimator.load(model), Events(current().root)
    parts = [
        estimator.predict(fitted, join(block, events=events))
        for block in blocks.in_blocks(blocks.scan(rows))
    ]
    np.save(output, np.concatenate(parts))


PIPELINE = "`uv run poe pipeline`"


def find(wanted: str) -> ModelVersion:
    """Find a version by its number or alias."""
    try:
        return registry.version(wanted)
    except registry.MlflowException as error:
        raise VersionError(registry.reason_of(error)) from error


def facts_of(version: ModelVersion) -> dict[str, Any]:
    """Read the origin of a version that the pipeline registered, as the manifest records it."""
    own = {"model": version.name, "version": str(version.version), "run_id": version.run_id}
    origin = {name: version.tags.get(name) for name in FACTS} | own
    later = {name: version.tags[name] for name in LATER_FACTS if name in version.tags}
    if missing := [name for name, value in origin.items() if not value]:
        raise VersionError(
            f"Version {version.version} has no {', '.join(missing)}, so its origin is unknown. "
            f"{PIPELINE} registers versions with their origin."
        )
    return origin | later


def rows_of(version: ModelVersion) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read the rows that a version was trained on and those that it was tested on."""
    restore = (
        f"`git checkout {version.tags['git_commit'][:12]} && uv sync && uv run poe pull` and "
        f"{PIPELINE} restore them"
    )
    if not current().train.is_file() or not current().test.is_file():
        raise VersionError(
            f"{shown(current().train)} and {shown(current().test)} are missing; {restore}."
        )
    if last_run.data_hash() != version.tags["data_hash"]:
        raise VersionError(
            f"Version {version.version} was made from other rows than those in data/; {restore}."
        )
    for name, was, here in other_split(version):
        raise VersionError(
            f"Version {version.version} was trained with {name} = {was}, but params.toml has {here}, "
            f"which gives another split; {restore}."
        )
    return pl.read_parquet(current().train), pl.read_parquet(current().test)


def estimator_of(
    version: ModelVersion,
    folder: Path,
    fetch: Callable[[ModelVersion, Path], Path | None] = fetch_model,
) -> Any:
    """Load what `fetch` downloads of a version, trusting the types that TRUSTED in model.py lists.

    MLflow's own loader would trust the types that the downloaded model itself lists.
    """
    try:
        path = fetch(version, folder)
        return None if path is None else estimator.load(path)
    except UnreadableFileError as error:
        raise VersionError(str(error)) from error


def source_of(version: ModelVersion, folder: Path) -> Path:
    """Restore the user's package as it was when the version was made.

    It comes from the version's commit, or from the run's copy where the files were not committed
    or the clone is too shallow.
    """
    if version.tags["git_dirty"] != "true":
        commit, root = version.tags["git_commit"], current().root
        with suppress(git.GitError):
            archive = git.content(root, "archive", commit, "--", f"src/{contract.package()}")
            with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
                opened.extractall(folder, filter="data")
            return folder / "src" / contract.package()
    copy = fetch_artifact(folder / "run", run_id=version.run_id, artifact_path=CODE)
    packages = sorted(path.parent for path in copy.rglob("features.py")) if copy else []
    if not packages:
        raise VersionError(
            f"The source of version {version.version} is neither in this clone nor in the "
            f"registry. Commit, and register a version again with {PIPELINE}."
        )
    return packages[0]


def documents_of(version: ModelVersion, folder: Path) -> dict[str, str]:
    """Download the reports of the version's run, and fill the model card with them: text by file name."""
    reports = fetch_artifact(folder / "run", run_id=version.run_id, artifact_path="reports")
    names = (bundle.METRICS, bundle.SLICES, bundle.COMPARISON)
    missing = [name for name in names if not reports or not (reports / name).is_file()]
    if reports is None or missing:
        raise VersionError(
            f"The run of version {version.version} has no {', '.join(missing)}. "
            f"{PIPELINE} records them."
        )
    if not model_card.prose_file().is_file():
        raise VersionError(
            f"{shown(model_card.prose_file())} is missing: write what the model is for."
        )
    texts = {name: (reports / name).read_text(encoding="utf-8") for name in names}
    figures = folder / "figures"
    shutil.copytree(reports, figures)
    if last_run.read().get("run_id") == str(version.run_id):
        # Adds reports that the registry does not keep, such as fairness.
        shutil.copytree(current().reports, figures, dirs_exist_ok=True)
    # model/ may hold a later version.
    lines = [f"Model: {version.name}, version {version.version} of the registry."]
    lines += filter(None, [version.tags.get(ROWS)])
    text = model_card.card(
        model_card.prose_file().read_text(encoding="utf-8"), figures, " ".join(lines)
    )
    return texts | {bundle.CARD: text}


if __name__ == "__main__":
    _score(*map(Path, sys.argv[1:]))
