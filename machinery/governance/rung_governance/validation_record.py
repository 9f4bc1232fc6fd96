"""Whether the record of an independent validation approves of just this version, and not its developer."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from rung_governance import people
from rung_governance.inventory_facts import INVENTORY
from rung_ops.project import documents

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


def objections(version: Version, record: dict[str, Any], root: Path) -> Iterator[str]:
    """Say why a complete record does not approve of a version.

    Args:
        version: of the registry, or of a release.
        record: the fields of its file.
        root: the model's folder, with the inventory.
    """
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
    inventory = _inventory(version.name, root)
    if not inventory:
        yield f"{INVENTORY} names no developer of {version.name}"
    trainer = version.tags.get("git_trainer", "")
    made_it = people.known_by([author or "", trainer, *inventory.split(",")])
    named = record["validator"]
    if people.known_by([named["name"], named["email"]]) & made_it:
        who = f"{named['name']} <{named['email']}>"
        yield f"{who} developed the model, and cannot be the one who validates it"
    if record["decision"] != APPROVED:
        yield f"the validation of {record['date']} has {record['decision']} this version"


def _inventory(model: str, root: Path) -> str:
    """Read whom the inventory names as the developer of the model."""
    path = root / INVENTORY
    entries = documents.record(path).get("models", []) if path.is_file() else []
    return ",".join(str(e.get("developer", "")) for e in entries if e.get("name") == model)
