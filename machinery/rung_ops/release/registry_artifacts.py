"""What a registered version was made from: model, rows, source and reports, downloaded.

Each function raises VersionError where that is not there, or is another one here.
"""

import io
import shutil
import tarfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl
from mlflow.entities.model_registry import ModelVersion

from rung_ops import contract
from rung_ops.errors import UnreadableFileError, VersionError
from rung_ops.model import bundle
from rung_ops.model.bundle import FACTS, LATER_FACTS
from rung_ops.project import current
from rung_ops.project.paths import shown
from rung_ops.system import git
from rung_ops.tracking import last_run, registry, versions
from rung_ops.tracking.versions import CODE
from rung_ops.training import estimator, model_card

PIPELINE = "`uv run poe pipeline`"


def version(wanted: str) -> ModelVersion:
    """Find a version by its number or alias."""
    try:
        return registry.version(wanted)
    except registry.MlflowException as error:
        raise VersionError(registry.reason_of(error)) from error


def facts(version: ModelVersion) -> dict[str, Any]:
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


def rows(version: ModelVersion) -> tuple[pl.DataFrame, pl.DataFrame]:
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
    for name, was, here in versions.other_split(version):
        raise VersionError(
            f"Version {version.version} was trained with {name} = {was}, but params.toml has {here}, "
            f"which gives another split; {restore}."
        )
    return pl.read_parquet(current().train), pl.read_parquet(current().test)


def estimator_of(
    version: ModelVersion,
    folder: Path,
    fetch: Callable[[ModelVersion, Path], Path | None] = versions.fetch_model,
) -> Any:
    """Load what `fetch` downloads of a version, trusting the types that TRUSTED in model.py lists.

    MLflow's own loader would trust the types that the downloaded model itself lists.
    """
    try:
        path = fetch(version, folder)
        return None if path is None else estimator.load(path)
    except UnreadableFileError as error:
        raise VersionError(str(error)) from error


def source(version: ModelVersion, folder: Path) -> Path:
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
    copy = versions.fetch_artifact(folder / "run", run_id=version.run_id, artifact_path=CODE)
    packages = sorted(path.parent for path in copy.rglob("features.py")) if copy else []
    if not packages:
        raise VersionError(
            f"The source of version {version.version} is neither in this clone nor in the "
            f"registry. Commit, and register a version again with {PIPELINE}."
        )
    return packages[0]


def documents(version: ModelVersion, folder: Path) -> dict[str, str]:
    """Download the reports of the version's run, and fill the model card with them: text by file name."""
    reports = versions.fetch_artifact(
        folder / "run", run_id=version.run_id, artifact_path="reports"
    )
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
    lines += filter(None, [version.tags.get(versions.ROWS)])
    text = model_card.card(
        model_card.prose_file().read_text(encoding="utf-8"), figures, " ".join(lines)
    )
    return texts | {bundle.CARD: text}
