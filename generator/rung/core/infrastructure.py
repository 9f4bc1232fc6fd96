"""What levels/infrastructure.yml says: the CI vendors, and what answers ask of a team."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from rung.core.template_source import Source
from rung.errors import RungError


@dataclass(frozen=True)
class Vendor:
    """A CI vendor.

    Attributes:
        files: Globs of the files that it runs; `*` matches `/` as well.
        host: A part of the address of the repositories that it hosts.
    """

    files: tuple[str, ...]
    host: str

    def runs(self, path: str) -> bool:
        """Return whether it runs a file."""
        return any(fnmatchcase(path, glob) for glob in self.files)


def vendors(source: Source) -> dict[str, Vendor]:
    """Return the CI vendors of a template by their answer, in the order of the question `ci`."""
    return {
        name: Vendor(tuple(data["files"]), data["host"])
        for name, data in _read(source, "vendors").items()
    }


def asks_of_rungs(rungs: Iterable[Mapping[str, Any]], game: str | None) -> list[str]:
    """Return what rungs, as levels/*.yml describe them, require of a team that plays `game`."""
    asks = [
        {"ask": ask} if isinstance(ask, str) else ask
        for rung in rungs
        for ask in rung.get("asks") or []
    ]
    return [ask["ask"] for ask in asks if ask.get("game", game) == game]


def asks_of_answers(source: Source, answers: Mapping[str, Any]) -> list[str]:
    """Return what the answers about infrastructure require of a team, on their rung."""
    parts = _read(source, "brings")
    level = int(answers["level"])
    return [
        ask
        for each in parts.values()
        if each.get("from", 0) <= level and applies(each.get("when", {}), answers)
        for ask in each.get("asks") or []
    ]


def applies(when: Mapping[str, str | list[str]], answers: Mapping[str, Any]) -> bool:
    """Say whether all answers match that a part depends on."""
    return all(
        answers.get(question) in ([wanted] if isinstance(wanted, str) else wanted)
        for question, wanted in when.items()
    )


def _read(source: Source, part: str) -> Mapping[str, Any]:
    try:
        mapping = source.read("levels/infrastructure.yml")["infrastructure"]["default"][part]
    except (RungError, KeyError, TypeError):
        return {}  # a template that describes its infrastructure in another way
    return mapping if isinstance(mapping, dict) else {}
