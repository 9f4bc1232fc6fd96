"""The provenance of a version for the technical file: what it is made of and who allowed it."""

import hashlib
import importlib
import re
import tomllib
from pathlib import Path
from typing import Any

import polars as pl

from rung_governance.approval import developers, validation
from rung_governance.documents import file_parts, inventory
from rung_governance.documents.file_parts import PIPELINE
from rung_ops import contract
from rung_ops.errors import VersionError
from rung_ops.project import current, documents
from rung_ops.project.paths import project_name, shown
from rung_ops.system import git


def independent_validation(version: str) -> str:
    """Take the dated record of the independent validation, with its validator's name."""
    name = project_name()
    records = validation.record_paths(validation.ReleasedVersion(name, version, {}))
    if not records:
        raise VersionError(
            f"{validation.RECORDS}/{name}-{version}.yaml is missing: there is no validation of "
            f"version {version}"
        )
    return file_parts.written(documents.record(records[0]))


def lineage(version: str) -> str:
    """Tell commit, data, parameters and figures of the version, and the way back to them."""
    tell = importlib.import_module("rung_ops.release.lineage")  # brings MLflow, which takes seconds
    described = tell.describe(registered(version))
    people = _developers(registered(version).tags.get("git_commit", ""))
    return f"```\n{described}\n```\n\nDeveloped by (all commits that made its files): {people}."


def packages(version: str) -> str:
    """List what the model is made with, as its commit has locked it."""
    text = _committed(version, current().repository, "pyproject.toml")
    lines = tomllib.loads(text)["project"]["dependencies"]
    names = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in lines]
    lock = _committed(version, current().repository, "uv.lock")
    locked = {each["name"]: each.get("version") for each in tomllib.loads(lock).get("package", [])}
    rows = [
        {"package": name, "version": locked.get(re.sub(r"[-_.]+", "-", name).lower())}
        for name in names
    ]
    digest = hashlib.sha256(lock.encode()).hexdigest()
    return f"{file_parts.table(rows)}\n\nAll packages are locked in uv.lock, SHA-256 `{digest}`."


def parameters(version: str) -> str:
    """Show every number that changes a result, as the version was made with it."""
    text = _committed(version, current().root, "params.toml")
    digest = hashlib.sha256(text.encode()).hexdigest()
    if registered(version).tags.get("params_hash", digest) != digest:
        raise VersionError(
            f"version {version} was made with another params.toml than its commit has, so with "
            "which is unknown: commit, and train again"
        )
    return f"From `params.toml` (SHA-256 `{digest}`):\n\n{file_parts.written(tomllib.loads(text))}"


def source(version: str) -> str:
    """Show how the model is built, in the words and code of its commit."""
    folder = f"src/{contract.package()}"
    files = (f"{folder}/{name}" for name in ("model.py", "features.py"))
    texts = [_committed(version, current().root, file) for file in files]
    return "\n\n".join(f"```python\n{text.strip()}\n```" for text in texts)


def registered(version: str) -> Any:
    """Return a version of the registry; raise VersionError if that does not tell it."""
    registry = importlib.import_module("rung_ops.tracking.registry")  # brings MLflow
    try:
        return registry.version(version)
    except registry.MlflowException as error:
        raise VersionError(registry.reason_of(error)) from error


def _committed(version: str, folder: Path, path: str) -> str:
    """Read a file as the commit has it that a version was made from, not as it is today."""
    commit = registered(version).tags.get("git_commit", "")
    try:
        content = git.content(folder, "show", f"{commit}:./{path}", variables=git.PLAIN)
        return content.decode()
    except (git.GitError, UnicodeDecodeError) as error:
        raise VersionError(
            f"{path} of version {version} cannot be read from its commit {commit[:12] or 'unknown'} "
            f"({error}): `git fetch`, or commit the file and train again"
        ) from error


def _developers(commit: str) -> str:
    """Name who developed a version: not the author of its last commit, which may be of other files."""
    try:
        made = developers.commits(commit)
    except VersionError:
        return "unknown"
    people = dict.fromkeys(person for each in made for person in each.people)
    return "; ".join(people) or "unknown"


def inputs(version: str) -> str:
    """List every input column, with type, range and unit."""
    if not current().test.is_file():
        raise VersionError(f"{shown(current().test)} is missing: {PIPELINE}")
    from rung_ops.release import contract_file

    dataset = importlib.import_module(contract.Row.__module__)
    rows = pl.read_parquet(current().test)
    features, declared = rows.select(contract.FEATURES), contract.ENTITY_FEATURES
    described = contract_file.contract(dataset, features, rows, "", None, declared)
    columns = contract.Row.to_schema().columns
    personal = {name for name in columns if (columns[name].metadata or {}).get("personal")}
    return file_parts.table(
        [
            {
                "column": column["name"],
                "type": column["dtype"],
                "allowed": _allowed(column),
                "unit": column["unit"],
                "personal": "yes" if column["name"] in personal else "",
                "meaning": column["description"],
            }
            for column in described["columns"]
        ]
    )


def inventory_entry(version: str) -> str:
    """Tell what is known of the model without asking: status, validations, rows, features."""
    return file_parts.written(inventory.facts())


def versions(version: str) -> str:
    """List all versions, who made them from what, and whether they were approved."""
    registry = importlib.import_module("rung_ops.tracking.registry")
    try:
        made = registry.versions()
    except registry.MlflowException as error:
        raise VersionError(f"the registry does not answer: {error}") from error
    if not made:
        raise VersionError(f"the registry holds no version: {PIPELINE}")
    return file_parts.table(
        [
            {
                "version": each.version,
                "commit": each.tags.get("git_commit", "")[:12],
                "developed by": _developers(each.tags.get("git_commit", "")),
                "data": each.tags.get("data_hash", "")[:12],
                "approved": "no" if validation.objections(each, answered=True) else "yes",
            }
            for each in made
        ]
    )


def _allowed(column: dict[str, Any]) -> str:
    signs = {"ge": "from", "gt": "above", "le": "to", "lt": "below"}
    parts = [f"{word} {column[key]}" for key, word in signs.items() if column.get(key) is not None]
    if column.get("isin"):
        parts.append("one of " + ", ".join(str(value) for value in column["isin"]))
    if column.get("pattern"):
        parts.append(f"of the form `{column['pattern']}`")
    if not column["required"]:
        parts.append("may be empty" if column["default"] is None else f"else {column['default']}")
    return "; ".join(parts)
