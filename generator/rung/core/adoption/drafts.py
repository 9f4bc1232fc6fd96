"""Drafts in place of the example: from the rows, the target and the model of the repository's code."""

import re
import tempfile
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from rung.core.adoption.code import Code
from rung.core.adoption.existing import Existing, pyproject
from rung.core.adoption.inferred import REQUIREMENTS, Inferred
from rung.core.drafting import NO_ROWS, SAMPLE, Wanted, draft
from rung.core.rendering.workbench import Entry, Workbench
from rung.errors import RungError

DRAFTED = ("src/", SAMPLE, "docs/use_case.md", "params.toml")
READ = 50_000_000  # bytes of a table in which names of columns are looked for
OF_TORCH = re.compile(r"nvidia-.+-cu\d+$|triton$")
FOR_PEOPLE = ("dev", "test", "doc", "lint")  # in the names of files of requirements
# What a model's module is installed by; the second name is the one for machines without a GPU.
PACKAGES = {
    "lightgbm": {"lightgbm": "lightgbm>=4.6"},
    "xgboost": {"xgboost": "xgboost-cpu>=3"},
    "torch": {"torch": "torch>=2.6", "onnx": "onnx>=1.17", "onnxruntime": "onnxruntime>=1.20"},
}


def wanted(
    folder: Path, inferred: Inferred, rows: Path | None, target: str, model_class: str = ""
) -> tuple[Wanted | None, str]:
    """Return what to draft, or why there is nothing to draft from.

    `rows`, `target` and `model_class` are the user's.
    """
    file = rows or (folder / inferred.rows if inferred.rows else None)
    if file is None:
        if model_class:
            return None, "`--model` names a class to train on rows: add `--from-file`."
        return None, NO_ROWS if target else ""
    shown = rows or inferred.rows
    code = inferred.code
    if rows is None and (joined := _joined(folder, code)):
        return None, joined
    if not target and file.is_file():
        with file.open("rb") as table:
            content = table.read(READ)
        named = [p.value for p in (*code.targets, *code.dropped) if p.value.encode() in content]
        target = named[0] if named else ""
    if not target and rows is None:
        reason = f"{shown} was found, and no code says which of its columns is predicted."
        return None, f"{reason} `--target COLUMN` drafts your files from it."
    model = code.model(model_class)
    if model_class and model is None:
        trains = ", ".join(dict.fromkeys(m.value.rpartition(".")[2] for m in code.models))
        raise RungError(
            f"No model `{model_class}` was found in your code. Found: {trains or 'none'}."
        )
    return Wanted(
        file,
        target,
        model.value if model else "",
        model.settings if model else {},
        [*dict.fromkeys(place.value for place in code.metrics)],
    ), ""


def _joined(folder: Path, code: Code) -> str:
    """Say where the code makes one table of several files, and what to do; empty if nowhere."""
    for join in code.joins:
        places = (folder, folder / Path(join.path).parent)
        read = {
            p.value: p.where
            for p in code.rows
            if p.path == join.path and any((at / p.value).is_file() for at in places)
        }
        if len(read) > 1:
            named = ", ".join(f"{file} ({where})" for file, where in read.items())
            return (
                f"{join.where} makes one table by `{join.value}()`, of {named}; a draft reads one file. "
                "Write the joined rows as a file (`to_csv`, `write_csv`) and name it: `--from-file FILE "
                "--target COLUMN`, or once adopted `uv run rung-ops draft FILE --target COLUMN --replace`."
            )
    return ""


def drafted(bench: Workbench, tree: str, wanted: Wanted) -> tuple[dict[str, Entry], str]:
    """Return the files of a render with drafts for its example, and what was inferred."""
    before = bench.files(tree)
    with tempfile.TemporaryDirectory(prefix="rung-") as scratch:
        room = Path(scratch)
        bench.git("read-tree", tree)
        place = {"GIT_WORK_TREE": str(room)}
        bench.git("checkout-index", "--all", f"--prefix={room}/", extra=place)
        said = draft(room, wanted)
        files = [path for path in room.rglob("*") if path.is_file()]
        after = {path.relative_to(room).as_posix(): path for path in files}
        mine = {
            name: Entry("100644", bench.store(path.read_bytes()))
            for name, path in after.items()
            if name.startswith(DRAFTED)
        }
    kept = {path: entry for path, entry in before.items() if path in after}
    return kept | mine, said


def packages(existing: Existing, model: str) -> tuple[list[str], list[str]]:
    """Return the packages that the model needs, and those that only the requirements name.

    An exact version becomes the lowest one: Rung needs newer versions of what both depend on, and uv.lock
    has the exact ones. `model` is the name of its class, or the text of the module that imports it.
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
            lowest = (
                re.sub(r"^===?([^+]*?)(\.\*|\+.*)?$", r">=\1", str(s))
                for s in requirement.specifier
            )
            requirement.specifier = SpecifierSet(",".join(sorted(lowest)))
            listed.setdefault(canonicalize_name(requirement.name), str(requirement))
    libraries = [name for name in PACKAGES if re.search(rf"(?m)^ *(from |import )?{name}\b", model)]
    if "torch" in listed or "torch" in libraries:  # it brings what it runs on
        listed = {name: line for name, line in listed.items() if not OF_TORCH.match(name)}
    needed = [
        listed.pop(name, at) for library in libraries for name, at in PACKAGES[library].items()
    ]
    tables = pyproject(existing)
    packaged = "project" in tables or "poetry" in tables.get("tool", {})
    return needed, [] if packaged or "setup.py" in existing.paths else list(listed.values())
