"""Complete the files that a repository shares with Rung: entries are added, nothing else changes.

Not by the merge by key, which needs a render as the base: tomlkit adds keys to tables (decision 19, keys).
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from tomlkit.exceptions import TOMLKitError

from rung.core import preconditions, template_source, transaction
from rung.core.adoption import drafts, existing
from rung.core.rendering import answers_file, rendered_trees
from rung.core.rendering.workbench import Entry, Files, Workbench, opened_project
from rung.levels.template_answers import ANSWERS
from rung.system import git

TASKS = b"ops/tasks.toml"
SHARED = {"pyproject.toml", ".gitignore"}
NAME = re.compile(r"[A-Za-z0-9._-]+")
# Rung's verbs need these settings; those for building, linting and testing are the user's.
IDENTITY = ("name", "version", "requires-python", "dependencies")
CONTRACT = ("dataset.py", "features.py", "model.py")  # the modules that the library calls
NETWORK = ("training.py", "network.py")  # what a draft of a network adds to them
OWN = "own"  # the group for packages of the user's requirements
SHRINKS = "files from before Rung: take one out when it is clean, and add none"
GROUP = "model"  # the group for packages that predict, if they cannot be in [project]
SOURCES = "tool.uv.sources"
PYTHONS = tuple(f"3.{minor}" for minor in range(6, 11))  # older than Rung's, still in use
# Rules that would also ignore the records of new data, which git has to track from rung 2 on.
HIDES_DATA = {f"{top}data{end}".encode() for top in ("", "/") for end in ("", "/", "/*", "/**")}
SHOWS_DATA = [b"!/data/", b"/data/*", b"!/data/incoming/", b"!/data/sample/"]
SHOWS_ALL = [b"!/data/incoming/**", b"!/data/sample/**"]
NEEDED = (
    "dependency-groups",
    "tool.uv.default-groups",
    SOURCES,  # each of the wheels in vendor/
    "tool.rung",
    "tool.poe.include",
)
ENVIRONMENT = "tool.poe.env"
# Files that say, in place of pyproject.toml, how a repository is packaged, type-checked and linted.
ELSEWHERE = {
    "project": {"setup.py", "setup.cfg"},
    "mypy": {"mypy.ini", ".mypy.ini"},
    "ruff": {"ruff.toml", ".ruff.toml"},
}


@dataclass(frozen=True)
class Lacking:
    """The entries that a file lacks, the completed file, and what cannot be added, with the reason."""

    entries: list[str]
    completed: Entry
    by_hand: list[str]


def is_adopted(folder: Path) -> bool:
    """Say whether a folder is a project of Rung's, by its answers file."""
    if not (folder / ANSWERS).is_file():
        return False
    return {"level", "package"} <= answers_file.read(folder).keys()


def complete(folder: Path, trusted: str | None, *, dry_run: bool = False) -> dict[str, Lacking]:
    """Add to the shared files of an adopted project what its answers need; return what they lacked."""
    git.require()
    recorded = answers_file.recorded(folder)
    top, head = preconditions.committed_head(folder)
    source = template_source.followed(recorded, trusted)
    with opened_project(top, folder, head) as project:
        bench = project.bench
        files = bench.files(project.tree)
        answers = answers_file.answers(recorded)
        rendered = bench.files(rendered_trees.rendered(bench, source, answers))
        # Where it was completed before, src/ was dealt with then.
        first = TASKS not in bench.content(files.get("pyproject.toml"))
        if first:
            project_files = existing.read(folder)
            package = f"src/{answers['package']}"
            model = trained_by(bench, files, package)
            if "from .training import" in model:  # of a network: as if rendered, to be linted
                paths = (f"{package}/{name}" for name in NETWORK)
                rendered = rendered | {path: files[path] for path in paths if path in files}
            rendered = with_own(bench, files, rendered, project_files, model)
        missing = lacking(bench, files, rendered, flat=first, linted=not first)
        changes = {path: file.completed for path, file in missing.items() if file.entries}
        if changes and not dry_run:
            tree = project.repository_tree(bench.edited(project.tree, changes))
            message = f"Add to {' and '.join(sorted(changes))} what Rung's verbs need\n"
            transaction.apply(bench, head, tree, message)
    return missing


