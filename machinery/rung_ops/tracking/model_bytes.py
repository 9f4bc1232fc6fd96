"""The bytes of a version's model, as the registry holds them."""

import hashlib
import os
import tempfile
from pathlib import Path

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from rung_ops.errors import StageError
from rung_ops.model import bundle

# Tags of a run and of its version: of the model in the registry, which MLflow rewrites, and of
# the file in model/ that it was read from.
HASH = "model_hash"
FILE = "model_file"
# The model with the same settings that was fitted again to all rows: its hash, a tag, and the folder
# of the run's artifacts that it is in.
REFIT = "refit_hash"
REFIT_FOLDER = "refit"


class VersionError(StageError):
    """A version has no usable model, or cannot score rows; the message says which and why."""


def fetch(version: ModelVersion, folder: Path) -> Path:
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


def digest(version: ModelVersion, folder: Path | None = None) -> str:
    """Hash a version's model that fetch() downloads: SHA-256; empty if the registry does not have it."""
    with tempfile.TemporaryDirectory() as temporary:
        try:
            path = fetch(version, folder or Path(temporary))
        except VersionError:
            return ""
        if path.is_file():
            return bundle.digest(path)
        files = [each.relative_to(path) for each in path.rglob("*") if each.is_file()]
        # Windows orders paths without regard to case, and writes them with other separators.
        files.sort(key=lambda each: each.parts)
        named = "".join(f"{bundle.digest(path / each)} {each.as_posix()}\n" for each in files)
        return hashlib.sha256(named.encode()).hexdigest()
