"""The provenance of a version for the technical file: what it is made of and who allowed it."""

import hashlib
import importlib
import importlib.metadata
import re
import tomllib
from pathlib import Path
from typing import Any

import polars as pl

from rung_governance.approval import validation
from rung_governance.approval.bound_facts import MissingFactError
from rung_governance.documents import file_parts, inventory
from rung_governance.documents.file_parts import PIPELINE
from rung_ops import contract
from rung_ops.project import current, documents
from rung_ops.project.paths import params, project_name, shown


def independent_validation(version: str) -> str:
    """Take the dated record of the independent validation, with its validator's name."""
    stem = f"{validation.RECORDS}/{project_name()}-{version}"
    paths = [current().root / f"{stem}{ending}" for ending in (".yaml", ".yml", ".md")]
    records = [path for path in paths if path.is_file()]
    if not records:
        raise MissingFactError(
            f"{stem}.yaml is missing: there is no validation of version {version}"
        )
    return file_parts.written(documents.record(records[0]))


def lineage(version: str) -> str:
    """Tell commit, data, parameters and figures of the version, and the way back to them."""
    tell = importlib.import_module("rung_ops.release.lineage")  # brings MLflow, which takes seconds
    try:
        described = tell.describe(tell.registry.version(version))
    except tell.registry.MlflowException as error:
        raise MissingFactError(tell.registry.reason_of(error)) from error
    return f"```\n{described}\n```"


def packages(version: str) -> str:
    """List what the model is made with, as installed and locked."""
    text = (current().repository / "pyproject.toml").read_text(encoding="utf-8")
    names = [
        re.split(r"[^\w.-]", line, maxsplit=1)[0]
        for line in tomllib.loads(text)["project"]["dependencies"]
    ]
    if not (current().repository / "uv.lock").is_file():
        raise MissingFactError("uv.lock is missing: `uv sync` makes it; commit it")
    digest = hashlib.sha256((current().repository / "uv.lock").read_bytes()).hexdigest()
    rows = [{"package": name, "version": importlib.metadata.version(name)} for name in names]
    return f"{file_parts.table(rows)}\n\nAll packages are locked in uv.lock, SHA-256 `{digest}`."


def parameters(version: str) -> str:
    """Show every number that changes a result."""
    return file_parts.written(params())


def source(version: str) -> str:
    """Show how the model is built, in the words and code of model.py and features.py."""
    folder = Path(str(importlib.import_module(contract.Row.__module__).__file__)).parent
    texts = [(folder / name).read_text(encoding="utf-8") for name in ("model.py", "features.py")]
    return "\n\n".join(f"```python\n{text.strip()}\n```" for text in texts)


def inputs(version: str) -> str:
    """List every input column, with type, range and unit."""
    if not current().test.is_file():
        raise MissingFactError(f"{shown(current().test)} is missing: {PIPELINE}")
    from rung_ops.release import contract_file

    dataset = importlib.import_module(contract.Row.__module__)
    rows = pl.read_parquet(current().test)
    declared = contract.ENTITY_FEATURES
    described = contract_file.contract(
        dataset, rows.select(contract.FEATURES), rows, "", None, declared
    )
    personal = {
        name
        for name, column in contract.Row.to_schema().columns.items()
        if (column.metadata or {}).get("personal")
    }
    listed = [
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
    return file_parts.table(listed)


def inventory_entry(version: str) -> str:
    """Tell what is known of the model without asking: status, validations, rows, features."""
    return file_parts.written(inventory.facts())


def versions(version: str) -> str:
    """List all versions, who made them from what, and whether they were approved."""
    registry = importlib.import_module("rung_ops.tracking.registry")
    try:
        made = registry.versions()
    except registry.MlflowException as error:
        raise MissingFactError(f"the registry does not answer: {error}") from error
    if not made:
        raise MissingFactError(f"the registry holds no version: {PIPELINE}")
    return file_parts.table(
        [
            {
                "version": each.version,
                "commit": each.tags.get("git_commit", "")[:12],
                "author": each.tags.get("git_author", ""),
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
