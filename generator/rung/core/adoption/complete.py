"""Complete the files that a repository shares with Rung: entries are added, nothing else changes.

Not by the merge by key: it needs a render as the base, and the user's file has none. tomlkit adds
keys at the end of a table (decision 19).
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from tomlkit.exceptions import TOMLKitError

from rung.core import preconditions, template_source, transaction
from rung.core.adoption import drafts, existing
from rung.core.project import opened
from rung.core.rendering import answers_file, rendered_trees
from rung.core.rendering.workbench import Entry, Workbench
from rung.levels.template_answers import ANSWERS
from rung.system import git

TASKS = b"ops/tasks.toml"
SHARED = {"pyproject.toml", ".gitignore"}
NAME = re.compile(r"[A-Za-z0-9._-]+")
# Rung's verbs need these settings; those for building, linting and testing are the user's.
IDENTITY = ("name", "version", "requires-python", "dependencies")
CONTRACT = ("dataset.py", "features.py", "model.py")  # the modules that the library calls
OWN = "own"  # the group for packages of the user's requirements
SHRINKS = "files from before Rung: take one out when it is clean, and add none"
GROUP = "model"  # the group for packages that predict, if they cannot be in [project]
SOURCES = "tool.uv.sources"
PYTHONS = tuple(f"3.{minor}" for minor in range(6, 11))  # older than Rung's, still in use
# Rules that would also ignore the records of new data, which git has to track from rung 2 on.
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
    SOURCES,  # each of the wheels in vendor/
    "tool.rung",
    "tool.poe.include",
)
ENVIRONMENT = "tool.poe.env"


@dataclass(frozen=True)
class Lacking:
    """The entries that a file lacks, as they are shown, and the completed file.

    `by_hand` lists what cannot be added, and why.
    """

    entries: list[str]
    completed: Entry
    by_hand: list[str]


def is_adopted(folder: Path) -> bool:
    """Say whether a folder is a project of Rung's, by its answers file.

    Raises:
        RungError: The file is there, and cannot be read.
    """
    if not (folder / ANSWERS).is_file():
        return False
    return {"level", "package"} <= answers_file.read(folder).keys()


def complete(folder: Path, trusted: str | None, *, dry_run: bool = False) -> dict[str, Lacking]:
    """Add to the shared files of a project what its answers need, in one commit.

    Args:
        folder: A project that was adopted.
        trusted: A template that the user trusts: a path or a URL.
        dry_run: Whether to write nothing.

    Returns:
        What the files lack, by path.

    Raises:
        RungError: It cannot be done; nothing was touched.
    """
    git.require()
    recorded = answers_file.recorded(folder)
    top, head = preconditions.committed_head(folder)
    source = template_source.followed(recorded, trusted)
    with opened(top, folder, head) as project:
        bench = project.bench
        files = bench.files(project.tree)
        answers = answers_file.answers(recorded)
        rendered = bench.files(rendered_trees.rendered(bench, source, answers))
        first = not _knows_tasks(bench, files)
        if first:
            there = existing.read(folder)
            model = there.read(f"src/{answers['package']}/model.py")
            rendered = with_own(bench, files, rendered, there, model)
        missing = lacking(bench, files, rendered, flat=first, linted=not first)
        changes = {path: file.completed for path, file in missing.items() if file.entries}
        if changes and not dry_run:
            tree = project.repository_tree(bench.edited(project.tree, changes))
            message = f"Add to {' and '.join(sorted(changes))} what Rung's verbs need\n"
            transaction.apply(bench, head, tree, message)
    return missing


def lacking(
    bench: Workbench,
    ours: Mapping[str, Entry],
    theirs: Mapping[str, Entry],
    *,
    flat: bool,
    linted: bool = False,
) -> dict[str, Lacking]:
    """Return what the user's files lack, by path.

    Args:
        bench: The repository that holds both.
        ours: The user's files.
        theirs: Rung's.
        flat: Whether src/ has to be put on the path, as the user's packaging may not include it.
        linted: Whether Ruff's settings were completed before.
    """
    packaged = bool({"setup.py", "setup.cfg"} & ours.keys())
    mypy = bool({"mypy.ini", ".mypy.ini"} & ours.keys())
    ruff = linted or bool({"ruff.toml", ".ruff.toml"} & ours.keys())
    missing = {}
    for path in sorted(SHARED & ours.keys() & theirs.keys()):
        our_id, their_id = ours[path].oid, theirs[path].oid
        contents = bench.contents([our_id, their_id])
        if not ours[path].is_text_file or our_id not in contents:  # too long to be settings
            continue
        both = (contents[our_id], contents[their_id])
        if path == "pyproject.toml":
            added = add_to_toml(*both, flat=flat, packaged=packaged, mypy=mypy, ruff=ruff)
        else:
            added = add_lines(*both, _tracked(bench, ours))
        text, entries, by_hand = added
        if entries or by_hand:
            completed = Entry(ours[path].mode, bench.store(text))
            missing[path] = Lacking(entries, completed, by_hand)
    return missing


def python_files(ours: Mapping[str, Entry], theirs: Mapping[str, Entry]) -> list[str]:
    """Return the user's scripts and notebooks, without those that Rung wrote or drafted."""
    return sorted(
        path
        for path, entry in ours.items()
        if path.endswith((".py", ".ipynb"))
        and (path not in theirs or (entry != theirs[path] and not path.endswith(CONTRACT)))
    )


