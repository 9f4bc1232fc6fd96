"""What a rung and the answers bring beside files: commands, requirements, CI jobs (decision 21).

levels/has.jinja says the same to Copier; tests/test_levels_has.py compares the two.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rung.core.template_source import Source
from rung.errors import RungError
from rung.levels.ladder import RUNGS, Vendor, decode_vendor


@dataclass(frozen=True)
class LevelContents:
    """The rungs up to a project's own, its commands, and what both and its answers require of the team."""

    rungs: list[dict[str, Any]] = field(default_factory=list)
    commands: dict[str, str] = field(default_factory=dict)
    asks: list[str] = field(default_factory=list)
    answers_ask: list[str] = field(default_factory=list)


def contents(source: Source, answers: Mapping[str, Any]) -> LevelContents:
    """Return what a project with these answers has on its rung."""
    game, level = answers.get("use_case"), int(answers["level"])
    result = LevelContents()
    for number in range(level + 1):
        rung = _read(source, f"levels/{number}.yml", f"rung_{number}")
        if not rung:
            break  # a template that describes its rungs in another way
        result.rungs.append(rung)
        _add_commands(result.commands, rung.get("commands"), game, level, 0)
        asks = [{"ask": ask} if isinstance(ask, str) else ask for ask in rung.get("asks") or []]
        result.asks.extend(ask["ask"] for ask in asks if ask.get("game", game) == game)
    brings = _read(source, "levels/infrastructure.yml", "infrastructure").get("brings", {})
    for brought in brings.values():
        if applies(brought.get("when", {}), answers):
            first = brought.get("from", 0)
            _add_commands(result.commands, brought.get("commands"), game, level, first)
            result.answers_ask.extend(brought.get("asks") or [] if first <= level else [])
    return result


def _add_commands(
    commands: dict[str, str], offered: list[Any] | None, game: str | None, level: int, first: int
) -> None:
    for command in offered or []:
        if command.get("from", first) <= level and command.get("game", game) == game:
            commands[command["run"]] = command["does"]


def applies(when: Mapping[str, str | list[str]], answers: Mapping[str, Any]) -> bool:
    """Say whether a project has all the answers that something depends on."""
    return all(
        answers.get(question) in ([wanted] if isinstance(wanted, str) else wanted)
        for question, wanted in when.items()
    )


def vendors(source: Source) -> dict[str, Vendor]:
    """Return the CI vendors of a template by their answer, in the order of the question `ci`."""
    early = _read(source, "levels/infrastructure.yml", "infrastructure").get("vendors")
    if isinstance(early, dict):  # a template of version 0.2
        return {
            name: decode_vendor(data, Path("levels/infrastructure.yml"))
            for name, data in early.items()
        }
    names = _default(source, "levels/ci/names.yml", "vendor_names") or early  # before that file
    files = {name: f"levels/ci/{name}.yml" for name in names or ()}
    return {name: decode_vendor(source.read(file), Path(file)) for name, file in files.items()}


def refuse_vendor(source: Source, answers: Mapping[str, Any]) -> None:
    """Raise a RungError where the CI vendor has no jobs for a rung."""
    known = vendors(source)
    ci, level = answers.get("ci"), str(answers.get("level", ""))
    if ci not in known or level not in map(str, RUNGS) or int(level) <= known[ci].up_to:
        return  # a rung that does not exist is refused as an answer
    chosen = known[ci]
    jobs = ", ".join(chosen.text.replace("JOB", job) for job in chosen.jobs)
    others = [f"`-d ci={name}`" for name, other in known.items() if other.up_to >= int(level)]
    another = f", or take another CI: {' or '.join(others)}" if others else ""
    raise RungError(
        f"{chosen.title} serves projects up to rung {chosen.up_to}, with {jobs}; rung {level} needs "
        f"jobs that it does not have here.\nChoose rung {chosen.up_to} or below{another}."
    )


def missing(answers: Mapping[str, Any], files: Container[str]) -> list[str]:
    """Return what the answers name, Rung does not bring, and is not among a project's files.

    It is no mistake yet: a second layer may come after the change that names it.
    """
    bundle = answers.get("ca_bundle")
    is_used = int(answers["level"]) > 0  # rung 0 has neither images nor CI
    if not (bundle and is_used) or bundle in files:
        return []
    return [f"{bundle}, which `ca_bundle` names: images and CI need it (a layer can bring it)"]


def _read(source: Source, file: str, question: str) -> dict[str, Any]:
    data = _default(source, file, question)
    return data if isinstance(data, dict) else {}


def _default(source: Source, file: str, question: str) -> Any:
    try:
        return source.read(file)[question]["default"]
    except (RungError, KeyError, TypeError):
        return None  # a template that describes itself in another way
