"""The library that runs: a hash of its files, and what Python imports before it.

A release names the library that made it, so that a service can compare its own: other files under the
same version were edited where they are installed.
"""

import functools
import hashlib
import importlib
import importlib.metadata
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from rung_ops.model import bundle
from rung_ops.project import active_addons

NAME = "rung_ops"
# Imported by Python itself, where the path of imports has them.
CUSTOMIZING = ("sitecustomize", "usercustomize")


@functools.cache
def running() -> Mapping[str, str]:
    """Return `VERSION SHA-256` of each package that decides: the library, and what guards the service.

    The hash is of the files in the package's folder, without what Python writes there.
    """
    distributions = {NAME: "rung-ops"} | {
        addon.guard.partition(".")[0]: active_addons.distribution(name)
        for name, addon in active_addons.active().items()
        if addon.guard
    }
    return {
        package: f"{importlib.metadata.version(distribution)} {_digest(package)}"
        for package, distribution in distributions.items()
    }


def _digest(package: str) -> str:
    folder = Path(str(importlib.import_module(package).__file__)).parent
    files = {
        path.relative_to(folder).as_posix(): bundle.digest(path)
        for path in folder.rglob("*")
        if "__pycache__" not in path.parts and path.is_file()
    }
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def statement() -> str:
    """Say which library runs, and which variables and modules of Python may change what it does."""
    packages = ", ".join(f"{name} {about}" for name, about in running().items())
    modules = {name: sys.modules.get(name) for name in CUSTOMIZING}
    others = {"PYTHONPATH": os.environ.get("PYTHONPATH")} | {
        name: getattr(module, "__file__", None) for name, module in modules.items()
    }
    return "; ".join([packages, *(f"{name}: {value or 'none'}" for name, value in others.items())])


def differences(recorded: object) -> Iterator[tuple[str, bool]]:
    """Compare what runs with what a release records, running() of the library that made it.

    An earlier library recorded something else, which compares nothing.

    Yields:
        A sentence for each package that differs, and whether it has the same version: then its files
        were edited.
    """
    for name, about in running().items():
        before = recorded.get(name) if isinstance(recorded, dict) else None
        if before in (None, about):
            continue
        (version, digest), (then, made_by) = about.split(), str(before).partition(" ")[::2]
        if version == then:
            hashes = f"{digest[:12]}, and {made_by[:12]} made the release"
            yield f"{name} {version} has other files here ({hashes})", True
        else:
            yield f"it was made by {name} {then}, and {version} serves it", False