def with_own(
    bench: Workbench,
    ours: Mapping[str, Entry],
    theirs: Mapping[str, Entry],
    there: existing.Existing,
    model: str,
) -> dict[str, Entry]:
    """Return a render whose pyproject.toml has what the user's own files need as well.

    Args:
        bench: Where it is stored.
        ours: The user's files.
        theirs: The render.
        there: What is known of the repository.
        model: As drafts.packages() takes it.
    """
    entry = theirs["pyproject.toml"]
    needed = drafts.packages(there, model)
    text = _with_own(bench.content(entry), *needed, python_files(ours, theirs))
    return {**theirs, "pyproject.toml": Entry(entry.mode, bench.store(text))}


def _with_own(
    theirs: bytes, needed: Sequence[str], others: Sequence[str], files: Sequence[str]
) -> bytes:
    """Return Rung's pyproject.toml with what the user's own files need.

    Args:
        theirs: Rung's file.
        needed: Packages that the model needs to predict.
        others: Packages that the user's code needs; those that Rung names stay as they are.
        files: Scripts and notebooks that Ruff and mypy leave alone for now.
    """
    if not needed and not others and not files:
        return theirs
    document: Any = tomlkit.parse(theirs.decode())
    groups = document["dependency-groups"]
    _listed(document["project"], "dependencies", needed, "")
    known = {_name(entry) for entry in document["project"]["dependencies"]}
    known |= {_name(e) for group in groups.values() for e in group if isinstance(e, str)}
    if others := [entry for entry in others if _name(entry) not in known]:
        groups[OWN] = _multiline(others)
        groups[OWN].comment("from requirements.txt")
    if files:
        document["tool"]["ruff"]["extend-exclude"] = _multiline(files)
        document["tool"]["ruff"]["extend-exclude"].comment(SHRINKS)
        checked = [f"{folder}/" for folder in document["tool"]["mypy"]["files"]]
        typed = [p for p in files if p.endswith(".py") and p.startswith(tuple(checked))]
        if typed:
            patterns = [f"^{re.escape(path)}$" for path in typed]
            document["tool"]["mypy"]["exclude"] = _multiline(patterns)
    return tomlkit.dumps(document).encode()


def _tracked(bench: Workbench, ours: Mapping[str, Entry]) -> Callable[[str], str]:
    """Return a function that gives the first tracked file that an ignore pattern matches."""
    bench.git("read-tree", bench.edited(bench.empty(), ours))

    def tracked(pattern: str) -> str:
        arguments = ("ls-files", "--cached", "--ignored", "-z", f"--exclude={pattern}")
        # Git requires a work tree here, but does not read it.
        return bench.git(*arguments, extra={"GIT_WORK_TREE": str(bench.folder)}).partition("\0")[0]

    return tracked


