"""The facts of a model's entry in the inventory, as far as they are known without asking."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rung_governance.approval.validation import INVENTORY, RECORDS
from rung_governance.record_check import Problem
from rung_ops.errors import UnreadableFileError
from rung_ops.project import current, documents
from rung_ops.project.paths import project_name
from rung_ops.system import git

NOT_IN_USE = re.compile(r"(?i)\bnot (yet )?(in use|used)\b")
GENERATED = "Take the field out: `poe technical-file` and `poe examine` write it from the facts."


def facts() -> dict[str, str]:
    """Tell status, validations, rows, features and last change, as far as they are known here."""
    path, status = (
        current().root / INVENTORY,
        "in development: nothing answers in production from here",
    )
    if answers := serving():
        status = f"in use: version {answers[0]} answers in production since {answers[1]}"
    changed = git.run(path.parent, "log", "-1", "--format=%as, by %an", "--", path.name)
    known = {
        "status": status,
        "validations": "; ".join(_validations()) or "none",
        "rows": _rows(),
        "features": _features(),
        "entry last changed": changed.stdout.strip(),
    }
    return {name: text for name, text in known.items() if text}


def serving() -> tuple[str, str] | None:
    """Name the version that answers in production, and the day since when; None if none does."""
    from rung_ops.project import paths

    folder = paths.environment(paths.PRODUCTION)
    if not (folder / "state.json").is_file():
        return None
    from rung_ops.model import bundle
    from rung_ops.release import state  # which need packages of a later rung

    try:
        release = state.read(folder).serving
        if not release:
            return None
        manifest = bundle.read_manifest(paths.bundle(folder, release))
        days = [e["at"] for e in state.events(folder) if e["detail"].get("release") == release]
    except (state.StateError, bundle.BundleError, OSError):
        return None
    return str(manifest["version"]), days[-1][:10] if days else "an unknown day"


def contradictions(root: Path) -> Iterator[Problem]:
    """Say where the inventory states something else than is the case."""
    path = root / INVENTORY
    if root != current().root or not path.is_file():
        return
    try:
        entries = documents.record(path).get("models")
    except UnreadableFileError:
        return  # which check_record() says
    for number, entry in enumerate(entries if isinstance(entries, list) else []):
        if isinstance(entry, dict) and entry.get("name") == project_name():
            yield from _of_entry(entry, f"models[{number}]")


def _of_entry(entry: dict[str, Any], place: str) -> Iterator[Problem]:
    if answers := serving():
        in_production = f"version {answers[0]} answers in production since {answers[1]}"
        if entry.get("status", "in use") != "in use":
            wrong = f"is {entry['status']}, and {in_production}"
            yield Problem(INVENTORY, f"{place}.status", wrong, GENERATED)
        if NOT_IN_USE.search(str(entry.get("actual_use", ""))):
            wrong = f"says that it is not in use, and {in_production}"
            yield Problem(INVENTORY, f"{place}.actual_use", wrong, "Say how it is used today.")
    stated = entry.get("validation")
    done = stated.get("done") if isinstance(stated, dict) else None
    days = sorted({text.partition(", ")[2][:10] for text in _validations()})
    if isinstance(done, list) and sorted(map(str, done)) != days:
        wrong = f"lists {', '.join(map(str, done)) or 'none'}; {RECORDS} has {', '.join(days) or 'none'}"
        yield Problem(INVENTORY, f"{place}.validation.done", wrong, GENERATED)


def _validations() -> list[str]:
    """List the validations of this model: version, day, validator, decision."""
    validations = []
    for path in sorted((current().root / RECORDS).glob("*")):
        if path.suffix not in {".yaml", ".yml", ".md"} or path.name == "README.md":
            continue
        try:
            record = documents.record(path)
        except UnreadableFileError:
            continue
        validator = record.get("validator")
        name = validator.get("name") if isinstance(validator, dict) else "unknown"
        if record.get("decision"):
            validated = f"version {record.get('version')}, {record.get('date')}"
            validations.append(f"{validated}: {record['decision']} by {name}")
    return validations


def _rows() -> str:
    path = current().reports / "validation.json"
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
        return "; ".join(f"{count:,} of {name}" for name, count in rows.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""


def _features() -> str:
    if not current().test.is_file():
        return ""
    import polars as pl

    from rung_ops import contract

    names = pl.read_parquet(current().test).head(1).select(contract.FEATURES).columns
    return f"{len(names)}: {', '.join(names)}"
