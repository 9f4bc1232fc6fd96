"""Whether a person other than its author has approved of a release, and by which record."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rung_ops.governance import registry_promotion
from rung_ops.project import documents
from rung_ops.project.paths import shown


@dataclass(frozen=True)
class Released:
    """The version that a release was made of, as rung_ops.governance.registry_promotion asks about it."""

    name: str
    version: str
    tags: Mapping[str, str]


def of_release(manifest: Mapping[str, Any]) -> Released:
    """Take the version out of the manifest of a verified release."""
    tags = {name: str(value) for name, value in manifest.items() if isinstance(value, str)}
    return Released(str(manifest["model"]), str(manifest["version"]), tags)


def objections(manifest: Mapping[str, Any]) -> list[str]:
    """Say why a release is not approved; empty when it is."""
    return registry_promotion.objections(of_release(manifest))


def given(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Name the record that approves of a release: file, its SHA-256, validator and day."""
    (path,) = registry_promotion.record_paths(of_release(manifest))
    record = documents.record(path)
    return {
        "record": shown(path),
        "record_hash": hashlib.sha256(path.read_bytes()).hexdigest(),
        "validator": f"{record['validator']['name']} <{record['validator']['email']}>",
        "validated": str(record["date"]),
    }
