"""What a project asks of its team: what the rungs and the answers about infrastructure say."""

from collections.abc import Iterable, Mapping
from typing import Any

from rung.errors import RungError
from rung.source import Source


def of_rungs(rungs: Iterable[Mapping[str, Any]], game: str | None) -> list[str]:
    """Return what rungs, as levels/*.yml describe them, ask of a team that plays `game`."""
    asks = [
        {"ask": ask} if isinstance(ask, str) else ask
        for rung in rungs
        for ask in rung.get("asks") or []
    ]
    return [ask["ask"] for ask in asks if ask.get("game", game) == game]


def of_infrastructure(source: Source, answers: Mapping[str, Any]) -> list[str]:
    """Return what the answers about infrastructure ask for, on the rung that `answers` name."""
    try:
        brought = source.read("levels/infrastructure.yml")["infrastructure"]["default"]["brings"]
    except (RungError, KeyError, TypeError):
        return []  # a template that describes its infrastructure in another way
    level = int(answers["level"])
    return [
        ask
        for each in brought.values()
        if each.get("from", 0) <= level and given(each.get("when", {}), answers)
        for ask in each.get("asks") or []
    ]


def given(when: Mapping[str, str | list[str]], answers: Mapping[str, Any]) -> bool:
    """Say whether all answers were given that something hangs on."""
    return all(
        answers.get(question) in ([wanted] if isinstance(wanted, str) else wanted)
        for question, wanted in when.items()
    )