def _knows_tasks(bench: Workbench, ours: Mapping[str, Entry]) -> bool:
    """Say whether pyproject.toml was completed before, so that src/ was dealt with then."""
    return TASKS in bench.content(ours.get("pyproject.toml"))


def described(missing: Mapping[str, Lacking]) -> list[str]:
    """Return the entries that are lacking, a line each."""
    return [f"{path}: {entry}" for path, file in missing.items() for entry in file.entries]


def by_hand(missing: Mapping[str, Lacking]) -> list[str]:
    """Return what the user has to add, a line each."""
    return [f"{path}: {reason}" for path, file in missing.items() for reason in file.by_hand]


def add_to_toml(
    ours: bytes,
    theirs: bytes,
    *,
    flat: bool = False,
    packaged: bool = False,
    mypy: bool = False,
    ruff: bool = False,
) -> tuple[bytes, list[str], list[str]]:
    """Add to a pyproject.toml the packages, groups and settings that Rung's verbs need.

    Args:
        ours: The user's file.
        theirs: Rung's.
        flat: Whether src/ has to be put on the path, as the user's packaging may not include it.
        packaged: Whether another file, such as setup.py, says how the repository is packaged.
        mypy: Whether another file, such as mypy.ini, says what mypy checks.
        ruff: Whether another file, such as ruff.toml, says what Ruff checks.

    Returns:
        The completed file, the entries it got, and why others could not be added; the file
        unchanged if it is not TOML.
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
        else:  # uv does not read them elsewhere, or a build tool computes them
            at = "dependency-groups"
            groups = present.setdefault("dependency-groups", tomlkit.table())
            got += _listed(groups, GROUP, wanted, f"dependency-groups.{GROUP}")
        for at in (*NEEDED, ENVIRONMENT) if flat else NEEDED:
            sources = [f"{at}.{name}" for name in rung["tool"]["uv"]["sources"]]
            for entry in sources if at == SOURCES else [at]:
                got += _completed(present, rung, entry, by_hand)
        at = "tool.mypy"
        if not mypy:
            got += _checked_by_mypy(present["tool"], rung["tool"]["mypy"])
        at = "tool.ruff"
        if not ruff:
            got += _left_alone_by_ruff(present["tool"], rung["tool"]["ruff"])
        if project is not None:
            by_hand += _python(project, rung["project"]["requires-python"])
        return tomlkit.dumps(present).encode(), got, by_hand
    except (TOMLKitError, TypeError, AttributeError):  # a key exists with a value of another type
        return ours, [], [f"nothing was added, since `{at}` conflicts with what is there"]


def _has_no_packaging(present: Any) -> bool:
    return not {"project", "build-system"} & present.keys() and "poetry" not in present.get(
        "tool", {}
    )


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
        target[key] = _inline(value) if dotted.startswith(SOURCES) else _multiline(value)
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


def _inline(value: dict[str, Any]) -> Any:
    table = tomlkit.inline_table()
    table.update(value)
    return table


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
    """Append to an ignore file the patterns that it lacks.

    Args:
        ours: The user's file.
        theirs: Rung's.
        tracked: Returns a file that git tracks and a pattern matches, or an empty text.

    Returns:
        The file, what it got, and the patterns left out because they match files that git tracks.
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
        # First, so that the patterns after them still hide what Rung makes in data/.
        new = [*SHOWS_DATA, *(SHOWS_ALL if deep else []), *new]
    if not new:
        return ours, [], left_out
    gap = b"" if ours.endswith(b"\n") or not ours else b"\n"
    named = ", ".join(f"`{line.decode(errors='replace')}`" for line in new)
    return ours + gap + b"\n# Rung\n" + b"\n".join(new) + b"\n", [f"patterns: {named}"], left_out
