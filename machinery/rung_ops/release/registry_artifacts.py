"""Bring back what a version of the registry was made from, to release just that."""

import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import mlflow
import polars as pl
from mlflow.entities.model_registry import ModelVersion

from rung_ops import contract
from rung_ops.project.paths import REPORTS, ROOT, TEST, TRAIN, params, shown
from rung_ops.release import bundle, content
from rung_ops.tracking import last_run, registry, source_state
from rung_ops.training import estimator, model_card

PACKAGE = contract.Row.__module__.split(".")[0]
PIPELINE = "`uv run poe pipeline`"
CODE = "code"  # where a run keeps src/ as it was


class NotReleasable(Exception):
    """A version lacks something that a release needs; the message says what and what to do."""


def version(asked: str) -> ModelVersion:
    """Find a version by its number or alias.

    Raises:
        NotReleasable: there is no such version.
    """
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    try:
        return registry.version(asked)
    except registry.MlflowException as error:
        there = ", ".join(str(each.version) for each in registry.versions())
        raise NotReleasable(
            f"There is no version {asked} of {registry.model_name()}; "
            + (f"there are {there}." if there else f"{PIPELINE} makes the first one.")
        ) from error


def facts(version: ModelVersion) -> dict[str, Any]:
    """Read what the manifest tells of a version's origin.

    Raises:
        NotReleasable: the version was not registered by the pipeline.
    """
    found = {name: version.tags.get(name) for name in content.FACTS}
    found |= {
        "model": version.name,
        "version": str(version.version),
        "run_id": version.run_id,
    }
    missing = [name for name, value in found.items() if not value]
    if missing:
        raise NotReleasable(
            f"Version {version.version} says nothing of {', '.join(missing)}: nobody can tell what "
            f"it was made from. {PIPELINE} registers versions that do."
        )
    return found


def rows(version: ModelVersion) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read the rows that a version learned from and those that judged it.

    Raises:
        NotReleasable: the rows here are others, or none.
    """
    back = (
        f"`git checkout {version.tags['git_commit'][:12]} && uv sync && uv run poe pull` and "
        f"{PIPELINE} bring them back"
    )
    if not TRAIN.is_file() or not TEST.is_file():
        raise NotReleasable(f"{shown(TRAIN)} and {shown(TEST)} are not here; {back}.")
    if source_state.data_hash() != version.tags["data_hash"]:
        raise NotReleasable(
            f"Version {version.version} was made from other rows than those in data/; {back}."
        )
    run = registry.client().get_run(str(version.run_id))
    settings = params()
    for name, here in (
        ("seed", settings["seed"]),
        ("split.test_share", settings["split"]["test_share"]),
    ):
        if run.data.params.get(name) != str(here):
            raise NotReleasable(
                f"Version {version.version} was trained with {name} = "
                f"{run.data.params.get(name)}, and params.toml says {here}, which splits the rows "
                f"otherwise; {back}."
            )
    return pl.read_parquet(TRAIN), pl.read_parquet(TEST)


def estimator_of(version: ModelVersion, place: Path) -> Any:
    """Load the model that the registry holds, trusting what TRUSTED in model.py lists.

    Args:
        version: whose model.
        place: a folder for what is fetched.

    Raises:
        NotReleasable: the registry does not hold it, or it holds types that nobody vouched for.
    """
    try:
        fetched = mlflow.artifacts.download_artifacts(
            f"models:/{version.name}/{version.version}", dst_path=str(place / "model")
        )
    except (registry.MlflowException, OSError) as error:
        raise NotReleasable(
            f"The registry does not give the model of version {version.version}: {error}"
        ) from error
    # MLflow's own loader would trust what the model's description asks for.
    paths = sorted(Path(fetched).rglob("*.skops"))
    if len(paths) != 1:
        raise NotReleasable(
            f"Version {version.version} holds {len(paths)} models in skops' format instead of one."
        )
    try:
        return estimator.load(paths[0])
    except estimator.UntrustedModelError as error:
        raise NotReleasable(str(error)) from error


def source(version: ModelVersion, place: Path) -> Path:
    """Bring back the user's package as it was when the version was made.

    A commit that is here is believed first; the copy in the registry serves where files were not
    committed, or the clone is too shallow.

    Raises:
        NotReleasable: neither is there.
    """
    if version.tags["git_dirty"] != "true":
        archive = subprocess.run(
            ["git", "archive", version.tags["git_commit"], "--", f"src/{PACKAGE}"],
            cwd=ROOT,
            check=False,
            capture_output=True,
        )
        if archive.returncode == 0:
            with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as opened:
                opened.extractall(place, filter="data")
            return place / "src" / PACKAGE
    folder = _artifacts(version, CODE, place)
    found = sorted(path.parent for path in folder.rglob("features.py")) if folder else []
    if not found:
        raise NotReleasable(
            f"The source of version {version.version} is neither in git here nor in the registry. "
            f"Commit, and register it again with {PIPELINE}."
        )
    return found[0]


def documents(version: ModelVersion, place: Path) -> dict[str, str]:
    """Read the figures of the version's run, and fill the model card with them.

    Raises:
        NotReleasable: the run has no figures, or nobody wrote what the model is for.
    """
    folder = _artifacts(version, "reports", place)
    names = (bundle.METRICS, bundle.SLICES, bundle.COMPARISON)
    missing = [name for name in names if not folder or not (folder / name).is_file()]
    if folder is None or missing:
        raise NotReleasable(
            f"The run of version {version.version} holds no {', '.join(missing)}. "
            f"{PIPELINE} records them."
        )
    if not model_card.PROSE.is_file():
        raise NotReleasable(f"{shown(model_card.PROSE)} is missing: write what the model is for.")
    found = {name: (folder / name).read_text(encoding="utf-8") for name in names}
    figures = place / "figures"
    shutil.copytree(folder, figures)
    if _is_the_run_here(version):  # what the registry does not keep, as fairness
        shutil.copytree(REPORTS, figures, dirs_exist_ok=True)
    # What lies in model/ may be a later one.
    source_state = f"Model: {version.name}, version {version.version} of the registry."
    text = model_card.card(model_card.PROSE.read_text(encoding="utf-8"), figures, source_state)
    return found | {bundle.CARD: text}


def _is_the_run_here(version: ModelVersion) -> bool:
    return last_run.read().get("run_id") == str(version.run_id)


def _artifacts(version: ModelVersion, name: str, place: Path) -> Path | None:
    try:
        fetched = mlflow.artifacts.download_artifacts(
            run_id=version.run_id, artifact_path=name, dst_path=str(place / "run")
        )
    except (registry.MlflowException, OSError):
        return None
    return Path(fetched)