def lacking(
    bench: Workbench, ours: Files, theirs: Files, *, flat: bool, linted: bool = False
) -> dict[str, Lacking]:
    """Return what the user's files lack, by path.

    `flat`: src/ has to be put on the path. `linted`: Ruff's settings were completed before.
    """
    elsewhere = {table for table, files in ELSEWHERE.items() if files & ours.keys()}
    elsewhere |= {"ruff"} if linted else set()
    missing = {}
    for path in sorted(SHARED & ours.keys() & theirs.keys()):
        our_id, their_id = ours[path].oid, theirs[path].oid
        contents = bench.contents([our_id, their_id])
        if not ours[path].is_text_file or our_id not in contents:  # too long to be settings
            continue
        both = (contents[our_id], contents[their_id])
        if path == "pyproject.toml":
            text, entries, by_hand = add_to_toml(*both, flat=flat, elsewhere=elsewhere)
        else:
            text, entries, by_hand = add_lines(*both, _tracked(bench, ours))
        if entries or by_hand:
            completed = Entry(ours[path].mode, bench.store(text))
            missing[path] = Lacking(entries, completed, by_hand)
    return missing


def trained_by(bench: Workbench, files: Files, package: str) -> str:
    """Return the text of the modules of a package that import the library of its model."""
    modules = (files.get(f"{package}/{name}") for name in ("model.py", "training.py"))
    return "\n".join(bench.content(module).decode(errors="replace") for module in modules)


def with_own(
    bench: Workbench, ours: Files, theirs: Files, project_files: existing.Existing, model: str
) -> dict[str, Entry]:
    """Return a render whose pyproject.toml has what the user's own files need as well."""
    entry = theirs["pyproject.toml"]
    needed, others = drafts.packages(project_files, model)
    files = sorted(  # scripts and notebooks that Rung neither wrote nor drafted
        path
        for path, own in ours.items()
        if path.endswith((".py", ".ipynb"))
        and (path not in theirs or (own != theirs[path] and not path.endswith(CONTRACT)))
    )
    if not needed and not others and not files:
        return dict(theirs)
    document: Any = tomlkit.parse(bench.content(entry).decode())
    groups, tool = document["dependency-groups"], document["tool"]
    _listed(document["project"], "dependencies", needed, "")
    known = {_name(entry) for entry in document["project"]["dependencies"]}
    known |= {_name(e) for group in groups.values() for e in group if isinstance(e, str)}
    if others := [entry for entry in others if _name(entry) not in known]:
        groups[OWN] = _multiline(others)
        groups[OWN].comment("from requirements.txt")
    if files:
        tool["ruff"]["extend-exclude"] = _multiline(files)
        tool["ruff"]["extend-exclude"].comment(SHRINKS)
        checked = tuple(f"{folder}/" for folder in tool["mypy"]["files"])
        if typed := [p for p in files if p.endswith(".py") and p.startswith(checked)]:
            tool["mypy"]["exclude"] = _multiline([f"^{re.escape(path)}$" for path in typed])
    text = tomlkit.dumps(document).encode()
    return {**theirs, "pyproject.toml": Entry(entry.mode, bench.store(text))}


def _tracked(bench: Workbench, ours: Files) -> Callable[[str], str]:
    """Return a function that gives the first tracked file that an ignore pattern matches."""
    bench.git("read-tree", bench.edited(bench.empty(), ours))

    def tracked(pattern: str) -> str:
        arguments = ("ls-files", "--cached", "--ignored", "-z", f"--exclude={pattern}")
        # Git requires a work tree here, but does not read it.
        return bench.git(*arguments, extra={"GIT_WORK_TREE": str(bench.folder)}).partition("\0")[0]

    return tracked


