"""Add what Rung needs to the user's files where it is missing; change nothing else."""

import re
from collections.abc import Callable, Iterable
from typing import Any

import tomlkit
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from tomlkit.exceptions import TOMLKitError

NAME = re.compile(r"[A-Za-z0-9._-]+")
# Settings that Rung's verbs need; those for building, linting and testing are the person's.
IDENTITY = ("name", "version", "requires-python", "dependencies")
GROUP = "model"  # of the packages that predict, where they cannot be in [project]
SOURCES = "tool.uv.sources"
PYTHONS = tuple(f"3.{minor}" for minor in range(6, 11))  # older than Rung's, still in use
# Rules that also hide the records of new data, which git has to hold from rung 2 on.
HIDES_DATA = {
    b"data",
    b"data/",
    b"/data",
    b"/data/",
    b"data/*",
    b"/data/*",
    b"data/**",
    b"/data/**",
}
SHOWS_DATA = [b"!/data/", b"/data/*", b"!/data/incoming/", b"!/data/sample/"]
SHOWS_ALL = [b"!/data/incoming/**", b"!/data/sample/**"]
NEEDED = (
    "dependency-groups",
    "tool.uv.default-groups",
    f"{SOURCES}.rung-ops",  # the wheel in vendor/
    "tool.rung",
    "tool.poe.include",
)
ENVIRONMENT = "tool.poe.env"


def toml(
    ours: bytes, theirs: bytes, *, flat: bool = False, packaged: bool = False, mypy: bool = False
) -> tuple[bytes, list[str], list[str]]:
    """Add to a pyproject.toml the packages, groups and settings that Rung's verbs need.

    Args:
        ours: The person's file.
        theirs: Rung's.
        flat: Whether src/ has to be named, since the person's own packaging may not know of it.
        packaged: Whether another file, such as setup.py, says how the repository is packaged.
        mypy: Whether another file, such as mypy.ini, says what mypy checks.

    Returns:
        The completed file, what it got, and why it could not get the rest; the file as it was where
        it is not TOML.
    """
    by_hand: list[str] = []
    at = "tool"
    try:
        present = tomlkit.parse(ours.decode())
        rung = tomlkit.parse(theirs.decode()).unwrap()
    except (TOMLKitError, UnicodeDecodeError, RecursionError) as error:
        return ours, [], [f"it cannot be read as TOML, so nothing was added: {error}"]
    if flat:
        rung["tool"]["poe"]["env"] = {"PYTHONPATH": "src"}
    got: list[str] = []
    try:
        free = _has_no_packaging(present)
        at = "project"
        if free and not packaged:
            present["project"] = _multiline({key: rung["project"][key] for key in IDENTITY})
            got.append("`project`")
        project, wanted = present.get("project"), rung["project"]["dependencies"]
        if project is not None and "dependencies" not in project.get("dynamic", []):
            got += _listed(project, "dependencies", wanted, "project.dependencies")
        else:  # they stand where uv does not look, or are made up by something else
            at = "dependency-groups"
            groups = present.setdefault("dependency-groups", tomlkit.table())
            got += _listed(groups, GROUP, wanted, f"dependency-groups.{GROUP}")
        for at in (*NEEDED, ENVIRONMENT) if flat else NEEDED:
            got += _completed(present, rung, at, by_hand)
        at = "tool.mypy"
        if not mypy:
            got += _checked_by_mypy(present["tool"], rung["tool"]["mypy"])
        if project is not None:
            by_hand += _python(project, rung["project"]["requires-python"])
        return tomlkit.dumps(present).encode(), got, by_hand
    except (TOMLKitError, TypeError, AttributeError):  # a key is there and is something else
        return ours, [], [f"nothing was added, since `{at}` conflicts with what is there"]


def _has_no_packaging(present: Any) -> bool:
    return not {"project", "build-system"} & present.keys() and "poetry" not in present.get(
        "tool", {}
    )


def _completed(present: Any, rung: Any, dotted: str, by_hand: list[str]) -> list[str]:
    """Add what Rung's file has under a dotted key, with the tables above it."""
    *above, last = dotted.split(".")
    for part in above:
        rung = rung[part]
        present = present.setdefault(part, tomlkit.table(is_super_table=part == "tool"))
    return _added(present, last, rung[last], dotted, by_hand)


