"""Make a version champion, provided that an independent validation of just that version approves.

The registry is imported where it is asked: MLflow takes seconds, and whether a release is approved
has to be known without it.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from rung_ops.governance import records
from rung_ops.project import documents
from rung_ops.project.paths import ROOT

RECORDS = "governance/validation"
INVENTORY = "governance/model_inventory.yaml"
APPROVED = "approved"
REMEDY = f"Bring the record ({RECORDS}/README.md), or take the alias champion away."
# Of the registered model: the numbers of the versions that were champion, the last one at the end.
SUCCESSION = "champions_before"
REMEMBERED = 100  # a tag holds 5,000 characters


class Version(Protocol):
    """What is asked about: a version of the registry, or a release that was made of one."""

    @property
    def name(self) -> str:
        """The model."""

    @property
    def version(self) -> str:
        """Its number."""

    @property
    def tags(self) -> Mapping[str, str]:
        """What it was made from, as rung_ops.tracking.source_state names it."""


def objections(version: Version) -> list[str]:
    """Say everything that speaks against this version as champion; empty when nothing does."""
    paths = record_paths(version)
    if not paths:
        named = f"{RECORDS}/{version.name}-{version.version}.yaml"
        return [f"{named} does not exist: nobody has validated version {version.version}"]
    if len(paths) > 1:
        both = " and ".join(path.name for path in paths)
        return [f"{both} in {RECORDS} are records of one version: keep one"]
    faults = list(records.of_record(paths[0], records.schema_of("validation", ROOT), ROOT))
    if faults:
        return [str(fault) for fault in faults]
    return list(_against(version, documents.record(paths[0])))


def record_paths(version: Version) -> list[Path]:
    """Find the files that claim to be the record of this version."""
    stem = ROOT / RECORDS / f"{version.name}-{version.version}"
    paths = (stem.parent / f"{stem.name}{ending}" for ending in (".yaml", ".yml", ".md"))
    return [path for path in paths if path.is_file()]


def _against(version: Version, record: dict[str, Any]) -> Iterator[str]:
    if (record["model"], record["version"]) != (version.name, int(version.version)):
        yield (
            f"the record is about {record['model']} {record['version']}, "
            f"not about {version.name} {version.version}"
        )
    for tag in ("git_commit", "data_hash"):
        tagged = version.tags.get(tag)
        if tagged is None:
            yield f"version {version.version} has no tag {tag}, so nobody can tell what it is"
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


def objections_to_the_champion() -> list[str]:
    """Say what speaks against the version that is champion now; empty when there is none."""
    from rung_ops.tracking import registry

    number = champion()
    return objections(registry.version(number)) if number else []


def champion() -> str | None:
    """Tell the number of the version that is champion."""
    from rung_ops.tracking import registry

    name = registry.model_name()
    for model in registry.client().search_registered_models(f"name='{name}'"):
        if registry.CHAMPION in model.aliases:
            return str(model.aliases[registry.CHAMPION])
    return None


def predecessors() -> list[str]:
    """Name the versions that were champion before the one that is, the last one at the end."""
    from rung_ops.tracking import registry

    model = registry.client().get_registered_model(registry.model_name())
    numbers = [str(number) for number in json.loads(model.tags.get(SUCCESSION, "[]"))]
    # The champion itself is among them where a process was killed between two writes.
    while numbers and numbers[-1] == str(model.aliases.get(registry.CHAMPION)):
        numbers.pop()
    return numbers


def crown(number: str) -> None:
    """Give a version the alias, and remember which one had it before."""
    from rung_ops.tracking import registry

    before = champion()
    if before and before != number:
        remember([*predecessors(), before])
    registry.client().set_registered_model_alias(registry.model_name(), registry.CHAMPION, number)


def remember(numbers: list[str]) -> None:
    """Write down the succession of champions."""
    from rung_ops.tracking import registry

    kept = json.dumps(numbers[-REMEMBERED:])
    registry.client().set_registered_model_tag(registry.model_name(), SUCCESSION, kept)


def main(arguments: list[str] | None = None) -> int:
    """Set the alias, or refuse and say why; return the exit code."""
    from rung_ops.tracking import registry

    parser = argparse.ArgumentParser(prog="poe promote", description=__doc__.splitlines()[0])
    parser.add_argument("version", help="number of the version in the registry, or an alias")
    asked = parser.parse_args(arguments).version
    try:
        version = registry.version(asked)
    except registry.ServerDown:
        raise
    except registry.MlflowException as error:
        print(f"There is no version {asked} of {registry.model_name()}: {error}", file=sys.stderr)
        return 1
    if reasons := objections(version):
        refused = f"Refused: version {version.version} does not become {registry.CHAMPION}."
        print(refused, *(f"- {reason}" for reason in reasons), sep="\n", file=sys.stderr)
        print(f"How to write the record: {RECORDS}/README.md", file=sys.stderr)
        return 1
    crown(str(version.version))
    print(f"{version.name} {version.version} is {registry.CHAMPION}; approved in {RECORDS}")
    return 0