def described(missing: Mapping[str, Lacking]) -> list[str]:
    """Return the entries that are lacking, a line each."""
    return [f"{path}: {entry}" for path, file in missing.items() for entry in file.entries]


def by_hand(missing: Mapping[str, Lacking]) -> list[str]:
    """Return what the user has to add, a line each."""
    return [f"{path}: {reason}" for path, file in missing.items() for reason in file.by_hand]


def add_to_toml(
    ours: bytes, theirs: bytes, *, flat: bool = False, elsewhere: Collection[str] = ()
) -> tuple[bytes, list[str], list[str]]:
    """Add to a pyproject.toml the packages, groups and settings that Rung's verbs need.

    `flat`: src/ has to be put on the path, as the user's packaging may not include it. `elsewhere`: the
    names in ELSEWHERE of which another file speaks.

    Returns the completed file, the entries it got, and why others could not be added.
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
        packaged = (
            "poetry" in present.get("tool", {}) or {"project", "build-system"} & present.keys()
        )
        at = "project"
        if not packaged and "project" not in elsewhere:
            present["project"] = _multiline({key: rung["project"][key] for key in IDENTITY})
            got.append("`project`")
        project, wanted = present.get("project"), rung["project"]["dependencies"]
        if project is not None and "dependencies" not in project.get("dynamic", []):
            got += _listed(project, "dependencies", wanted, "project.dependencies")
        else:  # uv does not read them elsewhere, or a build tool computes them
            at = "dependency-groups"
            groups = present.setdefault("dependency-groups", tomlkit.table())
            got += _listed(groups, GROUP, wanted, f"dependency-groups.{GROUP}")
        for at in (*NEEDED, ENVIRONMENT) if flat else NEEDED:
            sources = [f"{at}.{name}" for name in rung["tool"]["uv"]["sources"]]
            for entry in sources if at == SOURCES else [at]:
                got += _completed(present, rung, entry, by_hand)
        at = "tool.mypy"
        if "mypy" not in elsewhere:
            got += _checked_by_mypy(present["tool"], rung["tool"]["mypy"])
        at = "tool.ruff"
        if "ruff" not in elsewhere:
            got += _left_alone_by_ruff(present["tool"], rung["tool"]["ruff"])
        if project is not None:
            by_hand += _python(project, rung["project"]["requires-python"])
        return tomlkit.dumps(present).encode(), got, by_hand
    except (TOMLKitError, TypeError, AttributeError):  # a key exists with a value of another type
        return ours, [], [f"nothing was added, since `{at}` conflicts with what is there"]


def _completed(present: Any, rung: Any, dotted: str, by_hand: list[str]) -> list[str]:
    """Add what Rung's file has at a dotted key, and the tables above it."""
    *above, last = dotted.split(".")
    for part in above:
        rung = rung[part]
        present = present.setdefault(part, tomlkit.table(is_super_table=part == "tool"))
    return _added(present, last, rung[last], dotted, by_hand)


def _added(target: Any, key: str, value: Any, dotted: str, by_hand: list[str]) -> list[str]:
    """Set a key that is missing; complete a table or a list that is there."""
    if key not in target:
        item = _multiline(value)
        if dotted.startswith(SOURCES):
            item = tomlkit.inline_table()
            item.update(value)
        target[key] = item
        return [f"`{dotted}`"]
    if dotted.startswith(SOURCES):
        return []  # the user has another source for the package
    if isinstance(value, dict):
        return [
            name
            for inner_key, inner in value.items()
            for name in _added(target[key], inner_key, inner, f"{dotted}.{inner_key}", by_hand)
        ]
    if isinstance(value, list) and dotted.endswith("include"):
        if isinstance(target[key], list):
            return _listed(target, key, value, dotted)
        if [target[key]] != value:
            named = ", ".join(map(repr, value))
            by_hand.append(f"`{dotted}` is not a list: make it a list of its value and {named}")
    return []


