"""Download what a registered version was made from: model, rows, source and reports."""

import io
import os
import shutil
import tarfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import mlflow
import polars as pl
from mlflow.entities.model_registry import ModelVersion

from rung_ops import contract
from rung_ops.model import bundle
from rung_ops.project import current
from rung_ops.project.paths import shown
from rung_ops.release import FACTS, LATER_FACTS, ReleaseError
from rung_ops.system import git
from rung_ops.tracking import last_run, model_bytes, registry, source_state, versions
from rung_ops.training import estimator, model_card

PIPELINE = "`uv run poe pipeline`"
CODE = "code"  # artifact folder of a run with its copy of src/


def version(wanted: str) -> ModelVersion:
    """Find a version by its number or alias.

    Raises:
        ReleaseError: there is no such version.
    """
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    try:
        return registry.version(wanted)
    except registry.MlflowException as error:
        raise ReleaseError(registry.reason_of(error)) from error


def facts(version: ModelVersion) -> dict[str, Any]:
    """Read the origin of a version, as the manifest records it.

    Raises:
        ReleaseError: the version was not registered by the pipeline.
    """
    origin = {name: version.tags.get(name) for name in FACTS}
    origin |= {
        "model": version.name,
        "version": str(version.version),
        "run_id": version.run_id,
    }
    missing = [name for name, value in origin.items() if not value]
    trainer = {name: version.tags[name] for name in LATER_FACTS if name in version.tags}
    if missing:
        raise ReleaseError(
            f"Version {version.version} has no {', '.join(missing)}, so its origin is unknown. "
            f"{PIPELINE} registers versions with their origin."
        )
    return origin | trainer


def rows(version: ModelVersion) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read the rows that a version was trained on and those that it was tested on.

    Raises:
        ReleaseError: data/ holds other rows, or none.
    """
    restore = (
        f"`git checkout {version.tags['git_commit'][:12]} && uv sync && uv run poe pull` and "
        f"{PIPELINE} restore them"
    )
    if not current().train.is_file() or not current().test.is_file():
        raise ReleaseError(
            f"{shown(current().train)} and {shown(current().test)} are missing; {restore}."
        )
    if source_state.data_hash() != version.tags["data_hash"]:
        raise ReleaseError(
            f"Version {version.version} was made from other rows than those in data/; {restore}."
        )
    for name, was, here in versions.other_split(version):
        raise ReleaseError(
            f"Version {version.version} was trained with {name} = {was}, but params.toml has {here}, "
            f"which gives another split; {restore}."
        )
    return pl.read_parquet(current().train), pl.read_parquet(current().test)


def estimator_of(version: ModelVersion, folder: Path) -> Any:
    """Load the estimator of a version, trusting the types that TRUSTED in model.py lists.

    Args:
        version: of the registry.
        folder: where to download it to.

    Raises:
        ReleaseError: the registry does not have it, or it holds types that are not trusted.
    """
    return _loaded(model_bytes.fetch, version, folder)


def refitted_of(version: ModelVersion, folder: Path) -> Any:
    """Load the estimator that was fitted again to all rows; None if the version has none.

    Args:
        version: of the registry.
        folder: where to download it to.

    Raises:
        ReleaseError: the registry does not have it, or it holds types that are not trusted.
    """
    return _loaded(model_bytes.fetch_refitted, version, folder)


def _loaded(
    fetch: Callable[[ModelVersion, Path], Path | None], version: ModelVersion, folder: Path
) -> Any:
    # MLflow's own loader would trust the types that the downloaded model itself lists.
    try:
        path = fetch(version, folder)
        return None if path is None else estimator.load(path)
    except (model_bytes.VersionError, estimator.UntrustedModelError) as error:
        raise ReleaseError(str(error)) from error


def source(version: ModelVersion, folder: Path) -> Path:
    """Restore the user's package as it was when the version was made.

    It comes from the version's commit, or from the run's copy where the files were not committed
    or the clone is too shallow.

    Raises:
        ReleaseError: neither exists.
    """
    if version.tags["git_dirty"] != "true":
        commit, root = version.tags["git_commit"], current().root
        with suppress(git.GitError):
            archive = git.content(root, "archive", commit, "--", f"src/{contract.package()}")
            with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
                opened.extractall(folder, filter="data")
            return folder / "src" / contract.package()
    copy = _artifacts(version, CODE, folder)
    packages = sorted(path.parent for path in copy.rglob("features.py")) if copy else []
    if not packages:
        raise ReleaseError(
            f"The source of version {version.version} is neither in this clone nor in the "
            f"registry. Commit, and register a version again with {PIPELINE}."
        )
    return packages[0]


def documents(version: ModelVersion, folder: Path) -> dict[str, str]:
    """Download the reports of the version's run, and fill the model card with them.

    Returns:
        Text by file name.

    Raises:
        ReleaseError: the run has no reports, or docs/model_card.md is missing.
    """
    reports = _artifacts(version, "reports", folder)
    names = (bundle.METRICS, bundle.SLICES, bundle.COMPARISON)
    missing = [name for name in names if not reports or not (reports / name).is_file()]
    if reports is None or missing:
        raise ReleaseError(
            f"The run of version {version.version} has no {', '.join(missing)}. "
            f"{PIPELINE} records them."
        )
    if not model_card.prose_file().is_file():
        raise ReleaseError(
            f"{shown(model_card.prose_file())} is missing: write what the model is for."
        )
    texts = {name: (reports / name).read_text(encoding="utf-8") for name in names}
    figures = folder / "figures"
    shutil.copytree(reports, figures)
    if _is_latest_run(version):  # adds reports that the registry does not keep, such as fairness
        shutil.copytree(current().reports, figures, dirs_exist_ok=True)
    # model/ may hold a later version.
    lines = [f"Model: {version.name}, version {version.version} of the registry."]
    lines += filter(None, [version.tags.get(versions.ROWS)])
    text = model_card.card(
        model_card.prose_file().read_text(encoding="utf-8"), figures, " ".join(lines)
    )
    return texts | {bundle.CARD: text}


def _is_latest_run(version: ModelVersion) -> bool:
    return last_run.read().get("run_id") == str(version.run_id)


def _artifacts(version: ModelVersion, name: str, folder: Path) -> Path | None:
    try:
        fetched = mlflow.artifacts.download_artifacts(
            run_id=version.run_id, artifact_path=name, dst_path=str(folder / "run")
        )
    except (registry.MlflowException, OSError):
        return None
    return Path(fetched)
