"""Copy a candidate into an environment, after verifying and loading the copy."""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from rung_ops.model import bundle, verification
from rung_ops.model import released as released
from rung_ops.model.bundle import BundleError
from rung_ops.project import release_folders
from rung_ops.project.paths import project_name, shown
from rung_ops.project.service_settings import limits
from rung_ops.release.entity_values import refuse_without_values
from rung_ops.release.state_format import InvalidStateError, check_release_id
from rung_ops.system import atomic, locks
from rung_ops.system.printable import printable

DRAFT = ".draft"


def newest() -> str | None:
    """Return the id of the newest candidate; None without candidates."""
    made = []
    for folder in release_folders.candidates().glob("[!.]*"):
        try:
            made.append((bundle.read_manifest(folder)["created"], folder.name))
        except BundleError:
            continue  # `poe deploy ENVIRONMENT NAME` says what is wrong with it
    return max(made)[1] if made else None


def candidates() -> list[str]:
    """List the ids of all candidates."""
    return sorted(path.name for path in release_folders.candidates().glob("[!.]*"))


def none_of(release: str) -> str:
    """Say that there is no candidate of an id, which there are, and what to do."""
    made = ", ".join(candidates())
    lacks, place = f"There is no release {printable(release)}", shown(release_folders.candidates())
    if not made:
        return f"{lacks}: {place} has none yet. `uv run poe release` makes one."
    return f"{lacks}: {place} has {made}. Type the command again with one of these."


def install(folder: Path, release: str, load: Callable[[Path], object] | None = None) -> Path:
    """Copy a candidate to the bundles of an environment, and load it as the service does.

    A valid release of that id is left unchanged. If the process is killed, a release exists under
    its id only if it is complete.

    Args:
        folder: of the environment.
        release: id of the candidate.
        load: loads a bundle as the service does; here by default.

    Returns:
        The folder of the installed release.

    Raises:
        BundleError: there is no such candidate, it is of another model, or the service would refuse
            it.
        SettingsError: ops/service.toml is invalid.
        locks.LockTimeoutError: another deployment is running.
    """
    try:
        check_release_id(release)
    except InvalidStateError as error:
        raise BundleError(none_of(release)) from error
    source, final = release_folders.candidates() / release, release_folders.bundle(folder, release)
    bundles, load = final.parent, load or check
    draft = bundles / DRAFT
    with locks.locked(bundles):
        shutil.rmtree(draft, ignore_errors=True)  # left by a deployment that was killed
        if final.exists() and _is_valid(final, load):
            return final
        if not source.is_dir():
            raise BundleError(none_of(release))
        copied = draft / release
        try:
            shutil.copytree(source, copied, symlinks=True)
            load(copied)
            atomic.sync_tree(copied)
            if final.exists():
                final.rename(draft / "replaced")
            copied.rename(final)
            atomic.sync(bundles)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return final


def forget(folder: Path, used: Iterable[str]) -> list[str]:
    """Delete the unused bundles of an environment; return their ids."""
    bundles = release_folders.bundle(folder, "x").parent
    with locks.locked(bundles):
        old = {path.name for path in bundles.glob("[!.]*")} - set(used)
        for name in old:
            shutil.rmtree(bundles / name)
    return sorted(old)


def check(path: Path | str) -> None:
    """Load a bundle as the service does, and see that it is of this model.

    Raises:
        BundleError, SettingsError: as install(); also where the feature store lacks values.
    """
    path = Path(path)
    loaded = released.load(path, verification.public_key(), limits())
    # One key signs all models of a repository, so the signature does not identify the model.
    if (model := loaded.manifest["model"]) != project_name():
        raise BundleError(
            f"{path.name} is a release of the model {model}, but this is {project_name()}: deploy "
            f"it from the folder of {model}. If the model was renamed, `uv run poe release` "
            "creates a release under its new name."
        )
    refuse_without_values(path.name, loaded.contract)


def _is_valid(path: Path, load: Callable[[Path], object]) -> bool:
    try:
        load(path)
    except BundleError:
        return False
    return True
