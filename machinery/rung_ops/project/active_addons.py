"""The add-ons that are installed, those of them that the project in use has, and the library that runs.

A release names the library that made it, so that a service can compare its own: other files under the
same version were edited where they are installed.
"""

import functools
import hashlib
import importlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.metadata import EntryPoint, entry_points, version
from pathlib import Path
from typing import Any

from rung_ops.addons import Addon, Backend, Verb
from rung_ops.errors import NoProjectError, UsageError
from rung_ops.project import current
from rung_ops.system.files import sha256

GROUP = "rung_ops.addons"
PUBLIC_KEY = b"-----BEGIN PUBLIC KEY-----"


@functools.cache
def installed() -> dict[str, Addon]:
    """Load every add-on that is installed, by name.

    The project's own package registers none: it has hooks, which run in a process without keys.
    """
    addons: dict[str, Addon] = {}
    for entry in _entries():
        if entry.name in addons:
            raise UsageError(f"Two add-ons are named `{entry.name}`: uninstall one of them.")
        try:
            loaded = entry.load()
        except Exception as error:  # somebody else's module may raise anything
            raise UsageError(
                f"The add-on `{entry.name}` cannot be loaded from `{entry.value}` "
                f"({type(error).__name__}: {error}). Repair or uninstall it."
            ) from error
        if not isinstance(loaded, Addon):
            raise UsageError(
                f"`{entry.value}` of the add-on `{entry.name}` is a {type(loaded).__name__}; "
                "expected a rung_ops.addons.Addon."
            )
        addons[entry.name] = loaded
    return addons


def _entries() -> Iterator[EntryPoint]:
    own = None
    with suppress(KeyError, NoProjectError):  # as for `rung-ops --help`, typed outside of a project
        own = _normalized(str(current().metadata()["name"]))
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        if entry.dist is None or _normalized(entry.dist.name) != own:
            yield entry


