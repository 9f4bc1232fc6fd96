"""Register copied models, in the order and, where the registry is empty, with the numbers of here."""

import json
from collections.abc import Iterable

from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from rung_ops.tracking.copies import ORIGINAL, Copying
from rung_ops.tracking.registry import WAITING

NUMBER_BEFORE = "migrated_from"  # of a version: the number it had in the store it comes from
SUCCESSION = "champions_before"  # of a model: numbers of versions, which may be others there


def versions_here(store: MlflowClient, name: str) -> list[ModelVersion]:
    """List the versions of a model, the oldest first."""
    found = store.search_model_versions(f"name='{name}'")
    return sorted(found, key=lambda each: int(each.version))


def register(copying: Copying, versions: Iterable[ModelVersion]) -> dict[str, str]:
    """Register versions of one model whose runs were copied, those that are there excepted.

    Returns:
        The number there of each number here.
    """
    numbers: dict[str, str] = {}
    there: dict[str | None, str] | None = None
    for version in versions:
        if there is None:
            _model(copying.target, version.name)
            there = {
                each.tags.get(ORIGINAL): str(each.version)
                for each in versions_here(copying.target, version.name)
            }
        # Two versions of one run are told apart by their numbers.
        known = f"{version.run_id}/{version.version}"
        if known not in there:
            there[known] = _register(copying, version, known)
        numbers[str(version.version)] = there[known]
    return numbers


def _model(target: MlflowClient, name: str) -> RegisteredModel:
    try:
        return target.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return target.create_registered_model(name)


def _register(copying: Copying, version: ModelVersion, known: str) -> str:
    tags = {name: value for name, value in version.tags.items() if name != WAITING}
    model = copying.models[_model_id(version)]
    made = copying.target.create_model_version(
        version.name,
        f"models:/{model}",
        copying.runs[str(version.run_id)],
        tags | {ORIGINAL: known, NUMBER_BEFORE: str(version.version)},
        description=version.description or None,
        model_id=model,
    )
    return str(made.version)


def _model_id(version: ModelVersion) -> str:
    return str(version.model_id or str(version.source).removeprefix("models:/"))


def aliases(copying: Copying, name: str, numbers: dict[str, str]) -> list[str]:
    """Give aliases and the model's tags, where the model there has none of that name.

    Returns:
        What was left as it is, as sentences.
    """
    here, there = copying.source.get_registered_model(name), _model(copying.target, name)
    left = []
    for alias, number in here.aliases.items():
        to = numbers.get(str(number))
        taken = there.aliases.get(alias)
        if to is None or str(taken) == to:
            continue
        if taken is not None:
            left.append(f"{alias} stays version {taken} of {name} there; here it is {number}.")
            continue
        copying.target.set_registered_model_alias(name, alias, to)
    for tag, value in here.tags.items():
        if tag not in there.tags:
            if tag == SUCCESSION:
                value = json.dumps(
                    [numbers.get(str(each), str(each)) for each in json.loads(value)]
                )
            copying.target.set_registered_model_tag(name, tag, value)
    if here.description and not there.description:
        copying.target.update_registered_model(name, here.description)
    return left
