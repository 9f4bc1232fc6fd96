"""Whether an independent validation approves of a version, and by which record.

A validation record approves of just one version, and its author is not the model's developer. The
check needs no registry, so that it works where MLflow does not.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rung_ops.governance.record_check import check_record, read_schema
from rung_ops.project import documents
from rung_ops.project.paths import ROOT, shown

RECORDS = "governance/validation"
INVENTORY = "governance/model_inventory.yaml"
APPROVED = "approved"


class Version(Protocol):
    """A version of the registry, or the version that a release was made of."""

    @property
    def name(self) -> str:
        """The model."""

    @property
    def version(self) -> str:
        """Its number."""

    @property
    def tags(self) -> Mapping[str, str]:
        """What it was made from, as rung_ops.tracking.source_state names it."""


@dataclass(frozen=True)
class ReleasedVersion:
    """The version that a release was made of."""

    name: str
    version: str
    tags: Mapping[str, str]


def released_version(manifest: Mapping[str, Any]) -> ReleasedVersion:
    """Take the version out of the manifest of a verified release."""
    tags = {name: str(value) for name, value in manifest.items() if isinstance(value, str)}
    return ReleasedVersion(str(manifest["model"]), str(manifest["version"]), tags)


def objections(version: Version) -> list[str]:
    """List why a version is not approved; empty where it is."""
    paths = record_paths(version)
    if not paths:
        named = f"{RECORDS}/{version.name}-{version.version}.yaml"
        return [f"{named} does not exist: there is no validation of version {version.version}"]
    if len(paths) > 1:
        both = " and ".join(path.name for path in paths)
        return [f"{both} in {RECORDS} are records of one version: keep one"]
    faults = list(check_record(paths[0], read_schema("validation", ROOT), ROOT))
    if faults:
        return [str(fault) for fault in faults]
    return list(_objections(version, documents.record(paths[0])))


def record_paths(version: Version) -> list[Path]:
    """Find the files that claim to be the record of this version."""
    stem = ROOT / RECORDS / f"{version.name}-{version.version}"
    paths = (stem.parent / f"{stem.name}{ending}" for ending in (".yaml", ".yml", ".md"))
    return [path for path in paths if path.is_file()]


def _objections(version: Version, record: dict[str, Any]) -> Iterator[str]:
    if (record["model"], record["version"]) != (version.name, int(version.version)):
        yield (
            f"the record is about {record['model']} {record['version']}, "
            f"not about {version.name} {version.version}"
        )
    for tag in ("git_commit", "data_hash"):
        tagged = version.tags.get(tag)
        if tagged is None:
            yield f"version {version.version} has no tag {tag}, so what it was made from is unknown"
        elif record[tag] != tagged:
            yield f"the record names {tag} {record[tag]}, and the version was made from {tagged}"
    if version.tags.get("git_dirty") == "true":
        yield f"version {version.version} was made from files that differ from its commit"
    author = version.tags.get("git_author")
    if not author:
        yield f"version {version.version} has no tag git_author, so its developer is unknown"
    developers = _developers(version.name)
    if not developers:
        yield f"{INVENTORY} names no developer of {version.name}"
    validator = _names(record["validator"]["name"]) | _names(record["validator"]["email"])
    for same in sorted(validator & (_names(author or "") | developers)):
        yield f"{same} developed the model, and cannot be the one who validates it"
    if record["decision"] != APPROVED:
        yield f"the validation of {record['date']} has {record['decision']} this version"


def _developers(model: str) -> set[str]:
    """Name the developers that the inventory names for the model."""
    path = ROOT / INVENTORY
    entries = documents.record(path).get("models", []) if path.is_file() else []
    return {
        name
        for entry in entries
        if entry.get("name") == model
        for name in _names(str(entry.get("developer", "")))
    }


def _names(text: str) -> set[str]:
    """Take a person apart: `Ada Lovelace <ada@example.org>` is known by name and by e-mail."""
    return {part.strip().casefold() for part in re.split(r"[<>(),;/]", text) if part.strip()}


def approval_of(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Describe the record that approves of a release: file, its SHA-256, validator and day."""
    (path,) = record_paths(released_version(manifest))
    record = documents.record(path)
    return {
        "record": shown(path),
        "record_hash": hashlib.sha256(path.read_bytes()).hexdigest(),
        "validator": f"{record['validator']['name']} <{record['validator']['email']}>",
        "validated": str(record["date"]),
    }
