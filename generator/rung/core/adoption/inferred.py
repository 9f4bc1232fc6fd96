"""Facts inferred from an existing repository, with their reasons: answers, and what else to know."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from posixpath import normpath
from typing import Any

from rung.core.adoption import code as reading_code
from rung.core.adoption import existing as reading
from rung.core.adoption.code import Code
from rung.core.adoption.existing import Existing
from rung.levels.ladder import Vendor
from rung.levels.template_answers import NAME, readable_name

PACKAGE = re.compile(r"[a-z][a-z0-9_]{0,39}\Z")
# Folders with Python beside a package that are not packages.
NOT_PACKAGES = {
    "app", "apps", "benchmark", "benchmarks", "bin", "ci", "conf", "config", "configs", "data",
    "deploy", "doc", "docs", "example", "examples", "governance", "images", "notebook",
    "notebooks", "ops", "reports", "scripts", "src", "test", "testing", "tests", "tools", "utils",
}  # fmt: skip
TEAM = 8  # people; more are several teams
LOCKS = {
    "uv.lock": "uv",
    "poetry.lock": "Poetry",
    "pdm.lock": "PDM",
    "Pipfile.lock": "Pipenv",
    "pixi.lock": "pixi",
    "conda-lock.yml": "conda-lock",
}
PINNED = re.compile(r"^[A-Za-z0-9._\[\]-]+\s*==\s*\d", re.MULTILINE)
TRACKERS = re.compile(r"\b(mlflow|wandb|neptune|clearml|comet_ml|dvclive)\b")
TABLES = tuple(f"**/*.{form}" for form in ("csv", "csv.gz", "parquet", "arrow", "jsonl", "xlsx"))
REQUIREMENTS = ("**/*requirements*.txt", "**/requirements/*.txt")
DEPENDENCIES = (
    "pyproject.toml", *REQUIREMENTS, "**/*environment*.y*ml", "**/*conda*.y*ml", "**/conda/*.y*ml",
    "env.y*ml", "setup.py",
    "setup.cfg", "Pipfile",
)  # fmt: skip


@dataclass(frozen=True)
class Fact:
    """A fact about a repository: its subject, its value, and where it was found."""

    about: str
    value: str
    because: str


@dataclass(frozen=True)
class Inferred:
    """The facts about a repository, and the answers among them; paths are relative to the root."""

    answers: Mapping[str, Any]
    facts: tuple[Fact, ...]
    own_package: str = ""
    rows: str = ""
    code: Code = field(default_factory=Code)


def infer(
    existing: Existing,
    reserved: Collection[str],
    vendors: Mapping[str, Vendor],
    default_ci: str,
    model_class: str = "",
) -> Inferred:
    """Infer the answers from a repository; `model_class` is the user's."""
    name = _name(existing)
    package, layout, own_package = _package(existing, name.value, reserved)
    described, team = _description(existing, name.value), _team(existing)
    answered = (name, package, described, _ci(existing, vendors, default_ci), team)
    found = reading_code.read(existing)
    rows, model = _rows(existing, found), found.model(model_class)
    trained = [rows] if rows else []
    if model:
        others = dict.fromkeys(m.value.rpartition(".")[2] for m in found.models)
        called = model.value.rpartition(".")[2]
        others.pop(called)
        same = (m.where for m in found.models if m.value == model.value and m.path != model.path)
        another = "".join(f"; another {called} is in {where}" for where in same)
        choice = f"; `--model` takes {', '.join(others)}" if others else ""
        trained.append(Fact("model", model.value, f"{model.where}{another}{choice}"))
    if found.metrics:
        names = dict.fromkeys(place.value for place in found.metrics)
        trained.append(Fact("metrics", ", ".join(names), found.metrics[0].where))
    more = (_tests(existing), _lock(existing), _data(existing), _tracking(existing))
    facts = (*answered, layout, *more, *trained)
    answers = {fact.about: fact.value for fact in answered}
    return Inferred(answers, facts, own_package, rows.value if rows else "", found)


def _rows(existing: Existing, found: Code) -> Fact | None:
    """Return the table that the code reads, or else the only one that git keeps."""
    tables = existing.matching(*TABLES)
    for place in found.rows:
        parts = PurePosixPath(place.value).parts
        ending = "/".join(part for part in parts if part not in ("..", ".", "/"))
        if kept := [path for path in tables if f"/{path}".endswith(f"/{ending}")]:
            return Fact("rows", kept[0], place.where)
        for base in (PurePosixPath(), PurePosixPath(place.path).parent):
            path = normpath(base / place.value)
            if not path.startswith(("..", "/")) and existing.holds(path):
                return Fact("rows", path, f"{place.where}; git ignores it")
    return Fact("rows", tables[0], "the only table in git") if len(tables) == 1 else None


def _packaged(existing: Existing, key: str) -> tuple[str, str]:
    tables = reading.pyproject(existing)
    for table in (tables.get("project"), (tables.get("tool") or {}).get("poetry")):
        if isinstance(table, dict) and isinstance(table.get(key), str):
            return table[key], "pyproject.toml"
    keywords = reading.setup_keywords(existing)
    return (keywords[key], "setup.py or setup.cfg") if keywords.get(key) else ("", "")


