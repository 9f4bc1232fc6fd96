"""Drafts in place of the example: from the rows, the target and the model of the repository's code."""

import re
import tempfile
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from rung.core.adoption.existing import Existing, pyproject
from rung.core.adoption.inferred import REQUIREMENTS, Inferred
from rung.core.drafting import SAMPLE, Wanted, draft
from rung.core.rendering.workbench import Entry, Workbench

DRAFTED = ("src/", SAMPLE, "docs/use_case.md", "params.toml")
READ = 50_000_000  # bytes of a table in which names of columns are looked for
FOR_PEOPLE = ("dev", "test", "doc", "lint")  # in the names of files of requirements
# What a model's module is installed by; the second name is the one for machines without a GPU.
PACKAGES = {"lightgbm": "lightgbm>=4.6", "xgboost": "xgboost-cpu>=3"}


def wanted(
    folder: Path, inferred: Inferred, rows: Path | None, target: str
) -> tuple[Wanted | None, str]:
    """Return what to draft, or why there is nothing to draft from.

    Args:
        folder: The repository.
        inferred: What was found in it.
        rows: The table that the user names, or None.
        target: The column that the user names, or nothing.
    """
    file = rows or (folder / inferred.rows if inferred.rows else None)
    if file is None:
        return None, "" if not target else "`--target` names a column of a file: add `--from-file`."
    shown = rows or inferred.rows
    code = inferred.code
    if not target and file.is_file():
        with file.open("rb") as table:
            content = table.read(READ)
        named = [p.value for p in (*code.targets, *code.dropped) if p.value.encode() in content]
        target = named[0] if named else ""
    if not target and rows is None:
        reason = f"{shown} was found, and no code says which of its columns is predicted."
        return None, f"{reason} `--target COLUMN` drafts your files from it."
    model = code.model
    return Wanted(
        file,
        target,
        model.value if model else "",
        model.settings if model else {},
        [*dict.fromkeys(place.value for place in code.metrics)],
    ), ""


def drafted(bench: Workbench, tree: str, wanted: Wanted) -> tuple[dict[str, Entry], str]:
    """Return the files of a render with drafts for its example, and what was inferred.

    Raises:
        RungError: Nothing can be drafted from the file.
    """
    before = bench.files(tree)
    with tempfile.TemporaryDirectory(prefix="rung-") as scratch:
        room = Path(scratch)
        bench.git("read-tree", tree)
        place = {"GIT_WORK_TREE": str(room)}
        bench.git("checkout-index", "--all", f"--prefix={room}/", extra=place)
        said = draft(room, wanted)
        after = {
            path.relative_to(room).as_posix(): path for path in room.rglob("*") if path.is_file()
        }
        mine = {
            name: Entry("100644", bench.store(path.read_bytes()))
            for name, path in after.items()
            if name.startswith(DRAFTED)
        }
    kept = {path: entry for path, entry in before.items() if path in after}
    return kept | mine, said


def packages(existing: Existing, model: str) -> tuple[list[str], list[str]]:
    """Return the packages that the model needs, and those that only the requirements name.

    An exact version becomes the lowest one: Rung needs newer versions of what both depend on, and
    uv.lock has the exact ones.

    Args:
        existing: The repository.
        model: Module and name of the model's class, or the text of the module that imports it.
    """
    paths = existing.matching(*REQUIREMENTS)
    paths = [path for path in paths if not any(word in path.lower() for word in FOR_PEOPLE)]
    listed: dict[str, str] = {}
    for line in existing.read(min(paths, key=len)).splitlines() if paths else []:
        try:
            requirement = Requirement(line.partition(" #")[0].strip())
        except InvalidRequirement:
            continue  # an option, a comment or a path
        if not requirement.url:
            lowest = (re.sub(r"^===?(.*?)(\.\*)?$", r">=\1", str(s)) for s in requirement.specifier)
            requirement.specifier = SpecifierSet(",".join(sorted(lowest)))
            listed.setdefault(canonicalize_name(requirement.name), str(requirement))
    libraries = [name for name in PACKAGES if re.search(rf"(?m)^(from |import )?{name}\b", model)]
    needed = [listed.pop(name, PACKAGES[name]) for name in libraries]
    tables = pyproject(existing)
    packaged = "project" in tables or "poetry" in tables.get("tool", {})
    return needed, [] if packaged or "setup.py" in existing.paths else list(listed.values())