def _checked_by_mypy(tool: Any, needed: dict[str, Any]) -> list[str]:
    """Set the files that mypy checks, if unset: `poe types` names none and would fail."""
    if "mypy" not in tool:
        tool["mypy"] = _multiline(needed)
        return ["`tool.mypy`"]
    if {"files", "packages", "modules"} & tool["mypy"].keys():
        return []
    tool["mypy"]["files"] = _multiline(needed["files"])
    return ["`tool.mypy.files`"]


def _left_alone_by_ruff(tool: Any, needed: dict[str, Any]) -> list[str]:
    """Let Ruff leave the user's files alone: those who have settings of it may not format by it."""
    files = needed.get("extend-exclude", [])
    left = f": {len(files)} of your files are left as they are" if files else ""
    if "ruff" not in tool:
        tool["ruff"] = _multiline(needed)
        if files:
            tool["ruff"]["extend-exclude"].comment(SHRINKS)
        return [f"`tool.ruff`{left}"]
    if not files or "format" in tool["ruff"]:
        return []
    tool["ruff"]["format"] = _multiline({"exclude": files})
    tool["ruff"]["format"]["exclude"].comment(SHRINKS)
    return [f"`tool.ruff.format.exclude`{left}"]


def _python(project: Any, needed: str) -> list[str]:
    """Return a line if the project allows a Python that Rung does not: uv would find no packages."""
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


def _multiline(value: Any) -> Any:
    if isinstance(value, dict):
        table = tomlkit.table()
        for key, inner in value.items():
            table[key] = _multiline(inner)
        return table
    item = tomlkit.item(value)
    return item.multiline(True) if isinstance(item, tomlkit.items.Array) and value else item


def _listed(target: Any, key: str, wanted: Iterable[str], dotted: str) -> list[str]:
    """Complete a list of packages; those that are listed keep the user's version."""
    target.setdefault(key, tomlkit.array())
    listed = {_name(entry) for entry in target[key] if isinstance(entry, str)}
    new = [entry for entry in wanted if _name(entry) not in listed]
    for entry in new:
        target[key].append(entry)
    reflowed = bool(new) and len(listed) > 0 and "\n" not in str(target[key].as_string())
    if reflowed or not listed:
        target[key].multiline(True)
    again = " (your line is now one for each package)" if reflowed else ""
    return [f"`{dotted}`: {', '.join(new)}{again}"] if new else []


def _name(requirement: str) -> str:
    """Return the name of a package, normalized by PEP 503."""
    match = NAME.match(requirement.strip())
    return canonicalize_name(match[0]) if match else requirement


def add_lines(
    ours: bytes, theirs: bytes, tracked: Callable[[str], str]
) -> tuple[bytes, list[str], list[str]]:
    """Append to an ignore file the patterns that it lacks, unless git tracks a file that they match.

    Returns the file, what it got, and the patterns left out.
    """
    present = {line.strip() for line in ours.splitlines()}
    new, left_out = list[bytes](), list[str]()
    for line in theirs.splitlines():
        if line and line[:1] != b"#" and line not in present:
            name = line.decode(errors="replace")
            if file := tracked(name):
                left_out.append(f"`{name}` is left out, since git keeps `{file}`")
            else:
                new.append(line)
    if (hiding := present & HIDES_DATA) and SHOWS_DATA[2] not in present:
        deep = any(rule.endswith(b"**") for rule in hiding)
        # First, so that the patterns after them still hide what Rung makes in data/.
        new = [*SHOWS_DATA, *(SHOWS_ALL if deep else []), *new]
    if not new:
        return ours, [], left_out
    gap = b"" if ours.endswith(b"\n") or not ours else b"\n"
    named = ", ".join(f"`{line.decode(errors='replace')}`" for line in new)
    return ours + gap + b"\n# Rung\n" + b"\n".join(new) + b"\n", [f"patterns: {named}"], left_out
