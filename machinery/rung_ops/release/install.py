"""Copy a candidate into an environment: verified and tried where it will lie, or not at all."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from rung_ops.project.paths import project_name
from rung_ops.release import bundle, paths
from rung_ops.release.bundle import BadBundle
from rung_ops.serving import release as releases
from rung_ops.serving.settings import limits
from rung_ops.system import atomic, locks

DRAFT = ".draft"


def newest() -> str | None:
    """Name the candidate that was made last; None where there is none."""
    made = []
    for folder in paths.candidates().glob("[!.]*"):
        try:
            made.append((bundle.read_manifest(folder)["created"], folder.name))
        except BadBundle:
            continue  # what is no release is not the newest one; naming it says what is wrong
    return max(made)[1] if made else None


def install(folder: Path, release: str) -> Path:
    """Copy a candidate to the bundles of an environment, and load it as the service will.

    A release that is there already and is good stays as it is. A kill at any moment leaves a whole
    release, or none under its name.

    Args:
        folder: the environment's.
        release: the candidate's id.

    Returns:
        Where it lies.

    Raises:
        BadBundle: there is no such candidate, it is of another model, or the service would refuse
            it.
        service.settings.BadSettings: ops/service.toml cannot be used.
        locks.LockTimeoutError: another deployment is under way.
    """
    source, final = paths.candidates() / release, paths.bundle(folder, release)
    bundles = final.parent
    draft = bundles / DRAFT
    with locks.locked(bundles):
        shutil.rmtree(draft, ignore_errors=True)  # of a deployment that was killed
        if final.exists() and _is_good(final):
            return final
        if not source.is_dir():
            raise BadBundle(f"there is no candidate {release}: `uv run poe release` makes one")
        copied = draft / release
        shutil.copytree(source, copied, symlinks=True)
        try:
            _load(copied)
            atomic.sync_tree(copied)
            if final.exists():
                final.rename(draft / "replaced")
            copied.rename(final)
            atomic.sync(bundles)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return final


def forget(folder: Path, used: Iterable[str]) -> list[str]:
    """Delete the bundles of an environment that nothing refers to any more; return their names."""
    bundles = paths.bundle(folder, "x").parent
    with locks.locked(bundles):
        old = {path.name for path in bundles.glob("[!.]*")} - set(used)
        for name in old:
            shutil.rmtree(bundles / name)
    return sorted(old)


def _load(path: Path) -> releases.Release:
    try:
        key = paths.public_key().read_bytes()
    except OSError as error:
        raise BadBundle(
            f"the public key {paths.public_key()} cannot be read ({error.strerror}): "
            "`uv run poe keys` makes one"
        ) from error
    loaded = releases.load(path, key, limits())
    # All models of a repository are signed by one key, which does not tell them apart.
    if (model := loaded.manifest["model"]) != project_name():
        raise BadBundle(
            f"{path.name} is a release of the model {model}, and this is {project_name()}: deploy "
            "it where that model lies. If the model was renamed, `uv run poe release` makes a "
            "release under its new name."
        )
    return loaded


def _is_good(path: Path) -> bool:
    try:
        _load(path)
    except BadBundle:
        return False
    return True
