"""Add-ons: distributions that bring verbs, a guard of the service, checks; the core names none.

A distribution names an `Addon` in the entry-point group `rung_ops.addons`, by the add-on's name; see
docs/addons.md. One that is installed is active, if the project has the path that it names. One that
`addons` of `[tool.rung]` lists is active too, and stops every verb while it is not installed: what
should guard must never be missing in silence.
"""

import functools
import importlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NamedTuple

from rung_ops.errors import NoProjectError, OpsError

GROUP = "rung_ops.addons"
PUBLIC_KEY = b"-----BEGIN PUBLIC KEY-----"


class AddonError(OpsError):
    """An add-on is missing or cannot be used; the message says what to do."""

    exit_code = 2


class Verb(NamedTuple):
    """A verb of `rung-ops`.

    Attributes:
        target: `MODULE` or `MODULE:FUNCTION`, imported when the verb is typed; without FUNCTION
            `main`. It returns an exit code or nothing.
        extra: of the distribution, that installs what it needs.
        help: one line.
        first: a package to import before MODULE. skops looks for each of a thousand functions in
            all modules that are loaded: before the thousand of MLflow it takes a second less.
        is_keyless: it runs code of the project, and neither signs nor pushes anything, so it runs
            in a process without keys, but for those of the prediction log.
        is_alone: no add-on has a say in it, so it runs also where one that is listed is missing.
    """

    target: str
    extra: str
    help: str
    first: str = ""
    is_keyless: bool = False
    is_alone: bool = False


@dataclass(frozen=True, kw_only=True)
class Addon:
    """What an add-on brings. Targets are `MODULE:FUNCTION`, imported when they are called.

    Attributes:
        summary: what it is for, in one line of `rung-ops --help`.
        verbs: by name, of one word or two.
        path: of a file or folder that the projects have which use it, such as `ops/ray.toml`; empty
            for one that is used wherever it is installed.
        policies: readers of the files in ops/ that it brings, by file; `rung-ops policies` calls them.
        guard: a module for the service: `routes(service)` are answered too, `state_reader(folder)`
            says what may be served, and with `IS_GOVERNED` callers have to say who they are.
        keys: public keys of the project that it verifies with. While they are there and it is not
            installed, the service answers this machine alone.
        notify: `(subject, message)`, called where the project's hook `notify` is.
        monitor_check: `(predictions)`, called where the project's hook `monitor_check` is.
        model_format: `(root)`, raises CustomModelRefusedError where a model in a format of the
            project's own may not be released.
        stages: files like dvc.yaml that each of several models has.
        documents: `()`, the names of the files that each of several models has for itself.
        checks: verbs that `poe models --check` runs for each model that has `path`.
        reports: names of files in reports/ that no model card contains: they are about more than
            the run, and longer.
        approval: what a person does with a release that waits in shadow.
        stand_in: a module for a replay: `prepare(folder)`, `is_required()`, `waiting()` and
            `approve(release)` do what a person does otherwise.
    """

    summary: str
    verbs: Mapping[str, Verb] = field(default_factory=dict)
    path: str = ""
    policies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    guard: str = ""
    keys: tuple[str, ...] = ()
    notify: str = ""
    monitor_check: str = ""
    model_format: str = ""
    stages: tuple[str, ...] = ()
    documents: str = ""
    checks: tuple[str, ...] = ()
    reports: tuple[str, ...] = ()
    approval: str = ""
    stand_in: str = ""


@functools.cache
def installed() -> dict[str, Addon]:
    """Load every add-on that is installed, by name.

    The project's own package registers none: it has hooks, which run in a process without keys.
    """
    addons: dict[str, Addon] = {}
    for entry in _entries():
        if entry.name in addons:
            raise AddonError(f"Two add-ons are named `{entry.name}`: uninstall one of them.")
        try:
            loaded = entry.load()
        except Exception as error:  # somebody else's module may raise anything
            raise AddonError(
                f"The add-on `{entry.name}` cannot be loaded from `{entry.value}` "
                f"({type(error).__name__}: {error}). Repair or uninstall it."
            ) from error
        if not isinstance(loaded, Addon):
            raise AddonError(
                f"`{entry.value}` of the add-on `{entry.name}` is a {type(loaded).__name__}; "
                "expected a rung_ops.addons.Addon."
            )
        addons[entry.name] = loaded
    return addons


def _entries() -> Iterator[EntryPoint]:
    from rung_ops.project import current
    from rung_ops.project.paths import project_name

    own = None
    with suppress(KeyError, NoProjectError):  # as for `rung-ops --help`, typed outside of a project
        own = _normalized(project_name(current().repository))
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        if entry.dist is None or _normalized(entry.dist.name) != own:
            yield entry


def _normalized(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def listed() -> list[str]:
    """Return the add-ons that the project lists under `addons` of `[tool.rung]`."""
    from rung_ops.project import current

    return current().settings().addons


def refuse_missing() -> None:
    """Stop where the project lists an add-on that is not installed."""
    for name in listed():
        if name not in installed():
            raise AddonError(
                f"pyproject.toml lists the add-on `{name}` under [tool.rung], and it is not "
                "installed here: run `uv sync`, or bring vendor/ and files to one version with "
                "`rung update`. Without it nothing runs, as it may be what guards this project."
            )


def active() -> dict[str, Addon]:
    """Return the installed add-ons that this project uses, by name."""
    from rung_ops.project import current

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


def loaded(target: str, addon_name: str) -> Any:
    """Import `MODULE` or `MODULE:NAME`."""
    module, _, attribute = target.partition(":")
    try:
        imported = importlib.import_module(module)
        return getattr(imported, attribute) if attribute else imported
    except (ImportError, AttributeError) as error:
        raise AddonError(f"The add-on `{addon_name}` names `{target}`: {error}.") from error


def unguarded_keys() -> list[str]:
    """Return public keys in folders of the project that no active add-on verifies with.

    Something was meant to be verified, and nothing here does it.
    """
    from rung_ops.project import current

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
                raise AddonError(
                    f"`rung-ops {verb}` is a verb of {owners[verb]} and of the add-on `{name}`: "
                    "one of them has to be named differently."
                )
            owners[verb] = f"the add-on `{name}`"
    return {name: dict(addon.verbs) for name, addon in installed().items()}