def _added(target: Any, key: str, value: Any, dotted: str, by_hand: list[str]) -> list[str]:
    """Set a key that is missing; complete a table or a list that is there."""
    if key not in target:
        target[key] = _inline(value) if dotted.startswith(SOURCES) else _multiline(value)
        return [f"`{dotted}`"]
    if dotted.startswith(SOURCES):
        return []  # another build of the library, as the person says
    if isinstance(value, dict):
        return [
            name
            for one, inner in value.items()
            for name in _added(target[key], one, inner, f"{dotted}.{one}", by_hand)
        ]
    if isinstance(value, list) and dotted.endswith("include"):
        if isinstance(target[key], list):
            return _listed(target, key, value, dotted)
        if [target[key]] != value:
            named = ", ".join(map(repr, value))
            by_hand.append(f"`{dotted}` is not a list: make it a list of its value and {named}")
    return []


def _checked_by_mypy(tool: Any, needed: dict[str, Any]) -> list[str]:
    """Set the files that mypy checks if unset: `poe types` names none, and would fail."""
    if "mypy" not in tool:
        tool["mypy"] = _multiline(needed)
        return ["`tool.mypy`"]
    if {"files", "packages", "modules"} & tool["mypy"].keys():
        return []
    tool["mypy"]["files"] = _multiline(needed["files"])
    return ["`tool.mypy.files`"]


def _python(project: Any, needed: str) -> list[str]:
    """Say that a project takes a Python that Rung does not run on: uv would find no packages."""
    declared = project.get("requires-python")
    try:
        taken = SpecifierSet(declared) if isinstance(declared, str) else None
    except InvalidSpecifier:
        taken = None
    if taken is None or not any(old in taken for old in PYTHONS if old not in SpecifierSet(needed)):
        return []
    return [
        f"`project.requires-python` is {declared!r}, and Rung runs on {needed!r} only: make it {needed!r}"
    ]


def _inline(value: dict[str, Any]) -> Any:
    made = tomlkit.inline_table()
    made.update(value)
    return made


def _multiline(value: Any) -> Any:
    if isinstance(value, dict):
        made = tomlkit.table()
        for key, inner in value.items():
            made[key] = _multiline(inner)
        return made
    item = tomlkit.item(value)
    return item.multiline(True) if isinstance(item, tomlkit.items.Array) and value else item


def _listed(target: Any, key: str, wanted: Iterable[str], dotted: str) -> list[str]:
    """Complete a list of packages; the person's own version of one stays."""
    target.setdefault(key, tomlkit.array())
    there = {_name(entry) for entry in target[key] if isinstance(entry, str)}
    new = [entry for entry in wanted if _name(entry) not in there]
    for entry in new:
        target[key].append(entry)
    if new and "\n" not in str(target[key].as_string()):
        target[key].multiline(True)
    return [f"`{dotted}`: {', '.join(new)}"] if new else []


def _name(requirement: str) -> str:
    """Return the name of a package, as PEP 503 compares it."""
    match = NAME.match(requirement.strip())
    return canonicalize_name(match[0]) if match else requirement


def lines(
    ours: bytes, theirs: bytes, tracked: Callable[[str], str]
) -> tuple[bytes, list[str], list[str]]:
    """Append to an ignore file the patterns that it lacks.

    Args:
        ours: The person's file.
        theirs: Rung's.
        tracked: Gives a file that git keeps and a pattern matches, or nothing.

    Returns:
        The file, what it got, and the patterns that are left out, since they match what git keeps.
    """
    present = {line.strip() for line in ours.splitlines()}
    lacks = [
        line for line in theirs.splitlines() if line and line[:1] != b"#" and line not in present
    ]
    kept = {line: tracked(line.decode(errors="replace")) for line in lacks}
    new = [line for line in lacks if not kept[line]]
    left_out = [
        f"`{line.decode(errors='replace')}` is left out, since git keeps `{file}`"
        for line, file in kept.items()
        if file
    ]
    if (hiding := present & HIDES_DATA) and SHOWS_DATA[2] not in present:
        deep = any(rule.endswith(b"**") for rule in hiding)
        # First, as what Rung makes in data/ stays hidden by the patterns that follow.
        new = [*SHOWS_DATA, *(SHOWS_ALL if deep else []), *new]
    if not new:
        return ours, [], left_out
    gap = b"" if ours.endswith(b"\n") or not ours else b"\n"
    named = ", ".join(f"`{line.decode(errors='replace')}`" for line in new)
    return ours + gap + b"\n# Rung\n" + b"\n".join(new) + b"\n", [f"patterns: {named}"], left_out