def _normalized(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def listed() -> list[str]:
    """Return the add-ons that the project lists under `addons` of `[tool.rung]`."""
    return current().settings().addons


def refuse_missing() -> None:
    """Stop where the project lists an add-on that is not installed."""
    for name in listed():
        if name not in installed():
            raise UsageError(
                f"pyproject.toml lists the add-on `{name}` under [tool.rung], and it is not "
                "installed here: run `uv sync`, or bring vendor/ and files to one version with "
                "`rung update`. Without it nothing runs, as it may be what guards this project."
            )


def active() -> dict[str, Addon]:
    """Return the installed add-ons that this project uses, by name."""
    refuse_missing()
    names = listed()
    return {
        name: addon
        for name, addon in installed().items()
        if name in names or not addon.path or (current().repository / addon.path).exists()
    }


def shown() -> dict[str, Addon]:
    """Return the add-ons whose verbs are listed: outside of a project all that are installed."""
    try:
        return active()
    except NoProjectError:
        return installed()


def distribution(name: str) -> str:
    """Name the distribution that brings an add-on, or a verb of the library's."""
    for entry in _entries():
        if entry.name == name and entry.dist is not None:
            return str(entry.dist.name)
    return "rung-ops"


def targets(name: str) -> list[tuple[str, Any]]:
    """Load what the active add-ons name in a field such as `notify`; with their names."""
    return [
        (addon_name, loaded(target, addon_name))
        for addon_name, addon in active().items()
        if (target := getattr(addon, name))
    ]


def loaded(target: str, addon_name: str, extra: str = "") -> Any:
    """Import `MODULE` or `MODULE:NAME`, whose packages the extra brings."""
    module, _, attribute = target.partition(":")
    try:
        imported = importlib.import_module(module)
        return getattr(imported, attribute) if attribute else imported
    except (ImportError, AttributeError) as error:
        if package := missing_package(error, target):
            text = how_to_install(package, addon_name, extra)
            raise UsageError(f"The add-on `{addon_name}` {text}") from error
        raise UsageError(f"The add-on `{addon_name}` names `{target}`: {error}.") from error


def missing_package(error: Exception, target: str) -> str:
    """Name the package that is not installed; empty where the error is another or our own fault."""
    name = error.name or "" if isinstance(error, ModuleNotFoundError) else ""
    return "" if name.startswith(("rung_ops", target.partition(".")[0])) else name


def how_to_install(package: str, owner: str, extra: str) -> str:
    """Say what brings a package that a verb or an add-on needs."""
    more = f", or add the extra `{extra}` of {distribution(owner)}" if extra else ""
    return f"needs the package `{package}`, which is not installed: run `uv sync`{more}."


def backend(name: str) -> Any:
    """Load what scores rows in the place of this process, of an active add-on."""
    brings = {owner: addon for owner, addon in installed().items() if name in addon.scoring}
    used = [owner for owner in active() if owner in brings]
    if len(used) > 1:
        raise UsageError(
            f"The add-ons {' and '.join(used)} bring a backend `{name}` each: uninstall one of them."
        )
    if used:
        chosen: Backend = brings[used[0]].scoring[name]
        return loaded(chosen.target, used[0], chosen.extra)
    for owner, addon in brings.items():
        raise UsageError(
            f"The backend `{name}` is of the add-on `{owner}`, which this project does not use, as "
            f"it has no {addon.path}: add that (`rung climb` does, where Rung brings it), or leave "
            "`--backend` out."
        )
    known = [f"name `{known}`, or " for addon in active().values() for known in addon.scoring]
    raise UsageError(
        f"No add-on that is installed brings the backend `{name}`: install one that does, or "
        f"{''.join(known)}leave `--backend` out."
    )


def unguarded_keys() -> list[str]:
    """Return public keys in folders of the project that no active add-on verifies with.

    Something was meant to be verified, and nothing here does it.
    """
    known = {key for addon in active().values() for key in addon.keys}
    return [
        name
        for path in sorted(current().repository.glob("[!.]*/*.pub"))
        if (name := path.relative_to(current().repository).as_posix()) not in known
        and path.is_file()
        and PUBLIC_KEY in path.read_bytes()[:10_000]
    ]


def verb_tables(core: Mapping[str, Verb]) -> dict[str, dict[str, Verb]]:
    """Return the verbs of each installed add-on, by its name; refuse two of one name."""
    owners = dict.fromkeys(core, "rung-ops")
    for name, addon in installed().items():
        for verb in addon.verbs:
            if verb in owners:
                raise UsageError(
                    f"`rung-ops {verb}` is a verb of {owners[verb]} and of the add-on `{name}`: "
                    "one of them has to be named differently."
                )
            owners[verb] = f"the add-on `{name}`"
    return {name: dict(addon.verbs) for name, addon in installed().items()}


LIBRARY = "rung_ops"
# Imported by Python itself, where the path of imports has them.
CUSTOMIZING = ("sitecustomize", "usercustomize")


@functools.cache
def running_library() -> Mapping[str, str]:
    """Return `VERSION SHA-256` of each package that decides: the library, and what guards the service.

    The hash is of the files in the package's folder, without what Python writes there.
    """
    distributions = {LIBRARY: "rung-ops"} | {
        addon.guard.partition(".")[0]: distribution(name)
        for name, addon in active().items()
        if addon.guard
    }
    return {
        package: f"{version(brought_by)} {_digest(package)}"
        for package, brought_by in distributions.items()
    }


def _digest(package: str) -> str:
    folder = Path(str(importlib.import_module(package).__file__)).parent
    files = {
        path.relative_to(folder).as_posix(): sha256(path.resolve())  # uv may install links
        for path in folder.rglob("*")
        if "__pycache__" not in path.parts and path.is_file()
    }
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def running_statement() -> str:
    """Say which library runs, and which variables and modules of Python may change what it does."""
    packages = ", ".join(f"{name} {about}" for name, about in running_library().items())
    modules = {name: sys.modules.get(name) for name in CUSTOMIZING}
    others = {"PYTHONPATH": os.environ.get("PYTHONPATH")} | {
        name: getattr(module, "__file__", None) for name, module in modules.items()
    }
    return "; ".join([packages, *(f"{name}: {value or 'none'}" for name, value in others.items())])


def library_differences(recorded: object) -> Iterator[tuple[str, bool]]:
    """Compare what runs with what a release records, running_library() of the library that made it.

    An earlier library recorded something else, which compares nothing.

    Yields:
        A sentence for each package that differs, and whether it has the same version: then its files
        were edited.
    """
    for name, about in running_library().items():
        before = recorded.get(name) if isinstance(recorded, dict) else None
        if before in (None, about):
            continue
        (version, digest), (then, made_by) = about.split(), str(before).partition(" ")[::2]
        if version == then:
            hashes = f"{digest[:12]}, and {made_by[:12]} made the release"
            yield f"{name} {version} has other files here ({hashes})", True
        else:
            yield f"it was made by {name} {then}, and {version} serves it", False
