"""Make a version champion if an independent validation approves: `rung-ops registry promote`."""

import argparse
import dataclasses
import json
import sys

from mlflow.entities.model_registry import ModelVersion

from rung_governance import approval, readiness, rejudge, signed_approval
from rung_ops.project import current
from rung_ops.tracking import registry

# Of the registered model: the numbers of the versions that were champion, the last one at the end.
SUCCESSION = "champions_before"
REMEMBERED = 100  # a tag holds 5,000 characters


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
        return [*approval.objections(version), *written]
    verdict = rejudge.verdict(number)
    facts = signed_approval.verdict_facts(dataclasses.asdict(verdict))
    return [*verdict.reasons, *approval.objections(version, facts), *written]


def main(arguments: list[str] | None = None) -> int:
    """Set the alias, or refuse and say why; return the exit code."""
    parser = argparse.ArgumentParser(prog="poe promote", description=__doc__.splitlines()[0])
    parser.add_argument("version", help="number of the version in the registry, or an alias")
    asked = parser.parse_args(arguments).version
    try:
        version = registry.version(asked)
    except registry.ServerDownError:
        raise
    except registry.MlflowException as error:
        print(registry.reason_of(error), file=sys.stderr)
        return 1
    if reasons := _objections(version):
        refused = f"Refused: version {version.version} does not become {registry.CHAMPION}."
        print(refused, *(f"- {reason}" for reason in reasons), sep="\n", file=sys.stderr)
        print(f"How to write the record: {approval.RECORDS}/README.md", file=sys.stderr)
        return 1
    set_champion(str(version.version))
    print(
        f"{version.name} {version.version} is {registry.CHAMPION}; approved in {approval.RECORDS}"
    )
    return 0
