"""The champion of the registry, promoted and rolled back: `poe promote`, `poe rollback` at rung 2.

A version becomes champion if an independent validation approves it; the registered model's tag
remembers which versions were champion before.
"""

import dataclasses
import json
import sys
from datetime import UTC, datetime

import click
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from rung_governance.approval import readiness, rejudge, signed_approval, validation
from rung_governance.approval.bound_facts import NotApprovedError
from rung_ops.command import verb
from rung_ops.project import current
from rung_ops.release.rollback import RECENT
from rung_ops.system.printable import printable
from rung_ops.tracking import registry
from rung_ops.tracking.registry import CHAMPION

# Of the registered model: the numbers of the versions that were champion, the last one at the end.
SUCCESSION = "champions_before"
REMEMBERED = 100  # a tag holds 5,000 characters
ROLLED_BACK = "rolled_back"  # tag of the version that was rolled back: when, and why
RESTORED = "restored"  # tag of the version that came back by that: when


def champion() -> str | None:
    """Tell the number of the version that is champion."""
    name = registry.model_name()
    for model in registry.client().search_registered_models(f"name='{name}'"):
        if registry.CHAMPION in model.aliases:
            return str(model.aliases[registry.CHAMPION])
    return None


def predecessors() -> list[str]:
    """Name the versions that were champion before the one that is, the last one at the end."""
    model = registry.client().get_registered_model(registry.model_name())
    numbers = [str(number) for number in json.loads(model.tags.get(SUCCESSION, "[]"))]
    # The champion itself is among them where a process was killed between two writes.
    while numbers and numbers[-1] == str(model.aliases.get(registry.CHAMPION)):
        numbers.pop()
    return numbers


def set_champion(number: str) -> None:
    """Give a version the alias, and remember which one had it before."""
    before = champion()
    if before and before != number:
        remember([*predecessors(), before])
    registry.client().set_registered_model_alias(registry.model_name(), registry.CHAMPION, number)


def remember(numbers: list[str]) -> None:
    """Write down the succession of champions."""
    kept = json.dumps(numbers[-REMEMBERED:])
    registry.client().set_registered_model_tag(registry.model_name(), SUCCESSION, kept)


def _objections(version: ModelVersion) -> list[str]:
    """List what speaks against a version; the gate is run again where its rows are."""
    number = str(version.version)
    written = readiness.objections(version)
    if not current().test.is_file() or number == champion():
        return [*validation.objections(version), *written]
    verdict = rejudge.verdict(number)
    facts = signed_approval.verdict_facts(dataclasses.asdict(verdict))
    return [*verdict.reasons, *validation.objections(version, facts), *written]


@verb("poe promote")
@click.argument("version", metavar="VERSION")
def promote(version: str) -> int:
    """Make a version champion if an independent validation approves.

    VERSION is its number in the registry, or an alias.
    """
    try:
        registered = registry.version(version)
    except registry.ServerDownError:
        raise
    except registry.MlflowException as error:
        print(registry.reason_of(error), file=sys.stderr)
        return 1
    if reasons := _objections(registered):
        refused = f"NotApprovedError: version {registered.version} does not become {CHAMPION}."
        print(refused, *(f"- {reason}" for reason in reasons), sep="\n", file=sys.stderr)
        print(f"How to write the record: {validation.RECORDS}/README.md", file=sys.stderr)
        return 1
    set_champion(str(registered.version))
    about = f"{registered.name} {registered.version}"
    print(f"{about} is {CHAMPION}; approved in {validation.RECORDS}")
    return 0


def restore_previous(reason: str, source: str | None = None) -> tuple[str, str]:
    """Give the alias back to the version that had it before.

    Args:
        reason: what was wrong.
        source: the number of the version to roll back from; None for the champion, unless a rollback
            has just brought it back.

    Returns:
        The numbers of the version that was champion, and of the one that is.

    Raises:
        NotApprovedError: no version was champion before, the one that was is no longer approved, or
            `source` is not champion.
    """
    left = champion()
    if left is None:
        raise NotApprovedError(
            f"There is no {CHAMPION}: `uv run poe promote VERSION` makes the first one."
        )
    if source is None:
        _refuse_again(left)
    elif source != left:
        raise NotApprovedError(
            f"Version {printable(source)} is not {CHAMPION}, {left} is: nothing was changed."
        )
    before = predecessors()
    if not before:
        raise NotApprovedError(
            f"Version {left} is the first {CHAMPION}: there is none to roll back to."
        )
    try:
        version = registry.version(before[-1])
    except MlflowException as error:
        raise NotApprovedError(
            f"Version {before[-1]}, the {CHAMPION} before, is gone: {error}"
        ) from error
    objections = validation.objections(version, answered=True)
    if objections:
        listed = "\n- ".join(["", *objections])
        raise NotApprovedError(
            f"Version {version.version} was {CHAMPION} before, and may not be again:{listed}\n"
            "Another version that is approved: `uv run poe promote VERSION`."
        )
    store = registry.client()
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    # Before the alias, so that who sees the champion sees how it came back.
    store.set_model_version_tag(version.name, str(version.version), RESTORED, moment)
    # Then the alias: a process that is killed after it leaves a memory that is cleaned when read.
    store.set_registered_model_alias(version.name, CHAMPION, str(version.version))
    remember(before[:-1])
    store.set_model_version_tag(version.name, left, ROLLED_BACK, f"{moment} {reason}".strip())
    return left, str(version.version)


def _refuse_again(left: str) -> None:
    """Refuse a rollback right after another one: people who answer one alert go back once."""
    restored = registry.version(left).tags.get(RESTORED)
    if restored is None:
        return
    age = (datetime.now(UTC) - datetime.fromisoformat(restored)).total_seconds()
    if age < RECENT:
        raise NotApprovedError(
            f"A rollback made version {left} {CHAMPION} again {max(age, 0):.0f} s ago. If {left} is "
            f"to go as well: `uv run poe rollback --from {left}`."
        )


@verb("poe rollback")
@click.option(
    *("--from", "source"),
    metavar="VERSION",
    help="the version to roll back from, needed right after another rollback",
)
@click.option("--reason", default="", help="what was wrong")
def rollback(source: str | None, reason: str) -> int:
    """Make the version champion that was champion before."""
    left, back = restore_previous(reason, source)
    print(f"{registry.model_name()} {back} is {CHAMPION} again, {left} is not")
    return 0
