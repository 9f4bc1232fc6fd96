"""Whether a person other than its author has approved of a release, and by which record.

Rung keeps this file; change it through governance/.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ops import documents, promote
from ops.settings import shown


@dataclass(frozen=True)
class Released:
    """The version that a release was made of, as ops.promote asks about it."""

    name: str
    version: str
    tags: Mapping[str, str]


def of_release(manifest: Mapping[str, Any]) -> Released:
    """Take the version out of the manifest of a verified release."""
    tags = {name: str(value) for name, value in manifest.items() if isinstance(value, str)}
    return Released(str(manifest["model"]), str(manifest["version"]), tags)


def objections(manifest: Mapping[str, Any]) -> list[str]:
    """Say why a release is not approved; empty when it is."""
    return promote.objections(of_release(manifest))


def given(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Name the record that approves of a release: file, its SHA-256, validator and day."""
    (path,) = promote.record_paths(of_release(manifest))
    record = documents.record(path)
    return {
        "record": shown(path),
        "record_hash": hashlib.sha256(path.read_bytes()).hexdigest(),
        "validator": f"{record['validator']['name']} <{record['validator']['email']}>",
        "validated": str(record["date"]),
    }