def _name(existing: Existing) -> Fact:
    packaged, where = _packaged(existing, "name")
    if NAME.match(packaged) and ".." not in packaged:
        return Fact("project_name", packaged, where)
    address = existing.remote.rstrip("/").removesuffix(".git")
    for candidate, because in (
        (re.split(r"[/:]", address)[-1], "the remote's address"),
        (existing.name, "the folder's name"),
    ):
        if name := readable_name(candidate):
            return Fact("project_name", name, because)
    return Fact("project_name", "Adopted project", "no usable name was found")


def _description(existing: Existing, name: str) -> Fact:
    packaged, where = _packaged(existing, "description")
    line = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+|[{][{%#]", " ", packaged)
    if line := line.strip()[:200].strip():
        return Fact("description", line, where)
    text = f"{name}, adopted as it was found."
    return Fact("description", text, "no file has one; write it yourself")


def _package(existing: Existing, name: str, reserved: Collection[str]) -> tuple[Fact, Fact, str]:
    """Return the package for Rung to call, the layout, and the path of the user's own package."""
    wanted = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    inside = existing.packages_in("src/")
    src_is_one = "src/__init__.py" in existing.paths
    scripts = any(re.fullmatch(r"src/[^/]+\.py", path) for path in existing.paths)
    if inside and not src_is_one:
        own = wanted if wanted in inside else max(sorted(inside), key=inside.__getitem__)
        layout = Fact("layout", "src", f"src/{own}/__init__.py")
        if PACKAGE.match(own) and own not in reserved:
            return Fact("package", own, f"src/{own}/"), layout, f"src/{own}"
        return _new_package(existing, own, reserved), layout, f"src/{own}"
    flat = {
        folder: number
        for folder, number in existing.packages_in("").items()
        if folder.lower() not in NOT_PACKAGES and not folder.startswith((".", "_"))
    }
    if flat:
        own = wanted if wanted in flat else max(sorted(flat), key=flat.__getitem__)
        layout = Fact("layout", "flat", f"{own}/__init__.py")
        return _new_package(existing, own, reserved), layout, own
    if src_is_one or scripts:
        layout = Fact("layout", "scripts in src", "Python in src/ and no package below it")
        return _new_package(existing, wanted, reserved), layout, "src"
    layout = Fact("layout", "no Python", "neither .py nor .ipynb")
    for pattern, kind in (("**/*.py", "scripts"), ("**/*.ipynb", "notebooks")):
        if paths := existing.matching(pattern):
            layout = Fact("layout", kind, paths[0])
            break
    return _new_package(existing, wanted, reserved), layout, ""


def _new_package(existing: Existing, own: str, reserved: Collection[str]) -> Fact:
    """Name a new package in src/ that hides nothing that can be imported from the root."""
    stem = re.sub(r"[^a-z0-9]+", "_", own.lower()).strip("_")[:34].strip("_")
    stem = stem if PACKAGE.match(stem) else f"p{stem}"
    tops = {path.split("/")[0].removesuffix(".py") for path in existing.paths}
    for candidate in (stem, f"{stem}_model", f"{stem}_rung"):
        if candidate not in reserved and candidate not in tops:
            return Fact("package", candidate, f"a package of its own, src/{candidate}/")
    return Fact("package", "adopted_model", "a package of its own, src/adopted_model/")


def _ci(existing: Existing, vendors: Mapping[str, Vendor], default: str) -> Fact:
    files = {name: existing.matching(*vendor.files) for name, vendor in vendors.items()}
    used = [name for name, paths in files.items() if paths]
    host = next((name for name, vendor in vendors.items() if vendor.host in existing.remote), None)
    if host in used or (host and not used):
        because = files[host][0] if host in used else "the remote's address; there is no CI yet"
        return Fact("ci", host, because)
    if used:
        also = f"; {', '.join(used[1:])} too" if used[1:] else ""
        return Fact("ci", used[0], f"{files[used[0]][0]}{also}")
    return Fact("ci", default, "nothing shows it; the template's default")


def _team(existing: Existing) -> Fact:
    size = "one" if existing.authors <= 1 else "team" if existing.authors <= TEAM else "teams"
    people = "1 person" if existing.authors == 1 else f"{existing.authors} people"
    return Fact("team_size", size, f"{people} in the latest commits")


def _tests(existing: Existing) -> Fact:
    files = existing.matching("**/test_*.py", "**/*_test.py")
    if not files:
        return Fact("tests", "none", "no test_*.py")
    tops = sorted({path.split("/")[0] if "/" in path else "." for path in files})
    number = "1 file" if len(files) == 1 else f"{len(files)} files"
    return Fact("tests", f"{number} in {', '.join(tops)}", files[0])


def _lock(existing: Existing) -> Fact:
    for path, tool in LOCKS.items():
        if path in existing.paths:
            return Fact("lock", tool, path)
    for path in existing.matching(*REQUIREMENTS):
        if PINNED.search(existing.read(path)):
            return Fact("lock", "pinned requirements", path)
    return Fact("lock", "none", "neither a lock nor pins")


def _data(existing: Existing) -> Fact:
    if paths := existing.matching("**/*.dvc", "dvc.yaml", ".dvc/config"):
        return Fact("data", "files, versioned with DVC", paths[0])
    if paths := existing.matching(*TABLES):
        return Fact("data", "files in git", paths[0])
    return Fact("data", "not here", "no tables and no DVC")


def _tracking(existing: Existing) -> Fact:
    for path in existing.matching(*DEPENDENCIES):
        if match := TRACKERS.search(existing.read(path)):
            return Fact("tracking", match[1], path)
    return Fact("tracking", "none", "no dependency on a tracker")
